"""Runs the engine on a target: gives it events, and carries its actions out.

This is the only place with a clock and tasks. Actions are carried out in order. Transactions that
wait are written together. If the switch refuses an update, only the transaction of that update
fails, and what it has inserted is deleted again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from p4alg.driver.idle import IdleWatch
from p4alg.driver.target import Target, TargetError
from p4alg.engine import events as ev
from p4alg.engine.actions import (
    Action,
    EventRecord,
    LogRecord,
    PacketOut,
    Record,
    Remind,
    Subsystem,
    TraceRecord,
    Transaction,
)
from p4alg.engine.tables import Op, Update

TICK_SECONDS = 1.0
POLL_SECONDS = 2.0
"""Seconds between two readings of packet counters, where the switch reports no idle entries."""
POLL_ANSWER_SECONDS = 60.0
"""Seconds to wait for such a reading, which is of whole tables."""
_POLL_SHARE = 20
"""One part in so many of the time may go into reading them."""
ANSWER_SECONDS = 10.0
"""Seconds to wait for the answer to a write.

After that the switch is taken for lost, since it is not known what it has written.
"""

_T = TypeVar("_T")


class Core(Protocol):
    """The part of the engine's interface that the shell needs."""

    def handle(self, event: ev.Event, now: float) -> Sequence[Action]:
        """Decide what to do about `event` at `now` (seconds)."""
        ...


def _unheard(seconds: float) -> None:
    """Nobody measures."""


