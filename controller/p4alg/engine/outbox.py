"""Collects the actions that the engine decides on while it handles an event.

It also remembers who has to be told when a transaction has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Protocol

from p4alg.engine.actions import (
    Action,
    EventRecord,
    LogRecord,
    PacketOut,
    Remind,
    Subsystem,
    TraceRecord,
    Transaction,
)
from p4alg.engine.settings import Settings
from p4alg.engine.stamping import stamp_of
from p4alg.engine.tables import Update
from p4alg.undo import TrackedDict, UndoLog

MAX_UPDATES = 100
"""The most updates of a transaction of `Outbox.write_all`.

Its updates may be written in several transactions, since none of them depends on another.
"""


class Waiter(Protocol):
    """Somebody who has to be told the outcome of a transaction."""

    def ended(self, reason: str | None, now: float) -> None:
        """The transaction has ended: all was written (`reason` is None), or nothing was.

        In that case `reason` says why, in one line. If this method raises, what it changed is
        undone, and it is called a second time.
        """
        ...


class Outbox:
    """The actions that were decided on since `take` was last called, in order."""

    def __init__(self, log: UndoLog) -> None:
        self._actions: list[Action] = []
        self._waiting: TrackedDict[int, Waiter] = TrackedDict(log)
        self._ids = count(1)
        self.is_heard = False
        """Whether anybody wants event records. If not, none are kept."""

    def of(self, settings: Settings) -> Outbox:
        """The same outbox for an organisation: its entries and records say whose they are."""
        return self if settings.is_only else _Stamped(self, settings)

    def transact(
        self,
        updates: Sequence[Update],
        then: Sequence[PacketOut] = (),
        waiter: Waiter | None = None,
    ) -> None:
        """Write `updates`. Send `then` when they are written. `waiter` is told the outcome."""
        number = next(self._ids)
        if waiter is not None:
            self._waiting[number] = waiter
        self._actions.append(Transaction(number, tuple(updates), tuple(then)))

    def write_all(self, updates: Sequence[Update], waiter: Waiter | None = None) -> None:
        """Write any number of updates, of which each may be refused without the others.

        `waiter` is told the outcome of each transaction that they are cut into.
        """
        for start in range(0, len(updates), MAX_UPDATES):
            self.transact(updates[start : start + MAX_UPDATES], (), waiter)

    def send(self, packet: PacketOut) -> None:
        """Send a packet, after everything that was decided on before it."""
        self._actions.append(packet)

    def log(self, level: int, text: str, subsystem: Subsystem = Subsystem.NAT) -> None:
        """Write a line to the operator's log; `level` as in `logging`."""
        self._actions.append(LogRecord(level, text, subsystem=subsystem))

    def remind(self, seconds: float) -> None:
        """Have a `Reminder` come after so many seconds."""
        self._actions.append(Remind(seconds))

    def trace(self, record: TraceRecord) -> None:
        """Give a record to everybody who traces control messages."""
        self._actions.append(record)

    def tell(self, record: EventRecord) -> None:
        """Give a record of what has happened to operators, if they want any."""
        if self.is_heard:
            self._actions.append(record)

    def waiter(self, transaction_id: int) -> Waiter | None:
        """Take the waiter of a transaction out, and return it. None if nobody waits."""
        waiter: Waiter | None = self._waiting.pop(transaction_id, None)
        return waiter

    def take(self) -> list[Action]:
        """Return the actions collected so far, and begin anew with none."""
        actions = self._actions.copy()
        # The list itself stays: outboxes of organisations have it too.
        self._actions.clear()
        return actions

    def savepoint(self) -> int:
        """A place to which `roll_back` can return. It is valid until `take` is called."""
        return len(self._actions)

    def roll_back(self, savepoint: int = 0) -> None:
        """Forget the actions that were collected since `savepoint`."""
        del self._actions[savepoint:]


class _Stamped(Outbox):
    """The outbox of an organisation: what goes in has its number, or its name."""

    def __init__(self, whole: Outbox, settings: Settings) -> None:
        self._actions = whole._actions
        self._waiting = whole._waiting
        self._ids = whole._ids
        self._whole = whole
        self._name = settings.name
        self._stamp = stamp_of(settings)

    def transact(
        self,
        updates: Sequence[Update],
        then: Sequence[PacketOut] = (),
        waiter: Waiter | None = None,
    ) -> None:
        mine = [Update(update.op, self._stamp(update.entry)) for update in updates]
        super().transact(mine, then, waiter)

    def log(self, level: int, text: str, subsystem: Subsystem = Subsystem.NAT) -> None:
        self._actions.append(LogRecord(level, text, self._name, subsystem))

    def trace(self, record: TraceRecord) -> None:
        super().trace(replace(record, organisation=self._name))

    def tell(self, record: EventRecord) -> None:
        self._whole.tell(replace(record, organisation=self._name))
