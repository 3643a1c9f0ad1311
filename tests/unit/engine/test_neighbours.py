"""ARP on the gateway's interfaces (RFC 826), and packets that wait for it."""

import pytest

from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.neighbours import MAX_WAITING
from p4alg.packet.arp import Arp
from p4alg.packet.icmp import parse_icmp
from p4alg.packet.ipv4 import parse_ipv4
from tests.unit.engine.harness import (
    GATEWAY,
    HOST_MAC,
    IN_MAC,
    IN_PORT,
    INSIDE,
    INSIDE2,
    OUT_MAC,
    OUT_PORT,
    PEER_MAC,
    POOL,
    REMOTE,
    REMOTE2,
    UPLINK,
    Bench,
    is_arp,
    is_at,
    parse_arp,
    segment,
    who_has,
)


def ask(
    bench: Bench, target: int, sender: int = INSIDE, port: int = IN_PORT, mac: int = HOST_MAC
) -> list[tuple[int | None, Arp]]:
    outs = bench.punt(ev.Reason.ARP, who_has(mac, sender, target), port)
    return [(out.egress_port, parse_arp(out.frame)) for out in outs]


def test_the_gateways_own_address_is_answered_and_the_asker_learnt() -> None:
    bench = Bench()
    ((port, reply),) = ask(bench, GATEWAY)
    assert (port, reply.is_request, reply.sender_mac) == (IN_PORT, False, IN_MAC)
    (hop,) = bench.of(t.NextHop)
    assert (hop.port, hop.dst_mac, hop.src_mac, hop.mtu) == (IN_PORT, HOST_MAC, IN_MAC, 1500)
    assert t.Route(INSIDE, 32, hop.next_hop) in bench.of(t.Route)


def test_addresses_of_nobody_here_are_not_answered() -> None:
    bench = Bench()
    assert ask(bench, UPLINK) == []
    assert ask(bench, 0x08080808) == []


def test_pool_addresses_in_the_outside_network_are_answered_there_only() -> None:
    from p4alg.engine.settings import Prefix

    bench = Bench(pools=(Prefix(0xC6336420, 28),))
    ((_, reply),) = ask(bench, 0xC6336421, REMOTE, OUT_PORT, PEER_MAC)
    assert reply.sender_mac == OUT_MAC
    assert ask(Bench(), POOL, REMOTE, OUT_PORT, PEER_MAC) == []


def test_hosts_on_another_port_of_the_zone_are_answered_for() -> None:
    bench = Bench()
    questions = ask(bench, INSIDE2)
    assert [(port, arp.target_addr) for port, arp in questions] == [(1, INSIDE2), (2, INSIDE2)]
    bench.punt(ev.Reason.ARP, is_at(PEER_MAC, INSIDE2, IN_MAC, GATEWAY), 2)
    ((_, reply),) = ask(bench, INSIDE2)
    assert (reply.is_request, reply.sender_mac) == (False, IN_MAC)
    # On the same wire the host answers for itself.
    assert ask(bench, INSIDE2, INSIDE + 9, 2, HOST_MAC + 9) == []


def test_a_packet_waits_for_its_next_hop() -> None:
    bench = Bench()
    frame = segment(INSIDE, 40000, REMOTE, 80)
    bench.new(frame)
    outs = bench.punt(ev.Reason.NEIGHBOUR, frame)
    assert [out.egress_port for out in outs] == [3, 4]
    assert all(parse_arp(out.frame).target_addr == REMOTE for out in outs)
    answer = is_at(PEER_MAC, REMOTE, OUT_MAC, UPLINK)
    assert bench.punt(ev.Reason.ARP, answer, OUT_PORT) == [PacketOut(frame, IN_PORT, begin=True)]
    assert bench.punt(ev.Reason.NEIGHBOUR, frame) == [PacketOut(frame, IN_PORT, begin=True)]


def test_far_destinations_wait_for_their_router() -> None:
    bench = Bench()
    bench.new(segment(INSIDE, 40000, 0x08080808, 80))
    outs = bench.punt(ev.Reason.NEIGHBOUR, segment(INSIDE, 40000, 0x08080808, 80))
    assert {parse_arp(out.frame).target_addr for out in outs} == {REMOTE2}
    bench.punt(ev.Reason.ARP, is_at(PEER_MAC, REMOTE2, OUT_MAC, UPLINK), 4)
    (default,) = [route for route in bench.of(t.Route) if route.prefix_len == 0]
    assert default.next_hop in {hop.next_hop for hop in bench.of(t.NextHop)}


def test_a_neighbour_that_never_answers_is_reported_to_the_sender() -> None:
    bench = Bench()
    frame = segment(INSIDE, 40000, REMOTE, 80)
    bench.new(frame)
    bench.punt(ev.Reason.NEIGHBOUR, frame)
    for _ in range(2):
        assert all(is_arp(out.frame) for out in bench.tick(1.0))
    (error,) = bench.tick(1.0)
    packet = parse_ipv4(error.frame)
    assert (packet.dst, packet.src, error.egress_port) == (INSIDE, GATEWAY, IN_PORT)
    assert parse_icmp(packet)[:2] == (3, 1)


def test_waiting_packets_are_bounded() -> None:
    bench = Bench()
    frame = segment(INSIDE, 40000, REMOTE, 80)
    bench.new(frame)
    for _ in range(MAX_WAITING + 5):
        bench.punt(ev.Reason.NEIGHBOUR, frame)
    outs = bench.punt(ev.Reason.ARP, is_at(PEER_MAC, REMOTE, OUT_MAC, UPLINK), OUT_PORT)
    assert len(outs) == MAX_WAITING
    assert bench.counter("arp.dropped") == 5


def test_a_neighbour_that_moved_is_followed_and_one_that_left_forgotten() -> None:
    bench = Bench()
    ask(bench, GATEWAY)
    ask(bench, GATEWAY, port=2, mac=HOST_MAC + 1)
    (hop,) = bench.of(t.NextHop)
    assert (hop.port, hop.dst_mac) == (2, HOST_MAC + 1)
    questions = bench.tick(61.0)
    assert [(out.egress_port, parse_arp(out.frame).target_addr) for out in questions] == [
        (2, INSIDE)
    ]
    for _ in range(3):
        bench.tick(1.0)
    assert bench.of(t.NextHop) == []
    assert not [route for route in bench.of(t.Route) if route.prefix_len == 32]


@pytest.mark.parametrize("sender", [GATEWAY, POOL, 0x08080808])
def test_nobody_becomes_our_neighbour_under_a_foreign_or_our_own_address(sender: int) -> None:
    bench = Bench()
    ask(bench, GATEWAY, sender)
    assert bench.of(t.NextHop) == []


def test_malformed_arp_is_counted() -> None:
    bench = Bench()
    assert bench.punt(ev.Reason.ARP, who_has(HOST_MAC, INSIDE, GATEWAY)[:30]) == []
    assert bench.counter("arp.malformed") == 1
