"""PPTP calls through the engine: GRE by call id, each direction a flow of its own."""

import struct

import pytest

from p4alg.alg.contract import Peer
from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.tables import FlowKey
from p4alg.packet.ipv4 import build_ipv4
from tests.unit.engine.dialogue import Dialogue
from tests.unit.engine.harness import (
    HOST_MAC,
    IN_MAC,
    INSIDE,
    REMOTE,
    AlgSettings,
    Bench,
    PortSpan,
    port_of,
)

C, S = Peer.CLIENT, Peer.SERVER
GRE, PPTP = 47, 4
COOKIE = 0x1A2B3C4D
CALL = 0x10000


def message(kind: int, size: int, *ids: int, result: int = 1) -> bytes:
    head = struct.pack("!HHIHH", size, 1, COOKIE, kind, 0)
    body = b"".join(struct.pack("!H", number) for number in ids) + bytes([result])
    return (head + body).ljust(size, b"\0")


def bench() -> Bench:
    return Bench(
        services={"ftp": (), "pptp": (PortSpan(6, 1723, 1723),)},
        algs=(
            AlgSettings(algs()["ftp"], False, ("ftp",)),
            AlgSettings(algs()["pptp"], True, ("pptp",)),
        ),
    )


class Call(Dialogue):
    """A PPTP client inside, a server outside, and one call of them."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench, C, PPTP)
        self.client(message(1, 156))
        self.server(message(2, 156))
        asked = self.client(message(7, 168, 7))
        self.told = int.from_bytes(asked[12:14], "big")
        self.replied = self.server(message(8, 32, 99, self.told))


def gre(src: int, dst: int, call_id: int) -> bytes:
    body = struct.pack("!HHHHI", 0x3001, 0x880B, 4, call_id, 1) + b"ppp."
    return build_ipv4((IN_MAC, HOST_MAC), 0, src, dst, GRE, body)


def use_all(made: Bench) -> None:
    """A packet comes through each pinhole."""
    for hole in made.of(t.PinholeEntry):
        key = FlowKey(GRE, INSIDE, port_of(hole), REMOTE, hole.remote_id or 0)
        made.event(ev.PinholeHit(key, hole.pinhole_id))


def flow_of(hole: t.PinholeEntry) -> FlowKey:
    """The one flow that the pinhole of a tunnel is for."""
    assert hole.remote_id is not None
    return FlowKey(GRE, INSIDE, port_of(hole), REMOTE, hole.remote_id)


def test_P1_the_call_id_of_the_inside_host_is_translated() -> None:
    call = Call(bench())
    holes = {(h.inside_id, h.remote_id) for h in call.bench.of(t.PinholeEntry)}
    assert holes == {(CALL | 7, 0), (0, CALL | 99)}
    assert int.from_bytes(call.replied[14:16], "big") == 7
    (into,) = [e for e in call.bench.of(t.MapIn) if e.proto == GRE]
    assert into.outside_id == CALL | call.told
    assert (into.inside_addr, into.inside_id) == (INSIDE, CALL | 7)


def test_P2_each_direction_becomes_a_session_on_its_first_packet() -> None:
    call = Call(bench())
    use_all(call.bench)
    sessions = call.bench.sessions()
    for key in (
        FlowKey(GRE, INSIDE, CALL | 7, REMOTE, 0),
        FlowKey(GRE, INSIDE, 0, REMOTE, CALL | 99),
    ):
        assert sessions[key].alg_id == 0
    assert not call.bench.of(t.PinholeEntry)


@pytest.mark.parametrize("how", ["cleared", "control connection reset", "control idle"])
def test_P4_GRE_ends_with_its_call(how: str) -> None:
    call = Call(bench())
    use_all(call.bench)
    if how == "cleared":
        call.client(message(12, 16, 7))
        call.server(message(13, 148, 99))
    elif how == "control idle":
        call.bench.event(ev.SessionIdle(call.key))
    else:
        call.finish(C, 4)
    call.bench.tick(2.0)
    assert [key for key in call.bench.sessions() if key.proto == GRE] == []
    assert [e for e in call.bench.of(t.MapIn) if e.proto == GRE] == []
    assert [e for e in call.bench.of(t.MapOut) if e.proto == GRE] == []


def test_P4_GRE_without_a_call_is_refused() -> None:
    made = bench()
    made.new(gre(INSIDE, REMOTE, 99))
    assert made.counter("nat.refused.protocol") == 1
    assert [key for key in made.sessions() if key.proto == GRE] == []


def test_P3_calls_found_in_the_switch_go_on_after_a_restart() -> None:
    call = Call(bench())
    use_all(call.bench)
    before = {e for e in call.bench.entries.values() if getattr(e, "proto", 0) == GRE}
    again = Bench(
        call.bench.entries.values(),
        services={"ftp": (), "pptp": (PortSpan(6, 1723, 1723),)},
        algs=(
            AlgSettings(algs()["ftp"], False, ("ftp",)),
            AlgSettings(algs()["pptp"], True, ("pptp",)),
        ),
    )
    assert {e for e in again.entries.values() if getattr(e, "proto", 0) == GRE} == before
    assert {key for key in again.sessions() if key.proto == GRE} == {
        FlowKey(GRE, INSIDE, CALL | 7, REMOTE, 0),
        FlowKey(GRE, INSIDE, 0, REMOTE, CALL | 99),
    }
