"""The engine gives each event to its part, and outlives all of them."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from p4alg.alg.contract import Peer
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut, Transaction
from p4alg.engine.engine import Engine
from p4alg.engine.layout import all_entries
from p4alg.engine.reconcile import entry_key
from p4alg.engine.tables import FlowKey, Op
from tests.unit.engine.dialogue import PORT, greeted
from tests.unit.engine.harness import (
    FIN,
    IN_PORT,
    INSIDE,
    INSIDE2,
    REMOTE,
    RST,
    TCP,
    UDP,
    Bench,
    datagram,
    segment,
    settings,
)
from tests.unit.engine.parts import updates

FLOW = FlowKey(UDP, INSIDE2, 5000, REMOTE, 53)


def boom(*_: object) -> None:
    raise RuntimeError("boom")


# Start and stop


def test_an_empty_switch_gets_what_the_settings_want() -> None:
    engine = Engine(settings(), random.Random(1))
    written = updates(list(engine.start([], 0.0)))
    # The entry of a table without key is always there.
    assert {(u.op, u.entry.declaration.is_default) for u in written} == {
        (Op.INSERT, False),
        (Op.MODIFY, True),
    }
    wanted = {entry_key(entry) for entry in all_entries([settings()])}
    assert {entry_key(update.entry) for update in written} == wanted


def test_rule_8_a_second_start_writes_nothing() -> None:
    bench = Bench()
    again = Engine(settings(), random.Random(1))
    assert list(again.start(list(bench.entries.values()), 0.0)) == []


def test_what_nobody_wants_is_deleted_before_anything_is_written() -> None:
    engine = Engine(settings(), random.Random(1))
    stray = t.Local(0x01020304)
    written = updates(list(engine.start([stray], 0.0)))
    assert written[0] == t.Update(Op.DELETE, stray)


def test_rule_8_stopping_leaves_every_session_to_the_switch() -> None:
    dialogue = greeted()
    dialogue.client(PORT)
    bench = dialogue.bench
    bench.perform(bench.engine.stop(bench.now))
    assert all(session.alg_id == 0 for session in bench.sessions().values())
    assert bench.of(t.PinholeEntry)


def test_rule_3_the_same_events_and_randomness_give_the_same_actions() -> None:
    def run() -> list[object]:
        engine = Engine(settings(), random.Random(7))
        actions: list[object] = [*engine.start([], 0.0)]
        for number in range(20):
            frame = datagram(INSIDE2, 5000 + number, REMOTE, 53)
            actions += engine.handle(ev.PacketIn(1, ev.Reason.NEW_FLOW, 0, False, frame), 1.0)
        return actions

    assert run() == run()


# Events


def test_malformed_packets_are_counted_and_dropped() -> None:
    bench = Bench()
    whole = segment(INSIDE2, 40000, REMOTE, 80)
    for reason in ev.Reason:
        if reason not in (ev.Reason.ARP, ev.Reason.NONE):
            assert bench.punt(reason, whole[:30]) == []
    assert bench.counter("packets.malformed") == len(ev.Reason) - 2
    assert bench.sessions() == {}


def test_a_control_packet_of_no_session_goes_on_as_it_is() -> None:
    bench = Bench()
    frame = segment(INSIDE2, 40000, REMOTE, 21)
    assert bench.punt(ev.Reason.ALG, frame, IN_PORT, 1) == [PacketOut(frame, IN_PORT)]


def test_events_of_what_there_is_not_change_nothing() -> None:
    bench = Bench()
    before = dict(bench.entries)
    for event in (
        ev.TcpEvent(FLOW, FIN, True, True),
        ev.PinholeHit(FLOW, 4711),
        ev.PinholeIdle(4711),
        ev.SubscriberIdle(1, 0),
        ev.BlockIdle(1, 4096),
        ev.Reminder(),
        ev.TransactionDone(4711),
        ev.TransactionFailed(4711, "full"),
        ev.Tick(),
    ):
        assert bench.event(event) == []
    assert bench.entries == before
    assert not [name for name in bench.show("counters") if name.startswith("faults.")]


def test_F3_a_reset_in_the_stream_closes_unused_pinholes() -> None:
    dialogue = greeted()
    dialogue.client(PORT)
    dialogue.finish(Peer.CLIENT, RST)
    dialogue.bench.tick(2.0)
    assert dialogue.bench.of(t.PinholeEntry) == []
    assert dialogue.bench.show("sessions")[0]["state"] == "closing"


# Faults (every step of many events: test_engine_containment.py)


def test_rule_10_a_fault_undoes_the_event_and_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    with monkeypatch.context() as broken:
        broken.setattr(bench.engine._flows, "commit", boom)
        assert bench.new(datagram(INSIDE2, 5000, REMOTE, 53)) == []
    assert bench.counter("faults.PacketIn") == 1
    (told,) = [log.text for log in bench.logs if log.text.startswith("fault: ")]
    assert told.startswith("fault: packet-in (new-flow) on port 1: udp 10.0.0.12:5000 -> ")
    assert bench.show("sessions") == []
    assert [row for row in bench.show("bindings") if row["kind"] == "dynamic"] == []
    assert len(bench.new(datagram(INSIDE2, 5000, REMOTE, 53))) == 1


def test_rule_10_a_fault_in_a_control_session_leaves_it_to_plain_NAT(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialogue = greeted()
    bench = dialogue.bench
    event = ev.TcpEvent(dialogue.key, 0x10, True, True)
    with monkeypatch.context() as broken:
        broken.setattr(bench.engine._flows, "established", boom)
        bench.event(event)
    assert bench.counter("faults.TcpEvent") == 1
    assert bench.sessions()[dialogue.key].alg_id == 0
    # The flow itself goes on.
    bench.event(event)
    assert bench.show("sessions")[0]["state"] == "established"


def test_rule_10_a_part_of_a_tick_that_fails_keeps_no_other_from_its_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialogue = greeted()
    dialogue.client(PORT)
    bench = dialogue.bench
    monkeypatch.setattr(bench.engine._expectations, "expire", boom)
    monkeypatch.setattr(bench.engine._carrier, "tick", boom)
    bench.tick(61.0)
    assert bench.counter("faults.Tick") == 2
    assert bench.of(t.PinholeEntry) == []


class Failing:
    """A waiter that raises so many times."""

    def __init__(self, times: int, act: Callable[[], object]) -> None:
        self.times = times
        self.act = act
        self.heard: list[str | None] = []

    def ended(self, reason: str | None, now: float) -> None:
        self.heard.append(reason)
        self.act()
        if len(self.heard) <= self.times:
            raise RuntimeError("boom")


@pytest.mark.parametrize(("times", "heard"), [(0, 1), (1, 2), (2, 2)])
def test_rule_10_the_outcome_of_a_write_is_told_twice_if_that_fails(times: int, heard: int) -> None:
    bench = Bench()
    outbox = bench.engine._outbox
    waiter = Failing(times, lambda: outbox.send(PacketOut(b"done")))
    outbox.transact((), (), waiter)
    (transaction,) = outbox.take()
    assert isinstance(transaction, Transaction)
    done = ev.TransactionDone(transaction.transaction_id)
    sent = bench.event(done)
    assert waiter.heard == [None] * heard
    # What a failed attempt has decided is not done.
    assert len(sent) == (0 if times == 2 else 1)
    assert bench.counter("faults.TransactionDone") == times
    assert bench.event(done) == []
    assert len(waiter.heard) == heard


def test_what_an_operator_asks_for_is_done_whole_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialogue = greeted()
    bench = dialogue.bench
    before = dict(bench.entries)
    with monkeypatch.context() as broken:
        broken.setattr(bench.engine._data_flows, "leave_all", boom)
        with pytest.raises(RuntimeError):
            bench.switch("ftp", False)
    assert bench.show("algs")[0]["enabled"]
    bench.perform(bench.engine.handle(ev.Tick(), bench.now))
    assert bench.entries == before


def test_an_operator_who_asks_for_what_there_is_not_is_told() -> None:
    engine = Bench().engine
    with pytest.raises(KeyError, match="nosuch"):
        engine.show("nosuch", 1.0)


def test_N5382_5_a_FIN_of_both_ends_is_the_end_whoever_reads_them() -> None:
    bench = Bench()
    bench.new(segment(INSIDE, 40000, REMOTE, 80))
    key = FlowKey(TCP, INSIDE, 40000, REMOTE, 80)
    for outbound in (True, False):
        bench.event(ev.TcpEvent(key, FIN, outbound, False))
    assert bench.show("sessions")[0]["state"] == "closing"
