"""Bounds how many log lines one source can cause, so that a peer cannot fill the log."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

EACH = 20
"""The most lines of one source in `WINDOW` seconds."""
TOTAL = 600
"""The most lines of all sources together in `WINDOW` seconds."""
WINDOW = 60.0
"""Seconds."""
_SOURCES = 1024


@dataclass(slots=True)
class _Window:
    since: float
    told: int = 0
    untold: int = 0


class LogRate:
    """Counts the log lines of each source; knows the latest 1024 of them."""

    def __init__(self, each: int = EACH, total: int = TOTAL) -> None:
        self._each, self._total = each, total
        self._windows: dict[Hashable, _Window] = {}
        self._all = _Window(float("-inf"))

    def admit(self, source: Hashable, now: float) -> int | None:
        """None if another line of `source` is too many.

        Otherwise how many of its lines were left out since the last one.
        """
        if now - self._all.since >= WINDOW or now < self._all.since:
            self._all = _Window(now)
        known = self._windows.pop(source, None) or _Window(now)
        left_out = 0
        if now - known.since >= WINDOW or now < known.since:
            left_out, known = known.untold, _Window(now)
        # Put in last, so that the first entry is the source that was silent longest.
        self._windows[source] = known
        if len(self._windows) > _SOURCES:
            del self._windows[next(iter(self._windows))]
        if known.told >= self._each or self._all.told >= self._total:
            known.untold += 1 + left_out
            return None
        known.told += 1
        self._all.told += 1
        return left_out
