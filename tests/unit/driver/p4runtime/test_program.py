"""Programs for other architectures: their P4Info names some things otherwise, and splits others."""

from __future__ import annotations

import re
from pathlib import Path

import finsy as fy
import pytest
from finsy.proto import p4r

from p4alg.artifacts import shipped
from p4alg.driver.p4runtime import codec
from p4alg.driver.p4runtime.encoding import Encoder
from p4alg.driver.p4runtime.preparation import promised
from p4alg.driver.p4runtime.program import Program, time_of
from p4alg.driver.target import TargetError
from p4alg.engine import tables as t
from p4alg.engine.tables import Op
from p4alg.nat.numbers import HIGHEST
from tests.unit.driver.p4runtime.test_codec import ENTRIES

V1MODEL = shipped().p4info
TNA = Path(__file__).resolve().parents[4] / "p4src" / "artifacts" / "tna" / "p4alg.p4info.txtpb"
HOP = t.NextHop(3, 2, 100, 0x020000000002, 0x020000000099, 1500)

needs_tna = pytest.mark.skipif(not TNA.is_file(), reason="needs the P4Info of the program for TNA")


def schema_of(path: Path, folder: Path, *changes: tuple[str, str]) -> fy.P4Schema:
    """The P4Info of a program, with changes of its text by regular expressions."""
    text = path.read_text()
    for before, after in changes:
        text, number = re.subn(before, after, text)
        assert number, before
    changed = folder / "changed.p4info.txtpb"
    changed.write_text(text)
    return fy.P4Schema(changed)


@pytest.fixture(scope="module", params=[V1MODEL, pytest.param(TNA, marks=needs_tna)])
def schema(request: pytest.FixtureRequest) -> fy.P4Schema:
    return fy.P4Schema(request.param)


@pytest.fixture(scope="module")
def tna() -> fy.P4Schema:
    return fy.P4Schema(TNA)


def held(schema: fy.P4Schema, *updates: p4r.Update) -> list[fy.P4TableEntry]:
    """What a switch tells of the entries that were written."""
    return [fy.P4TableEntry.decode(update.entity, schema) for update in updates]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: type(e).__name__)
def test_every_entry_survives_the_round_trip(schema: fy.P4Schema, entry: t.Entry) -> None:
    program = Program(schema)
    joined = program.joined(held(schema, *Encoder(program).updates(Op.INSERT, entry)))
    assert [codec.decode(wire) for wire in joined.whole] == [entry]
    assert joined.halves == []


def table_ids(updates: list[p4r.Update]) -> list[int]:
    return [update.entity.table_entry.table_id for update in updates]


@needs_tna
def test_a_next_hop_is_two_entries_and_never_half_a_one_for_a_packet(tna: fy.P4Schema) -> None:
    program = Program(tna)
    encoder = Encoder(program)
    hop, neighbour = (program.table(name).id for name in ("next_hop", "neighbour"))
    for op in (Op.INSERT, Op.MODIFY):
        updates = encoder.updates(op, HOP)
        assert table_ids(updates) == [neighbour, hop]
        assert {update.type for update in updates} == {getattr(p4r.Update, op.name)}
    gone = encoder.updates(Op.DELETE, HOP)
    assert table_ids(gone) == [hop, neighbour]
    assert not any(update.entity.table_entry.HasField("action") for update in gone)


@needs_tna
@pytest.mark.parametrize("kept", [0, 1])
def test_half_a_next_hop_is_told_apart(tna: fy.P4Schema, kept: int) -> None:
    program = Program(tna)
    encoder = Encoder(program)
    whole = held(tna, *encoder.updates(Op.INSERT, HOP))
    half = held(tna, encoder.updates(Op.INSERT, t.NextHop(4, 2, 0, 1, 2, 1500))[kept])
    joined = program.joined([*half, *whole])
    assert [codec.decode(wire) for wire in joined.whole] == [HOP]
    assert joined.halves == half


@needs_tna
def test_time_is_told_by_a_default_entry_and_read_from_it(tna: fy.P4Schema) -> None:
    program = Program(tna)
    assert program.has_clock
    entity = program.clock(5000, 4100).encode(tna)
    entry = entity.table_entry
    assert entry.is_default_action
    assert not entry.match
    values = [param.value for param in entry.action.action.params]
    assert values == [(5000).to_bytes(2, "big"), (4100).to_bytes(2, "big")]
    assert time_of(fy.P4TableEntry.decode(entity, tna)) == 5000
    assert time_of(program.clock_read()) == 0


def test_a_program_with_a_time_of_its_own_is_told_none() -> None:
    program = Program(fy.P4Schema(V1MODEL))
    assert (program.has_clock, program.has_neighbour) == (False, False)


@needs_tna
def test_registers_that_are_not_those_of_v1model_are_not_read(tna: fy.P4Schema) -> None:
    able = promised(tna, Program(tna))
    assert (able.registers, able.register_writes, able.direct_counters) == (False, False, True)


def test_the_numbers_of_subscribers_are_those_that_the_program_has_room_for(tmp_path: Path) -> None:
    found = fy.P4Schema(V1MODEL)
    assert promised(found, Program(found)).highest_number == HIGHEST
    narrow = (r'(name: "subscriber"\n    bitwidth): 16', r"\1: 13")
    says_so = (r'(    alias: "subscriber"\n)', r'\1    annotations: "@highest(4000)"\n')
    for change, highest in ((narrow, 8191), (says_so, 4000)):
        changed = schema_of(V1MODEL, tmp_path, change)
        assert promised(changed, Program(changed)).highest_number == highest


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((r'(name: "GatewayIngress.session.session)"', r'\1s"'), "has no table 'session'"),
        (('name: "out_position"', 'name: "out_place"'), "'sequence' .* has no action 'correct'"),
    ],
)
def test_a_program_that_lacks_something_is_told_in_one_line(
    change: tuple[str, str], told: str, tmp_path: Path
) -> None:
    schema = schema_of(V1MODEL, tmp_path, change)
    with pytest.raises(TargetError, match=told) as caught:
        Program(schema)
    assert "\n" not in str(caught.value)


def test_an_action_of_another_name_stands_for_the_one_with_its_parameters(tmp_path: Path) -> None:
    entry = t.Local(0x0A000001)
    schema = schema_of(V1MODEL, tmp_path, (r"\bis_local\b", "is_ours"))
    program = Program(schema)
    (wire,) = held(schema, *Encoder(program).updates(Op.INSERT, entry))
    assert isinstance(wire.action, fy.P4TableAction)
    assert wire.action.name.endswith("is_ours")
    assert codec.decode(program.own(wire)) == entry
