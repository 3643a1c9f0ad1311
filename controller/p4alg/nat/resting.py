"""What was given back and must not be given out again for a while (RFC 6888 REQ-8)."""

from __future__ import annotations

from typing import Generic, TypeVar

from p4alg.undo import TrackedDict, UndoLog

K = TypeVar("K")


class Resting(Generic[K]):
    """Keys that rest for `rest` seconds each. They wake in the order in which they were added."""

    def __init__(self, rest: float, log: UndoLog) -> None:
        self._rest = rest
        self._until: TrackedDict[K, float] = TrackedDict(log)

    def __contains__(self, key: object) -> bool:
        return key in self._until

    def __len__(self) -> int:
        return len(self._until)

    def add(self, key: K, now: float) -> None:
        """Let `key` rest from now on."""
        # A key that was in already goes to the end, so that the first is always due first.
        self._until.pop(key, None)
        self._until[key] = now + self._rest

    def discard(self, key: K) -> None:
        """Forget that `key` rests."""
        self._until.pop(key, None)

    def wake(self, now: float) -> list[K]:
        """Forget the keys whose rest is over, and return them."""
        awake: list[K] = []
        while self._until:
            key = next(iter(self._until))
            if self._until[key] > now:
                break
            del self._until[key]
            awake.append(key)
        return awake
