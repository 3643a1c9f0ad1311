"""Counters with dotted names, such as `alg.ftp.refused.bounce`.

The part of a name that varies comes last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

MAX_NAMES = 1024
"""The most names that are counted.

All names are made of a fixed set of words, so this is never reached unless there is a bug. Then
it keeps the counters from growing without end.
"""


class Counters:
    """Counts by name. A name appears when it is counted for the first time."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, name: str, by: int = 1) -> None:
        """Add `by` to a counter."""
        if name in self._counts or len(self._counts) < MAX_NAMES:
            self._counts[name] += by

    def clear(self, wanted: Callable[[str], bool], *, really: bool = True) -> set[str]:
        """Set the wanted counters to 0; their names. With `really` False, only the names."""
        names = {name for name, number in self._counts.items() if number and wanted(name)}
        if really:
            for name in names:
                del self._counts[name]
        return names

    def under(self, prefix: str) -> dict[str, int]:
        """The counters whose names begin with `prefix`, sorted by name. The prefix is cut off."""
        size = len(prefix)
        return {
            name[size:]: number
            for name, number in sorted(self._counts.items())
            if name.startswith(prefix)
        }
