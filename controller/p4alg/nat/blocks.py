"""Blocks of outside ports: which are free, whose the others are (RFC 6888 REQ-13, RFC 7422).

The ports from 1024 up of each outside address are cut into blocks of equal size. A subscriber
(an inside host) gets one when it first needs a port. The switch makes the mappings in that block
by itself; the ports of way 3 (bits 2..1 set) in it are the controller's. If those do not suffice,
the subscriber gets further blocks, which are wholly the controller's, up to its share. All blocks
of a subscriber are at its outside address (paired pooling, RFC 4787 REQ-2), but for those of a
host that static mappings give a second address.

Which block a host gets is drawn at random, or computed from its address (deterministic). Nothing is
ever taken from a subscriber to make room for another (RFC 6888 REQ-11).
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from p4alg.nat.numbers import Numbers
from p4alg.nat.pool import Pool
from p4alg.nat.resting import Resting
from p4alg.undo import Tracked, TrackedCounts, TrackedDict, TrackedSet, UndoLog

LOWEST_PORT = 1024
"""The ports below are in no block."""
SMALLEST, LARGEST = 64, 16384
"""The sizes that a block may have; all are powers of two."""
_PORTS = 1 << 16
_DRAWN = 16
"""Among how many free blocks the one is chosen whose cells fewest others share."""


class Block(NamedTuple):
    """A block: the `nth` of an outside address, counted from port 0 on."""

    outside_addr: int
    nth: int


class Held(NamedTuple):
    """A block as people see it: the ports `first` to `last` of an outside address."""

    outside_addr: int
    first: int
    last: int


@dataclass(slots=True, eq=False)
class Subscriber(Tracked):
    """An inside host, its number in the switch, and its blocks.

    `own` is the block in which the switch makes mappings; None if the host has none. `further`
    are wholly the controller's. `salt` (16 bits) makes the ports of one host tell nothing
    about those of another.
    """

    inside_addr: int
    number: int
    salt: int
    own: Block | None = None
    further: tuple[Block, ...] = ()
    is_fixed: bool = False
    """Whether it stays for good, because a static mapping leads to it."""


@dataclass(frozen=True, slots=True)
class Change:
    """A block that was taken, or given back after `seconds`."""

    inside_addr: int
    held: Held
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Layout:
    """How ports are cut into blocks of `size`, and how many of them a subscriber may have.

    With `inside` (prefixes: address and length) allocation is deterministic: the n-th address
    of these prefixes gets the n-th block of the pools. Without, it is dynamic.
    """

    size: int
    per_subscriber: int
    inside: tuple[tuple[int, int], ...] = ()

    @property
    def first(self) -> int:
        """The index of the first block of an address."""
        return -(-LOWEST_PORT // self.size)

    @property
    def per_address(self) -> int:
        """How many blocks an address has."""
        return _PORTS // self.size - self.first

    @property
    def hosts(self) -> int:
        """How many inside addresses have a computed block."""
        return sum(1 << (32 - length) for _, length in self.inside)

    def place_of(self, inside_addr: int) -> int | None:
        """The place of a host among those that have a computed block; None if it has none."""
        before = 0
        for addr, length in self.inside:
            if inside_addr >> (32 - length) == addr >> (32 - length):
                return before + inside_addr - addr
            before += 1 << (32 - length)
        return None

    def usable(self, reserved: Collection[int]) -> list[int]:
        """The blocks of an address but those `reserved`, each as its `nth`."""
        return [n for n in range(self.first, _PORTS // self.size) if n not in reserved]

    def held(self, block: Block) -> Held:
        """The ports of a block."""
        first = block.nth * self.size
        return Held(block.outside_addr, first, first + self.size - 1)


def computed(
    layout: Layout, addresses: int, reserved: Collection[int], place: int
) -> tuple[int, int] | None:
    """The outside address (by its place in the pools) and the block of the n-th host.

    Hosts are spread evenly over the `addresses`, one after the other, so that each address has
    the same number of blocks left for further ones. `reserved` are the indices of blocks that
    nobody gets, of whatever address. None if there are too few.
    """
    usable = layout.usable(reserved)
    share = -(-layout.hosts // addresses) if addresses else 0
    if not share or share > len(usable):
        return None
    return place // share, usable[place % share]


class Blocks:
    """All subscribers and all blocks.

    A block that was given back rests for `rest` seconds, a number for `number_rest`. At most
    `limit` subscribers are kept.
    """

    def __init__(
        self,
        pool: Pool,
        layout: Layout,
        *,
        slot_bits: int,
        rng: random.Random,
        rest: float,
        number_rest: float,
        limit: int,
        log: UndoLog,
        numbers: Numbers | None = None,
    ) -> None:
        """`numbers` are those shared with others; without, this has numbers of its own."""
        self.pool = pool
        self.layout = layout
        self.changes: TrackedDict[int, Change] = TrackedDict(log)
        """What was taken and given back and nobody has logged yet, in order."""
        self._rng = rng
        self._rest = rest
        self.limit = limit
        """The most hosts with a number. It may be changed; those that are there stay."""
        self._next_change = 0
        self._numbers = numbers or Numbers(layout.size, slot_bits, number_rest, rng, log)
        self._subscribers: TrackedDict[int, Subscriber] = TrackedDict(log)
        self._holders: TrackedDict[Block, Subscriber] = TrackedDict(log)
        self._since: TrackedDict[Block, float] = TrackedDict(log)
        self._resting: Resting[Block] = Resting(rest, log)
        self._reserved: TrackedSet[Block] = TrackedSet(log)
        self._reserved_indices: set[int] = set()
        # Of each address, how many blocks are held, resting or reserved.
        self._unfree: TrackedCounts[int] = TrackedCounts(log)
        self._used: TrackedCounts[Block] = TrackedCounts(log)
        self._empty_since: TrackedDict[Block, float] = TrackedDict(log)
        self.bindings_of: TrackedCounts[int] = TrackedCounts(log)
        """How many bindings a host has that are not static. Kept by `Bindings`."""

    # Looking up

    def __iter__(self) -> Iterator[Subscriber]:
        return iter(list(self._subscribers.values()))

    def __len__(self) -> int:
        return len(self._subscribers)

    def get(self, inside_addr: int) -> Subscriber | None:
        """The subscriber at an inside address."""
        return self._subscribers.get(inside_addr)

    def holder(self, outside_addr: int, port: int) -> Subscriber | None:
        """Whose block a port of an outside address is in; None if nobody holds it."""
        return self._holders.get(self.block_of(outside_addr, port))

    def address_of(self, inside_addr: int) -> int | None:
        """The outside address of a host, chosen now if it has none; None without a pool."""
        return self.known_address_of(inside_addr) or self.pool.address_of(inside_addr)

    def known_address_of(self, inside_addr: int) -> int | None:
        """The outside address of a host, if it has one already."""
        known = self._subscribers.get(inside_addr)
        if known is not None and known.own is not None:
            return known.own.outside_addr
        block = self._computed(inside_addr)
        return self.pool.known(inside_addr) if block is None else block.outside_addr

    def block_of(self, outside_addr: int, port: int) -> Block:
        """The block that a port is in. Below 1024 it is none that anybody gets."""
        return Block(outside_addr, port // self.layout.size)

    @property
    def total(self) -> int:
        """How many blocks the pools have."""
        return self.pool.size * self.layout.per_address

    def free(self) -> int:
        """How many blocks of the pools are free."""
        return self.total - sum(self.taken().values())

    def taken(self) -> dict[int, int]:
        """How many blocks of each address of the pools are held, resting or reserved."""
        return {addr: n for addr, n in self._unfree.items() if n and addr in self.pool}

    def held_by(self, subscriber: Subscriber) -> list[Held]:
        """The blocks of a subscriber: first that of the switch, then those of the controller."""
        own = () if subscriber.own is None else (subscriber.own,)
        return [self.layout.held(block) for block in (*own, *subscriber.further)]

    # Subscribers begin

    def reserve(self, outside_addr: int, port: int) -> None:
        """Keep the block with this port from everybody, as a static mapping uses the port."""
        block = self.block_of(outside_addr, port)
        if block.nth < self.layout.first or block in self._reserved:
            return
        self._reserved.add(block)
        self._reserved_indices.add(block.nth)
        self._unfree.add(outside_addr)

    def unreserve(self, block: Block) -> None:
        """Let a block be given out again, as no static mapping uses its ports any more.

        Not for a layout with computed blocks, in which every host would get another one.
        """
        if block in self._reserved:
            self._reserved.discard(block)
            self._unfree.add(block.outside_addr, -1)

    def fix(self, inside_addr: int, now: float) -> Subscriber | None:
        """Keep a number for this host for good: static mappings lead to it. None as in `number`."""
        found = self.number(inside_addr, now)
        if found is not None:
            found.is_fixed = True
        return found

    def number(self, inside_addr: int, now: float) -> Subscriber | None:
        """The subscriber at an address, made without a block if there is none.

        None if there are too many.
        """
        return self._subscribers.get(inside_addr) or self._new(inside_addr, None, now)

    def own(self, inside_addr: int, now: float, *, may_move: bool = True) -> Subscriber | None:
        """The subscriber at an address, with a block of its own; None if none is free.

        Without `may_move` it keeps the outside address that it has been given, even if that has
        no free block and another one has.
        """
        self._wake(now)
        known = self._subscribers.get(inside_addr)
        if known is not None and known.own is not None:
            return known
        block = self._find_own(inside_addr, known, may_move=may_move)
        if block is None:
            return None
        found = known or self._new(inside_addr, block, now)
        if found is None:
            return None
        self.pool.pair(inside_addr, block.outside_addr)
        found.own = block
        self._numbers.count(found.number, self._base(block), 1)
        self._hold(block, found, now)
        return found

    def further(self, subscriber: Subscriber, outside_addr: int, now: float) -> Block | None:
        """One more block for a subscriber, at this address; None at its share, or without any."""
        self._wake(now)
        held = len(subscriber.further) + (subscriber.own is not None)
        block = self._draw(outside_addr, 1) if held < self.layout.per_subscriber else None
        if block is None:
            return None
        subscriber.further = (*subscriber.further, block)
        self._hold(block, subscriber, now)
        self._empty_since[block] = now
        return block

    def adopt(
        self, inside_addr: int, number: int, salt: int | None, own: Block | None, now: float
    ) -> bool:
        """A subscriber that the switch knows from an earlier run; False if it does not fit.

        Its number is not given out for a while then, for cells with it may be alive. Without a
        `salt` one is drawn.
        """
        fits = (
            inside_addr not in self._subscribers
            and len(self._subscribers) < self.limit
            and (own is None or (self._may_hold(own) and self._is_computed(inside_addr, own)))
        )
        if not self._numbers.adopt(number, now):
            return False
        if not fits:
            self._numbers.release(number, now)
            return False
        salt = self._rng.getrandbits(16) if salt is None else salt
        found = Subscriber(inside_addr, number, salt, own)
        self._subscribers[inside_addr] = found
        if own is not None:
            self.pool.pair(inside_addr, own.outside_addr)
            self._numbers.count(number, self._base(own), 1)
            self._hold(own, found, now, is_new=False)
        return True

    def rest(self, number: int, now: float) -> None:
        """Do not give this number out for a while: cells with it may be alive."""
        if self._numbers.adopt(number, now):
            self._numbers.release(number, now)

    def adopt_port(self, inside_addr: int, outside_addr: int, port: int, now: float) -> bool:
        """Whether a host may have this port from an earlier run; its block is taken if need be."""
        block = self.block_of(outside_addr, port)
        if block.nth < self.layout.first or block in self._reserved:
            return block.nth < self.layout.first
        found = self.number(inside_addr, now)
        holder = self._holders.get(block)
        if found is None or holder is not None:
            return holder is not None and holder is found
        found.further = (*found.further, block)
        self._hold(block, found, now, is_new=False)
        self._empty_since[block] = now
        return True

    # Their ports

    def use(self, outside_addr: int, port: int) -> None:
        """Count a binding that uses a port."""
        block = self.block_of(outside_addr, port)
        self._used.add(block)
        self._empty_since.pop(block, None)

    def unuse(self, outside_addr: int, port: int, now: float) -> None:
        """A binding uses a port no more."""
        block = self.block_of(outside_addr, port)
        self._used.add(block, -1)
        holder = self._holders.get(block)
        if not self._used[block] and holder is not None and block in holder.further:
            self._empty_since[block] = now

    # Subscribers end

    def expire(self, now: float) -> None:
        """Give back the further blocks of which no port has been used for the rest of a port."""
        while self._empty_since:
            block = next(iter(self._empty_since))
            if self._empty_since[block] + self._rest > now:
                return
            del self._empty_since[block]
            holder = self._holders[block]
            holder.further = tuple(b for b in holder.further if b != block)
            self._let_go(block, holder, now)

    def give_back(self, subscriber: Subscriber, now: float) -> None:
        """Take all blocks back from a subscriber of which no port is used; see `forget_if_bare`."""
        own = subscriber.own
        if own is not None:
            self._numbers.count(subscriber.number, self._base(own), -1)
            subscriber.own = None
            self._let_go(own, subscriber, now)
        for block in subscriber.further:
            self._empty_since.pop(block, None)
            self._let_go(block, subscriber, now)
        subscriber.further = ()
        self.forget_if_bare(subscriber, now)

    def forget_if_bare(self, subscriber: Subscriber, now: float) -> None:
        """Forget a subscriber that has neither block nor binding and is not fixed.

        Its number rests.
        """
        if subscriber.own or subscriber.further or subscriber.is_fixed:
            return
        if subscriber.inside_addr in self.bindings_of:
            return
        if self._subscribers.pop(subscriber.inside_addr, None) is not None:
            self._numbers.release(subscriber.number, now)

    # Inside

    def _new(self, inside_addr: int, block: Block | None, now: float) -> Subscriber | None:
        if len(self._subscribers) >= self.limit:
            return None
        number = self._numbers.take(None if block is None else self._base(block), now)
        if number is None:
            return None
        made = Subscriber(inside_addr, number, self._rng.getrandbits(16))
        self._subscribers[inside_addr] = made
        return made

    def _find_own(
        self, inside_addr: int, known: Subscriber | None, *, may_move: bool
    ) -> Block | None:
        if self.layout.inside:
            block = self._computed(inside_addr)
            return block if block is not None and self._may_hold(block) else None
        addr = self.pool.address_with(inside_addr, self._has_room, may_move=may_move)
        if addr is None:
            return None
        if known is None:
            return self._draw(addr, 1)
        # The number is there already, so the block is chosen to suit it.
        return self._draw(addr, _DRAWN, known.number)

    def _computed(self, inside_addr: int) -> Block | None:
        place = self.layout.place_of(inside_addr)
        if place is None:
            return None
        found = computed(self.layout, self.pool.size, self._reserved_indices, place)
        return None if found is None else Block(self.pool.nth(found[0]), found[1])

    def _is_computed(self, inside_addr: int, own: Block) -> bool:
        return not self.layout.inside or self._computed(inside_addr) == own

    def _set_aside(self, outside_addr: int) -> set[int]:
        """Which blocks of an address belong to hosts by computation."""
        if not self.layout.inside or outside_addr not in self.pool:
            return set()
        share = -(-self.layout.hosts // self.pool.size)
        return set(self.layout.usable(self._reserved_indices)[:share])

    def _may_hold(self, block: Block) -> bool:
        last = _PORTS // self.layout.size
        is_one = self.layout.first <= block.nth < last and block not in self._reserved
        return is_one and block not in self._holders

    def _has_room(self, outside_addr: int) -> bool:
        return self._unfree[outside_addr] < self.layout.per_address

    def _draw(self, outside_addr: int, wanted: int, number: int = 0) -> Block | None:
        """A free block of an address at random; of `wanted` such the best for `number`."""
        first, total = self.layout.first, self.layout.per_address
        start = self._rng.randrange(total)
        aside = self._set_aside(outside_addr)
        found: list[Block] = []
        for at in range(total):
            block = Block(outside_addr, first + (start + at) % total)
            if block.nth not in aside and self._is_free(block):
                found.append(block)
                if len(found) == wanted:
                    break
        if wanted == 1 or not found:
            return found[0] if found else None
        return min(found, key=lambda b: self._numbers.load(number, self._base(b)))

    def _is_free(self, block: Block) -> bool:
        return not (block in self._holders or block in self._resting or block in self._reserved)

    def _hold(
        self, block: Block, subscriber: Subscriber, now: float, *, is_new: bool = True
    ) -> None:
        if block in self._resting:
            self._resting.discard(block)
        else:
            self._unfree.add(block.outside_addr)
        self._holders[block] = subscriber
        self._since[block] = now
        if is_new:
            self._changed(Change(subscriber.inside_addr, self.layout.held(block), None))

    def _let_go(self, block: Block, subscriber: Subscriber, now: float) -> None:
        del self._holders[block]
        self._resting.add(block, now)
        held, seconds = self.layout.held(block), now - self._since.pop(block)
        self._changed(Change(subscriber.inside_addr, held, seconds))

    def _changed(self, change: Change) -> None:
        self.changes[self._next_change] = change
        self._next_change += 1

    def _wake(self, now: float) -> None:
        for block in self._resting.wake(now):
            self._unfree.add(block.outside_addr, -1)

    def _base(self, block: Block) -> int:
        return block.nth * self.layout.size
