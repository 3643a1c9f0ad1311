"""Each declared table is that of the P4 program, as its P4Info says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import finsy as fy
import pytest
from finsy.proto import p4i

from p4alg.engine import tables as t
from p4alg.engine.declaration import Declaration, Entry, Kind, declarations
from p4alg.engine.tables import SessionFlags

P4INFO = Path(__file__).resolve().parents[3] / "p4src/artifacts/v1model/p4alg.p4info.txtpb"
INFO = fy.P4Schema(P4INFO).p4info
TABLES = {table.preamble.alias: table for table in INFO.tables if not table.is_const_table}
ACTIONS = {action.preamble.id: action for action in INFO.actions}


def stated_format(annotations: Iterable[str]) -> str:
    texts = [a.removeprefix("@format(").removesuffix(")") for a in annotations]
    return next(iter(texts), "")


def written_actions(info: p4i.Table) -> list[p4i.Action]:
    return [ACTIONS[ref.id] for ref in info.action_refs if ref.scope != p4i.ActionRef.DEFAULT_ONLY]


def test_every_table_of_the_program_is_declared() -> None:
    assert set(declarations()) == set(TABLES)


@pytest.mark.parametrize("declared", declarations().values(), ids=lambda d: d.table)
def test_declaration_is_that_of_the_program(declared: Declaration) -> None:
    info = TABLES[declared.table]
    # A table without key has one entry, whatever the P4Info says.
    assert declared.size == (1 if declared.is_default else info.size)
    assert [(f.name, f.kind.value, f.bits, f.format.value) for f in declared.matches] == [
        (
            field.name,
            p4i.MatchField.MatchType.Name(field.match_type),
            field.bitwidth,
            stated_format(field.annotations),
        )
        for field in info.match_fields
    ]
    written = written_actions(info)
    assert set(declared.actions) == {action.preamble.alias for action in written}
    for action in written:
        assert [
            (p.name, p.bits, p.format.value) for p in declared.actions[action.preamble.alias]
        ] == [(p.name, p.bitwidth, stated_format(p.annotations)) for p in action.params]


@pytest.mark.parametrize("declared", declarations().values(), ids=lambda d: d.table)
def test_priority_and_ageing_are_those_of_the_program(declared: Declaration) -> None:
    info = TABLES[declared.table]
    # P4Runtime section 9.1: a table with a ternary field has priorities, no other has.
    assert bool(declared.priority) == any(f.kind is Kind.TERNARY for f in declared.matches)
    assert bool(declared.idle_timeout) == (info.idle_timeout_behavior == p4i.Table.NOTIFY_CONTROL)
    assert not info.is_const_table


ENTRIES: list[tuple[Entry, str]] = [
    (t.Session(t.FlowKey(6, 1, 2, 3, 4)), "allow"),
    (t.PinholeEntry(6, 1, 2, None, None, 7), "permit"),
    (t.PinholeEntry(6, 1, 2, None, None, 7, alg_id=3), "inspect"),
    (t.Policy(9, t.PolicyAction.DENY), "deny"),
]


def test_what_is_left_out_matches_everything_and_does_nothing() -> None:
    flow = t.FlowKey(6, 1, 2, 3, 4)
    session = t.Session(flow)
    assert (session.alg_id, session.flags, session.idle_timeout) == (0, SessionFlags.NONE, 0.0)
    rule = t.Policy(9, t.PolicyAction.DENY)
    assert {rule.side, rule.proto, rule.src_addr, rule.dst_addr, rule.dst_id} == {(0, 0)}
    assert t.PinholeEntry(6, 1, 2, None, None, 7).priority > 0


def test_a_flow_key_has_the_fields_of_its_table_in_order() -> None:
    matches = t.Session.declaration.matches
    assert t.FlowKey._fields == tuple(field.name for field in matches)
    assert t.Sequence.declaration.matches == matches


@pytest.mark.parametrize(("entry", "action"), ENTRIES, ids=repr)
def test_the_action_of_an_entry_is_one_of_its_table(entry: Entry, action: str) -> None:
    assert action in entry.declaration.actions
