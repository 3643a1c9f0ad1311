"""Bindings: which outside endpoint stands for an inside endpoint.

An inside endpoint has one binding, whatever remote endpoints it talks to (RFC 4787 REQ-1).
Addresses are integers. Who makes or removes a session, a pinhole or a reserved endpoint counts
it in its binding, and calls `release` when nothing uses the binding any more.

The bindings here are those of the tables: static ones, and those that the controller makes for
ALGs and for what the switch cannot map by itself. Outside ports are from the blocks of the host
(`blocks.py`). Ports below 1024 and the call ids of GRE are not of blocks.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from p4alg.nat.blocks import Block, Blocks, Subscriber
from p4alg.nat.ports import OUR_WAY, Ports, Wanted, in_blocks, of_block, wanted_for
from p4alg.protocols import ESP, ICMP, TUNNELS
from p4alg.undo import Tracked, TrackedCounts, TrackedDict, UndoLog

_PORT = 0xFFFF
"""The bits of an identifier that `Ports` allocates: a port, a query id or a call id.

The identifier of a GRE call has a flag above them (`packet.transport.CALL_FLAG`), which
is the same inside and outside. An SPI (ESP) has 32 bits and is never allocated here.
"""


class Kind(Enum):
    """Why a binding exists."""

    DYNAMIC = "dynamic"
    STATIC = "static"
    PINHOLE = "pinhole"
    SHARED = "shared"
    """Several hosts use the same outside endpoint; sessions tell whose an inbound packet is."""


@dataclass(slots=True, eq=False)
class Binding(Tracked):
    """One inside endpoint, and the outside endpoint that stands for it on the outside.

    `sessions` counts the sessions that use the binding; `reservations` counts
    the pinholes and reserved endpoints that do. `created` is in seconds.
    """

    proto: int
    inside_addr: int
    inside_id: int
    outside_addr: int
    outside_id: int
    kind: Kind
    created: float
    sessions: int = 0
    reservations: int = 0
    is_in_switch: bool = False
    """Whether its entries are in the switch, or written and not answered yet."""
    peers: TrackedCounts[int] | None = None
    """How many sessions lead to each remote address, if filtering depends on that."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A binding that was not made; `reason` is a stable, countable word."""

    reason: str


