"""Actions leave in the order in which they were decided on, and can be taken back before."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from p4alg.engine import tables as t
from p4alg.engine.actions import LogRecord, PacketOut, TraceRecord, Transaction
from p4alg.engine.outbox import MAX_UPDATES, Outbox
from p4alg.engine.tables import Op, Update
from p4alg.undo import UndoLog

ONE, TWO = Update(Op.INSERT, t.Local(1)), Update(Op.INSERT, t.Local(2))


@dataclass
class Told:
    """Notes what it is told."""

    heard: list[tuple[str | None, float]] = field(default_factory=list)

    def ended(self, reason: str | None, now: float) -> None:
        self.heard.append((reason, now))


def test_actions_keep_their_order_and_are_taken_once() -> None:
    outbox = Outbox(UndoLog())
    record = TraceRecord(1.0, "ftp", "c", "s", "client", 1, "held", "", b"", b"")
    outbox.send(PacketOut(b"first"))
    outbox.transact((ONE,), (PacketOut(b"behind"),))
    outbox.log(logging.INFO, "text")
    outbox.trace(record)
    outbox.transact((TWO,))
    assert outbox.take() == [
        PacketOut(b"first"),
        Transaction(1, (ONE,), (PacketOut(b"behind"),)),
        LogRecord(logging.INFO, "text"),
        record,
        Transaction(2, (TWO,)),
    ]
    assert outbox.take() == []


def test_a_waiter_is_found_by_its_transaction_and_only_once() -> None:
    outbox = Outbox(UndoLog())
    one = Told()
    outbox.transact((ONE,), (), one)
    outbox.transact((TWO,))
    first, second = (a.transaction_id for a in outbox.take() if isinstance(a, Transaction))
    assert outbox.waiter(second) is None
    assert outbox.waiter(first) is one
    assert outbox.waiter(first) is None
    assert outbox.waiter(4711) is None


def test_many_updates_are_cut_and_each_part_has_the_waiter() -> None:
    outbox = Outbox(UndoLog())
    told = Told()
    many = [Update(Op.INSERT, t.Local(n)) for n in range(2 * MAX_UPDATES + 1)]
    outbox.write_all(many, told)
    parts = [action for action in outbox.take() if isinstance(action, Transaction)]
    assert [len(part.updates) for part in parts] == [MAX_UPDATES, MAX_UPDATES, 1]
    assert [update for part in parts for update in part.updates] == many
    assert [outbox.waiter(part.transaction_id) for part in parts] == [told] * 3


def test_nothing_to_write_is_no_transaction() -> None:
    outbox = Outbox(UndoLog())
    outbox.write_all([], Told())
    assert outbox.take() == []


def test_what_was_decided_since_a_savepoint_can_be_forgotten_with_its_waiter() -> None:
    log = UndoLog()
    outbox = Outbox(log)
    outbox.send(PacketOut(b"stays"))
    place, undo = outbox.savepoint(), log.savepoint()
    outbox.send(PacketOut(b"goes"))
    outbox.transact((ONE,), (), Told())
    outbox.roll_back(place)
    log.roll_back(undo)
    assert outbox.take() == [PacketOut(b"stays")]
    # An id is not used again: whoever still has it in mind asks for nobody.
    outbox.transact((TWO,), (), Told())
    (again,) = outbox.take()
    assert isinstance(again, Transaction)
    assert again.transaction_id == 2
    assert outbox.waiter(1) is None
