"""Every engine entry survives the way to P4Runtime and back, by the shipped P4Info."""

from pathlib import Path

import finsy as fy
import pytest

from p4alg.driver import codec
from p4alg.engine import tables as t

P4INFO = Path(__file__).resolve().parents[3] / "p4src/artifacts/v1model/p4alg.p4info.txtpb"
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
    t.Fragment(0x0A00000B, 0xC6336416, 17, 4711, 40000, 53, 30.0),
    t.Service(6, (21, 0xFFFFFFFF), 1),
    t.Route(0, 0, 3),
    t.Route(0x0A000000, 24, 0),
    t.NextHop(3, 2, 0, 0x020000000002, 0x020000000099, 1500),
]


@pytest.fixture(scope="module")
def schema():
    return fy.P4Schema(P4INFO)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: type(e).__name__)
def test_entry_survives_the_round_trip(schema, entry):
    wire = codec.encode(entry).encode(schema)
    assert codec.decode(fy.P4TableEntry.decode(wire, schema)) == entry


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: type(e).__name__)
def test_key_names_the_same_entry_without_its_action(schema, entry):
    full = codec.encode(entry).encode(schema).table_entry
    key = codec.encode_key(entry).encode(schema).table_entry
    assert list(key.match) == list(full.match)
    assert key.priority == full.priority
    assert not key.HasField("action")


def test_every_table_of_the_program_is_covered(schema):
    assert {table.alias for table in schema.tables} == {e.TABLE for e in ENTRIES}


def test_default_entry_is_nobodys():
    entry = fy.P4TableEntry("session", action=fy.Action("no_session"), is_default_action=True)
    assert codec.decode(entry) is None
