"""Table keys and entries: how a match is written, and what is kept for each entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from p4softswitch.program.model import KeyField, MatchKind
from p4softswitch.state.meters import Meter


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


class KeyLayout:
    """How the fields of a table key are packed into one integer, first field highest.

    With packed keys a masked lookup is one AND and one dictionary access, however many fields the
    key has.
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

    def compile(self, matches: Sequence[Match]) -> tuple[int, int, tuple[tuple[int, ...], ...]]:
        """Packed value, packed mask and ranges (shift, field mask, low, high) of an entry.

        Range fields are not in value and mask; a range over all values is left out.
        """
        value = mask = 0
        ranges: list[tuple[int, ...]] = []
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
                        ranges.append((shift, full, low, high))
        return value, mask, tuple(ranges)


class Entry:
    """One table entry. Times are nanoseconds of the clock that is passed to the table."""

    __slots__ = (
        "action_id",
        "args",
        "bound",
        "bytes",
        "constant",
        "controller_metadata",
        "idle_timeout_ns",
        "last_hit",
        "mask",
        "matches",
        "metadata",
        "meter",
        "packed",
        "packets",
        "priority",
        "ranges",
        "seq",
    )

    def __init__(
        self, matches: tuple[Match, ...], priority: int, action_id: int, args: tuple[int, ...]
    ) -> None:
        self.matches = matches
        self.priority = priority
        self.action_id = action_id
        self.args = args
        self.bound: Any = None
        self.packed = 0
        self.mask = 0
        self.ranges: tuple[tuple[int, ...], ...] = ()
        self.seq = 0
        self.packets = 0
        self.bytes = 0
        self.last_hit = 0
        self.idle_timeout_ns = 0
        self.controller_metadata = 0
        self.metadata = b""
        self.meter: Meter | None = None
        self.constant = False
