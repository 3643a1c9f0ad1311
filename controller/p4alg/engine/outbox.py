"""Collects what an event makes the engine do, and remembers who waits for which transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from p4alg.engine.actions import Action, LogRecord, PacketOut, TraceRecord, Transaction
from p4alg.engine.tables import Update
from p4alg.undo import TrackedDict, UndoLog

MAX_UPDATES = 100
"""Updates of one transaction of many that belong together but need not stand together."""


class Waiter(Protocol):
    """Who waits for the outcome of a transaction."""

    def ended(self, reason: str | None, now: float) -> None:
        """All was written (`reason` None), or nothing of it was, because of `reason`.

        If this fails, what it changed is undone, and it is called once more.
        """
        ...


class Outbox:
    """The actions decided on since they were last taken, in order."""

    def __init__(self, log: UndoLog) -> None:
        self._actions: list[Action] = []
        self._waiting: TrackedDict[int, Waiter] = TrackedDict(log)
        self._next_id = 1

    def transact(
        self,
        updates: Sequence[Update],
        then: Sequence[PacketOut] = (),
        waiter: Waiter | None = None,
    ) -> None:
        """Write `updates`, then send `then`; `waiter` learns how it went."""
        number = self._next_id
        self._next_id += 1
        if waiter is not None:
            self._waiting[number] = waiter
        self._actions.append(Transaction(number, tuple(updates), tuple(then)))

    def write_all(self, updates: Sequence[Update], waiter: Waiter | None = None) -> None:
        """Write any number of updates that need not stand or fall together."""
        for start in range(0, len(updates), MAX_UPDATES):
            self.transact(updates[start : start + MAX_UPDATES], (), waiter)

    def send(self, packet: PacketOut) -> None:
        """Send a packet after everything decided before it."""
        self._actions.append(packet)

    def log(self, level: int, text: str) -> None:
        """Tell the operator, in one line."""
        self._actions.append(LogRecord(level, text))

    def trace(self, record: TraceRecord) -> None:
        """Tell whoever traces control messages."""
        self._actions.append(record)

    def waiter(self, transaction_id: int) -> Waiter | None:
        """Who waits for a transaction, and does so no longer."""
        waiter: Waiter | None = self._waiting.pop(transaction_id, None)
        return waiter

    def take(self) -> list[Action]:
        """The actions so far, which are then forgotten here."""
        actions = self._actions
        self._actions = []
        return actions

    def savepoint(self) -> int:
        """A place to which `roll_back` can return, before `take`."""
        return len(self._actions)

    def roll_back(self, savepoint: int = 0) -> None:
        """Forget the actions decided on since `savepoint`."""
        del self._actions[savepoint:]
