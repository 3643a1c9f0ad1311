"""Which outside address an inside host gets, and keeps (paired pooling, RFC 4787 REQ-2)."""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

from p4alg.undo import TrackedCounts

MAX_REMEMBERED = 65536
"""How many hosts' addresses are remembered; beyond it those without bindings are forgotten."""
_CANDIDATES = 8
"""Among how many addresses drawn at random the one with the fewest hosts is chosen."""


class Pool:
    """The outside addresses and the hosts paired with them.

    A pair made for an event that was undone afterwards stays: it only says which address
    that host would get.
    """

    def __init__(self, prefixes: Sequence[tuple[int, int]], rng: random.Random) -> None:
        self._prefixes = [(addr, 1 << (32 - length)) for addr, length in prefixes]
        self.size = sum(size for _, size in self._prefixes)
        """How many addresses the prefixes have."""
        self._rng = rng
        self._pairs: OrderedDict[int, int] = OrderedDict()
        self._fixed: dict[int, int] = {}
        self._fixed_addrs: set[int] = set()
        self._hosts: Counter[int] = Counter()

    def __contains__(self, addr: int) -> bool:
        return any(first <= addr < first + size for first, size in self._prefixes)

    def uses(self, addr: int) -> bool:
        """Whether `addr` is of the pool, or was given to a host for good."""
        return addr in self or addr in self._fixed_addrs

    def fix(self, inside_addr: int, outside_addr: int) -> None:
        """Give a host this address for good, e.g. because a static mapping leads to it."""
        self._fixed.setdefault(inside_addr, outside_addr)
        self._fixed_addrs.add(outside_addr)

    def known(self, inside_addr: int) -> int | None:
        """The outside address of a host, if it has one."""
        return self._fixed.get(inside_addr) or self._pairs.get(inside_addr)

    def address_of(self, inside_addr: int) -> int | None:
        """The outside address of a host; chosen now if it has none. None without a pool."""
        known = self._fixed.get(inside_addr) or self._pairs.get(inside_addr)
        if known is not None:
            if inside_addr in self._pairs:
                self._pairs.move_to_end(inside_addr)
            return known
        if self.size == 0:
            return None
        # Drawn at random, so that no host can choose its address. Of several with equally few
        # hosts, `min` takes the one that was drawn first.
        drawn = [self.nth(self._rng.randrange(self.size)) for _ in range(_CANDIDATES)]
        outside = min(drawn, key=lambda addr: self._hosts[addr])
        self.pair(inside_addr, outside)
        return outside

    def address_with(
        self, inside_addr: int, has_room: Callable[[int], bool], *, may_move: bool
    ) -> int | None:
        """The outside address of a host, which has room; None if there is none such.

        With `may_move` a host that has another address gets this one for it.
        """
        known = self._fixed.get(inside_addr) or self._pairs.get(inside_addr)
        if known is not None and has_room(known):
            return known
        if known is not None and (inside_addr in self._fixed or not may_move):
            return None
        found = self._choose(has_room)
        if known is not None and found is not None:
            self._hosts[self._pairs.pop(inside_addr)] -= 1
        return found

    def pair(self, inside_addr: int, outside_addr: int) -> None:
        """Remember that a host has this address, unless it has one already."""
        if inside_addr in self._fixed or inside_addr in self._pairs:
            return
        self._pairs[inside_addr] = outside_addr
        self._hosts[outside_addr] += 1

    def forget_idle(self, busy: TrackedCounts[int]) -> None:
        """Forget the addresses of hosts beyond the bound, the longest unused first.

        `busy` counts the bindings of each host; those that have one keep their address.
        """
        if len(self._pairs) <= MAX_REMEMBERED:
            return
        for inside in list(self._pairs):
            if len(self._pairs) <= MAX_REMEMBERED:
                return
            if inside not in busy:
                self._hosts[self._pairs.pop(inside)] -= 1

    def _choose(self, has_room: Callable[[int], bool]) -> int | None:
        """An address that has room, with few hosts; None if none has."""
        if self.size == 0:
            return None
        drawn = [self.nth(self._rng.randrange(self.size)) for _ in range(_CANDIDATES)]
        fitting = [addr for addr in drawn if has_room(addr)]
        if fitting:
            return min(fitting, key=lambda addr: self._hosts[addr])
        start = self._rng.randrange(self.size)
        every = (self.nth((start + n) % self.size) for n in range(self.size))
        return next((addr for addr in every if has_room(addr)), None)

    def nth(self, number: int) -> int:
        """An address by its place, from 0. Raises IndexError if there are not so many."""
        for first, size in self._prefixes:
            if number < size:
                return first + number
            number -= size
        raise IndexError(number)
