"""Collects what an event makes the engine do, and remembers who waits for which transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from p4alg.engine.actions import Action, LogRecord, PacketOut, TraceRecord, Transaction
from p4alg.engine.events import TransactionDone, TransactionFailed
from p4alg.engine.tables import Update

MAX_UPDATES = 100
"""Updates of one transaction of many that belong together but need not stand together."""

Ended = Callable[[str | None, float], None]
"""Called when a transaction ended: None and now, or why it failed and now."""


class Outbox:
    """The actions decided on since they were last taken, in order."""

    def __init__(self) -> None:
        self._actions: list[Action] = []
        self._waiting: dict[int, Ended] = {}
        self._next_id = 1

    def transact(
        self,
        updates: Sequence[Update],
        then: Sequence[PacketOut] = (),
        ended: Ended | None = None,
    ) -> None:
        """Write `updates`, then send `then`; `ended` learns how it went."""
        number = self._next_id
        self._next_id += 1
        if ended is not None:
            self._waiting[number] = ended
        self._actions.append(Transaction(number, tuple(updates), tuple(then)))

    def write_all(self, updates: Sequence[Update], ended: Ended | None = None) -> None:
        """Write any number of updates that need not stand or fall together."""
        for start in range(0, len(updates), MAX_UPDATES):
            self.transact(updates[start : start + MAX_UPDATES], (), ended)

    def send(self, packet: PacketOut) -> None:
        """Send a packet after everything decided before it."""
        self._actions.append(packet)

    def log(self, level: int, text: str) -> None:
        """Tell the operator, in one line."""
        self._actions.append(LogRecord(level, text))

    def trace(self, record: TraceRecord) -> None:
        """Tell whoever traces control messages."""
        self._actions.append(record)

    def end(self, event: TransactionDone | TransactionFailed, now: float) -> None:
        """Tell whoever waits for a transaction how it went."""
        ended = self._waiting.pop(event.transaction_id, None)
        if ended is not None:
            ended(event.reason if isinstance(event, TransactionFailed) else None, now)

    def take(self) -> list[Action]:
        """The actions so far, which are then forgotten here."""
        actions = self._actions
        self._actions = []
        return actions
