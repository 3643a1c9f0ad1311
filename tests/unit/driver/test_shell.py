"""The shell keeps order, and a packet leaves only after its entries are acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest

from p4alg.driver import shell
from p4alg.driver.shell import Shell
from p4alg.driver.target import TargetError
from p4alg.engine import events as ev
from p4alg.engine.actions import Action, LogRecord, PacketOut, Record, Transaction
from p4alg.engine.reconcile import entry_key
from p4alg.engine.tables import FlowKey, Local, Op, Session, Update
from tests.unit.driver.memory import MemoryTarget


class Recorder:
    """An engine that writes down its events and answers some with actions."""

    def __init__(self) -> None:
        self.events: list[ev.Event] = []
        self.answers: dict[ev.Event, list[Action]] = {}
        self.heard, self.wanted = asyncio.Event(), 0
        """Set when there are as many events as a test wants."""

    def handle(self, event: ev.Event, now: float) -> Sequence[Action]:
        self.events.append(event)
        if len(self.events) == self.wanted:
            self.heard.set()
        return self.answers.get(event, [])


class Bench:
    """A shell on a target in memory."""

    def __init__(self, target: MemoryTarget, answer_seconds: float = 5.0) -> None:
        self.target = target
        self.core = Recorder()
        self.log: list[Record] = []
        self.shell = Shell(self.core, target, lambda: 0.0, self.log.append, answer_seconds)

    def seen(self) -> list[tuple[str, int | bytes]]:
        """What reached the switch, in order."""
        return [
            ("packet", done.frame)
            if isinstance(done, PacketOut)
            else (done.op.value, done.entry.declaration.key(done.entry))
            for done in self.target.done
        ]

    def held(self) -> list[int]:
        return [entry.declaration.key(entry) for entry in self.target.entries.values()]


def run(
    actions: Sequence[Action], room: int = 1000, lacks: Sequence[str] = (), max_batch: int = 100
) -> Bench:
    async def body() -> Bench:
        target = MemoryTarget(sizes={"local_addr": room}, lacks=lacks, max_batch=max_batch)
        bench = Bench(target)
        bench.shell.perform(actions)
        await bench.shell.drain()
        assert bench.shell.unfinished == 0
        return bench

    return asyncio.run(body())


def with_bench(
    body: Callable[[Bench], Awaitable[None]], lacks: Sequence[str] = (), answer_seconds: float = 5.0
) -> None:
    async def whole() -> None:
        await body(Bench(MemoryTarget(lacks=lacks), answer_seconds))

    asyncio.run(asyncio.wait_for(whole(), 10))


def insert(*addrs: int) -> tuple[Update, ...]:
    return tuple(Update(Op.INSERT, Local(addr)) for addr in addrs)


def test_packet_leaves_after_its_entries() -> None:
    bench = run([Transaction(1, insert(10, 11), (PacketOut(b"x"),))])
    assert bench.seen() == [("insert", 10), ("insert", 11), ("packet", b"x")]
    assert bench.core.events == [ev.TransactionDone(1)]


def test_refused_transaction_is_undone_and_its_packet_kept_back() -> None:
    bench = run(
        [
            Transaction(1, insert(10), (PacketOut(b"one"),)),
            Transaction(2, insert(11, 12), (PacketOut(b"two"),)),
        ],
        room=2,
    )
    assert bench.held() == [10]
    assert ("packet", b"one") in bench.seen()
    assert ("packet", b"two") not in bench.seen()
    assert bench.core.events == [
        ev.TransactionDone(1),
        ev.TransactionFailed(2, "RESOURCE_EXHAUSTED: table local_addr is full"),
    ]


def test_what_was_there_before_is_not_undone() -> None:
    bench = run([Transaction(1, insert(10)), Transaction(2, insert(11, 10))])
    assert bench.held() == [10]
    assert bench.core.events[1] == ev.TransactionFailed(
        2, "ALREADY_EXISTS: table local_addr has the entry"
    )


def test_more_updates_than_a_batch_all_arrive_in_order() -> None:
    bench = run([Transaction(i, insert(*range(i * 60, i * 60 + 60))) for i in range(5)])
    assert [addr for _, addr in bench.seen()] == list(range(300))
    assert bench.core.events == [ev.TransactionDone(i) for i in range(5)]


def test_transaction_larger_than_a_batch_is_undone_whole() -> None:
    bench = run([Transaction(1, insert(*range(250)))], room=220)
    assert bench.held() == []
    assert isinstance(bench.core.events[0], ev.TransactionFailed)


def test_a_target_that_does_not_tell_outcomes_is_written_one_by_one() -> None:
    bench = run(
        [Transaction(1, insert(10)), Transaction(2, insert(11, 12))],
        room=2,
        lacks=["update_outcomes"],
    )
    assert {len(updates) for updates in bench.target.writes} == {1}
    assert bench.held() == [10]
    assert isinstance(bench.core.events[1], ev.TransactionFailed)


def test_batches_are_as_large_as_the_target_takes_them() -> None:
    bench = run([Transaction(1, insert(*range(25)))], max_batch=10)
    assert [len(updates) for updates in bench.target.writes] == [10, 10, 5]


def test_records_go_to_the_log_and_not_to_the_switch() -> None:
    bench = run([LogRecord(20, "hello"), PacketOut(b"y")])
    assert bench.log == [LogRecord(20, "hello")]
    assert bench.seen() == [("packet", b"y")]


def test_a_switch_that_does_not_answer_is_lost_and_what_was_queued_is_counted() -> None:
    async def body(bench: Bench) -> None:
        bench.target.answers.clear()
        bench.shell.perform([Transaction(1, insert(10)), PacketOut(b"a")])
        with pytest.raises(TargetError, match="does not answer"):
            await bench.shell.drain()
        bench.shell.perform([PacketOut(b"b")])
        assert bench.shell.unfinished == 3
        assert bench.core.events == []

    with_bench(body, answer_seconds=0.05)


def test_events_reach_the_engine_and_its_actions_the_switch() -> None:
    async def body(bench: Bench) -> None:
        hit = ev.SessionIdle(flow=None)  # type: ignore[arg-type]
        bench.core.answers[hit] = [Transaction(7, insert(10), (PacketOut(b"z"),))]
        bench.core.answers[ev.TransactionDone(7)] = [PacketOut(b"after")]
        serving = asyncio.create_task(bench.shell.run(bench.target.events()))
        bench.target.report(hit)
        while len(bench.target.done) < 3:
            await asyncio.sleep(0)
        bench.shell.stop()
        await serving
        assert bench.seen() == [("insert", 10), ("packet", b"z"), ("packet", b"after")]

    with_bench(body)


def test_stopping_finishes_what_is_under_way_and_queued() -> None:
    async def body(bench: Bench) -> None:
        serving = asyncio.create_task(bench.shell.run(bench.target.events()))
        bench.target.answers.clear()
        bench.shell.perform([Transaction(1, insert(10), (PacketOut(b"x"),))])
        while not bench.target.writes:
            await asyncio.sleep(0)
        bench.shell.perform([PacketOut(b"y")])
        bench.shell.stop()
        await asyncio.sleep(0)
        assert not serving.done()
        bench.target.answers.set()
        await serving
        assert bench.seen() == [("insert", 10), ("packet", b"x"), ("packet", b"y")]
        assert bench.core.events == [ev.TransactionDone(1)]
        assert bench.shell.unfinished == 0

    with_bench(body)


def test_a_lost_switch_ends_the_shell() -> None:
    async def body(bench: Bench) -> None:
        serving = asyncio.create_task(bench.shell.run(bench.target.events()))
        bench.target.lose("the connection broke")
        bench.shell.perform([Transaction(1, insert(10))])
        with pytest.raises(ExceptionGroup) as caught:
            await serving
        assert caught.group_contains(TargetError, match="the connection broke")
        assert bench.shell.unfinished == 1

    with_bench(body)


def polled(lacks: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> list[ev.Event]:
    """What the engine hears while a session counts no packets, and another one does."""
    monkeypatch.setattr(shell, "POLL_SECONDS", 0.001)
    quiet, busy = (Session(FlowKey(17, 1, 2, 3, n), idle_timeout=60.0) for n in (4, 5))
    now = 0.0

    async def body() -> list[ev.Event]:
        nonlocal now
        target, core = MemoryTarget(lacks=lacks), Recorder()
        made = Shell(core, target, lambda: now, lambda record: None)
        made.perform([Transaction(1, (Update(Op.INSERT, quiet), Update(Op.INSERT, busy)))])
        await made.drain()
        now = 100.0
        target.packets_of[entry_key(busy)] = 1
        running = asyncio.create_task(made.run(target.events()))
        core.wanted = 3
        with suppress(TimeoutError):
            await asyncio.wait_for(core.heard.wait(), 0.2 if "direct_counters" in lacks else 5)
        made.stop()
        await running
        return core.events

    return asyncio.run(asyncio.wait_for(body(), 10))


def test_idle_entries_are_found_for_a_switch_that_does_not_report_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done, *idle = polled(["idle_timeouts"], monkeypatch)
    assert done == ev.TransactionDone(1)
    assert set(idle) == {ev.SessionIdle(FlowKey(17, 1, 2, 3, 4))}


@pytest.mark.parametrize("lacks", [["idle_timeouts", "direct_counters"], ["direct_counters"]])
def test_counters_are_read_only_in_place_of_reports(
    lacks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryTarget, "packets", None)
    assert polled(lacks, monkeypatch) == [ev.TransactionDone(1)]


@pytest.mark.parametrize("lacks", ["digests", "idle_timeouts"])
def test_a_target_reports_only_what_it_is_able_to(lacks: str) -> None:
    async def body(bench: Bench) -> None:
        event = ev.PinholeHit(None, 1) if lacks == "digests" else ev.PinholeIdle(1)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="the target has no"):
            bench.target.report(event)

    with_bench(body, lacks=[lacks])


def test_rule_10_what_escapes_the_engine_costs_one_event() -> None:
    class Broken(Recorder):
        def handle(self, event: ev.Event, now: float) -> Sequence[Action]:
            if isinstance(event, ev.PinholeIdle):
                raise RuntimeError("no")
            return super().handle(event, now)

    async def body() -> tuple[Recorder, list[Record]]:
        core, log = Broken(), list[Record]()
        shell = Shell(core, MemoryTarget(), lambda: 0.0, log.append)
        shell.submit(ev.PinholeIdle(5))
        shell.submit(ev.Tick())
        return core, log

    core, log = asyncio.run(body())
    assert core.events == [ev.Tick()]
    assert [r.text for r in log if isinstance(r, LogRecord)] == [
        "fault: PinholeIdle: RuntimeError: no"
    ]
