"""The one place with a clock and tasks: carries events to the engine and actions to the switch.

Actions keep their order. Transactions that wait are written together, and an
update that fails fails only its own transaction, whose inserts are deleted again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from p4alg.driver.link import MAX_BATCH
from p4alg.engine import events as ev
from p4alg.engine.actions import Action, LogRecord, PacketOut, TraceRecord, Transaction
from p4alg.engine.tables import Op, Update

TICK_SECONDS = 1.0


class Core(Protocol):
    """The engine, as far as the shell needs it."""

    def handle(self, event: ev.Event, now: float) -> Sequence[Action]:
        """Decide what to do about `event` at `now` (seconds)."""
        ...


class Link(Protocol):
    """A connection to a switch (`driver.link.SwitchLink`, or a double in tests)."""

    async def write(self, updates: Sequence[Update]) -> dict[int, str]:
        """Write updates; return the refused ones, index to reason."""
        ...

    async def send(self, packets: Sequence[PacketOut]) -> None:
        """Hand frames to the switch, in order."""
        ...


class Shell:
    """Runs an engine on a switch until cancelled."""

    def __init__(
        self,
        core: Core,
        link: Link,
        clock: Callable[[], float],
        record: Callable[[LogRecord | TraceRecord], None],
    ) -> None:
        self._core = core
        self._link = link
        self._clock = clock
        self._record = record
        self._pending: deque[Transaction | PacketOut] = deque()
        self._wake = asyncio.Event()

    def submit(self, event: ev.Event) -> None:
        """Let the engine decide about `event` and queue what it wants done."""
        self.perform(self._core.handle(event, self._clock()))

    def perform(self, actions: Sequence[Action]) -> None:
        """Queue actions that the engine decided on."""
        for action in actions:
            if isinstance(action, LogRecord | TraceRecord):
                self._record(action)
            else:
                self._pending.append(action)
        if self._pending:
            self._wake.set()

    async def run(self, sources: Sequence[AsyncIterator[ev.Event]]) -> None:
        """Serve until cancelled or until a source fails."""
        async with asyncio.TaskGroup() as tasks:
            for source in sources:
                tasks.create_task(self._pump(source))
            tasks.create_task(self._tick())
            tasks.create_task(self._work())

    async def drain(self) -> None:
        """Carry out everything that is queued now."""
        while self._pending:
            await self._step()

    async def _pump(self, source: AsyncIterator[ev.Event]) -> None:
        async for event in source:
            self.submit(event)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.submit(ev.Tick())

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.drain()

    async def _step(self) -> None:
        """Carry out the longest run of queued actions that fits one write."""
        batch: list[Transaction | PacketOut] = []
        size = 0
        while self._pending:
            head = self._pending[0]
            count = len(head.updates) if isinstance(head, Transaction) else 0
            if batch and size + count > MAX_BATCH:
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
        await self._link.send(packets)
        for action in batch:
            if isinstance(action, Transaction):
                reason = failures.get(action.transaction_id)
                if reason is None:
                    self.submit(ev.TransactionDone(action.transaction_id))
                else:
                    self.submit(ev.TransactionFailed(action.transaction_id, reason))

    async def _write(self, batch: Sequence[Transaction | PacketOut]) -> dict[int, str]:
        """Write the updates of a batch; return the failed transactions and why."""
        owners: list[tuple[Transaction, Update]] = [
            (action, update)
            for action in batch
            if isinstance(action, Transaction)
            for update in action.updates
        ]
        failures: dict[int, str] = {}
        undo: list[Update] = []
        for start in range(0, len(owners), MAX_BATCH):
            part = owners[start : start + MAX_BATCH]
            refused = await self._link.write([update for _, update in part])
            for index, reason in refused.items():
                failures.setdefault(part[index][0].transaction_id, reason)
            undo += [
                Update(Op.DELETE, update.entry)
                for index, (_, update) in enumerate(part)
                if index not in refused and update.op is Op.INSERT
            ]
        if failures:
            failed_entries = {
                id(update.entry)
                for transaction, update in owners
                if transaction.transaction_id in failures
            }
            undo = [update for update in undo if id(update.entry) in failed_entries]
            for start in range(0, len(undo), MAX_BATCH):
                await self._link.write(undo[start : start + MAX_BATCH])
        return failures
