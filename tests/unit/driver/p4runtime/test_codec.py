"""Every engine entry survives the way to P4Runtime and back, by the shipped P4Info."""

from pathlib import Path
from typing import Any

import finsy as fy
import pytest

from p4alg.driver.p4runtime import codec
from p4alg.driver.p4runtime.encoding import Encoder, canonical
from p4alg.driver.p4runtime.program import Program
from p4alg.engine import tables as t
from p4alg.engine.declaration import declarations
from p4alg.engine.reconcile import entry_key
from p4alg.engine.tables import Op

P4INFO = Path(__file__).resolve().parents[4] / "p4src/artifacts/v1model/p4alg.p4info.txtpb"
FLOW = t.FlowKey(6, 0x0A00000B, 40000, 0xC6336416, 21)

ENTRIES: list[t.Entry] = [
    t.Port(1, 0, 1, t.Side.INSIDE, 0x020000000001),
    t.Port(2, 100, 2, t.Side.OUTSIDE, 0x020000000002),
    t.Local(0x0A000001),
    t.PoolPrefix(0xCB007100, 28),
    t.Policy(10, t.PolicyAction.EXEMPT, side=(0, 1), dst_addr=(0x0A000000, 0xFFFFFF00)),
    t.Policy(1, t.PolicyAction.DENY),
    t.MapOut(6, 0x0A00000B, 40000, 0xCB007101, 50000),
    t.MapIn(6, 0xCB007101, 50000, 0x0A00000B, 40000, t.FilterMode.ADDRESS),
    t.IkeIn(0xCB007101, 0x1122334455667788, 0x0A00000B, 500, t.FilterMode.ADDRESS),
    t.AddrMapOut(0x0A00000B, 0xCB007102),
    t.AddrMapIn(0xCB007102, 0x0A00000B, t.FilterMode.ENDPOINT_INDEPENDENT),
    t.PeerEntry(17, 0x0A00000B, 40000, 0xC6336416),
    t.Session(FLOW, 1, t.SessionFlags.NOTIFY_ESTABLISHED, 240.0),
    t.PinholeEntry(6, 0x0A00000B, 40001, 0xC6336416, None, 7, idle_timeout=60.0),
    t.PinholeEntry(17, 0x0A00000B, 40001, None, None, 8),
    t.PinholeEntry(17, 0x0A00000B, 40001, 0xC6336416, None, 9, alg_id=3),
    t.Session(FLOW, 3, t.SessionFlags.WATCH_OUTSIDE, 60.0, 524),
    t.Sequence(FLOW, t.Correction(0xFFFFFFF0, -3, 2), t.Correction(5, 0, 0)),
    t.Source(1, 0x0A000000, 24),
    t.Source(2, 0, 0, t.SourceAction.REFUSE),
    t.Subscriber(0x0A00000B, 4711, 0xCB007101, 4096, 4095, 0x1234, 7440.0),
    t.Subscriber(0x0A00000C, 4712),
    t.Block(0xCB007101, 4096, 20, 4711, 0x0A00000B, idle_timeout=7440.0),
    t.ScrambleLow(7, 0x1234),
    t.ScrambleHigh(255, 0),
    t.Timer(17, (0, 0), 53, None, 229, 50),
    t.Timer(6, (32, 32), None, 0, 1832, 80, t.TimerAction.CUT),
    t.PinholeEntry(6, 0x0A00000B, None, 0xC6336416, 51210, 10, alg_id=255),
    t.Service(6, (21, 0xFFFFFFFF), 1),
    t.Route(0, 0, 3),
    t.Route(0x0A000000, 24, 0),
    t.Gateway(916, t.FilterMode.ADDRESS),
    t.NextHop(3, 2, 0, 0x020000000002, 0x020000000099, 1500),
]


def encoded(entry: t.Entry, schema: fy.P4Schema) -> Any:
    """The P4Runtime entity of an entry."""
    return Encoder(Program(schema)).update(Op.INSERT, entry).entity


def read(entry: t.Entry, schema: fy.P4Schema) -> fy.P4TableEntry:
    """What is written of an entry, with names."""
    return fy.P4TableEntry.decode(encoded(entry, schema), schema)


@pytest.fixture(scope="module")
def schema() -> fy.P4Schema:
    return fy.P4Schema(P4INFO)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: type(e).__name__)
def test_entry_survives_the_round_trip(schema: fy.P4Schema, entry: t.Entry) -> None:
    wire = encoded(entry, schema)
    decoded = codec.decode(fy.P4TableEntry.decode(wire, schema))
    assert decoded == entry
    assert repr(decoded) == repr(entry)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: type(e).__name__)
