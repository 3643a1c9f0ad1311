"""Which outside address an inside host gets, for good (paired pooling, RFC 4787 REQ-2)."""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence

from p4alg.undo import TrackedCounts

MAX_REMEMBERED = 65536
"""Hosts whose address is remembered after their last binding is gone."""
_CANDIDATES = 8


class Pool:
    """The outside addresses and the hosts paired with them.

    A pair made for an event that was undone afterwards stays: it only says which address
    that host would get.
    """

    def __init__(self, prefixes: Sequence[tuple[int, int]], rng: random.Random) -> None:
        self._prefixes = [(addr, 1 << (32 - length)) for addr, length in prefixes]
        self._size = sum(size for _, size in self._prefixes)
        self._rng = rng
        self._pairs: OrderedDict[int, int] = OrderedDict()
        self._fixed: dict[int, int] = {}
        self._hosts: Counter[int] = Counter()

    def __contains__(self, addr: int) -> bool:
        return any(first <= addr < first + size for first, size in self._prefixes)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Pairs of inside and outside address."""
        yield from self._fixed.items()
        yield from self._pairs.items()

    def fix(self, inside_addr: int, outside_addr: int) -> None:
        """Pair a host for good, e.g. one that a static mapping leads to."""
        self._fixed.setdefault(inside_addr, outside_addr)

    def address_of(self, inside_addr: int) -> int | None:
        """The outside address of a host; chosen now if it has none. None without a pool."""
        known = self._fixed.get(inside_addr) or self._pairs.get(inside_addr)
        if known is not None:
            if inside_addr in self._pairs:
                self._pairs.move_to_end(inside_addr)
            return known
        if self._size == 0:
            return None
        # The least loaded of a few at random: balanced, and hard to steer.
        drawn = {self._rng.randrange(self._size) for _ in range(_CANDIDATES)}
        outside = min((self._nth(n) for n in sorted(drawn)), key=lambda a: self._hosts[a])
        self.pair(inside_addr, outside)
        return outside

    def pair(self, inside_addr: int, outside_addr: int) -> None:
        """Remember a pair that exists, unless the host has one."""
        if inside_addr in self._fixed or inside_addr in self._pairs:
            return
        self._pairs[inside_addr] = outside_addr
        self._hosts[outside_addr] += 1

    def forget_idle(self, busy: TrackedCounts[int]) -> None:
        """Drop the pairs longest unused, of hosts that are not `busy`, beyond the bound."""
        if len(self._pairs) <= MAX_REMEMBERED:
            return
        for inside in list(self._pairs):
            if len(self._pairs) <= MAX_REMEMBERED:
                return
            if inside not in busy:
                self._hosts[self._pairs.pop(inside)] -= 1

    def _nth(self, number: int) -> int:
        for first, size in self._prefixes:
            if number < size:
                return first + number
            number -= size
        raise IndexError(number)
