"""A declaration says of a table what the P4Info says; one that contradicts itself is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Annotated

import finsy as fy
import pytest
from finsy.proto import p4i

from p4alg.engine import tables as t
from p4alg.engine.declaration import (
    IDLE_TIMEOUT,
    PREFIX_LENGTH,
    Declaration,
    Entry,
    Exact,
    Kind,
    Param,
    Ternary,
    Unless0,
    declarations,
    table,
)
from p4alg.engine.reconcile import entry_key

P4INFO = Path(__file__).resolve().parents[3] / "p4src/artifacts/v1model/p4alg.p4info.txtpb"
INFO = fy.P4Schema(P4INFO).p4info
TABLES = {table.preamble.alias: table for table in INFO.tables}
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
    assert declared.size == info.size
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


def test_the_key_is_what_tells_entries_apart() -> None:
    first = t.MapOut(6, 1, 2, 3, 4)
    assert entry_key(first) == entry_key(t.MapOut(6, 1, 2, 30, 40))
    assert entry_key(first) != entry_key(t.MapOut(17, 1, 2, 3, 4))
    assert entry_key(t.Local(1)) == (t.Local, 1)
    assert entry_key(t.Route(1, 24, 9)) == (t.Route, (1, 24))
    pinhole = t.PinholeEntry(6, 1, 2, None, None, 7, priority=5, idle_timeout=3.0)
    assert entry_key(pinhole) == (t.PinholeEntry, (6, 1, 2, None, None, 5))
    flow = t.FlowKey(6, 1, 2, 3, 4)
    assert entry_key(t.Session(flow, 1)) == (t.Session, flow)


def test_entries_are_values() -> None:
    entry = t.Local(1)
    assert entry == t.Local(addr=1)
    assert hash(entry) == hash(t.Local(1))
    with pytest.raises(FrozenInstanceError):
        entry.addr = 2  # type: ignore[misc]
    assert not hasattr(entry, "__dict__")


def test_a_table_is_declared_once() -> None:
    with pytest.raises(TypeError, match="local_addr is declared twice"):

        @table("local_addr", size=1, action="is_local")
        class Again(Entry):
            addr: Annotated[int, Exact(32)]


@pytest.mark.parametrize("action", [None, Unless0("nosuch", "one", otherwise="other")])
def test_the_action_is_named_somewhere(action: Unless0 | None) -> None:
    with pytest.raises(TypeError, match=r"name the action|no parameter nosuch"):

        @table("made_up", size=1, action=action)
        class MadeUp(Entry):
            addr: Annotated[int, Exact(32)]

    assert "made_up" not in declarations()


def test_every_field_says_what_it_is() -> None:
    with pytest.raises(TypeError, match="what: say what it is"):

        @table("made_up", size=1, action="act")
        class Silent(Entry):
            what: int

    with pytest.raises(TypeError, match="what: one annotation"):

        @table("made_up", size=1, action="act")
        class Both(Entry):
            what: Annotated[int, Exact(8), Param(8)]

    with pytest.raises(TypeError, match="length: no Lpm field"):

        @table("made_up", size=1, action="act")
        class Orphan(Entry):
            addr: Annotated[int, Ternary(32)]
            length: Annotated[int, PREFIX_LENGTH]

    with pytest.raises(TypeError, match="of the key or it is not"):

        @table("made_up", size=1, action="act")
        class Mixed(Entry):
            both: Half
            age: Annotated[float, IDLE_TIMEOUT]

    assert "made_up" not in declarations()


class Half(tuple[int, int]):
    key: Annotated[int, Exact(8)]
    value: Annotated[int, Param(8)]
