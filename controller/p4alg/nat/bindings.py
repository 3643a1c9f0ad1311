"""Bindings: inside endpoint to outside endpoint, one whatever the remote end (RFC 4787 REQ-1).

Addresses are integers. Sessions and pinholes that use a binding are counted by
whoever makes them; a binding is released when both counts are 0.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from p4alg.nat.pool import Pool
from p4alg.nat.ports import Ports, wanted_for
from p4alg.protocols import ESP

_PORT = 0xFFFF
"""What of an identifier is allocated."""


class Kind(Enum):
    """How a binding came to be."""

    DYNAMIC = "dynamic"
    STATIC = "static"
    PINHOLE = "pinhole"
    SHARED = "shared"
    """An outside identifier that several hosts use; what comes back is told apart otherwise."""


@dataclass(slots=True, eq=False)
class Binding:
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
    peers: dict[int, int] | None = None
    """Flows by remote address, where filtering depends on it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A binding there is no room for; `reason` is a stable, countable word."""

    reason: str


class Bindings:
    """All bindings of endpoints, and the outside ports they use.

    `pool` is (address, prefix length) pairs, every address of which is used.
    `port_rest` is in seconds; `limit` and `per_subscriber` bound dynamic bindings.
    """

    def __init__(
        self,
        pool: Sequence[tuple[int, int]],
        *,
        rng: random.Random,
        port_rest: float,
        limit: int,
        per_subscriber: int,
    ) -> None:
        self._pool = Pool(pool, rng)
        self._rng = rng
        self._rest = port_rest
        self._limit = limit
        self._per_subscriber = per_subscriber
        self._ports: dict[tuple[int, int], Ports] = {}
        self._outbound: dict[tuple[int, int, int], Binding] = {}
        self._inbound: dict[tuple[int, int, int], Binding] = {}
        self._counts: Counter[int] = Counter()
        # How many bindings share an outside identifier.
        self._shared: Counter[tuple[int, int, int]] = Counter()

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
        """How many dynamic bindings a host has."""
        return self._counts[inside_addr]

    def subscribers(self) -> Iterator[tuple[int, int, int]]:
        """Hosts that are paired with an outside address: both, and their bindings."""
        for inside, outside in self._pool:
            yield inside, outside, self._counts[inside]

    def address_of(self, inside_addr: int) -> int | None:
        """The outside address of a host, chosen now if it has none; None without a pool."""
        return self._pool.address_of(inside_addr)

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
    ) -> Binding | Refused:
        """The binding of an inside endpoint, made if there is none.

        `outside_addr` demands an outside address. A live binding is never
        given up for a new one (RFC 6888 REQ-11).
        """
        known = self._outbound.get((proto, inside_addr, inside_id))
        if known is not None:
            if outside_addr not in (None, known.outside_addr):
                return Refused("mapping-conflict")
            return known
        reason = self._no_room(inside_addr)
        if reason:
            return Refused(reason)
        outside = outside_addr
        if outside is None:
            outside = self._pool.address_of(inside_addr)
            if outside is None:
                return Refused("pool-exhausted")
        wanted = wanted_for(proto, inside_id)
        number = self._ports_of(proto, outside).take(wanted, self._rng, now)
        if number is None:
            # Never another address: behaviour must not change with load
            # (RFC 4787 REQ-2, REQ-11).
            return Refused("pool-exhausted")
        # What is above 16 bits tells kinds of identifiers apart, and stays.
        outside_id = inside_id & ~_PORT | number
        return self._add(Binding(proto, inside_addr, inside_id, outside, outside_id, kind, now))

    def allocate_pair(
        self, proto: int, inside_addr: int, inside_id: int, now: float, *, outside_addr: int
    ) -> tuple[Binding, Binding] | Refused:
        """The bindings of an even inside port and the next, on neighbouring outside ports.

        Neighbours as long as neither had a binding before (RFC 4787 REQ-4 and
        RFC 3550 section 11); otherwise each as `allocate` gives it.
        """
        ids = (inside_id, inside_id + 1)
        known = [self._outbound.get((proto, inside_addr, number)) for number in ids]
        first: int | None = None
        if inside_id % 2 == 0 and known == [None, None]:
            reason = self._no_room(inside_addr)
            if reason:
                return Refused(reason)
            first = self._ports_of(proto, outside_addr).take_pair(self._rng, now)
        if first is None:
            found: list[Binding] = []
            for number in ids:
                one = self.allocate(
                    proto, inside_addr, number, now, kind=Kind.PINHOLE, outside_addr=outside_addr
                )
                if isinstance(one, Refused):
                    for binding in found:
                        if not binding.sessions and not binding.reservations:
                            self.release(binding, now)
                    return one
                found.append(one)
            return found[0], found[1]
        ends = ((inside_id, first), (inside_id + 1, first + 1))
        one, other = (
            self._add(Binding(proto, inside_addr, inner, outside_addr, outer, Kind.PINHOLE, now))
            for inner, outer in ends
        )
        return one, other

    def share(
        self, proto: int, inside_addr: int, inside_id: int, outside_addr: int | None, now: float
    ) -> Binding | Refused:
        """A binding that keeps its identifier and shares it with other hosts.

        Identifier 0 is the sending end of a tunnel, which has none of its own.
        Another one must not be in use by a binding that is not shared.
        """
        known = self._outbound.get((proto, inside_addr, inside_id))
        if known is not None:
            if outside_addr not in (None, known.outside_addr):
                return Refused("mapping-conflict")
            return known
        reason = self._no_room(inside_addr)
        outside = outside_addr or self._pool.address_of(inside_addr)
        if reason or outside is None:
            return Refused(reason or "pool-exhausted")
        place = (proto, outside, inside_id)
        first = inside_id != 0 and place not in self._shared
        if first and not self._ports_of(proto, outside).take_exactly(inside_id):
            return Refused("in-use")
        self._shared[place] += 1
        binding = Binding(proto, inside_addr, inside_id, outside, inside_id, Kind.SHARED, now)
        self._outbound[proto, inside_addr, inside_id] = binding
        self._counts[inside_addr] += 1
        return binding

    def claim(
        self, proto: int, inside_addr: int, number: int, outside_addr: int | None, now: float
    ) -> Binding | Refused:
        """A binding that keeps its identifier, of a protocol whose ends choose theirs (SPIs)."""
        known = self._outbound.get((proto, inside_addr, number))
        if known is not None:
            return known
        outside = outside_addr or self._pool.address_of(inside_addr)
        reason = self._no_room(inside_addr)
        if reason or outside is None:
            return Refused(reason or "pool-exhausted")
        if (proto, outside, number) in self._inbound:
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
        """A binding for good; its outside port is taken from the pool, if it is there."""
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
        """A binding that exists in the switch; its outside address must still be ours."""
        ours = outside_addr in self._pool or any(o == outside_addr for _, o in self._pool)
        if not ours:
            return Refused("not-in-pool")
        if kind is Kind.SHARED:
            return self.share(proto, inside_addr, inside_id, outside_addr, now)
        reason = self._no_room(inside_addr)
        if reason:
            return Refused(reason)
        binding = self._exact(
            Binding(proto, inside_addr, inside_id, outside_addr, outside_id, kind, now)
        )
        if isinstance(binding, Binding):
            self._pool.pair(inside_addr, outside_addr)
        return binding

    def release(self, binding: Binding, now: float) -> None:
        """Forget a binding; its outside port rests."""
        key = (binding.proto, binding.inside_addr, binding.inside_id)
        if self._outbound.get(key) is not binding:
            return
        del self._outbound[key]
        place = (binding.proto, binding.outside_addr, binding.outside_id)
        is_last = True
        if binding.kind is Kind.SHARED:
            self._shared[place] -= 1
            is_last = not self._shared[place]
            if is_last:
                del self._shared[place]
        else:
            del self._inbound[place]
        if is_last and binding.proto != ESP:
            ports = self._ports_of(binding.proto, binding.outside_addr)
            ports.release(binding.outside_id & _PORT, now)
        if binding.kind is not Kind.STATIC:
            self._counts[binding.inside_addr] -= 1
            if not self._counts[binding.inside_addr]:
                del self._counts[binding.inside_addr]
                self._pool.forget_idle(self._counts)

    def _no_room(self, inside_addr: int) -> str:
        if len(self._outbound) >= self._limit:
            return "binding-limit"
        if self._counts[inside_addr] >= self._per_subscriber:
            return "subscriber-limit"
        return ""

    def _exact(self, binding: Binding) -> Binding | Refused:
        if (binding.proto, binding.inside_addr, binding.inside_id) in self._outbound:
            return Refused("mapping-conflict")
        if binding.proto == ESP:
            taken = (binding.proto, binding.outside_addr, binding.outside_id) in self._inbound
            return Refused("mapping-conflict") if taken else self._add(binding)
        ports = self._ports_of(binding.proto, binding.outside_addr)
        if not ports.take_exactly(binding.outside_id & _PORT):
            return Refused("mapping-conflict")
        return self._add(binding)

    def _add(self, binding: Binding) -> Binding:
        self._outbound[binding.proto, binding.inside_addr, binding.inside_id] = binding
        self._inbound[binding.proto, binding.outside_addr, binding.outside_id] = binding
        if binding.kind is not Kind.STATIC:
            self._counts[binding.inside_addr] += 1
        return binding

    def _ports_of(self, proto: int, outside_addr: int) -> Ports:
        key = (proto, outside_addr)
        if key not in self._ports:
            self._ports[key] = Ports(self._rest)
        return self._ports[key]
