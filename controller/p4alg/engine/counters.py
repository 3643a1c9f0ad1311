"""Named counters: dotted names, the part that varies last (`alg.ftp.refused.bounce`)."""

from __future__ import annotations

from collections import Counter

MAX_NAMES = 1024
"""Names come from fixed words, so this bound only stops a bug from growing without end."""


class Counters:
    """Counts by name; a name exists once it was counted."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, name: str, by: int = 1) -> None:
        """Add `by` to a counter."""
        if name in self._counts or len(self._counts) < MAX_NAMES:
            self._counts[name] += by

    def under(self, prefix: str) -> dict[str, int]:
        """The counters whose name begins with `prefix`, which is cut off; sorted."""
        size = len(prefix)
        return {
            name[size:]: number
            for name, number in sorted(self._counts.items())
            if name.startswith(prefix)
        }
