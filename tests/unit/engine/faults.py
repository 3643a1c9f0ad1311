"""Raises an exception at the N-th function call that is made while an event is decided on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import CO_GENERATOR
from pathlib import Path
from types import FrameType

import p4alg
from p4alg.engine.engine import Engine
from p4alg.engine.faults import Faults, describe
from p4alg.engine.identify import identify
from p4alg.engine.outbox import Outbox
from p4alg.undo import UndoLog

PACKAGE = str(Path(p4alg.__file__).parent)
CONTAINMENT = {
    function.__code__
    for function in (
        *(Engine.handle, Engine._attempt, Engine._ended, Engine._timed, Engine._taken),
        *(UndoLog.savepoint, UndoLog.roll_back, UndoLog.forget),
        *(Outbox.savepoint, Outbox.roll_back, Outbox.take),
        *(Faults.report, describe, identify),
    )
}
"""What contains faults is itself left alone: somebody has to catch them."""


class Injected(Exception):
    """A fault that was put in."""


class Injector:
    """Counts the calls of this package's functions in `armed`, and raises at one of them."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.calls = 0
        self.where = ""

    def __call__(self, frame: FrameType, event: str, _arg: object) -> None:
        code = frame.f_code
        if event != "call" or code in CONTAINMENT or not code.co_filename.startswith(PACKAGE):
            return
        if code.co_flags & CO_GENERATOR:
            # Python calls these also to close them, and ignores what they raise then.
            return
        self.calls += 1
        if self.calls == self._at:
            self.where = f"{code.co_filename[len(PACKAGE) + 1 :]}:{code.co_name}"
            raise Injected(self.where)

    @contextmanager
    def armed(self, engine: Engine) -> Iterator[None]:
        """In this context the engine's decisions are counted, and one of them fails."""
        handle = engine.handle

        def watched(*args: object) -> object:
            sys.setprofile(None if self.where else self)
            try:
                return handle(*args)  # type: ignore[arg-type]
            finally:
                sys.setprofile(None)

        engine.handle = watched  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            del engine.handle


def calls_of(act: Callable[[], object], engine: Engine) -> int:
    """How many calls there are to fail at while `act` is decided on."""
    counting = Injector(0)
    with counting.armed(engine):
        act()
    return counting.calls
