"""Flood protection (S9).

Each source may begin only so many new calls and registrations in a time. An INVITE that was
rejected several times is dropped for a while.
"""

from __future__ import annotations

from collections.abc import Hashable

from p4alg.alg.sip.limits import SipFlood


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


class Rejections:
    """How often an INVITE of some source to some target was rejected, and until when it is
    dropped. Knows at most `sources` of them."""

    def __init__(self, sources: int) -> None:
        self._sources = sources
        self._meter = RateMeter(sources)
        self._blocked: dict[Hashable, float] = {}

    def rejected(self, call: Hashable, flood: SipFlood, now: float) -> None:
        """A final error answered an INVITE."""
        if self._meter.count(call, flood.rejection_window, now) < flood.rejections:
            return
        self._blocked.pop(call, None)
        self._blocked[call] = now + flood.rejection_block
        if len(self._blocked) > self._sources:
            del self._blocked[next(iter(self._blocked))]

    def is_blocked(self, call: Hashable, now: float) -> bool:
        """Whether an INVITE is to be dropped."""
        until = self._blocked.get(call)
        if until is None:
            return False
        if until <= now:
            del self._blocked[call]
            return False
        return True
