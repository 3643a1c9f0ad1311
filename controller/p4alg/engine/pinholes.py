"""Pinholes and reserved endpoints, from an ALG's request to the last flow (G4, design rule 6).

A pinhole is an outside endpoint (a binding) and a filter entry that says who may use it. It leads
only to the host that asked for it and serves a bounded number of flows. If nobody uses it, it
closes after its lifetime, or with its control session.

`request` and `reserve` only reserve: nothing is written yet. `begin` returns the writes. The
caller then reports their outcome with `opened` or `failed`. If the message is not sent at all,
it calls `abandon` instead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from p4alg import p4constants as p4
from p4alg.alg.contract import Endpoint, PinholeRequest, Refusal
from p4alg.engine import tables as t
from p4alg.engine.actions import Subsystem
from p4alg.engine.flow_table import Flows
from p4alg.engine.flows import Flow, flow_id
from p4alg.engine.happenings import end, of_pinhole
from p4alg.engine.pinhole import Owner, Pinhole, Reservation, Stage
from p4alg.engine.safety import Ends, Safety, ends_of
from p4alg.engine.settings import Limits
from p4alg.engine.tables import FlowKey, Op, Side, Update
from p4alg.nat.bindings import Binding, Kind, Refused
from p4alg.protocols import TUNNELS
from p4alg.undo import TrackedCounts, TrackedDict, TrackedSet, UndoLog

_LAST_PLACE = (1 << p4.PINHOLE_BITS) - 1
_ENDPOINTS_PER_PINHOLE = 2
"""The limits of reserved endpoints are this many times the limits of pinholes."""
GRACE = 1.0
"""Seconds that a withdrawn pinhole stays open.

A flow may have come through it a moment ago, and the switch's report of that may be on its way.
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """The writes for one message: what they are for, the bindings that they write, all updates."""

    items: tuple[Pinhole | Reservation, ...]
    written: tuple[Binding, ...]
    updates: tuple[Update, ...]


