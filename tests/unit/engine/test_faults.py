"""Faults are all counted, and told in one line each, so many a minute."""

from __future__ import annotations

import logging

import pytest

from p4alg.engine.actions import LogRecord
from p4alg.engine.counters import Counters
from p4alg.engine.faults import MOST_TOLD, WINDOW, Faults, describe
from p4alg.engine.outbox import Outbox
from p4alg.undo import UndoLog


class Desk:
    """Where faults are reported."""

    def __init__(self) -> None:
        self.outbox = Outbox(UndoLog())
        self.counters = Counters()
        self.faults = Faults(self.outbox, self.counters)

    def report(self, now: float, error: Exception | None = None) -> list[str]:
        """Report a fault; what is logged because of it."""
        self.faults.report("faults.test", "an event", error or ValueError("no"), now)
        records = [action for action in self.outbox.take() if isinstance(action, LogRecord)]
        assert all(record.level == logging.ERROR for record in records)
        return [record.text for record in records]


def test_rule_10_a_fault_is_counted_and_told_with_what_it_cost() -> None:
    desk = Desk()
    assert desk.report(0.0) == ["fault: an event: ValueError: no"]
    assert desk.counters.under("") == {"faults.test": 1}


def test_rule_10_a_flood_is_counted_whole_and_told_in_part() -> None:
    desk = Desk()
    told = [desk.report(n / 1000) for n in range(MOST_TOLD + 30)]
    assert [len(lines) for lines in told] == [1] * MOST_TOLD + [0] * 30
    assert desk.counters.under("") == {"faults.test": MOST_TOLD + 30}
    more, again = desk.report(WINDOW)
    assert more == "30 more faults were not logged (counters: faults.*)"
    assert again.startswith("fault: an event: ")


def test_a_clock_that_goes_back_does_not_silence_faults() -> None:
    desk = Desk()
    for _ in range(MOST_TOLD + 1):
        desk.report(1000.0)
    assert len(desk.report(1.0)) == 2


def raised(error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_a_fault_is_described_with_its_place() -> None:
    assert describe(ValueError("no")) == "ValueError: no"
    said = describe(raised(KeyError("x")))
    assert said.startswith("KeyError: 'x' (unit/engine/test_faults.py:")


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[31mred", "caf\u00e9 \U0001f600", "x" * 5000])
def test_whatever_an_exception_says_is_one_printable_line(text: str) -> None:
    said = describe(raised(ValueError(text)))
    assert said.isascii()
    assert said.isprintable()
    assert len(said) < 3000