def test_an_entry_is_written_as_a_library_for_all_programs_writes_it(
    schema: fy.P4Schema, entry: t.Entry
) -> None:
    wire = encoded(entry, schema)
    assert fy.P4TableEntry.decode(wire, schema).encode(schema) == wire


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: type(e).__name__)
def test_key_names_the_same_entry_without_its_action(schema: fy.P4Schema, entry: t.Entry) -> None:
    full = encoded(entry, schema).table_entry
    key = Encoder(Program(schema)).update(Op.DELETE, entry).entity
    assert list(key.table_entry.match) == list(full.match)
    assert key.table_entry.priority == full.priority
    assert not key.table_entry.HasField("action")
    assert codec.decode_key(fy.P4TableEntry.decode(key, schema)) == entry_key(entry)


def test_every_table_of_the_program_is_covered(schema: fy.P4Schema) -> None:
    tables = {table.alias for table in schema.tables if not table.is_const}
    assert tables == {entry.declaration.table for entry in ENTRIES} == set(declarations())


def test_a_negative_shift_is_carried_as_twos_complement(schema: fy.P4Schema) -> None:
    entry = t.Sequence(FLOW, t.Correction(1, -3, 2), t.Correction(5, 0, -1))
    action = read(entry, schema).action
    assert isinstance(action, fy.P4TableAction)
    args = action.args
    assert (args["out_before"], args["out_after"], args["in_after"]) == (2**32 - 3, 2, 2**32 - 1)


def test_what_matches_everything_is_left_out(schema: fy.P4Schema) -> None:
    assert read(t.Route(0, 0, 3), schema).match == {"organisation": 0}
    assert not encoded(t.PoolPrefix(0, 0), schema).table_entry.match
    assert read(t.Policy(1, t.PolicyAction.DENY, proto=(6, 0xFF)), schema).match == {
        "proto": (6, 0xFF)
    }
    match = read(t.PinholeEntry(17, 1, 2, None, 5, 8), schema).match
    assert match is not None
    assert set(match) == {*("proto", "inside_addr", "inside_id", "remote_id", "organisation")}


def test_default_entry_is_nobodys() -> None:
    entry = fy.P4TableEntry("session", action=fy.Action("no_session"), is_default_action=True)
    assert codec.decode(entry) is None


def test_the_default_entry_of_a_table_without_key_is_ours(schema: fy.P4Schema) -> None:
    wire = read(t.Gateway(916, t.FilterMode.ADDRESS), schema)
    assert wire.is_default_action
    assert not wire.match


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (fy.P4TableEntry("nosuch", action=fy.Action("is_local")), "not one of the program's"),
        (fy.P4TableEntry("local_addr", match=fy.Match(addr=1)), "unexpected action"),
        (
            fy.P4TableEntry("local_addr", match=fy.Match(addr=1), action=fy.Action("deny")),
            "unexpected action",
        ),
        (fy.P4TableEntry("local_addr", action=fy.Action("is_local")), r"cannot be read \('addr'\)"),
        (
            fy.P4TableEntry(
                "addr_map_in",
                match=fy.Match(outside_addr=1),
                action=fy.Action(
                    "set_inside_addr", inside_addr=2, filter_mode=3, subscriber=1, organisation=0
                ),
            ),
            "3 is not a valid FilterMode",
        ),
        (
            fy.P4TableEntry(
                "alg_service",
                match=fy.Match(proto=(6, 0x0F)),
                action=fy.Action("bind_alg", alg_id=1),
            ),
            "proto is masked",
        ),
    ],
)
def test_an_entry_no_controller_writes_is_refused(wire: fy.P4TableEntry, reason: str) -> None:
    with pytest.raises(codec.CodecError, match=reason):
        codec.decode(wire)


@pytest.mark.parametrize(
    ("number", "bits", "wire"),
    [(0, 8, "00"), (255, 8, "ff"), (256, 9, "0100"), (1 << 63, 64, "80" + 7 * "00")],
)
def test_numbers_take_as_few_bytes_as_they_can(number: int, bits: int, wire: str) -> None:
    assert canonical(number, bits).hex() == wire


@pytest.mark.parametrize(("number", "bits"), [(256, 8), (1 << 9, 9), (-1, 16)])
def test_a_number_that_does_not_fit_is_refused(number: int, bits: int) -> None:
    with pytest.raises(ValueError, match=f"{number} does not fit into {bits} bits"):
        canonical(number, bits)


def test_an_entry_with_a_value_that_does_not_fit_is_refused(schema: fy.P4Schema) -> None:
    with pytest.raises(ValueError, match="does not fit into 12 bits"):
        Encoder(Program(schema)).update(Op.INSERT, t.Port(1, 4096, 1, t.Side.INSIDE, 2))


def test_a_switch_without_idle_timeouts_is_told_none(schema: fy.P4Schema) -> None:
    entry = t.Session(FLOW, 1, t.SessionFlags.NOTIFY_ESTABLISHED, 240.0)
    told = Encoder(Program(schema)).update(Op.INSERT, entry, ages=False).entity.table_entry
    assert told.idle_timeout_ns == 0
    assert encoded(entry, schema).table_entry.idle_timeout_ns == 240_000_000_000
