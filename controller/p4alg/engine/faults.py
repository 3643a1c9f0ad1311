"""Counts and logs faults of the program itself.

A fault is an exception that the code does not expect. It ends the handling of one event or the
reading of one control session, never the controller. All faults are counted. How many are logged
in a minute is bounded, so that a flood of faults does not become a flood of log lines.
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass

from p4alg.engine.actions import Subsystem
from p4alg.engine.counters import Counters
from p4alg.engine.outbox import Outbox

MOST_TOLD = 10
"""The most faults that are logged in `WINDOW` seconds."""
WINDOW = 60.0
_LONGEST = 200


@dataclass(slots=True)
class _Window:
    """The present window of time: its beginning, and the faults logged and not logged in it."""

    since: float = float("-inf")
    told: int = 0
    untold: int = 0


class Faults:
    """Counts faults, and logs them at a bounded rate."""

    def __init__(self, outbox: Outbox, counters: Counters) -> None:
        self._outbox = outbox
        self._counters = counters
        self._window = _Window()

    def report(self, counter: str, what: str, error: BaseException, now: float) -> None:
        """Count a fault under the name `counter`, and log it unless too many were logged.

        `what` says which event or control session the fault has ended.
        """
        self._counters.count(counter)
        window = self._window
        if now - window.since >= WINDOW or now < window.since:
            if window.untold:
                text = f"{window.untold} more faults were not logged (counters: faults.*)"
                self._outbox.log(logging.ERROR, text, Subsystem.FAULT)
            self._window = window = _Window(now)
        if window.told >= MOST_TOLD:
            window.untold += 1
            return
        window.told += 1
        self._outbox.log(logging.ERROR, f"fault: {what}: {describe(error)}", Subsystem.FAULT)


def describe(error: BaseException) -> str:
    """An exception in one line: its type, its text, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = ""
    if frames:
        last = frames[-1]
        where = f" ({'/'.join(last.filename.split('/')[-3:])}:{last.lineno})"
    said = " ".join(str(error).split())[:_LONGEST]
    return f"{type(error).__name__}: {said.encode('unicode_escape').decode('ascii')}{where}"
