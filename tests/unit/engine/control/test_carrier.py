"""FTP control connections through the engine: tables first, pinholes bounded, limits kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from p4alg.alg.contract import Forward, Gateway, Grant, Peer, SessionFacts, Step
from p4alg.alg.descriptor import Alg, Context
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.pinholes import GRACE
from p4alg.engine.settings import Limits, PortForward, RefuseMode
from p4alg.engine.tables import FlowKey, SessionFlags
from tests.unit.alg.ftp.tls_session import TlsSession
from tests.unit.engine.dialogue import PORT, Dialogue, greeted
from tests.unit.engine.harness import (
    ACK,
    FIN,
    IN_PORT,
    INSIDE,
    INSIDE2,
    REMOTE,
    RST,
    SERVER,
    SYN,
    TCP,
    UDP,
    AlgSettings,
    Bench,
    PortSpan,
    datagram,
    port_of,
    segment,
)
from tests.unit.engine.parts import TOY_ID, TOY_PORT, Toy, asked, toy

C, S = Peer.CLIENT, Peer.SERVER
LISTEN = 200 * 256 + 10


def announced(line: bytes) -> tuple[int, int]:
    numbers = [int(n) for n in re.findall(rb"\d+", line)]
    numbers = numbers[-6:]
    addr = int.from_bytes(bytes(numbers[:4]), "big")
    return addr, numbers[4] << 8 | numbers[5]


def test_a_control_session_is_punted_to_its_alg() -> None:
    dialogue = greeted()
    session = dialogue.bench.sessions()[dialogue.key]
    assert session.alg_id == 1
    (row,) = dialogue.bench.show("sessions")
    assert (row["alg"], row["label"]) == ("ftp", "control")


@pytest.mark.parametrize("size", [None, 1, 5])
def test_F1_F3_PORT_opens_a_pinhole_for_the_server_alone(size: int | None) -> None:
    dialogue = greeted()
    addr, port = announced(dialogue.client(PORT, size))
    bench = dialogue.bench
    assert addr == dialogue.outside[0]
    (hole,) = bench.of(t.PinholeEntry)
    assert (hole.inside_addr, hole.inside_id) == (INSIDE, LISTEN)
    assert (hole.remote_addr, hole.remote_id, hole.idle_timeout) == (REMOTE, None, 60.0)
    assert bench.outside_of(TCP, INSIDE, LISTEN) == (addr, port)
    assert bench.show("pinholes")[0]["state"] == "open"


@pytest.mark.parametrize("size", [None, 1, 3])
def test_F1_EPSV_of_an_inside_server_announces_the_outside_port(size: int | None) -> None:
    dialogue = greeted(inside=S)
    dialogue.client(b"EPSV\r\n")
    line = dialogue.server(b"229 Extended (|||51210|)\r\n", size)
    port = int(re.findall(rb"\|\|\|(\d+)\|", line)[0])
    assert dialogue.bench.outside_of(TCP, INSIDE, 51210) == (SERVER, port)


def test_rule_2_a_message_leaves_after_its_tables_or_not_at_all() -> None:
    bench = Bench()
    dialogue = greeted(bench)
    bench.refuses = lambda update: isinstance(update.entry, t.PinholeEntry)
    assert dialogue.client(PORT) == b""
    assert all(end.reset for end in dialogue.ends.values())
    assert bench.of(t.PinholeEntry) == []
    assert not [e for e in bench.of(t.MapOut) if e.inside_id == LISTEN]
    assert bench.counter("alg.ftp.pinholes.refused.tables") == 1


def test_F3_a_used_pinhole_closes_and_its_flow_has_a_session() -> None:
    dialogue = greeted()
    dialogue.client(PORT)
    bench = dialogue.bench
    (hole,) = bench.of(t.PinholeEntry)
    data = FlowKey(TCP, INSIDE, LISTEN, REMOTE, 20)
    for _ in range(3):
        bench.event(ev.PinholeHit(data, hole.pinhole_id))
    assert bench.of(t.PinholeEntry) == []
    assert data in bench.sessions()
    other = FlowKey(TCP, INSIDE, LISTEN, REMOTE, 21)
    bench.event(ev.PinholeHit(other, hole.pinhole_id))
    assert other not in bench.sessions()
    assert bench.counter("alg.ftp.pinholes.used") == 1


def test_F3_an_unused_pinhole_closes_after_its_lifetime() -> None:
    dialogue = greeted()
    dialogue.client(PORT)
    bench = dialogue.bench
    bench.tick(59.0)
    assert bench.of(t.PinholeEntry)
    bench.tick(1.0)
    assert bench.of(t.PinholeEntry) == []
    assert bench.counter("alg.ftp.pinholes.expired") == 1


@pytest.mark.parametrize("flags", [FIN | ACK, RST | ACK])
def test_F3_unused_pinholes_close_with_the_control_connection(flags: int) -> None:
    dialogue = greeted()
    dialogue.client(PORT)
    dialogue.server(b"200 ok\r\n")
    dialogue.client(b"PORT 10,0,0,11,200,11\r\n")
    bench = dialogue.bench
    (used, *_) = bench.of(t.PinholeEntry)
    data = FlowKey(TCP, INSIDE, port_of(used), REMOTE, 20)
    bench.event(ev.PinholeHit(data, used.pinhole_id))
    dialogue.finish(C, flags)
    if flags & FIN:
        dialogue.finish(S)
    bench.tick(GRACE)
    assert bench.of(t.PinholeEntry) == []
    assert data in bench.sessions()
    assert bench.sessions()[dialogue.key].idle_timeout == 240.0


def test_F3_a_flow_that_began_just_before_the_end_of_its_control_connection_goes_on() -> None:
    dialogue = greeted()
    dialogue.client(PORT)
    bench = dialogue.bench
    (hole,) = bench.of(t.PinholeEntry)
    dialogue.finish(C)
    dialogue.finish(S)
    data = FlowKey(TCP, INSIDE, LISTEN, REMOTE, 20)
    bench.event(ev.PinholeHit(data, hole.pinhole_id))
    bench.tick(GRACE)
    assert data in bench.sessions()
    assert bench.outside_of(TCP, INSIDE, LISTEN)


def test_a_new_announcement_takes_the_place_of_an_unused_one() -> None:
    dialogue = greeted()
    dialogue.client(PORT)
    dialogue.server(b"200 ok\r\n")
    dialogue.client(b"PORT 10,0,0,11,200,11\r\n")
    dialogue.bench.tick(GRACE)
    (hole,) = dialogue.bench.of(t.PinholeEntry)
    assert hole.inside_id == LISTEN + 1


def test_G6_corrections_are_written_with_the_message_that_needs_them() -> None:
    dialogue = greeted()
    sent = dialogue.client(PORT)
    (sequence,) = dialogue.bench.of(t.Sequence)
    assert sequence.outbound.after == len(sent) - len(PORT) != 0
    session = dialogue.bench.sessions()[dialogue.key]
    assert session.flags & SessionFlags.CORRECT_SEQUENCE
    dialogue.server(b"200 ok\r\n")
    before = sequence.outbound.after
    more = b"PORT 10,0,0,11,200,11\r\n"
    sent = dialogue.client(more)
    (sequence,) = dialogue.bench.of(t.Sequence)
    assert sequence.outbound.before == before
    assert sequence.outbound.after == before + len(sent) - len(more)


def test_F4_a_bounce_resets_the_connection_and_opens_nothing() -> None:
    dialogue = greeted()
    assert dialogue.client(b"PORT 10,0,0,12,200,10\r\n") == b""
    assert all(end.reset for end in dialogue.ends.values())
    assert dialogue.bench.of(t.PinholeEntry) == []
    assert dialogue.bench.counter("alg.ftp.client.refused.bounce") == 1


def test_F4_or_the_command_passes_unrewritten_if_so_configured() -> None:
    dialogue = greeted(Bench(refuse=RefuseMode.PASS))
    bounce = b"PORT 10,0,0,12,200,10\r\n"
    assert dialogue.client(bounce) == bounce
    assert dialogue.bench.of(t.PinholeEntry) == []


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(pinholes_per_control=2), "control-limit"),
        (Limits(pinholes_per_subscriber=2), "subscriber-limit"),
        (Limits(pinholes=2, pinholes_per_subscriber=2), "subscriber-limit"),
    ],
)
def test_G4_pinholes_are_bounded(limits: Limits, reason: str) -> None:
    dialogue = greeted(Bench(limits=limits))
    for n in range(3):
        dialogue.client(b"PORT 10,0,0,11,200,%d\r\n" % n)
        if n < 2:
            dialogue.server(b"200 ok\r\n")
    assert len(dialogue.bench.of(t.PinholeEntry)) <= 2
    assert dialogue.bench.counter(f"alg.ftp.pinholes.refused.{reason}") in (0, 1)
    assert all(end.reset for end in dialogue.ends.values()) or not dialogue.bench.counter(
        f"alg.ftp.pinholes.refused.{reason}"
    )


def test_G7_http_ends_alg_work_for_the_connection() -> None:
    dialogue = greeted()
    text = b"POST / HTTP/1.1\r\nPORT 10,0,0,11,200,10\r\n"
    assert dialogue.client(text) == text
    assert dialogue.bench.of(t.PinholeEntry) == []
    assert dialogue.bench.sessions()[dialogue.key].alg_id == 0
    assert dialogue.bench.counter("alg.ftp.protocol-errors.not-ftp") == 1


def test_G8_colliding_inside_ports_of_two_hosts_get_outside_ports_of_their_own() -> None:
    bench = Bench()
    one = greeted(bench)
    first = announced(one.client(PORT))
    syn = segment(INSIDE2, 40000, REMOTE, 21)
    bench.new(syn, 2, alg_id=1)
    assert bench.outside_of(TCP, INSIDE2, 40000) != bench.outside_of(TCP, INSIDE, 40000)
    assert bench.outside_of(TCP, INSIDE, LISTEN) == first


def test_everything_an_ftp_session_made_goes_with_it() -> None:
    dialogue = greeted()
    bench = dialogue.bench
    for n in range(4):
        dialogue.client(b"PORT 10,0,0,11,200,%d\r\n" % n)
        dialogue.server(b"200 ok\r\n")
        for hole in bench.of(t.PinholeEntry)[:1]:
            data = FlowKey(TCP, INSIDE, port_of(hole), REMOTE, 20)
            bench.event(ev.PinholeHit(data, hole.pinhole_id))
    dialogue.finish(C)
    dialogue.finish(S)
    bench.idle_everything()
    assert bench.dynamic() == set()
    assert bench.show("pinholes") == []
    assert bench.show("algs")[0]["sessions"] == 0


def test_F5_TLS_is_told_and_after_CCC_the_session_is_read_again() -> None:
    dialogue = greeted()
    bench = dialogue.bench
    dialogue.client(b"AUTH TLS\r\n")
    dialogue.server(b"234 ok\r\n")
    tls = TlsSession()
    for peer, data in [*tls.handshake(), *tls.say(C, b"CCC\r\n"), *tls.say(S, b"200\r\n")]:
        heard = dialogue.client(data) if peer is C else dialogue.server(data)
        assert heard == data
    assert bench.sessions()[dialogue.key].alg_id == 1
    for peer, data in tls.close():
        assert (dialogue.client(data) if peer is C else dialogue.server(data)) == data
    assert announced(dialogue.client(PORT))[0] == dialogue.outside[0]
    assert (bench.counter("alg.ftp.tls"), bench.counter("alg.ftp.clear")) == (1, 1)


def test_bytes_the_other_end_s_words_explain_are_looked_at_again() -> None:
    # A client that does not wait for the 234: its records are held until then.
    dialogue = greeted()
    dialogue.client(b"AUTH TLS\r\n")
    (_, hello), *_ = TlsSession().handshake()
    early = hello.replace(b"\n", b"x")
    assert dialogue.client(early) == b""
    dialogue.server(b"234 ok\r\n")
    assert dialogue.heard(S) == early


@pytest.mark.parametrize("flags", [FIN | ACK, RST])
def test_a_client_may_begin_again_from_the_same_port(flags: int) -> None:
    dialogue = greeted()
    bench = dialogue.bench
    first = announced(dialogue.client(PORT))
    dialogue.finish(C, flags)
    if flags & FIN:
        dialogue.finish(S, flags)
    assert bench.sessions()[dialogue.key].flags & SessionFlags.CORRECT_SEQUENCE
    dialogue.again()
    session = bench.sessions()[dialogue.key]
    assert session.flags == SessionFlags.NOTIFY_ESTABLISHED
    assert not bench.of(t.Sequence)
    assert dialogue.server(b"220 hi\r\n") == b"220 hi\r\n"
    assert announced(dialogue.client(PORT))[0] == first[0]
    assert dialogue.server(b"200 ok\r\n") == b"200 ok\r\n"


def test_a_stray_syn_does_not_end_a_connection_under_way() -> None:
    dialogue = greeted()
    ends = dialogue.ends
    dialogue.again()
    dialogue.ends = ends
    assert announced(dialogue.client(PORT))[0] == dialogue.outside[0]
    assert dialogue.bench.counter("alg.ftp.segments.unexpected-syn") == 2


# With an ALG that passes everything on


def toy_bench(alg: Alg, **changes: Any) -> Bench:
    spans = {"toy": (PortSpan(UDP, TOY_PORT, TOY_PORT), PortSpan(TCP, TOY_PORT, TOY_PORT))}
    return Bench(algs=(AlgSettings(alg, True, ("toy",)),), services=spans, **changes)


def test_rule_10_a_connection_that_cannot_be_followed_anew_is_plain_NAT() -> None:
    made: list[Toy] = []

    def make(facts: SessionFacts, context: Context) -> Toy:
        if made:
            raise RuntimeError("no")
        made.append(Toy(facts, context))
        return made[0]

    dialogue = Dialogue(toy_bench(toy(make=make)), C, TOY_ID)
    assert dialogue.client(b"hello") == b"hello"
    dialogue.finish(C, RST)
    again = segment(INSIDE, 40000, REMOTE, 21, SYN, 70000)
    dialogue.bench.punt(ev.Reason.ALG, again, IN_PORT, TOY_ID)
    assert dialogue.bench.sessions()[dialogue.key].alg_id == 0
    assert dialogue.bench.counter("alg.toy.faults") == 1


class Withdrawing(Toy):
    """Asks for a pinhole with its first message, and withdraws it with the second."""

    number = 0

    def receive(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        if self.number:
            gateway.close_pinhole(self.number)
            return [Forward(len(data))]
        found = gateway.open_pinhole(asked())
        assert isinstance(found, Grant)
        self.number = found.number
        return [Forward(len(data), (), "", (found.number,))]


def test_what_a_message_withdraws_closes_when_it_has_left() -> None:
    bench = toy_bench(toy(make=Withdrawing))
    frame = datagram(INSIDE, 6000, REMOTE, TOY_PORT)
    bench.new(frame, IN_PORT, TOY_ID)
    assert len(bench.of(t.PinholeEntry)) == 1
    assert len(bench.punt(ev.Reason.ALG, frame, IN_PORT, TOY_ID)) == 1
    assert len(bench.of(t.PinholeEntry)) == 1
    bench.tick(GRACE)
    assert bench.of(t.PinholeEntry) == []


def test_N4787_9_the_end_that_is_another_inside_host_crosses_from_outside() -> None:
    bench = toy_bench(toy(), forwards=(PortForward(UDP, INSIDE, TOY_PORT, SERVER, TOY_PORT),))
    bench.new(datagram(INSIDE2, 6000, SERVER, TOY_PORT))
    seen = bench.outside_of(UDP, INSIDE2, 6000)
    frame = datagram(*seen, SERVER, TOY_PORT)
    (out,) = bench.new(frame, IN_PORT, TOY_ID, hairpin=True)
    assert out == PacketOut(frame, IN_PORT, sequence_is_final=True, hairpin=True)
    answer = datagram(INSIDE, TOY_PORT, *seen)
    (out,) = bench.punt(ev.Reason.ALG, answer, 2, TOY_ID)
    assert out == PacketOut(answer, 2, sequence_is_final=True)


def test_rule_10_a_message_whose_effects_fail_leaves_and_its_session_is_plain_NAT(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def boom(*_: object) -> None:
        raise RuntimeError("boom")

    bench = toy_bench(toy())
    frame = datagram(INSIDE, 6000, REMOTE, TOY_PORT)
    bench.new(frame, IN_PORT, TOY_ID)
    monkeypatch.setattr(bench.engine._carrier._reports, "seen", boom)
    assert [out.frame for out in bench.punt(ev.Reason.ALG, frame, IN_PORT, TOY_ID)] == [frame]
    key = FlowKey(UDP, INSIDE, 6000, REMOTE, TOY_PORT)
    assert bench.sessions()[key].alg_id == 0
    assert bench.counter("faults.carrier") == 1
    assert len(bench.engine._sessions) == 0


def test_rule_10_a_message_with_tables_whose_effects_fail_does_not_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def boom(*_: object) -> None:
        raise RuntimeError("boom")

    dialogue = greeted()
    bench = dialogue.bench
    monkeypatch.setattr(bench.engine._carrier, "_write", boom)
    assert dialogue.client(PORT) == b""
    assert bench.of(t.PinholeEntry) == []
    assert not [e for e in bench.of(t.MapOut) if e.inside_id == LISTEN]
    assert bench.sessions()[dialogue.key].alg_id == 0