class Pinholes:
    """All pinholes and reserved endpoints, with their limits (G4)."""

    def __init__(
        self, limits: Limits, safety: Safety, flows: Flows, log: UndoLog, first_id: int = 1
    ) -> None:
        self.limits = limits
        """They may be changed, for all that is asked for from now on."""
        self._safety = safety
        self._flows = flows
        self._mappings = flows.mappings
        self._outbox = flows.outbox
        self.counters = flows.counters
        self._log = log
        self._by_id: TrackedDict[int, Pinhole] = TrackedDict(log)
        self._by_match: TrackedDict[tuple[object, ...], Pinhole] = TrackedDict(log)
        self._reservations: TrackedDict[int, Reservation] = TrackedDict(log)
        self._per_subscriber: TrackedCounts[int] = TrackedCounts(log)
        self._per_owner: TrackedCounts[Owner] = TrackedCounts(log)
        self._endpoints_per_subscriber: TrackedCounts[int] = TrackedCounts(log)
        self._endpoints_per_owner: TrackedCounts[Owner] = TrackedCounts(log)
        self._came_through: TrackedDict[int, TrackedSet[FlowKey]] = TrackedDict(log)
        """The flows that came through a pinhole and have not ended, by the id of the pinhole."""
        self._next_id = first_id
        # The places in the switch's `pinhole_cell` that pinholes have: each has its own.
        self._places: TrackedSet[int] = TrackedSet(log)

    def __len__(self) -> int:
        return len(self._by_id)

    def all(self) -> list[Pinhole]:
        """Every pinhole, oldest first."""
        return list(self._by_id.values())

    def get(self, number: int) -> Pinhole | None:
        """A pinhole by its id."""
        return self._by_id.get(number)

    def count_of(self, inside_addr: int) -> int:
        """How many pinholes point to a host."""
        return self._per_subscriber[inside_addr]

    def new_id(self) -> int:
        """An id that was not used before."""
        self._next_id += 1
        return self._next_id - 1

    def _new_pinhole_id(self) -> int:
        """An id that was not used before, and whose place in the switch no pinhole has."""
        while self._next_id & _LAST_PLACE in self._places:
            self._next_id += 1
        return self.new_id()

    # Requests of ALGs

    def request(self, owner: Owner, request: PinholeRequest, now: float) -> Pinhole | Refusal:
        """Reserve a pinhole. If the owner has it already, its lifetime begins anew."""
        reason = self._safety.of_request(request, owner.facts, for_others=owner.for_others)
        if reason:
            return Refusal(reason)
        request, ends = self._safety.bounded(request), ends_of(request, owner.facts)
        present = self._by_match.get((request.proto, *ends.inside, *ends.remote))
        if present is not None:
            if present.owner is not owner and not owner.outlives:
                return Refusal("in-use")
            present.expires, present.retired = now + request.lifetime, False
            return present
        reason = self._limit(owner)
        if reason:
            return Refusal(reason)
        binding = self._mappings.binding_for(
            request.proto,
            ends.inside,
            now,
            kind=Kind.PINHOLE,
            outside_addr=self._outside_addr(owner, ends.inside[0]),
        )
        if isinstance(binding, Refused):
            return Refusal(binding.reason)
        return self._make(owner, request, ends, binding, now)

    def reserve(
        self, owner: Owner, proto: int, listen: Endpoint, now: float, *, pair: bool
    ) -> Reservation | Refusal:
        """Reserve the outside endpoint of an inside one (`Gateway.reserve`)."""
        wanted = [Endpoint(listen.addr, listen.port + n) for n in range(1 + pair)]
        for endpoint in wanted:
            reason = self._safety.of_endpoint(
                proto, endpoint, owner.inside_addr, for_others=owner.for_others
            )
            if reason:
                return Refusal(reason)
        reason = self._endpoint_limit(owner)
        if reason:
            return Refusal(reason)
        found = self._endpoints(
            proto, listen, self._outside_addr(owner, listen.addr), now, pair=pair
        )
        if isinstance(found, Refused):
            return Refusal(found.reason)
        reservation = Reservation(self.new_id(), found, owner)
        for binding in found:
            binding.reservations += 1
        self._reservations[reservation.number] = reservation
        self._endpoints_per_subscriber.add(owner.inside_addr, len(found))
        self._endpoints_per_owner.add(owner, len(found))
        return reservation

    def _outside_addr(self, owner: Owner, inside_addr: int) -> int | None:
        """The outside address of a host: that of the control session, if it is its own."""
        if inside_addr == owner.inside_addr:
            return owner.outside_addr
        return self._mappings.outside_addr_of(inside_addr)

    def _endpoints(
        self, proto: int, listen: Endpoint, outside_addr: int | None, now: float, *, pair: bool
    ) -> tuple[Binding, ...] | Refused:
        """The bindings of an inside port, and with `pair` of the next one too."""
        if outside_addr is None:
            return Refused("pool-exhausted")
        if pair:
            return self._mappings.binding_pair(proto, listen.addr, listen.port, now, outside_addr)
        inside = (listen.addr, flow_id(proto, listen.port))
        one = self._mappings.binding_for(
            proto, inside, now, kind=Kind.PINHOLE, outside_addr=outside_addr
        )
        return one if isinstance(one, Refused) else (one,)

    def _limit(self, owner: Owner) -> str:
        """The limit that forbids one more pinhole, or an empty string."""
        limits = self.limits
        if not owner.outlives and self._per_owner[owner] >= limits.pinholes_per_control:
            return "control-limit"
        if self._per_subscriber[owner.inside_addr] >= limits.pinholes_per_subscriber:
            return "subscriber-limit"
        full = len(self._by_id) >= min(limits.pinholes, _LAST_PLACE + 1)
        return "pinhole-limit" if full else ""

    def _endpoint_limit(self, owner: Owner) -> str:
        """The limit that forbids one more reserved endpoint, or an empty string."""
        limits, times = self.limits, _ENDPOINTS_PER_PINHOLE
        held = self._endpoints_per_owner[owner]
        if not owner.outlives and held >= times * limits.pinholes_per_control:
            return "control-limit"
        held = self._endpoints_per_subscriber[owner.inside_addr]
        if held >= times * limits.pinholes_per_subscriber:
            return "subscriber-limit"
        return "pinhole-limit" if len(self._reservations) >= times * limits.pinholes else ""

    def _make(
        self, owner: Owner, request: PinholeRequest, ends: Ends, binding: Binding, now: float
    ) -> Pinhole:
        entry = t.PinholeEntry(
            request.proto,
            *ends.inside,
            *ends.remote,
            self._new_pinhole_id(),
            idle_timeout=request.lifetime,
            alg_id=owner.alg_id if request.inspect else 0,
            flows=min(request.max_flows, p4.WAYS_PINHOLE),
        )
        pinhole = Pinhole(
            entry.pinhole_id,
            entry,
            binding,
            owner,
            request.label,
            now,
            now + request.lifetime,
            request.max_flows,
            flow_idle=request.flow_idle,
        )
        self._keep(pinhole)
        return pinhole

    # From reserved to open

    def begin(self, numbers: Iterable[int]) -> Batch:
        """The writes for those of `numbers` that are only reserved; they are OPENING from now on.

        The caller has to write the updates and call `opened` or `failed`.
        """
        items = self._reserved(numbers)
        written: list[Binding] = []
        updates: list[Update] = []
        for item in items:
            item.stage = Stage.OPENING
            bindings = item.bindings if isinstance(item, Reservation) else (item.binding,)
            for binding in bindings:
                if not binding.is_in_switch:
                    written.append(binding)
                    updates += self._mappings.writes(binding)
            if isinstance(item, Pinhole):
                updates.append(Update(Op.INSERT, item.entry))
        return Batch(tuple(items), tuple(written), tuple(updates))

    def opened(self, batch: Batch) -> None:
        """The switch has the entries of `batch`."""
        for item in batch.items:
            item.stage = Stage.OPEN
            if isinstance(item, Pinhole):
                self.counters.count(f"alg.{item.alg}.pinholes.opened")
                self._outbox.tell(of_pinhole(item, "opened"))

    def failed(self, batch: Batch, now: float) -> None:
        """The switch has refused `batch` and has none of its entries."""
        bindings: dict[Binding, None] = {}
        for item in batch.items:
            if isinstance(item, Pinhole):
                self.counters.count(f"alg.{item.alg}.pinholes.refused.tables")
                self._outbox.tell(of_pinhole(item, "refused", "tables"))
            bindings.update(dict.fromkeys(self._drop(item)))
        for binding in bindings:
            if binding in batch.written:
                self._mappings.lost(binding, now)
            else:
                self._release(binding, now)

    def abandon(self, numbers: Iterable[int], now: float) -> None:
        """Take back those of `numbers` that are only reserved: their message was not sent."""
        for item in self._reserved(numbers):
            for binding in self._drop(item):
                self._release(binding, now)

    def _reserved(self, numbers: Iterable[int]) -> list[Pinhole | Reservation]:
        found = (self._by_id.get(n) or self._reservations.get(n) for n in dict.fromkeys(numbers))
        return [item for item in found if item is not None and item.stage is Stage.RESERVED]

    def _drop(self, item: Pinhole | Reservation) -> tuple[Binding, ...]:
        """Forget an item; returns the bindings that it used."""
        if isinstance(item, Pinhole):
            self._forget(item)
            return (item.binding,)
        if self._reservations.pop(item.number, None) is None:
            return ()
        for binding in item.bindings:
            binding.reservations -= 1
        self._endpoints_per_subscriber.add(item.owner.inside_addr, -len(item.bindings))
        self._endpoints_per_owner.add(item.owner, -len(item.bindings))
        return item.bindings

    def _release(self, binding: Binding, now: float) -> None:
        updates = self._mappings.release_if_unused(binding, now)
        if updates:
            self._outbox.transact(updates)

    # Flows that come through

    def hit(self, pinhole_id: int, key: FlowKey, now: float) -> None:
        """The switch let a packet of flow `key` through a pinhole: write a session for the flow.

        Nothing happens if the flow has one, or if the pinhole is not known.
        """
        pinhole = self._by_id.get(pinhole_id)
        if pinhole is None or key in self._flows:
            return
        # In a tunnel the sending end has identifier 0. Here the inside end may be the one.
        is_outbound = key.proto in TUNNELS and key.inside_id == 0
        side = Side.INSIDE if is_outbound else Side.OUTSIDE
        flow = self._flows.prepare(key, side, now)
        if isinstance(flow, Refused):
            self._flows.refused(flow.reason)
            self._outbox.log(logging.WARNING, f"pinhole {pinhole}: {flow.reason}", Subsystem.SWITCH)
            self._close(pinhole, "refused", now)
            return
        self._flows.commit(flow, (), self.use(pinhole, flow))

    def use(self, pinhole: Pinhole, flow: Flow) -> list[Update]:
        """Count a new flow for the pinhole that it came through.

        Returns the writes for the pinhole, which the caller has to carry out with those of the
        flow: if it was the last flow that the pinhole may serve, the pinhole is deleted.
        """
        flow.alg, flow.label = pinhole.alg, pinhole.label
        flow.pinhole_id = pinhole.pinhole_id
        if pinhole.flow_idle is not None:
            flow.idle_timeout = pinhole.flow_idle
        if pinhole.pinhole_id not in self._came_through:
            self._came_through[pinhole.pinhole_id] = TrackedSet(self._log)
        self._came_through[pinhole.pinhole_id].add(flow.key)
        self.counters.count(f"alg.{pinhole.alg}.pinholes.used")
        by = end(flow.key.proto, flow.key.remote_addr, flow.key.remote_id)
        self._outbox.tell(of_pinhole(pinhole, "hit", by=by))
        pinhole.flows_left -= 1
        if pinhole.flows_left > 0:
            return []
        self._outbox.tell(of_pinhole(pinhole, "closed", "used-up"))
        # The binding stays, since the flow is counted in it.
        self._forget(pinhole)
        return [Update(Op.DELETE, pinhole.entry)]

    def to_inspect(self, key: FlowKey) -> Pinhole | None:
        """The pinhole by which the switch gives the first packet of flow `key` to an ALG."""
        for remote_id in (key.remote_id, None):
            found = self._by_match.get((*key[:4], remote_id))
            if found is not None and found.entry.alg_id and found.owner is not None:
                return found
        return None

    def flow_gone(self, flow: Flow) -> None:
        """A flow that came through a pinhole has ended."""
        keys = self._came_through.get(flow.pinhole_id)
        if keys is not None:
            keys.discard(flow.key)
            if not keys:
                del self._came_through[flow.pinhole_id]

    # Ends

    def end(self, number: int, now: float) -> None:
        """End a reservation, or a pinhole together with its flows (`Gateway.end`)."""
        reservation = self._reservations.get(number)
        if reservation is not None:
            self._give_back(reservation, now)
            return
        for key in list(self._came_through.pop(number, ())):
            flow = self._flows.get(key)
            if flow is not None:
                self._flows.remove(flow, now, "by-alg")
        pinhole = self._by_id.get(number)
        if pinhole is not None:
            self.shut(pinhole, now)

    def shut(self, pinhole: Pinhole, now: float) -> None:
        """Close a pinhole at once; flows that came through it go on."""
        match pinhole.stage:
            case Stage.RESERVED:
                self.abandon((pinhole.pinhole_id,), now)
            case Stage.OPENING:
                self._retire(pinhole, now)
            case Stage.OPEN:
                self._close(pinhole, "closed", now)

    def end_of(self, binding: Binding, now: float) -> None:
        """End everything that leads through a binding: pinholes, and reserved endpoints."""
        for pinhole in self.all():
            if pinhole.binding is binding:
                self.shut(pinhole, now)
        for number, reservation in list(self._reservations.items()):
            if binding in reservation.bindings:
                self.end(number, now)

    def close(self, pinhole_id: int, now: float) -> None:
        """Close an unused pinhole after `GRACE` seconds. Unknown ids are ignored."""
        pinhole = self._by_id.get(pinhole_id)
        if pinhole is not None:
            self._retire(pinhole, now)

    def close_of(self, owner: Owner, now: float) -> None:
        """A control session has ended: close its unused pinholes, free its reservations (F3)."""
        self._close_where(lambda found: found is owner, now)

    def close_all(self, alg: str, now: float) -> None:
        """Close all unused pinholes of an ALG, and free all its reservations."""
        self._close_where(lambda owner: owner is not None and owner.alg == alg, now)

    def idle(self, pinhole_id: int, now: float) -> None:
        """The switch reports a pinhole unused. It closes if its lifetime is over by our clock."""
        pinhole = self._by_id.get(pinhole_id)
        if pinhole is not None and pinhole.expires <= now:
            self._close(pinhole, "expired", now)

    def expire(self, now: float) -> None:
        """Close the pinholes whose lifetime is over, and those withdrawn `GRACE` seconds ago."""
        for pinhole in self.all():
            if pinhole.expires <= now and pinhole.stage is Stage.OPEN:
                self._close(pinhole, "closed" if pinhole.retired else "expired", now)

    def _close_where(self, is_meant: Callable[[Owner | None], bool], now: float) -> None:
        for pinhole in self.all():
            if is_meant(pinhole.owner):
                self._retire(pinhole, now)
        for reservation in list(self._reservations.values()):
            if is_meant(reservation.owner):
                self._give_back(reservation, now)

    def _give_back(self, reservation: Reservation, now: float) -> None:
        for binding in self._drop(reservation):
            self._release(binding, now)

    def _retire(self, pinhole: Pinhole, now: float) -> None:
        pinhole.retired = True
        pinhole.expires = min(pinhole.expires, now + GRACE)

    def _close(self, pinhole: Pinhole, why: str, now: float) -> None:
        self.counters.count(f"alg.{pinhole.alg}.pinholes.{why}")
        reason = "withdrawn" if why == "closed" else why
        self._outbox.tell(of_pinhole(pinhole, "closed", reason))
        self._forget(pinhole)
        updates = self._mappings.release_if_unused(pinhole.binding, now)
        self._outbox.transact([Update(Op.DELETE, pinhole.entry), *updates])

    # Bookkeeping

    def adopt(self, entry: t.PinholeEntry, binding: Binding, now: float) -> None:
        """Take over a pinhole that was found in the switch. Its control session is not known."""
        lifetime = entry.idle_timeout or self.limits.pinhole_lifetime
        pinhole = Pinhole(
            entry.pinhole_id, entry, binding, None, "", now, now + lifetime, 1, Stage.OPEN
        )
        self._keep(pinhole)
        self._next_id = max(self._next_id, entry.pinhole_id + 1)

    def _keep(self, pinhole: Pinhole) -> None:
        self._by_id[pinhole.pinhole_id] = pinhole
        self._by_match[_match(pinhole.entry)] = pinhole
        self._places.add(pinhole.pinhole_id & _LAST_PLACE)
        self._per_subscriber.add(pinhole.entry.inside_addr)
        if pinhole.owner is not None:
            self._per_owner.add(pinhole.owner)
        pinhole.binding.reservations += 1

    def _forget(self, pinhole: Pinhole) -> None:
        if self._by_id.pop(pinhole.pinhole_id, None) is None:
            return
        del self._by_match[_match(pinhole.entry)]
        self._places.discard(pinhole.pinhole_id & _LAST_PLACE)
        pinhole.binding.reservations -= 1
        self._per_subscriber.add(pinhole.entry.inside_addr, -1)
        if pinhole.owner is not None:
            self._per_owner.add(pinhole.owner, -1)


def _match(entry: t.PinholeEntry) -> tuple[object, ...]:
    return (entry.proto, entry.inside_addr, entry.inside_id, entry.remote_addr, entry.remote_id)
