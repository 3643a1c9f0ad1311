"""Packets that are exceptions: fragments, too big, too old, for us, malformed."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from p4alg.engine import events as ev
from p4alg.engine.fragments import SETTLE
from p4alg.engine.settings import Limits
from p4alg.packet.icmp import ECHO_REPLY, TIME_EXCEEDED, UNREACHABLE, parse_icmp
from p4alg.packet.ipv4 import build_ipv4, fragment_ipv4, parse_ipv4
from tests.conftest import examples
from tests.unit.engine.dialogue import PORT, greeted
from tests.unit.engine.harness import (
    ACK,
    GATEWAY,
    ICMP,
    IN_PORT,
    INSIDE,
    INSIDE2,
    OUT_MAC,
    OUT_PORT,
    PEER_MAC,
    REMOTE,
    SERVER,
    UDP,
    UPLINK,
    Bench,
    datagram,
    is_at,
    parse_arp,
    ping,
    segment,
)


def pieces(ident: int = 7, size: int = 3000) -> list[bytes]:
    whole = bytearray(datagram(INSIDE2, 5000, REMOTE, 80, bytes(size)))
    whole[18:20] = struct.pack("!H", ident)
    whole[20:22] = b"\0\0"
    return fragment_ipv4(parse_ipv4(bytes(whole)), 1400)


def fragment(bench: Bench, frame: bytes) -> list[bytes]:
    return [out.frame for out in bench.punt(ev.Reason.FRAGMENT, frame)]


def followers(bench: Bench) -> list[bytes]:
    """The frames that are sent a moment after the first fragment was."""
    bench.now += SETTLE
    return [out.frame for out in bench.event(ev.Reminder())]


def test_N4787_14_fragments_that_overtook_the_first_go_once_more() -> None:
    bench = Bench()
    _, second, third = pieces()
    assert fragment(bench, third) == []
    assert fragment(bench, second) == []
    (due,) = bench.reminders
    bench.now = due
    assert [out.frame for out in bench.event(ev.Reminder())] == [third, second]


def test_G7_the_first_fragment_for_an_ALG_is_not_read_and_those_that_waited_follow() -> None:
    bench = Bench()
    first, second, third = pieces()
    assert fragment(bench, third) == []
    sent = bench.new(first, alg_id=1)
    assert [out.frame for out in sent] == [first]
    assert followers(bench) == [third]
    (session,) = bench.sessions().values()
    assert session.alg_id == 0
    assert fragment(bench, second) == []
    assert bench.counter("fragments.unread") == 1


def test_G7_a_first_fragment_of_a_session_that_an_ALG_reads_is_sent_on_unread() -> None:
    bench = Bench()
    bench.new(segment(INSIDE2, 40000, REMOTE, 21), alg_id=1)
    frame = bytearray(segment(INSIDE2, 40000, REMOTE, 21, ACK, payload=b"PORT 10,0,0,12,1,1"))
    frame[20:22] = b"\x20\0"
    out = bench.punt(ev.Reason.ALG, bytes(frame), alg_id=1)
    assert [packet.frame for packet in out] == [bytes(frame)]
    assert bench.counter("fragments.unread") == 1


def test_N4787_13_too_big_and_not_to_be_fragmented_is_reported_with_the_mtu() -> None:
    bench = Bench()
    frame = datagram(INSIDE2, 5000, REMOTE, 80, bytes(1450))
    bench.new(frame)
    (error,) = bench.punt(ev.Reason.MTU, frame)
    packet = parse_ipv4(error.frame)
    assert parse_icmp(packet)[:2] == (UNREACHABLE, 4)
    assert packet.payload[6:8] == (1400).to_bytes(2, "big")
    assert (error.egress_port, packet.dst) == (IN_PORT, INSIDE2)


def test_too_big_otherwise_is_fragmented() -> None:
    bench = Bench()
    frame = bytearray(datagram(INSIDE2, 5000, REMOTE, 80, bytes(1450)))
    frame[20:22] = b"\0\0"
    bench.new(bytes(frame))
    outs = [parse_ipv4(out.frame) for out in bench.punt(ev.Reason.MTU, bytes(frame))]
    assert len(outs) == 2
    assert all(out.end - out.l3 <= 1400 for out in outs)
    # The first has the ports, and the switch learns them from it.
    assert [out.offset for out in outs] == [0, 1376]


def test_a_packet_that_waited_or_was_cut_may_begin_its_flow() -> None:
    bench = Bench()
    frame = bytearray(datagram(INSIDE2, 5000, REMOTE, 80, bytes(1450)))
    frame[20:22] = b"\0\0"
    assert all(out.begin for out in bench.punt(ev.Reason.MTU, bytes(frame)))


def test_the_end_of_a_life_is_reported() -> None:
    bench = Bench()
    (error,) = bench.punt(ev.Reason.TTL, datagram(INSIDE2, 5000, REMOTE, 80))
    packet = parse_ipv4(error.frame)
    assert parse_icmp(packet)[:2] == (TIME_EXCEEDED, 0)
    assert (packet.src, packet.dst) == (GATEWAY, INSIDE2)


def test_the_gateway_answers_pings_and_nothing_else() -> None:
    bench = Bench()
    (reply,) = bench.punt(ev.Reason.LOCAL, ping(INSIDE, GATEWAY, 3))
    assert parse_icmp(parse_ipv4(reply.frame))[:3] == (ECHO_REPLY, 0, 3)
    assert reply.egress_port == IN_PORT
    assert bench.punt(ev.Reason.LOCAL, segment(INSIDE, 1, GATEWAY, 22)) == []
    assert bench.counter("local.dropped") == 1


@given(
    st.sampled_from(list(ev.Reason)),
    st.binary(max_size=80),
    st.booleans(),
    st.sampled_from([1, 3, 9]),
    st.integers(0, 2),
)
@examples(300)
def test_G9_no_frame_raises(
    reason: ev.Reason, data: bytes, as_ip: bool, port: int, alg_id: int
) -> None:
    bench = Bench()
    bench.new(segment(INSIDE2, 40000, REMOTE, 21), alg_id=1)
    before = dict(bench.sessions())
    frame = build_ipv4((1, 2), 0, INSIDE2, REMOTE, 6, data) if as_ip else data
    bench.punt(reason, frame, port, alg_id)
    assert all(bench.sessions()[key] == entry for key, entry in before.items())


def test_new_flows_of_protocols_without_ports_are_refused() -> None:
    bench = Bench()
    frame = build_ipv4((1, 2), 0, INSIDE2, REMOTE, 50, bytes(20))
    assert bench.new(frame) == []
    assert bench.counter("nat.refused.protocol") == 1
    assert bench.new(build_ipv4((1, 2), 0, REMOTE, SERVER, ICMP, b"\x08"), OUT_PORT) == []


def test_a_packet_without_a_way_on_is_told_to_its_sender() -> None:
    bench = Bench(routes=())
    frame = datagram(INSIDE2, 5000, 0x08080808, 80)
    bench.new(frame)
    (error,) = bench.punt(ev.Reason.NEIGHBOUR, frame)
    packet = parse_ipv4(error.frame)
    assert (parse_icmp(packet)[:2], packet.dst) == ((UNREACHABLE, 1), INSIDE2)
    assert bench.punt(ev.Reason.MTU, frame) == []


def test_nobody_is_told_of_a_packet_that_came_from_nowhere_or_crosses_again() -> None:
    bench = Bench()
    frame = datagram(INSIDE2, 5000, REMOTE, 80)
    assert bench.punt(ev.Reason.TTL, frame, port=9) == []
    assert bench.punt(ev.Reason.TTL, frame, hairpin=True) == []
    assert bench.counter("icmp.errors-sent") == 0


def test_N6888_11_a_fragmented_flow_that_may_not_be_is_dropped() -> None:
    bench = Bench(limits=Limits(sessions=1))
    bench.new(segment(INSIDE, 1, REMOTE, 80))
    (error,) = bench.new(pieces()[0], alg_id=1)
    assert parse_icmp(parse_ipv4(error.frame))[:2] == (UNREACHABLE, 1)
    assert bench.counter("nat.refused.session-limit") == 1


def test_a_packet_from_outside_waits_for_the_host_that_it_is_for() -> None:
    bench = Bench()
    bench.new(datagram(INSIDE2, 5000, REMOTE, 80))
    # It has been silent for so long that it is no known neighbour any more.
    for _ in range(70):
        bench.tick(1.0)
    back = datagram(REMOTE, 80, *bench.outside_of(UDP, INSIDE2, 5000))
    asked = {parse_arp(out.frame).target_addr for out in bench.punt(ev.Reason.NEIGHBOUR, back, 3)}
    assert asked == {INSIDE2}


def test_G6_a_corrected_segment_is_not_sent_again_from_here() -> None:
    dialogue = greeted()
    dialogue.client(PORT)
    frame = segment(INSIDE, 40000, REMOTE, 21, ACK, 50, 1, b"x")
    assert dialogue.bench.punt(ev.Reason.NEIGHBOUR, frame) == []


def test_a_packet_without_a_route_is_answered_by_network_unreachable() -> None:
    bench = Bench()
    (out,) = bench.punt(ev.Reason.NO_ROUTE, datagram(INSIDE2, 5000, REMOTE, 53))
    error = parse_ipv4(out.frame)
    told = parse_icmp(error)
    assert (told.type, told.code) == (UNREACHABLE, 0)
    assert (error.src, error.dst, out.egress_port) == (GATEWAY, INSIDE2, IN_PORT)


def test_N4787_14_fragments_to_a_host_of_unknown_MAC_follow_the_first_when_it_is_known() -> None:
    bench = Bench()
    first, second, third = pieces()
    outs = bench.punt(ev.Reason.NEIGHBOUR, first)
    assert {parse_arp(out.frame).target_addr for out in outs} == {REMOTE}
    assert fragment(bench, second) == []
    bench.tick(1.0)
    assert fragment(bench, third) == []
    assert [out for out in bench.tick(1.0) if out.egress_port is None] == []
    answer = is_at(PEER_MAC, REMOTE, OUT_MAC, UPLINK)
    outs = bench.event(ev.PacketIn(OUT_PORT, ev.Reason.ARP, 0, False, answer))
    assert [out.frame for out in outs] == [first]
    assert followers(bench) == [second, third]
    assert bench.counter("fragments.dropped") == 0
