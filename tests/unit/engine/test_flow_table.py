"""Flows from the first packet to the idle timeout, by requirement."""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.settings import Limits
from p4alg.engine.tables import FilterMode, FlowKey, SessionFlags, Side
from p4alg.nat.bindings import Refused
from p4alg.packet.icmp import UNREACHABLE, parse_icmp
from p4alg.packet.ipv4 import parse_ipv4
from tests.conftest import examples
from tests.unit.engine.harness import (
    ACK,
    FIN,
    GATEWAY,
    ICMP,
    IN_PORT,
    INSIDE,
    INSIDE2,
    OUT_PORT,
    POOL,
    REMOTE,
    REMOTE2,
    RST,
    SERVER,
    TCP,
    UDP,
    WHOLE,
    WHOLE_OUT,
    Bench,
    datagram,
    ping,
    segment,
)
from tests.unit.engine.parts import NOW, Parts, updates


def test_a_first_packet_is_delivered_after_its_entries_stand() -> None:
    bench = Bench()
    frame = segment(INSIDE2, 40000, REMOTE, 80)
    assert bench.new(frame) == [PacketOut(frame, IN_PORT)]
    key = FlowKey(TCP, INSIDE2, 40000, REMOTE, 80)
    assert bench.sessions()[key] == t.Session(key, 0, SessionFlags.NOTIFY_ESTABLISHED, 240.0)
    addr, port = bench.outside_of(TCP, INSIDE2, 40000)
    assert POOL <= addr < POOL + 16
    (host,) = [entry for entry in bench.of(t.Subscriber) if entry.inside_addr == INSIDE2]
    back = t.MapIn(
        TCP, addr, port, INSIDE2, 40000, FilterMode.ADDRESS_AND_PORT, host.subscriber, managed=1
    )
    assert back in bench.of(t.MapIn)


def test_a_refused_write_delivers_nothing_and_leaves_nothing() -> None:
    bench = Bench()
    bench.refuses = lambda update: isinstance(update.entry, t.Session)
    assert bench.new(segment(INSIDE2, 40000, REMOTE, 80)) == []
    assert bench.dynamic() == set()
    assert bench.show("bindings") == [
        row for row in bench.show("bindings") if row["kind"] != "dynamic"
    ]
    bench.refuses = lambda update: False
    assert len(bench.new(segment(INSIDE2, 40000, REMOTE, 80))) == 1


def test_N4787_1_flows_of_an_endpoint_share_its_binding() -> None:
    bench = Bench()
    for remote, port in ((REMOTE, 80), (REMOTE, 81), (REMOTE2, 80)):
        bench.new(datagram(INSIDE2, 5000, remote, port))
    rows = [row for row in bench.show("bindings") if row["inside"] == "10.0.0.12:5000"]
    assert [row["sessions"] for row in rows] == [3]


def test_a_repeated_first_packet_follows_the_flow_it_belongs_to() -> None:
    bench = Bench()
    frame = segment(INSIDE2, 40000, REMOTE, 80)
    bench.new(frame)
    before = dict(bench.entries)
    assert bench.new(frame) == [PacketOut(frame, IN_PORT)]
    assert bench.entries == before


def test_N5382_5_tcp_timers_follow_the_connection() -> None:
    bench = Bench()
    bench.new(segment(INSIDE2, 40000, REMOTE, 80))
    key = FlowKey(TCP, INSIDE2, 40000, REMOTE, 80)

    def state() -> tuple[str, float]:
        (row,) = bench.show("sessions")
        assert bench.sessions()[key].idle_timeout == row["idle_timeout"]
        return row["state"], row["idle_timeout"]

    assert state() == ("opening", 240.0)
    bench.event(ev.TcpEvent(key, ACK, True, True))
    assert state() == ("established", 7440.0)
    assert bench.sessions()[key].flags is SessionFlags.NONE
    bench.event(ev.TcpEvent(key, FIN | ACK, True, False))
    bench.event(ev.TcpEvent(key, FIN | ACK, True, False))
    assert state() == ("established", 7440.0)
    bench.event(ev.TcpEvent(key, FIN | ACK, False, False))
    assert state() == ("closing", 240.0)


