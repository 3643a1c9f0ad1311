"""Lookup structures behind a table: packed key in, entry out.

They hold entries that `tables.TableStore` has already found to be unique and to fit. `lookup` is
a plain callable that stays the same object for the life of the index, so that generated code can
bind it once.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Protocol

from p4softswitch.program.model import MatchKind
from p4softswitch.state.entry import Entry

Lookup = Callable[[int], Entry | None]

MAX_REMEMBERED = 8192
"""The most keys of which a table remembers what they hit."""


class Index(Protocol):
    """Finds the entry that a packed key hits."""

    lookup: Lookup
    cares: int | None
    """The bits of a key that any entry looks at; None if all of them count.

    With the others cut off, `lookup` finds the same, and is likelier to know the key already.
    """

    def add(self, entry: Entry) -> None:
        """Add an entry whose identity is not in the index yet."""

    def remove(self, entry: Entry) -> None:
        """Remove an entry that is in the index."""


class ExactIndex:
    """Every bit of the key counts: one dictionary."""

    cares: int | None = None

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self.lookup: Lookup = self._entries.get

    def add(self, entry: Entry) -> None:
        """Add an entry."""
        self._entries[entry.packed] = entry

    def remove(self, entry: Entry) -> None:
        """Remove an entry."""
        del self._entries[entry.packed]


class Memo(dict[int, Entry | None]):
    """What an index has found for keys lately; a key that is not known is looked up.

    Used by its `__getitem__`, which costs no more than that of a dictionary for a known key. It
    begins anew when it is full, and must be cleared when an entry comes or goes.
    """

    def __init__(self, search: Lookup) -> None:
        super().__init__()
        self._search = search

    def __missing__(self, key: int) -> Entry | None:
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        found = self[key] = self._search(key)
        return found


class LpmIndex:
    """Longest prefix first: one dictionary per prefix length present."""

    def __init__(self) -> None:
        self._levels: dict[int, dict[int, Entry]] = {}
        self._order: list[tuple[int, dict[int, Entry]]] = []
        self.cares: int | None = 0
        self._known = Memo(self._lookup)
        self.lookup: Lookup = self._known.__getitem__

    def add(self, entry: Entry) -> None:
        """Add an entry."""
        self._known.clear()
        level = self._levels.get(entry.mask)
        if level is None:
            level = self._levels[entry.mask] = {}
            self._reorder()
        level[entry.packed] = entry

    def remove(self, entry: Entry) -> None:
        """Remove an entry."""
        self._known.clear()
        level = self._levels[entry.mask]
        del level[entry.packed]
        if not level:
            del self._levels[entry.mask]
            self._reorder()

    def _reorder(self) -> None:
        # All masks are prefixes of the same packed key, so the larger number is the longer one.
        self._order = sorted(self._levels.items(), key=lambda item: -item[0])
        self.cares = reduce(or_, self._levels, 0)

    def _lookup(self, key: int) -> Entry | None:
        for mask, level in self._order:
            entry = level.get(key & mask)
            if entry is not None:
                return entry
        return None


def _rank(entry: Entry) -> tuple[int, int]:
    return (-entry.priority, entry.seq)


class _Group:
    """All entries of one mask: buckets by masked value, best entry of a bucket first."""

    __slots__ = ("buckets", "mask", "priorities", "top")

    def __init__(self, mask: int) -> None:
        self.mask = mask
        self.buckets: dict[int, list[Entry]] = {}
        self.priorities: Counter[int] = Counter()
        self.top = 0

    def add(self, entry: Entry) -> None:
        insort(self.buckets.setdefault(entry.packed, []), entry, key=_rank)
        self.priorities[entry.priority] += 1
        self.top = max(self.top, entry.priority)

    def remove(self, entry: Entry) -> None:
        bucket = self.buckets[entry.packed]
        bucket.remove(entry)
        if not bucket:
            del self.buckets[entry.packed]
        self.priorities[entry.priority] -= 1
        if not self.priorities[entry.priority]:
            del self.priorities[entry.priority]
            self.top = max(self.priorities, default=0)


class TernaryIndex:
    """Tuple space search: one dictionary per mask, masks with the highest priority first.

    A higher priority wins; among equals the entry that was inserted first. Ranges are compared
    entry by entry inside the bucket that the other fields select.
    """

    def __init__(self) -> None:
        self._groups: dict[int, _Group] = {}
        self._order: list[_Group] = []
        self._ranges: Counter[int] = Counter()  # masks of fields, by entries with ranges of them
        self.cares: int | None = 0
        self._known = Memo(self._lookup)
        self.lookup: Lookup = self._known.__getitem__

    def add(self, entry: Entry) -> None:
        """Add an entry."""
        self._known.clear()
        for shift, full, _, _ in entry.ranges:
            self._ranges[full << shift] += 1
        group = self._groups.get(entry.mask)
        if group is None:
            group = self._groups[entry.mask] = _Group(entry.mask)
            group.add(entry)
            self._reorder()
            return
        top = group.top
        group.add(entry)
        if group.top != top or entry.ranges:
            self._reorder()

    def remove(self, entry: Entry) -> None:
        """Remove an entry."""
        self._known.clear()
        for shift, full, _, _ in entry.ranges:
            self._ranges[full << shift] -= 1
        group = self._groups[entry.mask]
        top = group.top
        group.remove(entry)
        if not group.buckets:
            del self._groups[entry.mask]
            self._reorder()
        elif group.top != top or entry.ranges:
            self._reorder()

    def _reorder(self) -> None:
        self._order = sorted(self._groups.values(), key=lambda g: -g.top)
        self.cares = reduce(or_, [*self._groups, *+self._ranges], 0)

    def _lookup(self, key: int) -> Entry | None:
        best: Entry | None = None
        best_priority = -1
        for group in self._order:
            if group.top < best_priority:
                break
            bucket = group.buckets.get(key & group.mask)
            if bucket is None:
                continue
            for entry in bucket:
                if entry.ranges and not _in_ranges(key, entry.ranges):
                    continue
                if best is None or _rank(entry) < _rank(best):
                    best, best_priority = entry, entry.priority
                break
        return best


def _in_ranges(key: int, ranges: tuple[tuple[int, ...], ...]) -> bool:
    return all(low <= (key >> shift) & full <= high for shift, full, low, high in ranges)


def make_index(kind: MatchKind) -> Index:
    """The index for a table of this kind."""
    if kind is MatchKind.EXACT:
        return ExactIndex()
    if kind is MatchKind.LPM:
        return LpmIndex()
    return TernaryIndex()
