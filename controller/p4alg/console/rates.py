"""Limits of rates: how often something may happen to one key. Decisions of events and `now`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable


class Rate:
    """`burst` times at once for each key, and `per_second` from then on.

    It keeps at most `most` keys. Beyond that it forgets those that were used longest ago.
    """

    def __init__(self, per_second: float, burst: int, most: int = 4096) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._most = most
        self._kept: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable, now: float) -> float:
        """Count one more. Returns 0 if it may happen, else in how many seconds it may."""
        left, since = self._kept.get(key, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_second)
        wait = 0.0 if left >= 1 else (1 - left) / self._per_second
        self._kept[key] = (left if wait else left - 1, now)
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return wait

    def give_back(self, key: Hashable) -> None:
        """Take back one that was counted."""
        if key in self._kept:
            left, since = self._kept[key]
            self._kept[key] = (min(self._burst, left + 1), since)
