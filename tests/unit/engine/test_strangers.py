"""Hosts that nobody has heard of get nothing until they have answered (RFC 2827 in spirit)."""

from __future__ import annotations

import pytest

from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.strangers import MAX_HELD, MAX_STRANGERS, PATIENCE
from tests.unit.engine.harness import (
    GATEWAY,
    HOST_MAC,
    IN_MAC,
    IN_PORT,
    INSIDE,
    INSIDE2,
    OUT_PORT,
    REMOTE,
    TCP,
    Bench,
    datagram,
    is_arp,
    is_at,
    parse_arp,
    segment,
    who_has,
)

SUBSCRIBER = ev.Reason.SUBSCRIBER


def quiet() -> Bench:
    """A gateway whose hosts do not speak ARP by themselves."""
    bench = Bench()
    bench.introduces = False
    return bench


def answer(bench: Bench, host: int = INSIDE2, port: int = IN_PORT) -> list[PacketOut]:
    return bench.punt(ev.Reason.ARP, is_at(HOST_MAC, host, IN_MAC, GATEWAY), port)


def test_a_host_that_was_not_heard_of_is_asked_and_its_packets_follow_its_answer() -> None:
    bench = quiet()
    frames = [datagram(INSIDE2, 5000 + n, REMOTE, 80) for n in range(2)]
    (question,) = bench.punt(SUBSCRIBER, frames[0])
    assert is_arp(question.frame)
    assert parse_arp(question.frame).target_addr == INSIDE2
    assert question.egress_port == IN_PORT
    assert bench.punt(SUBSCRIBER, frames[1]) == []
    assert bench.of(t.Block) == []
    sent = answer(bench)
    assert sent == [PacketOut(frame, IN_PORT, begin=True) for frame in frames]
    assert [entry.inside_addr for entry in bench.of(t.Block)] == [INSIDE2]
    assert len(bench.engine._strangers) == 0


def test_a_host_that_has_asked_for_the_gateway_is_known() -> None:
    bench = quiet()
    bench.punt(ev.Reason.ARP, who_has(HOST_MAC, INSIDE2, GATEWAY))
    frame = datagram(INSIDE2, 5000, REMOTE, 80)
    assert bench.punt(SUBSCRIBER, frame) == [PacketOut(frame, IN_PORT, begin=True)]


@pytest.mark.parametrize("reason", [SUBSCRIBER, ev.Reason.OVERFLOW, ev.Reason.NEW_FLOW])
def test_who_does_not_answer_gets_no_port_whatever_he_begins(reason: ev.Reason) -> None:
    bench = quiet()
    before = dict(bench.entries)
    for _ in range(MAX_HELD + 2):
        bench.punt(reason, segment(INSIDE2, 40000, REMOTE, 21), alg_id=1)
    bench.tick(PATIENCE)
    assert bench.entries == before
    assert bench.counter("subscribers.unheard") == MAX_HELD + 2
    assert len(bench.engine._strangers) == 0
    # Its answer comes too late for what was held, and not for what follows.
    assert answer(bench) == []
    assert bench.punt(SUBSCRIBER, datagram(INSIDE2, 5000, REMOTE, 80)) != []


def test_an_answer_at_another_port_proves_nothing() -> None:
    bench = quiet()
    bench.punt(SUBSCRIBER, datagram(INSIDE2, 5000, REMOTE, 80), port=2)
    assert answer(bench, port=1) == []
    assert bench.of(t.Block) == []
    assert len(answer(bench, port=2)) == 1


def test_forged_neighbours_leave_room_for_a_host_behind_another_port() -> None:
    bench = quiet()
    for n in range(2 * MAX_STRANGERS):
        bench.punt(SUBSCRIBER, datagram(GATEWAY + 30 + n, 5000, REMOTE, 80))
    assert len(bench.engine._strangers) == MAX_STRANGERS // 2
    assert bench.of(t.Block) == []
    bench.punt(SUBSCRIBER, datagram(INSIDE2, 5000, REMOTE, 80), port=2)
    assert len(answer(bench, port=2)) == 1
    assert [entry.inside_addr for entry in bench.of(t.Block)] == [INSIDE2]


def test_hosts_behind_a_router_and_those_of_static_mappings_need_not_answer() -> None:
    bench = quiet()
    far = datagram(0xC0A80707, 5000, REMOTE, 80)
    assert bench.punt(SUBSCRIBER, far) == [PacketOut(far, IN_PORT, begin=True)]
    near = datagram(INSIDE, 5000, REMOTE, 80)
    assert bench.punt(ev.Reason.OVERFLOW, near) == [PacketOut(near, IN_PORT, begin=True)]


def test_what_comes_from_outside_is_not_asked() -> None:
    bench = quiet()
    (forward,) = [e for e in bench.of(t.MapOut) if e.inside_addr == INSIDE]
    frame = segment(REMOTE, 40000, forward.outside_addr, forward.outside_id)
    assert bench.new(frame, OUT_PORT, 1) != []
    assert [key.proto for key in bench.sessions()] == [TCP]


def test_rule_10_a_fault_about_a_held_packet_does_not_make_its_host_unheard_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = quiet()
    frame = datagram(INSIDE2, 5000, REMOTE, 80)
    bench.punt(SUBSCRIBER, frame)

    def fail(*_: object, **__: object) -> str:
        raise ValueError("boom")

    with monkeypatch.context() as patch:
        patch.setattr(bench.engine._subscribers, "arrived", fail)
        assert answer(bench) == []
    assert bench.counter("faults.PacketIn") == 1
    assert len(bench.engine._strangers) == 0
    assert bench.punt(SUBSCRIBER, frame) == [PacketOut(frame, IN_PORT, begin=True)]
