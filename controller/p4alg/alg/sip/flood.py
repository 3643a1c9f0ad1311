"""Flood protection (S9).

Each source may begin only so many new calls and registrations in a time.
"""

from __future__ import annotations

from collections.abc import Hashable


class RateMeter:
    """Counts events by source in windows of fixed length; knows at most `sources` of them."""

    def __init__(self, sources: int) -> None:
        self._sources = sources
        self._counts: dict[Hashable, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, source: Hashable, window: float, now: float) -> int:
        """Count an event of `source`; returns how many there have been in the present window.

        `window` is its length in seconds.
        """
        begun, number = self._counts.pop(source, (now, 0))
        if now - begun >= window:
            begun, number = now, 0
        # Put in last, so that the first entry is the source that was silent longest.
        self._counts[source] = (begun, number + 1)
        if len(self._counts) > self._sources:
            del self._counts[next(iter(self._counts))]
        return number + 1