def test_a_reset_puts_a_connection_on_the_transitory_timer() -> None:
    bench = Bench()
    bench.new(segment(INSIDE2, 40000, REMOTE, 80))
    key = FlowKey(TCP, INSIDE2, 40000, REMOTE, 80)
    bench.event(ev.TcpEvent(key, ACK, True, True))
    bench.event(ev.TcpEvent(key, RST, False, False))
    assert bench.sessions()[key].idle_timeout == 240.0


def test_N4787_5_and_N5508_2_udp_dns_and_icmp_timers() -> None:
    bench = Bench()
    bench.new(datagram(INSIDE2, 5000, REMOTE, 9000))
    bench.new(datagram(INSIDE2, 5001, REMOTE, 53))
    bench.new(ping(INSIDE2, REMOTE, 9))
    timeouts = {key.inside_id: entry.idle_timeout for key, entry in bench.sessions().items()}
    assert timeouts == {5000: 300.0, 5001: 30.0, 9: 60.0}


def test_N5508_1_an_icmp_query_is_a_flow_without_a_remote_identifier() -> None:
    bench = Bench()
    bench.new(ping(INSIDE2, REMOTE, 9))
    assert list(bench.sessions()) == [FlowKey(ICMP, INSIDE2, 9, REMOTE, 0)]


def test_an_idle_flow_takes_its_binding_along_once() -> None:
    bench = Bench()
    bench.new(datagram(INSIDE2, 5000, REMOTE, 80))
    bench.new(datagram(INSIDE2, 5000, REMOTE, 81))
    one, two = bench.sessions()
    bench.event(ev.SessionIdle(one))
    assert bench.of(t.MapOut)
    bench.event(ev.SessionIdle(two))
    assert bench.dynamic() == set()


def test_a_session_nobody_knows_is_removed() -> None:
    bench = Bench()
    stray = t.Session(FlowKey(UDP, INSIDE2, 1, REMOTE, 2), 0, SessionFlags.NONE, 10.0)
    bench.entries[(t.Session, stray.flow)] = stray
    bench.event(ev.SessionIdle(stray.flow))
    assert bench.dynamic() == set()


def test_static_forwards_open_sessions_from_outside_and_keep_their_mapping() -> None:
    bench = Bench()
    frame = segment(REMOTE, 50000, SERVER, 21)
    assert bench.new(frame, OUT_PORT) == [PacketOut(frame, OUT_PORT)]
    key = FlowKey(TCP, INSIDE, 21, REMOTE, 50000)
    assert key in bench.sessions()
    assert bench.show("sessions")[0]["opened_by"] == "outside"
    bench.event(ev.SessionIdle(key))
    number = next(e.subscriber for e in bench.of(t.Subscriber) if e.inside_addr == INSIDE)
    assert t.MapOut(TCP, INSIDE, 21, SERVER, 21, number) in bench.of(t.MapOut)


def test_static_1_to_1_addresses_serve_every_protocol_both_ways() -> None:
    bench = Bench()
    bench.new(datagram(WHOLE, 7, REMOTE, 9))
    bench.new(datagram(REMOTE, 1000, WHOLE_OUT, 99), OUT_PORT)
    bench.new(ping(REMOTE, WHOLE_OUT, 5), OUT_PORT)
    assert set(bench.sessions()) == {
        FlowKey(UDP, WHOLE, 7, REMOTE, 9),
        FlowKey(UDP, WHOLE, 99, REMOTE, 1000),
        FlowKey(ICMP, WHOLE, 5, REMOTE, 0),
    }
    assert bench.dynamic() == {(t.Session, key) for key in bench.sessions()}
    bench.idle_everything()
    assert bench.dynamic() == set()


def test_from_outside_to_no_mapping_makes_nothing() -> None:
    bench = Bench()
    assert bench.new(segment(REMOTE, 5, POOL + 3, 80), OUT_PORT) == []
    assert bench.dynamic() == set()