class Shell:
    """Runs an engine on a target until stopped.

    `decided` is told how long each decision took, and `answered` how long the switch took to
    answer each write, in seconds.
    """

    def __init__(
        self,
        core: Core,
        target: Target,
        clock: Callable[[], float],
        record: Callable[[Record], None],
        answer_seconds: float = ANSWER_SECONDS,
        *,
        decided: Callable[[float], None] = _unheard,
        answered: Callable[[float], None] = _unheard,
    ) -> None:
        self._core = core
        self._target = target
        self._clock = clock
        self._record = record
        self._answer_seconds = answer_seconds
        self._decided = decided
        self._answered = answered
        able = target.capabilities
        # A target without outcomes per update is given one update at a time, whose outcome
        # is that of the write.
        self._batch = able.max_batch if able.update_outcomes else 1
        self._idle = IdleWatch() if able.polls else None
        self._pending: deque[Transaction | PacketOut] = deque()
        self._in_hand: list[Transaction | PacketOut] = []
        self._wake = asyncio.Event()
        self._stopping = False
        self._inputs: list[asyncio.Task[None]] = []

    def submit(self, event: ev.Event) -> None:
        """Let the engine decide about `event`, and queue the actions that it returns.

        The engine contains its own faults. If one escapes from it all the same, this event is
        lost, and nothing else.
        """
        try:
            began = self._clock()
            actions = self._core.handle(event, began)
            self._decided(self._clock() - began)
        except Exception as error:
            text = f"fault: {type(event).__name__}: {type(error).__name__}: {error!s:.200}"
            actions = [LogRecord(logging.ERROR, text, subsystem=Subsystem.FAULT)]
        self.perform(actions)

    def perform(self, actions: Sequence[Action]) -> None:
        """Queue actions that the engine decided on."""
        for action in actions:
            if isinstance(action, LogRecord | TraceRecord | EventRecord):
                self._record(action)
            elif isinstance(action, Remind):
                loop = asyncio.get_running_loop()
                loop.call_later(action.seconds, self._remind)
            else:
                self._pending.append(action)
        if self._pending:
            self._wake.set()

    def _remind(self) -> None:
        if not self._stopping:
            self.submit(ev.Reminder())

    @property
    def unfinished(self) -> int:
        """The number of transactions and packets that are not carried out completely."""
        return len(self._pending) + len(self._in_hand)

    async def run(self, sources: Sequence[AsyncIterator[ev.Event]]) -> None:
        """Serve until `stop`. Raises `TargetError` (in a group) if a source or the target fails."""
        async with asyncio.TaskGroup() as tasks:
            self._inputs = [tasks.create_task(self._pump(source)) for source in sources]
            self._inputs.append(tasks.create_task(self._tick()))
            if self._idle is not None:
                self._inputs.append(tasks.create_task(self._poll(self._idle)))
            tasks.create_task(self._work())

    def stop(self) -> None:
        """Take no more events. `run` returns when the queued actions are carried out."""
        self._stopping = True
        for task in self._inputs:
            task.cancel()
        self._wake.set()

    async def drain(self) -> None:
        """Carry out everything that is queued. Must not be called while `run` is running."""
        while self._pending:
            await self._step()

    async def _pump(self, source: AsyncIterator[ev.Event]) -> None:
        async for event in source:
            self.submit(event)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.submit(ev.Tick())

    async def _poll(self, idle: IdleWatch) -> None:
        """Tell the engine of idle entries, in place of a switch that does not."""
        wait = POLL_SECONDS
        while True:
            await asyncio.sleep(wait)
            kinds = idle.kinds
            if not kinds:
                continue
            began = self._clock()
            packets = await self._answer(self._target.packets(kinds), POLL_ANSWER_SECONDS)
            now = self._clock()
            wait = max(POLL_SECONDS, _POLL_SHARE * (now - began))
            for event in idle.read(packets, now):
                self.submit(event)

    async def _work(self) -> None:
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            await self.drain()

    async def _step(self) -> None:
        """Carry out as many queued actions, in order, as fit into one write."""
        batch = self._in_hand
        size = 0
        while self._pending:
            head = self._pending[0]
            count = len(head.updates) if isinstance(head, Transaction) else 0
            if batch and size + count > self._batch:
                break
            batch.append(self._pending.popleft())
            size += count
        failures = await self._write(batch)
        packets: list[PacketOut] = []
        for action in batch:
            if isinstance(action, PacketOut):
                packets.append(action)
            elif action.transaction_id not in failures:
                packets.extend(action.then)
        if packets:
            await self._answer(self._target.send(packets))
        self._in_hand = []
        for action in batch:
            if isinstance(action, Transaction):
                reason = failures.get(action.transaction_id)
                if reason is None:
                    self.submit(ev.TransactionDone(action.transaction_id))
                else:
                    self.submit(ev.TransactionFailed(action.transaction_id, reason))

    async def _write(self, batch: Sequence[Transaction | PacketOut]) -> dict[int, str]:
        """Write the updates of a batch. Returns the failed transactions, by id, with the reason."""
        owners: list[tuple[Transaction, Update]] = [
            (action, update)
            for action in batch
            if isinstance(action, Transaction)
            for update in action.updates
        ]
        refused = await self._write_updates([update for _, update in owners])
        failures: dict[int, str] = {}
        for index, reason in refused.items():
            failures.setdefault(owners[index][0].transaction_id, reason)
        if failures:
            await self._write_updates(
                [
                    Update(Op.DELETE, update.entry)
                    for index, (transaction, update) in enumerate(owners)
                    if transaction.transaction_id in failures
                    and index not in refused
                    and update.op is Op.INSERT
                ]
            )
        return failures

    async def _write_updates(self, updates: Sequence[Update]) -> dict[int, str]:
        """Write any number of updates. Returns the refused ones, by index, with the reason."""
        refused: dict[int, str] = {}
        for start in range(0, len(updates), self._batch):
            began = self._clock()
            part = await self._answer(self._target.write(updates[start : start + self._batch]))
            self._answered(self._clock() - began)
            refused |= {start + index: reason for index, reason in part.items()}
        if self._idle is not None:
            now = self._clock()
            for index, update in enumerate(updates):
                if index not in refused:
                    self._idle.wrote(update, now)
        return refused

    async def _answer(self, call: Awaitable[_T], seconds: float | None = None) -> _T:
        try:
            async with asyncio.timeout(seconds or self._answer_seconds):
                return await call
        except TimeoutError:
            raise TargetError("it does not answer") from None
