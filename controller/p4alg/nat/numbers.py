"""The numbers of subscribers, and where the cells of their blocks are in the switch.

The switch keeps the mapping of an outside port in a cell. The index of the cell is the CRC-32 of
a tag: protocol class (2 bits), number of the subscriber (14 bits), outside port without its way
(16 bits). A CRC is linear: the tags of one block differ only in some bits of the port, so their
indices are a coset of one linear space, and two blocks share either all of their indices or none.
The number is drawn such that blocks share as few as possible. For a program that does not know
all numbers, those above its highest are not drawn.

A number that was given back rests, because cells with it may still be alive.
"""

from __future__ import annotations

import random
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache

from p4alg.nat.resting import Resting
from p4alg.undo import TrackedCounts, TrackedSet, UndoLog

HIGHEST = (1 << 14) - 1
"""The highest number of all programs; 0 stands for nobody."""
CLASSES = (1, 2, 3)
"""The protocol classes in a tag: TCP, UDP, ICMP."""
_WAY_BITS = (1, 2)
"""The bits of a port that name its way, and that are 0 in a tag."""
_SAMPLE = 256
"""Among how many cosets, drawn at random, the one with the fewest blocks is looked for."""


def tag(kind: int, number: int, port: int) -> int:
    """The tag of a cell: class, subscriber number, outside port (of which the way is left out)."""
    way = sum(1 << bit for bit in _WAY_BITS)
    return kind << 30 | number << 16 | port & ~way


def cell_index(value: int, slot_bits: int) -> int:
    """The index of a tag's cell in its way."""
    return zlib.crc32(value.to_bytes(4, "big")) & ((1 << slot_bits) - 1)


class Cosets:
    """The linear space that the cells of a block of `size` ports are spread over."""

    def __init__(self, size: int, slot_bits: int) -> None:
        self._slot_bits = slot_bits
        self._zero = cell_index(0, slot_bits)
        self._basis: list[int] = []
        for bit in range(size.bit_length() - 1):
            vector = 0 if bit in _WAY_BITS else self.reduced(1 << bit)
            if vector:
                # The highest bits of the vectors differ. So, with the largest first, `reduced`
                # gives all members of a coset the same value, which has none of these bits.
                self._basis.append(vector)
                self._basis.sort(reverse=True)

    def reduced(self, difference: int) -> int:
        """The coset of the tags that differ by these bits from tags of the space itself.

        It is linear: that of `a ^ b` is that of `a` ^ that of `b`.
        """
        value = cell_index(difference, self._slot_bits) ^ self._zero
        for vector in self._basis:
            value = min(value, value ^ vector)
        return value


@cache
def _by_coset(
    size: int, slot_bits: int, highest: int
) -> tuple[Sequence[int], Mapping[int, Sequence[int]]]:
    """The coset of each number with a block at port 0, and the numbers of each coset."""
    cosets = Cosets(size, slot_bits)
    coset_of = [0] * (highest + 1)
    of_coset: defaultdict[int, list[int]] = defaultdict(list)
    for number in range(1, highest + 1):
        lowest = number & -number
        if number == lowest:
            coset_of[number] = cosets.reduced(tag(0, number, 0))
        else:
            coset_of[number] = coset_of[number ^ lowest] ^ coset_of[lowest]
        of_coset[coset_of[number]].append(number)
    return coset_of, of_coset


class Numbers:
    """The numbers 1 to `highest`: which are taken, and which coset holds how many blocks.

    `rest` is the time in seconds for which cells of a block may outlive it.
    """

    def __init__(
        self,
        size: int,
        slot_bits: int,
        rest: float,
        rng: random.Random,
        log: UndoLog,
        highest: int = HIGHEST,
    ) -> None:
        self._rng = rng
        self._cosets = Cosets(size, slot_bits)
        self._kinds = [self._cosets.reduced(tag(kind, 0, 0)) for kind in CLASSES]
        self._highest = highest
        self._coset_of, self._of_coset = _by_coset(size, slot_bits, highest)
        self._taken: TrackedSet[int] = TrackedSet(log)
        self._resting: Resting[int] = Resting(rest, log)
        self._loads: TrackedCounts[int] = TrackedCounts(log)

    def take(self, base: int | None, now: float) -> int | None:
        """A number for a subscriber whose block begins at port `base`; None if all are taken.

        Without a `base` the subscriber has no block, and any number will do.
        """
        self._resting.wake(now)
        if base is not None:
            cosets = list(self._of_coset)
            drawn = self._rng.sample(cosets, min(_SAMPLE, len(cosets)))
            shift = self._cosets.reduced(tag(0, 0, base))
            for coset in sorted(drawn, key=lambda c: self._load(c ^ shift)):
                found = self._one_of(self._of_coset[coset])
                if found is not None:
                    self._taken.add(found)
                    return found
        found = self._one_of(range(1, self._highest + 1))
        if found is not None:
            self._taken.add(found)
        return found

    def adopt(self, number: int, now: float) -> bool:
        """Take this number; False if it is taken or cannot be one."""
        self._resting.wake(now)
        if not 1 <= number <= self._highest or number in self._taken:
            return False
        self._resting.discard(number)
        self._taken.add(number)
        return True

    def release(self, number: int, now: float) -> None:
        """Give a number back."""
        self._taken.discard(number)
        self._resting.add(number, now)

    def load(self, number: int, base: int) -> int:
        """How many blocks share the cells of a block at `base` with this number."""
        return self._load(self._coset_of[number] ^ self._cosets.reduced(tag(0, 0, base)))

    def count(self, number: int, base: int, by: int) -> None:
        """Count a block whose cells are in use from now on (`by` 1), or no more (-1)."""
        coset = self._coset_of[number] ^ self._cosets.reduced(tag(0, 0, base))
        for kind in self._kinds:
            self._loads.add(coset ^ kind, by)

    def _load(self, coset: int) -> int:
        return sum(self._loads[coset ^ kind] for kind in self._kinds)

    def _one_of(self, numbers: Sequence[int]) -> int | None:
        """A number that is free, at random."""
        start = self._rng.randrange(len(numbers))
        for at in range(len(numbers)):
            number = numbers[(start + at) % len(numbers)]
            if number not in self._taken and number not in self._resting:
                return number
        return None
