"""Protocols without ports: IKE and ESP through the engine, and an ALG that decides wrongly."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from p4alg.alg.contract import (
    Admit,
    Discard,
    Endpoint,
    Notice,
    ProtocolFlow,
    ProtocolGateway,
    ProtocolPacket,
)
from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import Action, PacketOut
from p4alg.engine.settings import Limits, Prefix
from p4alg.engine.tables import FlowKey, Side
from p4alg.engine.unported import Unported
from p4alg.nat.bindings import Binding
from p4alg.packet.ipv4 import build_ipv4, parse_ipv4
from tests.unit.engine.harness import (
    HOST_MAC,
    IN_MAC,
    IN_PORT,
    INSIDE,
    INSIDE2,
    OUT_PORT,
    POOL,
    REMOTE,
    REMOTE2,
    UDP,
    WHOLE,
    AlgSettings,
    Bench,
    PortSpan,
    datagram,
)
from tests.unit.engine.parts import NOW, Parts, frames, lines, toy, updates

ESP, IKE = 50, 5
A, B = 0x1111111111111111, 0x2222222222222222
ANSWERED = 0x9999999999999999


def bench(present: Iterable[t.Entry] = (), *, pool: int = 32, **ike: bool) -> Bench:
    return Bench(
        present,
        pools=(Prefix(POOL, pool),),
        forwards=(),
        services={"ike": (PortSpan(UDP, 500, 500),)},
        algs=(AlgSettings(algs()["ike"], True, ("ike",), ike),),
    )


def message(spi: int, answer: int = 0, exchange: int = 34, flags: int = 0x08) -> bytes:
    return struct.pack("!QQ4B2I", spi, answer, 33, 0x20, exchange, flags, 0, 28)


def ask(made: Bench, host: int, spi: int, remote: int = REMOTE) -> list[PacketOut]:
    frame = datagram(host, 500, remote, 500, message(spi))
    key = FlowKey(UDP, host, 500, remote, 500)
    if key in made.sessions():
        return made.punt(ev.Reason.ALG, frame, IN_PORT, IKE)
    return made.new(frame, IN_PORT, IKE)


def answer(made: Bench, host: int, spi: int, remote: int = REMOTE) -> list[PacketOut]:
    outside = made.outside_of(UDP, host, 500)
    frame = datagram(remote, 500, *outside, message(spi, ANSWERED, flags=0x20))
    return made.punt(ev.Reason.ALG, frame, OUT_PORT, IKE)


def speak(made: Bench, host: int, spi: int, remote: int = REMOTE) -> None:
    ask(made, host, spi, remote)
    answer(made, host, spi, remote)


def keyed(made: Bench, host: int, spi: int) -> None:
    """The remote agrees to new SAs of ESP with a host that has spoken IKE with it."""
    flow = FlowKey(UDP, host, 500, REMOTE, 500)
    assert flow in made.sessions()
    for exchange, flags in ((36, 0x08), (36, 0x20)):
        body = message(spi, ANSWERED, exchange, flags)
        ends = (host, 500), (REMOTE, 500)
        if flags == 0x20:
            ends = (REMOTE, 500), made.outside_of(UDP, host, 500)
        frame = datagram(*ends[0], *ends[1], body)
        made.punt(ev.Reason.ALG, frame, IN_PORT if flags == 0x08 else OUT_PORT, IKE)


def esp_out(made: Bench, host: int, spi: int, remote: int = REMOTE) -> list[PacketOut]:
    body = struct.pack("!II", spi, 1) + b"sealed.."
    frame = build_ipv4((IN_MAC, HOST_MAC), 0, host, remote, ESP, body)
    return made.new(frame, IN_PORT, IKE)


def esp_in(
    made: Bench, spi: int, remote: int = REMOTE, outside: int | None = None
) -> list[PacketOut]:
    body = struct.pack("!II", spi, 1) + b"sealed.."
    frame = build_ipv4((IN_MAC, HOST_MAC), 0, remote, outside or POOL, ESP, body)
    return made.new(frame, OUT_PORT, IKE)


def test_K1_without_keep_port_each_host_has_a_port_of_its_own() -> None:
    made = bench()
    for host, spi in ((INSIDE, A), (INSIDE2, B)):
        assert len(ask(made, host, spi)) == 1
    ports = {made.outside_of(UDP, host, 500)[1] for host in (INSIDE, INSIDE2)}
    assert len(ports) == 2
    assert not made.of(t.IkeIn)


def test_K1_hosts_that_keep_port_500_are_told_apart_by_initiator_SPI() -> None:
    made = bench(keep_port=True)
    for host, spi in ((INSIDE, A), (INSIDE2, B)):
        assert len(ask(made, host, spi)) == 1
        assert made.outside_of(UDP, host, 500)[1] == 500
    assert {e.initiator_spi: e.inside_addr for e in made.of(t.IkeIn)} == {A: INSIDE, B: INSIDE2}
    assert not [e for e in made.of(t.MapIn) if e.proto == UDP]


def test_K1_the_SPI_of_another_host_is_refused() -> None:
    made = bench(keep_port=True)
    ask(made, INSIDE, A)
    assert ask(made, INSIDE2, A) == []
    assert [e.inside_addr for e in made.of(t.IkeIn)] == [INSIDE]


def test_K1_the_entries_go_with_the_flow() -> None:
    made = bench(keep_port=True)
    speak(made, INSIDE, A)
    made.idle_everything()
    assert not made.of(t.IkeIn)
    assert not [e for e in made.of(t.MapOut) if e.proto == UDP]


def test_K1_a_restart_keeps_who_shares_the_port() -> None:
    made = bench(keep_port=True)
    speak(made, INSIDE, A)
    made.perform(made.engine.stop(made.now))
    again = bench(made.entries.values(), keep_port=True)
    assert [e.initiator_spi for e in again.of(t.IkeIn)] == [A]
    assert again.outside_of(UDP, INSIDE, 500)[1] == 500
    again.idle_everything()
    assert not again.of(t.IkeIn)


def test_K2_the_first_unknown_SPI_that_comes_back_is_the_answer() -> None:
    made = bench()
    speak(made, INSIDE, A)
    assert len(esp_out(made, INSIDE, 0x1000)) == 1
    assert len(esp_in(made, 0x2000)) == 1
    assert {key for key in made.sessions() if key.proto == ESP} == {
        FlowKey(ESP, INSIDE, 0, REMOTE, 0x1000),
        FlowKey(ESP, INSIDE, 0x2000, REMOTE, 0),
    }
    (into,) = [e for e in made.of(t.MapIn) if e.proto == ESP]
    assert (into.outside_id, into.inside_addr, into.inside_id) == (0x2000, INSIDE, 0x2000)


def test_K2_pending_exchanges_are_resolved_in_order_and_never_crossed() -> None:
    made = bench()
    speak(made, INSIDE, A)
    speak(made, INSIDE2, B)
    made.tick(5.0)
    assert len(esp_out(made, INSIDE, 0x1000)) == 1
    assert esp_out(made, INSIDE2, 0x1001) == []
    assert made.counter("alg.ike.esp.held") == 1
    assert len(esp_in(made, 0x2000)) == 1
    assert len(esp_out(made, INSIDE2, 0x1001)) == 1
    assert len(esp_in(made, 0x2001)) == 1
    owners = {e.outside_id: e.inside_addr for e in made.of(t.MapIn) if e.proto == ESP}
    assert owners == {0x2000: INSIDE, 0x2001: INSIDE2}


def test_K2_after_the_ALG_was_off_no_host_is_owed_an_SPI_that_came_unseen() -> None:
    made = bench()
    speak(made, INSIDE, A)
    keyed(made, INSIDE, A)
    for on in (False, True):
        made.switch("ike", on)
    speak(made, INSIDE2, B)
    assert len(esp_out(made, INSIDE2, 0x1001)) == 1
    assert len(esp_in(made, 0x2001)) == 1
    assert [e.inside_addr for e in made.of(t.MapIn) if e.proto == ESP] == [INSIDE2]


def test_K2_an_unknown_SPI_is_dropped_and_counted() -> None:
    made = bench()
    assert esp_in(made, 0x2000, REMOTE2) == []
    assert made.counter("alg.ike.esp.dropped.unknown-spi") == 1


@pytest.mark.parametrize("require", [True, False])
def test_K2_ESP_needs_IKE_before_it_unless_configured(require: bool) -> None:
    made = bench(require_ike=require)
    assert len(esp_out(made, INSIDE, 0x1000)) == (0 if require else 1)
    assert made.counter("alg.ike.esp.dropped.no-ike") == (1 if require else 0)


def test_K3_what_goes_idle_takes_its_answer_with_it() -> None:
    made = bench()
    speak(made, INSIDE, A)
    esp_out(made, INSIDE, 0x1000)
    esp_in(made, 0x2000)
    made.event(ev.SessionIdle(FlowKey(ESP, INSIDE, 0x2000, REMOTE, 0)))
    assert not [key for key in made.sessions() if key.proto == ESP]
    assert not [e for e in made.entries.values() if getattr(e, "proto", 0) == ESP
                and isinstance(e, t.MapIn | t.MapOut)]  # fmt: skip


def test_K3_a_rekey_is_a_new_pair_beside_the_old() -> None:
    made = bench()
    speak(made, INSIDE, A)
    for out, into in ((0x1000, 0x2000), (0x1001, 0x2001)):
        assert len(esp_out(made, INSIDE, out)) == 1
        assert len(esp_in(made, into)) == 1
    assert len([key for key in made.sessions() if key.proto == ESP]) == 4


def test_K3_a_restart_keeps_the_pairs_that_are_there() -> None:
    made = bench()
    speak(made, INSIDE, A)
    esp_out(made, INSIDE, 0x1000)
    esp_in(made, 0x2000)
    before = {e for e in made.entries.values() if getattr(e, "proto", 0) == ESP}
    again = bench(made.entries.values())
    assert {e for e in again.entries.values() if getattr(e, "proto", 0) == ESP} == before
    assert len([key for key in again.sessions() if key.proto == ESP]) == 2


@pytest.mark.parametrize("body", [b"", b"1234567", struct.pack("!II", 0, 1), b"\0\0\0\x09....."])
def test_G9_what_is_no_ESP_is_dropped(body: bytes) -> None:
    made = bench()
    frame = build_ipv4((IN_MAC, HOST_MAC), 0, INSIDE, REMOTE, ESP, body)
    assert made.new(frame, IN_PORT, IKE) == []
    assert not [key for key in made.sessions() if key.proto == ESP]


# With an ALG that decides as the test says


Decide = Callable[[ProtocolPacket, ProtocolGateway], Any]
OUTSIDE = POOL + 1


class Sealed:
    """What an ALG on ESP has in common."""

    def __init__(self) -> None:
        self.decide: Decide = lambda packet, gateway: [Discard("dropped.no")]
        self.ended: list[ProtocolFlow] = []
        self.adopted: list[ProtocolFlow] = []
        self.times_off = 0
        self.leave: Callable[[], Sequence[ProtocolFlow]] = lambda: ()

    def packet(self, packet: ProtocolPacket, gateway: ProtocolGateway, now: float) -> Any:
        return self.decide(packet, gateway)

    def flow_ended(self, flow: ProtocolFlow) -> Any:
        self.ended.append(flow)
        return self.leave()

    def adopt(self, flow: ProtocolFlow, now: float) -> None:
        self.adopted.append(flow)

    def expire(self, now: float) -> Sequence[int]:
        return ()

    def expire_flows(self, now: float) -> Any:
        return self.leave()

    def switched_off(self) -> None:
        self.times_off += 1


class Desk(Parts):
    """The flows of ESP, whose ALG is called `toy`."""

    def __init__(self, **changes: Any) -> None:
        self.sealed = Sealed()
        super().__init__(toy(protocols=(ESP,), share=lambda _context: self.sealed), **changes)
        algs = {alg.name: alg for alg in self.settings.algs}
        self.unported = Unported(algs, self.sessions, self.flows, self.faults, self.log)
        for host in (INSIDE, INSIDE2) if self.settings.pools else ():
            self.bindings.pair(host, OUTSIDE)

    def packet(self, side: Side, reason: str | None = None) -> list[Action]:
        """A packet of the inside host, or of the remote one to its outside address."""
        ends = (INSIDE, REMOTE) if side is Side.INSIDE else (REMOTE, OUTSIDE)
        frame = build_ipv4((IN_MAC, HOST_MAC), 0, *ends, ESP, b"sealed")
        self.unported.packet(parse_ipv4(frame), side, PacketOut(b"it"), NOW)
        return self.answer(reason)

    def admits(self, flow: ProtocolFlow, *more: Notice, summary: str = "") -> None:
        self.sealed.decide = lambda packet, gateway: [*more, Admit(flow, "esp", summary)]


OUTWARD = ProtocolFlow(INSIDE, OUTSIDE, REMOTE, 0x1000, False)
INWARD = ProtocolFlow(INSIDE, OUTSIDE, REMOTE, 0x2000, True)


def test_K2_the_ALG_is_told_the_packet_by_the_address_that_is_seen_outside() -> None:
    desk = Desk()
    told: list[ProtocolPacket] = []

    def decide(packet: ProtocolPacket, gateway: ProtocolGateway) -> Any:
        told.append(packet)
        return [Discard("dropped.no")]

    desk.sealed.decide = decide
    desk.packet(Side.INSIDE)
    desk.packet(Side.OUTSIDE)
    assert told == [
        ProtocolPacket(ESP, INSIDE, REMOTE, OUTSIDE, False, b"sealed"),
        ProtocolPacket(ESP, REMOTE, OUTSIDE, OUTSIDE, True, b"sealed"),
    ]
    assert desk.count("alg.toy.esp.dropped.no") == 2
    assert desk.unported.serves(ESP)
    assert not desk.unported.serves(UDP)


def test_K2_an_admitted_flow_is_written_and_the_packet_leaves_behind_it() -> None:
    desk = Desk()
    desk.admits(OUTWARD, Notice("news", "it begins", True), summary="learnt 1000")
    actions = desk.packet(Side.INSIDE)
    assert frames(actions) == [b"it"]
    key = FlowKey(ESP, INSIDE, 0, REMOTE, 0x1000)
    assert t.Session(key, idle_timeout=600.0) in [update.entry for update in updates(actions)]
    assert lines(actions) == ["toy: it begins", "toy: learnt 1000"]
    # Another packet of it is on its way to us already.
    assert frames(desk.packet(Side.INSIDE)) == [b"it"]
    assert desk.count("alg.toy.esp.learnt") == 1
    assert desk.count("alg.toy.esp.news") == 2


WRONG: dict[str, tuple[Side, Any]] = {
    "nothing": (Side.INSIDE, []),
    "two decisions": (Side.INSIDE, [Discard("a"), Discard("b")]),
    "no decision": (Side.INSIDE, ["admit"]),
    "no list": (Side.INSIDE, 7),
    "another sender": (Side.INSIDE, [Admit(OUTWARD._replace(inside=INSIDE2), "")]),
    "another receiver": (Side.INSIDE, [Admit(OUTWARD._replace(remote=REMOTE2), "")]),
    "another direction": (Side.INSIDE, [Admit(INWARD, "")]),
    "another outside address": (Side.OUTSIDE, [Admit(INWARD._replace(outside=POOL + 2), "")]),
    "another remote host": (Side.OUTSIDE, [Admit(INWARD._replace(remote=REMOTE2), "")]),
    "a host without that address": (Side.OUTSIDE, [Admit(INWARD._replace(inside=WHOLE), "")]),
}


@pytest.mark.parametrize("name", WRONG)
def test_rule_11_a_decision_that_may_not_be_is_a_fault_and_opens_nothing(name: str) -> None:
    side, steps = WRONG[name]
    desk = Desk()
    desk.sealed.decide = lambda packet, gateway: steps
    actions = desk.packet(side)
    assert updates(actions) == []
    assert frames(actions) == []
    assert desk.count("alg.toy.faults") == 1
    assert len(desk.flows) == 0


def test_rule_10_an_ALG_that_raises_drops_the_packet_and_goes_on() -> None:
    desk = Desk()

    def fails(*_: object) -> Any:
        raise ValueError("no")

    desk.sealed.decide = fails
    (told,) = lines(desk.packet(Side.INSIDE))
    assert told.startswith("fault: toy: a packet or flow of esp: ValueError: no")
    desk.sealed.leave = fails
    desk.unported.tick(NOW)
    nonsense: Any = 7
    desk.sealed.leave = lambda: nonsense
    desk.unported.tick(NOW)
    desk.sealed.leave = lambda: [nonsense]
    desk.unported.tick(NOW)
    assert desk.count("alg.toy.faults") == 4
    desk.admits(OUTWARD)
    assert frames(desk.packet(Side.INSIDE)) == [b"it"]


def test_K2_what_may_not_be_is_told_to_the_ALG_as_ended() -> None:
    desk = Desk(limits=Limits(sessions=0))
    desk.admits(OUTWARD)
    assert frames(desk.packet(Side.INSIDE)) == []
    assert desk.sealed.ended == [OUTWARD]
    assert desk.count("nat.refused.session-limit") == 1
    empty = Desk(pools=())
    assert empty.packet(Side.INSIDE) == []
    assert empty.count("nat.refused.pool-exhausted") == 1


@pytest.mark.parametrize("how", ["by its clock", "with another"])
def test_K3_flows_end_when_their_ALG_says_so(how: str) -> None:
    desk = Desk()
    desk.admits(OUTWARD)
    desk.packet(Side.INSIDE)
    desk.admits(INWARD)
    desk.packet(Side.OUTSIDE)
    assert len(desk.flows) == 2
    desk.sealed.leave = lambda: [INWARD, INWARD._replace(identifier=9)]
    if how == "by its clock":
        desk.unported.tick(NOW)
    else:
        flow = desk.flows.get(FlowKey(ESP, INSIDE, 0, REMOTE, 0x1000))
        assert flow is not None
        desk.unported.flow_gone(flow, NOW)
        assert desk.sealed.ended == [OUTWARD]
    assert desk.flows.get(FlowKey(ESP, INSIDE, 0x2000, REMOTE, 0)) is None
    assert t.Session in {type(update.entry) for update in updates(desk.answer())}


def test_rule_8_the_ALG_is_told_what_was_found() -> None:
    desk = Desk()
    for flow, side in ((OUTWARD, Side.INSIDE), (INWARD, Side.OUTSIDE)):
        desk.admits(flow)
        desk.packet(side)
    desk.flow()
    desk.unported.adopt(NOW)
    assert desk.sealed.adopted == [OUTWARD, INWARD]


def test_K5_only_a_static_mapping_is_told_to_the_ALG() -> None:
    desk = Desk()
    static = desk.bindings.add_static(UDP, INSIDE, 500, OUTSIDE, 500, NOW)
    dynamic = desk.flow().binding
    assert isinstance(static, Binding)
    found: list[Endpoint | None] = []

    def decide(packet: ProtocolPacket, gateway: ProtocolGateway) -> Any:
        for binding in (static, dynamic):
            outside = Endpoint(binding.outside_addr, binding.outside_id)
            found.append(gateway.static_inside_of(UDP, outside))
        return [Discard("dropped.no")]

    desk.sealed.decide = decide
    desk.packet(Side.INSIDE)
    assert found == [Endpoint(INSIDE, 500), None]
