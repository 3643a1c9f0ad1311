"""Table keys: how a match is written, and how it is packed for native code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p4softswitch.program.model import KeyField, MatchKind


@dataclass(frozen=True, slots=True)
class Exact:
    """Match one value."""

    value: int


@dataclass(frozen=True, slots=True)
class Prefix:
    """Match the first `length` bits of `value`; the remaining bits of `value` are 0."""

    value: int
    length: int


@dataclass(frozen=True, slots=True)
class Masked:
    """Match the bits set in `mask`; bits of `value` outside `mask` are 0."""

    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class Range:
    """Match `low` to `high`, both included."""

    low: int
    high: int


Match = Exact | Prefix | Masked | Range

Interval = tuple[int, int, int, int]
"""A range as it is compared: shift and width of the field in the packed key, low, high."""


class KeyLayout:
    """How the fields of a table key are packed into one integer, first field highest.

    Native code has the integer as a row of 64-bit words, least significant word first.
    """

    def __init__(self, keys: Sequence[KeyField]) -> None:
        self.keys = tuple(keys)
        # The longest-prefix field goes last, so that a longer prefix is a longer packed mask.
        order = [i for i, k in enumerate(keys) if k.kind is not MatchKind.LPM]
        order += [i for i, k in enumerate(keys) if k.kind is MatchKind.LPM]
        self.order = tuple(order)
        self.shifts = [0] * len(keys)
        shift = 0
        for i in reversed(order):
            self.shifts[i] = shift
            shift += keys[i].width
        self.width = shift

    def pack(self, values: Sequence[int]) -> int:
        """Packed key for one value per field, in the order of the table's key."""
        packed = 0
        for value, shift in zip(values, self.shifts, strict=True):
            packed |= value << shift
        return packed

    def compile(self, matches: Sequence[Match]) -> tuple[int, int, tuple[Interval, ...]]:
        """Packed value, packed mask and ranges of an entry.

        Range fields are not in value and mask; a range over all values is left out.
        """
        value = mask = 0
        ranges: list[Interval] = []
        for key, shift, match in zip(self.keys, self.shifts, matches, strict=True):
            full = (1 << key.width) - 1
            match match:
                case Exact(v):
                    value |= v << shift
                    mask |= full << shift
                case Prefix(v, length):
                    value |= v << shift
                    mask |= (full ^ ((1 << (key.width - length)) - 1)) << shift
                case Masked(v, field_mask):
                    value |= v << shift
                    mask |= field_mask << shift
                case Range(low, high):
                    if (low, high) != (0, full):
                        ranges.append((shift, key.width, low, high))
        return value, mask, tuple(ranges)

    def matches(self, value: int, mask: int, ranges: Sequence[Interval]) -> tuple[Match, ...]:
        """The matches of an entry: the inverse of `compile`."""
        limits = {shift: (low, high) for shift, _, low, high in ranges}
        found: list[Match] = []
        for key, shift in zip(self.keys, self.shifts, strict=True):
            full = (1 << key.width) - 1
            v, m = value >> shift & full, mask >> shift & full
            match key.kind:
                case MatchKind.EXACT:
                    found.append(Exact(v))
                case MatchKind.LPM:
                    found.append(Prefix(v, m.bit_count()))
                case MatchKind.TERNARY:
                    found.append(Masked(v, m))
                case MatchKind.RANGE:
                    found.append(Range(*limits.get(shift, (0, full))))
        return tuple(found)
