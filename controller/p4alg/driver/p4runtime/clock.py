"""The time of a program that has none of its own, in ticks. Pure."""

from __future__ import annotations

from p4alg.engine.cells import TICK_SECONDS

LAST = (1 << 32) - 1
"""The last tick there is; time stands still there, after 17 years."""


class Clock:
    """Goes on from the tick that the switch was told last.

    So nothing that lives in its registers ends because no controller was there. A switch that was
    told none begins late enough for cells which were never used to have rested.
    """

    def __init__(self, told: int, now: float) -> None:
        """`told` is what the switch was told last, 0 for nothing; `now` is in seconds."""
        self._began, self._base = now, told
        self._rest = 0

    def rests(self, ticks: int, now: float) -> None:
        """From now on freed ports rest for so many ticks."""
        self._rest = ticks
        self._base += max(0, ticks + 1 - self._ticks(now))

    def at(self, now: float) -> tuple[int, int]:
        """The tick that it is, and the one before which a port must have ended to be given out."""
        ticks = self._ticks(now)
        return ticks, max(0, ticks - self._rest)

    def _ticks(self, now: float) -> int:
        return min(self._base + int((now - self._began) / TICK_SECONDS), LAST)
