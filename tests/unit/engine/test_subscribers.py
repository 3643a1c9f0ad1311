"""Inside hosts and their blocks, from the first packet until the block comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.settings import AddressForward, BlockSettings, Limits, PortForward, Prefix, Zone
from p4alg.engine.subscribers import MAX_WAITING
from p4alg.engine.tables import Op, Side, Update
from p4alg.packet.icmp import UNREACHABLE, parse_icmp
from p4alg.packet.ipv4 import build_ipv4, parse_ipv4
from tests.unit.engine.dialogue import Dialogue
from tests.unit.engine.harness import (
    GATEWAY,
    IN_MAC,
    IN_PORT,
    INSIDE,
    INSIDE2,
    OUT_MAC,
    OUT_PORT,
    POOL,
    REMOTE,
    SERVER,
    TCP,
    UDP,
    UPLINK,
    WHOLE,
    Bench,
    datagram,
    ping,
    segment,
)

LONGEST = 7440.0
SUBSCRIBER, OVERFLOW = ev.Reason.SUBSCRIBER, ev.Reason.OVERFLOW


def host_of(bench: Bench, addr: int = INSIDE2) -> t.Subscriber:
    (found,) = [entry for entry in bench.of(t.Subscriber) if entry.inside_addr == addr]
    return found


def block_of(bench: Bench, addr: int = INSIDE2) -> t.Block:
    (found,) = [entry for entry in bench.of(t.Block) if entry.inside_addr == addr]
    return found


def both_idle(bench: Bench, addr: int = INSIDE2) -> None:
    block = block_of(bench, addr)
    bench.event(ev.SubscriberIdle(addr, 0))
    bench.event(ev.BlockIdle(block.outside_addr, block.outside_id))


# The first packet


def test_N6888_13_the_first_packet_of_a_host_gets_it_a_block_and_goes_on() -> None:
    bench = Bench()
    frame = segment(INSIDE2, 40000, REMOTE, 80)
    assert bench.punt(SUBSCRIBER, frame) == [PacketOut(frame, IN_PORT, begin=True)]
    host, block = host_of(bench), block_of(bench)
    assert host == t.Subscriber(
        INSIDE2, host.subscriber, block.outside_addr, block.outside_id, 4095, host.salt, LONGEST
    )
    assert block == t.Block(
        block.outside_addr, host.port_base, 20, host.subscriber, INSIDE2, idle_timeout=LONGEST
    )
    assert POOL <= host.outside_addr < POOL + 16
    assert host.port_base % 4096 == 0
    assert host.port_base >= 1024
    assert 1 <= host.subscriber <= 16383
    # The flow is the switch's own: nothing is known of it here.
    assert bench.sessions() == {}
    assert len(bench.of(t.MapOut)) == 1


def test_the_entries_are_acknowledged_before_the_packet_leaves() -> None:
    bench = Bench()
    bench.refuses = lambda update: isinstance(update.entry, t.Block)
    frame = segment(INSIDE2, 40000, REMOTE, 80)
    bench.punt(SUBSCRIBER, frame)
    assert bench.of(t.Block) == []
    assert [e.inside_addr for e in bench.of(t.Subscriber)] == [INSIDE, WHOLE]
    assert bench.counter("subscribers.failed") == 1
    assert bench.show("subscribers") == [
        row for row in bench.show("subscribers") if row["address"] != "10.0.0.12"
    ]
    # The next packet tries again, with a block that nobody has had.
    bench.refuses = lambda update: False
    bench.punt(SUBSCRIBER, frame)
    assert block_of(bench)


def test_packets_that_come_meanwhile_follow_and_are_bounded() -> None:
    bench = Bench()
    bench.introduce(INSIDE2)
    frames = [segment(INSIDE2, 40000 + n, REMOTE, 80) for n in range(MAX_WAITING + 5)]
    actions = [
        action
        for frame in frames
        for action in bench.engine.handle(ev.PacketIn(1, SUBSCRIBER, 0, False, frame), 100.0)
    ]
    out = [action.frame for action in actions if isinstance(action, PacketOut)]
    assert out == frames[:MAX_WAITING]
    assert bench.counter("subscribers.dropped") == 5
    bench.perform(actions)
    assert len(bench.of(t.Block)) == 1
    # Now they are written, and nothing waits.
    assert len(bench.punt(SUBSCRIBER, frames[0])) == 1


def test_N6888_12_a_line_is_logged_when_a_block_is_taken_and_when_it_is_given_back() -> None:
    bench = Bench()
    bench.punt(SUBSCRIBER, ping(INSIDE2, REMOTE))
    bench.punt(SUBSCRIBER, ping(INSIDE2, REMOTE, 78))
    block = block_of(bench)
    outside = f"203.0.113.{block.outside_addr - POOL}"
    held = f"{outside} ports {block.outside_id}-{block.outside_id + 4095}"
    assert [log.text for log in bench.logs] == [f"block taken: 10.0.0.12 has {held}"]
    bench.logs.clear()
    bench.now += 9000.0
    both_idle(bench)
    text = f"block given back: 10.0.0.12 had {held} for 9000 s"
    assert [log.text for log in bench.logs] == [text]


def test_an_ALG_that_begins_makes_the_host_a_subscriber_too() -> None:
    bench = Bench()
    Dialogue(bench)
    host = host_of(bench, INSIDE)
    (out,) = [e for e in bench.of(t.MapOut) if e.inside_id == 40000]
    assert (out.subscriber, out.managed, out.outside_addr) == (host.subscriber, 1, SERVER)
    assert out.outside_id in range(host.port_base, host.port_base + 4096)
    assert out.outside_id & 6 == 6


@pytest.mark.parametrize(
    ("frame", "label"),
    [
        (segment(INSIDE2, 500, REMOTE, 80), "tcp"),
        (datagram(INSIDE2, 500, REMOTE, 80), "udp"),
    ],
)
def test_N4787_3_a_flow_from_a_low_port_is_the_controllers(frame: bytes, label: str) -> None:
    bench = Bench()
    assert bench.punt(SUBSCRIBER, frame) == [PacketOut(frame, IN_PORT)]
    (out,) = [e for e in bench.of(t.MapOut) if e.inside_addr == INSIDE2]
    assert out.outside_id < 1024
    assert [row["proto"] for row in bench.show("sessions")] == [label]
    assert block_of(bench)


def test_what_does_not_fit_into_the_switch_takes_the_way_of_the_tables() -> None:
    bench = Bench()
    bench.punt(SUBSCRIBER, datagram(INSIDE2, 5000, REMOTE, 80))
    frame = datagram(INSIDE2, 6000, REMOTE, 80)
    assert bench.punt(OVERFLOW, frame) == [PacketOut(frame, IN_PORT)]
    host = host_of(bench)
    (out,) = [e for e in bench.of(t.MapOut) if e.inside_addr == INSIDE2]
    assert (out.outside_addr, out.subscriber, out.managed) == (
        host.outside_addr,
        host.subscriber,
        1,
    )
    assert out.outside_id & 6 == 6
    assert len(bench.sessions()) == 1


def test_a_flow_that_found_no_cell_keeps_the_port_of_its_endpoint() -> None:
    bench = Bench()
    bench.punt(SUBSCRIBER, datagram(INSIDE2, 5000, REMOTE, 80))
    mapped = host_of(bench).port_base + 8
    bench.punt(OVERFLOW, datagram(INSIDE2, 6000, REMOTE, 80), mapped_id=mapped)
    assert bench.outside_of(UDP, INSIDE2, 6000) == (host_of(bench).outside_addr, mapped)


def test_an_expected_flow_of_a_new_host_gets_its_label() -> None:
    bench = Bench()
    talk = Dialogue(bench)
    talk.server(b"220 hi\r\n")
    talk.client(b"PASV\r\n")
    talk.server(b"227 ok (198,51,100,11,200,10)\r\n")
    bench.punt(SUBSCRIBER, segment(INSIDE, 41000, REMOTE, 51210))
    assert bench.show("sessions")[-1]["label"] == "ftp 227"


# Static mappings


def test_static_hosts_are_known_without_a_block_until_they_need_one() -> None:
    bench = Bench()
    hosts = {entry.inside_addr: entry for entry in bench.of(t.Subscriber)}
    assert set(hosts) == {INSIDE, WHOLE}
    assert hosts[INSIDE] == t.Subscriber(INSIDE, hosts[INSIDE].subscriber)
    number = hosts[INSIDE].subscriber
    frame = segment(INSIDE, 40000, REMOTE, 80)
    assert bench.punt(OVERFLOW, frame) == [PacketOut(frame, IN_PORT, begin=True)]
    host = host_of(bench, INSIDE)
    # It goes out by the address of its mapping (N4787-2), and keeps its number.
    assert (host.subscriber, host.outside_addr, host.port_mask) == (number, SERVER, 4095)
    bench.now += 9000.0
    both_idle(bench, INSIDE)
    assert host_of(bench, INSIDE) == hosts[INSIDE]
    assert bench.of(t.Block) == []


def test_a_refused_block_of_a_static_host_leaves_it_as_it_was() -> None:
    bench = Bench()
    before = host_of(bench, INSIDE)
    bench.refuses = lambda update: isinstance(update.entry, t.Block)
    bench.punt(OVERFLOW, segment(INSIDE, 40000, REMOTE, 80))
    assert host_of(bench, INSIDE) == before


def test_a_host_with_a_whole_address_needs_no_block() -> None:
    bench = Bench()
    bench.punt(OVERFLOW, datagram(WHOLE, 5000, REMOTE, 80))
    assert bench.of(t.Block) == []
    assert len(bench.sessions()) == 1


# Without a block


def crowded(**more: Any) -> Bench:
    """A gateway whose three blocks are taken by as many hosts."""
    bench = Bench(pools=(Prefix(POOL, 32),), blocks=BlockSettings(16384, 1), forwards=(), **more)
    for n in range(3):
        bench.punt(SUBSCRIBER, datagram(GATEWAY + 50 + n, 5000, REMOTE, 80))
    assert len(bench.of(t.Block)) == 3
    return bench


def test_N6888_11_without_a_free_block_the_new_is_told_counted_and_logged_once_a_minute() -> None:
    bench = crowded()
    bench.logs.clear()
    bench.introduce(INSIDE2)
    before = dict(bench.entries)
    for seconds in (0.0, 1.0, 30.0, 29.0):
        bench.now += seconds
        (error,) = bench.punt(SUBSCRIBER, datagram(INSIDE2, 5000, REMOTE, 80))
        packet = parse_ipv4(error.frame)
        assert (parse_icmp(packet)[:2], packet.dst) == ((UNREACHABLE, 1), INSIDE2)
    assert bench.entries == before
    assert bench.counter("nat.refused.no-block") == 4
    text = "no block of outside ports for 10.0.0.12: no-block"
    assert [log.text for log in bench.logs] == [text, text]
    # An ALG gets no further, and the others go on.
    (error,) = bench.new(segment(INSIDE2, 40000, REMOTE, 21), alg_id=1)
    assert bench.counter("nat.refused.no-block") == 5
    frame = datagram(GATEWAY + 50, 6000, REMOTE, 80)
    assert bench.punt(OVERFLOW, frame) == [PacketOut(frame, IN_PORT)]


def test_forged_addresses_behind_one_port_leave_blocks_to_the_hosts_of_another() -> None:
    bench = Bench(pools=(Prefix(POOL, 30),), blocks=BlockSettings(1024, 4), forwards=())
    total = 4 * 63
    for n in range(total):
        bench.punt(SUBSCRIBER, datagram(0x0A000000 + 3 + n, 5000, REMOTE, 80), port=1)
    taken = len(bench.of(t.Block))
    assert total * 7 // 8 <= taken < total
    # One of the addresses has a mapping of its own, and needs no block.
    assert bench.counter("nat.refused.port-share") == total - taken - 1
    bench.punt(SUBSCRIBER, datagram(0x0A0000FF, 5000, REMOTE, 80), port=2)
    assert len(bench.of(t.Block)) == taken + 1


def test_where_all_hosts_are_behind_one_port_it_may_have_all_blocks() -> None:
    zones = (
        Zone("inside", 1, Side.INSIDE, (1,), 0, GATEWAY, 24, IN_MAC),
        Zone("outside", 2, Side.OUTSIDE, (3, 4), 0, UPLINK, 24, OUT_MAC, 1400),
    )
    bench = crowded(zones=zones)
    assert bench.counter("nat.refused.port-share") == 0


# The block comes back


def test_N6888_8_a_block_comes_back_when_both_sides_are_idle_and_then_rests() -> None:
    bench = Bench()
    bench.punt(SUBSCRIBER, datagram(INSIDE2, 5000, REMOTE, 80))
    first, number = block_of(bench), host_of(bench).subscriber
    bench.now += LONGEST
    bench.event(ev.SubscriberIdle(INSIDE2, 0))
    assert block_of(bench) == first
    bench.event(ev.BlockIdle(first.outside_addr, first.outside_id))
    assert bench.of(t.Block) == []
    assert [e.inside_addr for e in bench.of(t.Subscriber)] == [INSIDE, WHOLE]
    assert bench.counter("subscribers.ended") == 1
    # A notice that was under way changes nothing.
    bench.event(ev.SubscriberIdle(INSIDE2, 0))
    bench.event(ev.BlockIdle(first.outside_addr, first.outside_id))
    seen = set()
    for n in range(100):
        bench.punt(SUBSCRIBER, datagram(0x0A000020 + n, 5000, REMOTE, 80))
        seen.add(block_of(bench, 0x0A000020 + n).outside_addr)
        assert host_of(bench, 0x0A000020 + n).subscriber != number
    held = {(e.outside_addr, e.outside_id) for e in bench.of(t.Block)}
    assert (first.outside_addr, first.outside_id) not in held


def test_a_host_that_only_sends_or_only_receives_keeps_its_block() -> None:
    bench = Bench()
    bench.punt(SUBSCRIBER, datagram(INSIDE2, 5000, REMOTE, 80))
    block = block_of(bench)
    for _ in range(5):
        bench.now += 2.0
        bench.event(ev.SubscriberIdle(INSIDE2, 0))
    bench.now += 60.0
    for _ in range(5):
        bench.now += 2.0
        bench.event(ev.BlockIdle(block.outside_addr, block.outside_id))
    assert block_of(bench) == block
    bench.event(ev.SubscriberIdle(INSIDE2, 0))
    assert bench.of(t.Block) == []


def an_ALG_connection(bench: Bench) -> None:
    bench.new(segment(INSIDE2, 40000, REMOTE, 21), alg_id=1)


def a_low_port(bench: Bench) -> None:
    bench.punt(OVERFLOW, datagram(INSIDE2, 500, REMOTE, 80))


@pytest.mark.parametrize("what", [an_ALG_connection, a_low_port])
def test_a_block_stays_while_the_controller_has_anything_of_its_host(
    what: Callable[[Bench], None],
) -> None:
    bench = Bench()
    bench.punt(SUBSCRIBER, datagram(INSIDE2, 5000, REMOTE, 80))
    what(bench)
    bench.now += LONGEST
    both_idle(bench)
    assert block_of(bench)
    for key in list(bench.sessions()):
        bench.event(ev.SessionIdle(key))
    both_idle(bench)
    assert bench.of(t.Block) == []
    assert bench.dynamic() == set()


def test_further_blocks_are_logged_and_come_back_by_themselves() -> None:
    bench = Bench(blocks=BlockSettings(64, 3), limits=Limits())
    bench.punt(SUBSCRIBER, datagram(INSIDE2, 5000, REMOTE, 80))
    for n in range(10):
        bench.punt(OVERFLOW, datagram(INSIDE2, 6000 + 2 * n, REMOTE, 80))
    assert [log.text.split(":")[0] for log in bench.logs] == ["block taken"] * 2
    assert len(bench.of(t.Block)) == 1
    (row,) = [row for row in bench.show("subscribers") if row["address"] == "10.0.0.12"]
    assert len(row["blocks"]) == 2
    for key in list(bench.sessions()):
        bench.event(ev.SessionIdle(key))
    bench.tick(119.0)
    assert len(bench.logs) == 2
    bench.tick(1.0)
    assert bench.logs[-1].text.startswith("block given back: 10.0.0.12 had ")


# What is odd


def test_a_hairpinned_packet_and_one_from_outside_get_nobody_a_block() -> None:
    bench = Bench()
    bench.punt(SUBSCRIBER, datagram(REMOTE, 5000, POOL, 80), OUT_PORT)
    bench.punt(OVERFLOW, datagram(POOL, 5000, SERVER, 80), hairpin=True)
    assert bench.of(t.Block) == []


def test_a_packet_without_ports_of_a_new_host_goes_by_its_protocol() -> None:
    bench = Bench()
    frame = build_ipv4((1, 2), 0, INSIDE2, REMOTE, 99, bytes(20))
    assert bench.punt(SUBSCRIBER, frame) == []
    assert bench.counter("nat.refused.protocol") == 1


def test_addresses_of_the_switchs_own_mappings_are_known_by_their_block() -> None:
    bench = Bench(routes=())
    # Behind no router and not known any more: only the block says whose the packet is.
    bench.punt(SUBSCRIBER, datagram(INSIDE2, 5000, REMOTE, 80))
    block = block_of(bench)
    for _ in range(70):
        bench.tick(1.0)
    back = datagram(REMOTE, 80, block.outside_addr, block.outside_id + 8)
    outs = bench.punt(ev.Reason.NEIGHBOUR, back, OUT_PORT)
    # The gateway asks for the host on the ports of its zone.
    assert {out.egress_port for out in outs} == {1, 2}


def test_static_ports_do_not_share_a_block_with_a_host() -> None:
    forwards = (PortForward(TCP, INSIDE, 8080, POOL, 20000),)
    bench = Bench(pools=(Prefix(POOL, 32),), blocks=BlockSettings(16384, 1), forwards=forwards)
    for n in range(3):
        bench.punt(SUBSCRIBER, datagram(GATEWAY + 50 + n, 5000, REMOTE, 80))
    assert {e.outside_id for e in bench.of(t.Block)} == {32768, 49152}


def test_address_forwards_have_numbers_too() -> None:
    bench = Bench(address_forwards=(AddressForward(WHOLE, 0xC0000214),))
    (out,) = bench.of(t.AddrMapOut)
    (into,) = bench.of(t.AddrMapIn)
    assert out.subscriber == into.subscriber == host_of(bench, WHOLE).subscriber != 0


def test_updates_of_a_new_host_are_two_inserts() -> None:
    bench = Bench()
    bench.introduce(INSIDE2)
    written: list[Update] = []

    def look(update: Update) -> bool:
        written.append(update)
        return False

    bench.refuses = look
    bench.punt(SUBSCRIBER, datagram(INSIDE2, 5000, REMOTE, 80))
    kinds = [(update.op, type(update.entry)) for update in written]
    assert kinds == [(Op.INSERT, t.Subscriber), (Op.INSERT, t.Block)]