def test_N4787_8_address_dependent_filtering_knows_the_peers() -> None:
    bench = Bench(filter_mode=FilterMode.ADDRESS)
    bench.new(datagram(INSIDE2, 5000, REMOTE, 80))
    bench.new(datagram(INSIDE2, 5000, REMOTE, 81))
    assert bench.of(t.PeerEntry) == [t.PeerEntry(UDP, INSIDE2, 5000, REMOTE)]
    outside = bench.outside_of(UDP, INSIDE2, 5000)
    bench.new(datagram(REMOTE, 82, *outside), OUT_PORT)
    assert FlowKey(UDP, INSIDE2, 5000, REMOTE, 82) in bench.sessions()
    bench.idle_everything()
    assert bench.dynamic() == set()


def test_N4787_9_a_hairpinned_packet_comes_from_outside() -> None:
    bench = Bench()
    bench.new(segment(INSIDE2, 40000, SERVER, 21))
    outside = bench.outside_of(TCP, INSIDE2, 40000)
    frame = segment(*outside, SERVER, 21)
    assert bench.new(frame, IN_PORT, hairpin=True) == [PacketOut(frame, IN_PORT, hairpin=True)]
    assert FlowKey(TCP, INSIDE, 21, *outside) in bench.sessions()


def test_N6888_11_at_a_limit_the_new_is_dropped_with_an_icmp_error() -> None:
    bench = Bench(limits=replace(Limits(), sessions_per_subscriber=2))
    for port in (1, 2):
        assert len(bench.new(datagram(INSIDE2, 5000, REMOTE, port))) == 1
    (error,) = bench.new(datagram(INSIDE2, 5000, REMOTE, 3))
    packet = parse_ipv4(error.frame)
    assert (error.egress_port, packet.src, packet.dst) == (IN_PORT, GATEWAY, INSIDE2)
    assert (parse_icmp(packet).type, parse_icmp(packet).code) == (UNREACHABLE, 1)
    assert bench.counter("nat.refused.subscriber-limit") == 1
    assert len(bench.sessions()) == 2
    assert len(bench.new(datagram(INSIDE, 5000, REMOTE, 3))) == 1


def inserts(kind: type[t.Entry], update: t.Update) -> bool:
    return isinstance(update.entry, kind) and update.op is t.Op.INSERT


events = st.lists(
    st.tuples(
        st.sampled_from(["tcp", "udp", "ping", "in", "idle", "fin", "tick", "fail"]),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    max_size=60,
)


def refusing(kind: type[t.Entry]) -> Callable[[t.Update], bool]:
    return lambda update: isinstance(update.entry, kind) and update.op is t.Op.INSERT


@given(events)
@examples(150)
def test_tables_and_engine_agree_and_nothing_is_left_at_the_end(
    moves: list[tuple[str, int, int]],
) -> None:
    bench = Bench(filter_mode=random.Random(len(moves)).choice(list(FilterMode)))
    for what, one, two in moves:
        sessions = list(bench.sessions())
        host, remote = INSIDE + one % 2, REMOTE + two % 2
        match what:
            case "tcp":
                bench.new(segment(host, 40000 + two, remote, 80 + one))
            case "udp":
                bench.new(datagram(host, 5000 + two, remote, 53 + one))
            case "ping":
                bench.new(ping(host, remote, two))
            case "in":
                bench.new(segment(remote, 50000 + one, SERVER, 21), OUT_PORT)
            case "idle" if sessions:
                bench.event(ev.SessionIdle(sessions[(one * 4 + two) % len(sessions)]))
            case "fin" if sessions:
                key = sessions[(one * 4 + two) % len(sessions)]
                bench.event(ev.TcpEvent(key, [FIN, RST, ACK, 0][one], two > 1, one == 2))
            case "tick":
                bench.tick(one * 50.0)
            case "fail":
                kind: type[t.Entry] = (t.Session, t.MapIn, t.MapOut, t.PeerEntry)[one]
                bench.refuses = partial(inserts, kind)
                bench.new(datagram(host, 6000 + two, remote, 99))
                bench.refuses = lambda update: False
        assert {row["inside"] for row in bench.show("sessions")} == {
            f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}:{i}"
            for _, a, i, *_ in bench.sessions()
        }
        assert len(bench.show("sessions")) == len(bench.sessions())
        mapped = {(e.proto, e.inside_addr, e.inside_id) for e in bench.of(t.MapOut)}
        assert all(key[:3] in mapped for key in bench.sessions())
        assert len(bench.of(t.MapIn)) == len(mapped)
    bench.idle_everything()
    assert bench.dynamic() == set()
    assert bench.show("sessions") == []