class Bindings:
    """All bindings, and the outside ports they use.

    `blocks` has the outside addresses and the blocks of ports. An outside port that was used rests
    for `port_rest` seconds. `limit` bounds the bindings of all hosts, `per_subscriber` those of one
    that are not static.
    """

    def __init__(
        self,
        blocks: Blocks,
        *,
        rng: random.Random,
        port_rest: float,
        limit: int,
        per_subscriber: int,
        log: UndoLog | None = None,
    ) -> None:
        log = log or UndoLog()
        self._log = log
        self.blocks = blocks
        self._pool = blocks.pool
        self._rng = rng
        self._rest = port_rest
        self.set_limits(limit, per_subscriber)
        self._ports: dict[tuple[int, int], Ports] = {}
        self._outbound: TrackedDict[tuple[int, int, int], Binding] = TrackedDict(log)
        self._inbound: TrackedDict[tuple[int, int, int], Binding] = TrackedDict(log)
        self._counts = blocks.bindings_of
        # How many bindings share an outside identifier.
        self._shared: TrackedCounts[tuple[int, int, int]] = TrackedCounts(log)

    def set_limits(self, limit: int, per_subscriber: int) -> None:
        """Change how many bindings there may be, and of one host. Those that are there stay."""
        self._limit = limit
        self._per_subscriber = per_subscriber

    def __len__(self) -> int:
        return len(self._outbound)

    def __iter__(self) -> Iterator[Binding]:
        return iter(list(self._outbound.values()))

    def outbound(self, proto: int, inside_addr: int, inside_id: int) -> Binding | None:
        """The binding of an inside endpoint."""
        return self._outbound.get((proto, inside_addr, inside_id))

    def inbound(self, proto: int, outside_addr: int, outside_id: int) -> Binding | None:
        """The binding of an outside endpoint."""
        return self._inbound.get((proto, outside_addr, outside_id))

    def count_of(self, inside_addr: int) -> int:
        """How many bindings a host has that are not static."""
        return self._counts[inside_addr]

    def known_address_of(self, inside_addr: int) -> int | None:
        """The outside address of a host, if it has one already."""
        return self.blocks.known_address_of(inside_addr)

    def address_of(self, inside_addr: int) -> int | None:
        """The outside address of a host, chosen now if it has none; None without a pool."""
        return self.blocks.address_of(inside_addr)

    def pair(self, inside_addr: int, outside_addr: int) -> None:
        """Fix the outside address of a host that a static mapping leads to."""
        self._pool.fix(inside_addr, outside_addr)

    def allocate(
        self,
        proto: int,
        inside_addr: int,
        inside_id: int,
        now: float,
        *,
        kind: Kind = Kind.DYNAMIC,
        outside_addr: int | None = None,
        mapped_id: int = 0,
    ) -> Binding | Refused:
        """The binding of an inside endpoint, made if there is none.

        Its outside port is drawn from those that are free. With `outside_addr` it is a port of
        that address. It is `mapped_id` if that is a port of the host's block which the switch
        has given to the endpoint. No binding is given up to make room for another (RFC 6888
        REQ-11).
        """
        known = self._known(proto, inside_addr, inside_id, outside_addr)
        if known is not None:
            return known
        reason = self._no_room(inside_addr)
        if reason:
            return Refused(reason)
        if in_blocks(proto, inside_id):
            found = self._in_block(proto, inside_addr, inside_id, outside_addr, mapped_id, now)
        else:
            found = self._outside_blocks(proto, inside_addr, inside_id, outside_addr, now)
        if isinstance(found, Refused):
            return found
        return self._add(Binding(proto, inside_addr, inside_id, *found, kind, now))

    def allocate_pair(
        self, proto: int, inside_addr: int, inside_id: int, now: float, *, outside_addr: int
    ) -> tuple[Binding, Binding] | Refused:
        """The bindings of the inside ports `inside_id` and `inside_id` + 1.

        If the first is even and neither has a binding yet, their outside ports are neighbours
        too, as long as two are free (RFC 4787 REQ-4, RFC 3550 section 11). Otherwise each is
        bound as by `allocate`. On a refusal neither is made.
        """
        ids = (inside_id, inside_id + 1)
        is_new = all(self.outbound(proto, inside_addr, number) is None for number in ids)
        if inside_id % 2 == 0 and is_new:
            reason = self._no_room(inside_addr, wanted=2)
            if reason:
                return Refused(reason)
            place = self._pair_in_block(proto, inside_addr, inside_id, outside_addr, now)
            if place is not None:
                first = place[1]
                ends = ((inside_id, first), (inside_id + 1, first + 1))
                one, other = (
                    Binding(proto, inside_addr, inner, outside_addr, outer, Kind.PINHOLE, now)
                    for inner, outer in ends
                )
                return self._add(one), self._add(other)
        found: list[Binding] = []
        for number in ids:
            binding = self.allocate(
                proto, inside_addr, number, now, kind=Kind.PINHOLE, outside_addr=outside_addr
            )
            if isinstance(binding, Refused):
                for unused in found:
                    if not unused.sessions and not unused.reservations:
                        self.release(unused, now)
                return binding
            found.append(binding)
        return found[0], found[1]

    def share(
        self, proto: int, inside_addr: int, inside_id: int, outside_addr: int | None, now: float
    ) -> Binding | Refused:
        """The binding of an inside endpoint that keeps its identifier outside.

        Other hosts may have that outside endpoint too, by bindings that are shared like this
        one; "in-use" if a host has it by another kind. Identifier 0 stands for the
        sending end of a tunnel, which has no identifier of its own.
        """
        known = self._known(proto, inside_addr, inside_id, outside_addr)
        if known is not None:
            return known
        outside = self._outside_for(inside_addr, outside_addr)
        if isinstance(outside, Refused):
            return outside
        if proto not in TUNNELS and in_blocks(proto, inside_id):
            # A port from 1024 up is in a block, and the switch may give it to anybody there.
            return Refused("in-use")
        place = (proto, outside, inside_id)
        is_first = inside_id != 0 and place not in self._shared
        if is_first and not self._take_exactly(*place):
            return Refused("in-use")
        if self.blocks.number(inside_addr, now) is None:
            return Refused("subscriber-limit")
        self._shared.add(place)
        binding = Binding(proto, inside_addr, inside_id, outside, inside_id, Kind.SHARED, now)
        self._outbound[proto, inside_addr, inside_id] = binding
        self._counts.add(inside_addr)
        return binding

    def claim(
        self, proto: int, inside_addr: int, number: int, outside_addr: int | None, now: float
    ) -> Binding | Refused:
        """The binding of an inside endpoint that alone keeps its identifier outside (SPIs of ESP).

        "in-use" if another host has that identifier already.
        """
        known = self._known(proto, inside_addr, number, outside_addr)
        if known is not None:
            return known
        outside = self._outside_for(inside_addr, outside_addr)
        if isinstance(outside, Refused):
            return outside
        if self.blocks.number(inside_addr, now) is None:
            return Refused("subscriber-limit")
        if not self._take_exactly(proto, outside, number):
            return Refused("in-use")
        binding = Binding(proto, inside_addr, number, outside, number, Kind.PINHOLE, now)
        return self._add(binding)

    def add_static(
        self,
        proto: int,
        inside_addr: int,
        inside_id: int,
        outside_addr: int,
        outside_id: int,
        now: float,
    ) -> Binding | Refused:
        """A binding that the configuration demands; no other binding gets its outside port."""
        self.blocks.reserve(outside_addr, outside_id)
        ends = (inside_addr, inside_id, outside_addr, outside_id)
        return self._exact(Binding(proto, *ends, Kind.STATIC, now))

    def adopt(
        self,
        proto: int,
        inside_addr: int,
        inside_id: int,
        outside_addr: int,
        outside_id: int,
        *,
        kind: Kind,
        now: float,
    ) -> Binding | Refused:
        """A binding that the switch has already, from an earlier run of the controller.

        "not-in-pool" if its outside address is none that this controller uses, "in-use" if its
        port is in a block that the host does not have and cannot get.
        """
        if not self._pool.uses(outside_addr):
            return Refused("not-in-pool")
        if kind is Kind.SHARED:
            return self.share(proto, inside_addr, inside_id, outside_addr, now)
        reason = self._no_room(inside_addr)
        if reason:
            return Refused(reason)
        if self.blocks.number(inside_addr, now) is None:
            return Refused("subscriber-limit")
        in_block = in_blocks(proto, inside_id) and proto != ESP
        if in_block and not self.blocks.adopt_port(inside_addr, outside_addr, outside_id, now):
            return Refused("in-use")
        binding = self._exact(
            Binding(proto, inside_addr, inside_id, outside_addr, outside_id, kind, now)
        )
        if isinstance(binding, Binding):
            self._pool.pair(inside_addr, outside_addr)
        return binding

    def release(self, binding: Binding, now: float) -> None:
        """Forget a binding; its outside port rests. Nothing happens if it was released before."""
        key = (binding.proto, binding.inside_addr, binding.inside_id)
        if self._outbound.get(key) is not binding:
            return
        del self._outbound[key]
        place = (binding.proto, binding.outside_addr, binding.outside_id)
        is_last = True
        if binding.kind is Kind.SHARED:
            self._shared.add(place, -1)
            is_last = place not in self._shared
        else:
            del self._inbound[place]
        if is_last and binding.proto != ESP:
            ports = self._ports_of(binding.proto, binding.outside_addr)
            ports.release(binding.outside_id & _PORT, now)
        if binding.kind is Kind.STATIC:
            return
        self._counts.add(binding.inside_addr, -1)
        if _is_of_block(binding):
            self.blocks.unuse(binding.outside_addr, binding.outside_id, now)
        if binding.inside_addr not in self._counts:
            self._pool.forget_idle(self._counts)
            subscriber = self.blocks.get(binding.inside_addr)
            if subscriber is not None:
                self.blocks.forget_if_bare(subscriber, now)

    def _known(
        self, proto: int, inside_addr: int, inside_id: int, outside_addr: int | None
    ) -> Binding | Refused | None:
        """The binding an inside endpoint has, refused if that is not at `outside_addr`."""
        known = self._outbound.get((proto, inside_addr, inside_id))
        if known is not None and outside_addr not in (None, known.outside_addr):
            return Refused("mapping-conflict")
        return known

    def _outside_for(self, inside_addr: int, outside_addr: int | None) -> int | Refused:
        """The outside address of a new binding: `outside_addr`, or else the host's own."""
        reason = self._no_room(inside_addr)
        if reason:
            return Refused(reason)
        outside = outside_addr or self.blocks.address_of(inside_addr)
        return Refused("pool-exhausted") if outside is None else outside

    def _no_room(self, inside_addr: int, wanted: int = 1) -> str:
        """Which limit forbids `wanted` more bindings of a host, or ""."""
        if len(self._outbound) + wanted > self._limit:
            return "binding-limit"
        if self._counts[inside_addr] + wanted > self._per_subscriber:
            return "subscriber-limit"
        return ""

    def _take_exactly(self, proto: int, outside_addr: int, outside_id: int) -> bool:
        """Take this outside identifier and no other; False if it is in use."""
        if proto == ESP:
            return (proto, outside_addr, outside_id) not in self._inbound
        return self._ports_of(proto, outside_addr).take_exactly(outside_id & _PORT)

    def _exact(self, binding: Binding) -> Binding | Refused:
        """Add a binding whose endpoints are given, both of which must be free."""
        key = (binding.proto, binding.inside_addr, binding.inside_id)
        place = (binding.proto, binding.outside_addr, binding.outside_id)
        if key in self._outbound or not self._take_exactly(*place):
            return Refused("mapping-conflict")
        return self._add(binding)

    def _add(self, binding: Binding) -> Binding:
        self._outbound[binding.proto, binding.inside_addr, binding.inside_id] = binding
        self._inbound[binding.proto, binding.outside_addr, binding.outside_id] = binding
        if binding.kind is not Kind.STATIC:
            self._counts.add(binding.inside_addr)
            if _is_of_block(binding):
                self.blocks.use(binding.outside_addr, binding.outside_id)
        return binding

    # Outside ports

    def _outside_blocks(
        self, proto: int, inside_addr: int, inside_id: int, outside_addr: int | None, now: float
    ) -> tuple[int, int] | Refused:
        """The outside endpoint of an inside one whose identifier is of no block."""
        if self.blocks.number(inside_addr, now) is None:
            return Refused("subscriber-limit")
        outside = outside_addr or self.blocks.address_of(inside_addr)
        if outside is None:
            return Refused("pool-exhausted")
        wanted = wanted_for(proto, inside_id)
        number = self._ports_of(proto, outside).take(wanted, self._rng, now)
        if number is None:
            # Another address might have a free port, but a host keeps its address, and what
            # it gets must not depend on the load (RFC 4787 REQ-2, REQ-11).
            return Refused("pool-exhausted")
        return outside, inside_id & ~_PORT | number

    def _in_block(
        self,
        proto: int,
        inside_addr: int,
        inside_id: int,
        outside_addr: int | None,
        mapped_id: int,
        now: float,
    ) -> tuple[int, int] | Refused:
        """The outside endpoint of an inside one, at a port of the host's blocks."""
        subscriber = self._subscriber(inside_addr, outside_addr, now)
        if subscriber is None:
            return Refused("no-block")
        own = subscriber.own
        outside = outside_addr or (own.outside_addr if own else 0)
        ports = self._ports_of(proto, outside)
        if self._is_mapped(subscriber, outside, mapped_id) and ports.take_exactly(mapped_id):
            return outside, mapped_id
        parities = [inside_id % 2]
        if proto == ICMP:
            parities = self._rng.sample((0, 1), 2)
        for block in self._blocks_at(subscriber, outside, now):
            for parity in parities:
                number = ports.take(self._wanted(subscriber, block, parity), self._rng, now)
                if number is not None:
                    return outside, number
        return Refused("pool-exhausted")

    def _pair_in_block(
        self, proto: int, inside_addr: int, inside_id: int, outside_addr: int, now: float
    ) -> tuple[int, int] | None:
        """An outside address and the even one of two neighbouring ports; None if there is none."""
        subscriber = None
        if in_blocks(proto, inside_id):
            subscriber = self._subscriber(inside_addr, outside_addr, now)
        if subscriber is None:
            return None
        ports = self._ports_of(proto, outside_addr)
        for block in self._blocks_at(subscriber, outside_addr, now):
            first = ports.take_pair(self._wanted(subscriber, block, 0), self._rng, now)
            if first is not None:
                return outside_addr, first
        return None

    def _subscriber(
        self, inside_addr: int, outside_addr: int | None, now: float
    ) -> Subscriber | None:
        """The subscriber of a host, if it has a block or can get one where it needs it."""
        is_free_to_move = inside_addr not in self._counts and outside_addr is None
        if outside_addr is not None:
            self._pool.pair(inside_addr, outside_addr)
        found = self.blocks.own(inside_addr, now, may_move=is_free_to_move)
        if found is None and outside_addr is not None:
            # A static mapping may lead to the host at an address that has no room for a block
            # of the switch's. What its ALGs need there is in further blocks.
            found = self.blocks.number(inside_addr, now)
        return found

    def _blocks_at(self, subscriber: Subscriber, outside: int, now: float) -> Iterator[Block]:
        """The blocks that a subscriber has at an address; if they do not suffice, one more."""
        if subscriber.own is not None and subscriber.own.outside_addr == outside:
            yield subscriber.own
        yield from (block for block in subscriber.further if block.outside_addr == outside)
        more = self.blocks.further(subscriber, outside, now)
        if more is not None:
            yield more

    def _wanted(self, subscriber: Subscriber, block: Block, parity: int) -> Wanted:
        held = self.blocks.layout.held(block)
        return of_block(held.first, held.last, parity, is_own=block == subscriber.own)

    def _is_mapped(self, subscriber: Subscriber, outside: int, mapped_id: int) -> bool:
        """Whether the switch can have given this port to an endpoint of the subscriber."""
        block = self.blocks.block_of(outside, mapped_id)
        return block == subscriber.own and mapped_id & OUR_WAY != OUR_WAY

    def _ports_of(self, proto: int, outside_addr: int) -> Ports:
        key = (proto, outside_addr)
        if key not in self._ports:
            self._ports[key] = Ports(self._rest, self._log)
        return self._ports[key]


def _is_of_block(binding: Binding) -> bool:
    return binding.proto != ESP and in_blocks(binding.proto, binding.outside_id)