# Directly, without events


def test_a_flow_is_counted_for_its_host_until_it_is_gone() -> None:
    parts = Parts()
    flow = parts.flow()
    assert (parts.flows.count_of(INSIDE), len(parts.flows)) == (1, 1)
    assert flow.key in parts.flows
    assert parts.flows.get(flow.key) is flow
    assert parts.flows.get(None) is None
    parts.flows.remove(flow, NOW, "idle")
    assert (parts.flows.count_of(INSIDE), len(parts.flows)) == (0, 0)


def test_a_refused_flow_beside_another_of_its_endpoint_leaves_that_its_binding() -> None:
    parts = Parts()
    first = parts.flow()
    parts.flows.commit(first, ())
    parts.answer()
    second = parts.flows.prepare(first.key._replace(remote_id=9), Side.INSIDE, NOW)
    assert not isinstance(second, Refused)
    parts.flows.commit(second, [PacketOut(b"it")])
    parts.answer("full")
    assert parts.count("nat.sessions.failed") == 1
    assert parts.flows.all() == [first]
    assert first.binding.sessions == 1
    assert first.binding.is_in_switch


def test_what_was_written_before_a_flow_was_refused_goes_if_nobody_needs_it() -> None:
    parts = Parts()
    first = parts.flow()
    parts.flows.commit(first, ())
    parts.answer()
    second = parts.flows.prepare(first.key._replace(remote_id=9), Side.INSIDE, NOW)
    assert not isinstance(second, Refused)
    parts.flows.commit(second, ())
    parts.flows.remove(first, NOW, "idle")
    parts.flows.not_written(second, False, NOW)
    gone = {type(u.entry) for u in updates(parts.answer()) if u.op is t.Op.DELETE}
    assert {t.MapOut, t.MapIn} <= gone
    assert len(parts.bindings) == 0


def test_T2_only_a_change_of_what_is_watched_is_news() -> None:
    parts = Parts()
    flow = parts.flow()
    assert parts.flows.watch(flow, Side.OUTSIDE, 516)
    assert not parts.flows.watch(flow, Side.OUTSIDE, 516)
    assert (flow.flags, flow.watch_below) == (SessionFlags.WATCH_OUTSIDE, 524)
    assert parts.flows.watch(flow, Side.INSIDE, 516)
    parts.flows.leave_to_switch(flow)
    assert (flow.alg_id, flow.flags, flow.watch_below) == (0, SessionFlags.NONE, 0)
    (written,) = updates(parts.answer())
    assert written.op is t.Op.MODIFY


def test_a_connection_that_begins_again_is_as_new() -> None:
    parts = Parts()
    flow = parts.flow(TCP)
    flow.flags = SessionFlags.CORRECT_SEQUENCE
    flow.finished = 3
    parts.flows.close(flow)
    parts.answer()
    changed, gone = parts.flows.reopen(flow)
    assert changed == t.Update(
        t.Op.MODIFY, t.Session(flow.key, 0, SessionFlags.NOTIFY_ESTABLISHED, 240.0)
    )
    assert (gone.op, type(gone.entry)) == (t.Op.DELETE, t.Sequence)
    assert flow.finished == 0


def test_an_idle_notice_that_repeats_deletes_once() -> None:
    parts = Parts()
    flow = parts.flow()
    parts.flows.commit(flow, ())
    parts.answer()
    assert parts.flows.idle(flow.key, NOW) is flow
    assert parts.flows.idle(flow.key, NOW) is None
    assert len([u for u in updates(parts.answer()) if isinstance(u.entry, t.Session)]) == 1
    # The entry is gone: a notice that comes now is of one that nobody knows.
    assert parts.flows.idle(flow.key, NOW) is None
    assert [type(u.entry) for u in updates(parts.answer())] == [t.Session]
