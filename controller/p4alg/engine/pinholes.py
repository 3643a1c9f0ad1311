"""Pinholes: what an ALG asked to be opened, from the request to the last flow.

A pinhole is an outside endpoint (a binding, held) and a filter entry that names
who may use it. It serves a bounded number of flows, ends unused after its
lifetime or with its control connection, and points only to the asking host.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p4alg.alg.contract import Endpoint, PinholeRequest, Refusal, format_addr
from p4alg.engine import tables as t
from p4alg.engine.counters import Counters
from p4alg.engine.flows import Flow, flow_id, number_of
from p4alg.engine.outbox import Outbox
from p4alg.engine.settings import Limits
from p4alg.engine.tables import FlowKey, Op, Side, Update
from p4alg.engine.translation import Translation
from p4alg.nat.bindings import Binding, Kind, Refused
from p4alg.protocols import TUNNELS, proto_name

if TYPE_CHECKING:
    from p4alg.engine.controls import Control

_LOWEST_PORT = 1024
_HOLDS_PER_PINHOLE = 2
"""Endpoints a control session may reserve for each pinhole it may open."""
GRACE = 1.0
"""Seconds a pinhole nobody wants any more stays: its only flow may have begun a moment
ago, and the switch's report of that be on its way."""


@dataclass(slots=True, eq=False)
class Pinhole:
    """An open pinhole, or one on its way into the switch (`installed` False)."""

    pinhole_id: int
    entry: t.PinholeEntry
    binding: Binding
    control: Control | None
    alg: str
    label: str
    created: float
    expires: float
    flows_left: int
    installed: bool = False
    flow_idle: float | None = None
    """Seconds its flows may be silent; None: as any other flow."""
    retired: bool = False
    """Whether it closes because nobody wants it any more, not because it is old."""

    @property
    def visible(self) -> Endpoint:
        """The endpoint that the opener is told."""
        return _shown(self.binding)

    def __str__(self) -> str:
        entry = self.entry
        name = proto_name(entry.proto)
        inside = Endpoint(entry.inside_addr, number_of(entry.proto, entry.inside_id))
        who = "anyone" if entry.remote_addr is None else format_addr(entry.remote_addr)
        if entry.proto not in TUNNELS:
            port = "*" if entry.remote_id is None else str(entry.remote_id)
            return f"{name} {who}:{port} -> {self.visible} -> {inside}"
        # Only the receiver of a tunnel has an identifier.
        if entry.inside_id:
            return f"{name} {who} -> {self.visible} -> {inside}"
        number = number_of(entry.proto, entry.remote_id or 0)
        return f"{name} {format_addr(entry.inside_addr)} -> {who}:{number}"


@dataclass(slots=True, eq=False)
class Hold:
    """Outside endpoints that an ALG has reserved and nothing is open at yet."""

    number: int
    bindings: tuple[Binding, ...]
    control: Control

    @property
    def visible(self) -> Endpoint:
        """The (first) outside endpoint."""
        return _shown(self.bindings[0])


class Pinholes:
    """All pinholes and holds, with their limits (G4)."""

    def __init__(
        self, limits: Limits, translation: Translation, outbox: Outbox, counters: Counters
    ) -> None:
        self._limits = limits
        self._translation = translation
        self._outbox = outbox
        self._counters = counters
        self._by_id: dict[int, Pinhole] = {}
        self._by_match: dict[tuple[object, ...], Pinhole] = {}
        self._per_subscriber: Counter[int] = Counter()
        self._holds: dict[int, Hold] = {}
        # Flows that came through a pinhole and still are, by its id.
        self._flows: dict[int, set[FlowKey]] = {}
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._by_id)

    def all(self) -> list[Pinhole]:
        """Every pinhole, oldest first."""
        return list(self._by_id.values())

    def get(self, pinhole_id: int) -> Pinhole | None:
        """A pinhole by its id."""
        return self._by_id.get(pinhole_id)

    def count_of(self, inside_addr: int) -> int:
        """How many pinholes point to a host."""
        return self._per_subscriber[inside_addr]

    def new_id(self) -> int:
        """An id nobody has had."""
        self._next_id += 1
        return self._next_id - 1

    def reserve(
        self, control: Control, request: PinholeRequest, outside_addr: int, now: float
    ) -> tuple[Pinhole, list[Update]] | Refusal:
        """Make a pinhole for an inside listener; returns the writes it needs.

        Of an ALG whose state outlives its control sessions, a pinhole is nobody's
        in particular, and the ALG bounds their number itself.

        The caller writes them and then says `opened` or `failed`. Asking again for
        what the same control connection has open prolongs it.
        """
        reason = self._objection(control, request)
        if reason:
            return Refusal(reason)
        inside, remote = _ends(control, request)
        match = (request.proto, *inside, *remote)
        present = self._by_match.get(match)
        if present is not None:
            if present.control is not control and not control.outlived:
                return Refusal("in-use")
            present.expires, present.retired = now + request.lifetime, False
            return present, []
        most = self._limits.pinholes_per_control
        if not control.outlived and self._count(control) >= most:
            return Refusal("control-limit")
        if self._per_subscriber[inside[0]] >= self._limits.pinholes_per_subscriber:
            return Refusal("subscriber-limit")
        if len(self._by_id) >= self._limits.pinholes:
            return Refusal("pinhole-limit")
        found = self._translation.binding_for(
            request.proto, inside, now, kind=Kind.PINHOLE, outside_addr=outside_addr
        )
        if isinstance(found, Refused):
            return Refusal(found.reason)
        binding, updates = found
        entry = t.PinholeEntry(
            request.proto,
            *inside,
            *remote,
            self.new_id(),
            idle_timeout=request.lifetime,
            alg_id=control.flow.alg_id if request.inspect else 0,
        )
        pinhole = Pinhole(
            entry.pinhole_id,
            entry,
            binding,
            control,
            control.alg,
            request.label,
            now,
            now + request.lifetime,
            request.max_flows,
            flow_idle=request.flow_idle,
        )
        self._keep(pinhole)
        return pinhole, [*updates, Update(Op.INSERT, entry)]

    def opened(self, pinhole: Pinhole) -> None:
        """The switch has the entries of a reserved pinhole."""
        pinhole.installed = True
        self._counters.count(f"alg.{pinhole.alg}.pinholes.opened")

    def failed(self, pinhole: Pinhole, now: float) -> None:
        """The switch refused a reserved pinhole, and holds nothing of it."""
        self._counters.count(f"alg.{pinhole.alg}.pinholes.refused.tables")
        self.abandon(pinhole, now)

    def abandon(self, pinhole: Pinhole, now: float) -> None:
        """A reserved pinhole is not wanted after all; nothing of it was written."""
        self._forget(pinhole)
        self._translation.drop_binding_if_unused(pinhole.binding, now)

    def hit(self, pinhole_id: int, key: FlowKey, now: float) -> None:
        """A packet of flow `key` was let through: give it a session, and count the flow."""
        pinhole = self._by_id.get(pinhole_id)
        if pinhole is None or key in self._translation.flows:
            return
        # Of a tunnel, what has no identifier of its own comes from inside.
        is_outbound = key.proto in TUNNELS and key.inside_id == 0
        side = Side.INSIDE if is_outbound else Side.OUTSIDE
        opening = self._translation.prepare(key, side, now)
        if isinstance(opening, Refused):
            self._translation.refused(opening.reason)
            self._outbox.log(logging.WARNING, f"pinhole {pinhole}: {opening.reason}")
            self._close(pinhole, "refused", now)
            return
        self._translation.commit(opening, (), self.use(pinhole, opening.flow))

    def use(self, pinhole: Pinhole, flow: Flow) -> list[Update]:
        """A new flow came through a pinhole; the writes that follow for the pinhole."""
        flow.alg, flow.label = pinhole.alg, pinhole.label
        flow.pinhole_id = pinhole.pinhole_id
        if pinhole.flow_idle is not None:
            flow.idle_timeout = pinhole.flow_idle
        self._flows.setdefault(pinhole.pinhole_id, set()).add(flow.key)
        self._counters.count(f"alg.{pinhole.alg}.pinholes.used")
        pinhole.flows_left -= 1
        if pinhole.flows_left > 0:
            return []
        # The session holds the binding from here on.
        self._forget(pinhole)
        return [Update(Op.DELETE, pinhole.entry)]

    def to_inspect(self, key: FlowKey) -> Pinhole | None:
        """The pinhole that gives the first packet of a flow to its ALG."""
        for remote_id in (key.remote_id, None):
            found = self._by_match.get((*key[:4], remote_id))
            if found is not None and found.entry.alg_id and found.control is not None:
                return found
        return None

    def flow_gone(self, flow: Flow) -> None:
        """A flow that came through a pinhole has ended."""
        keys = self._flows.get(flow.pinhole_id)
        if keys is not None:
            keys.discard(flow.key)
            if not keys:
                del self._flows[flow.pinhole_id]

    def reserve_endpoint(
        self,
        control: Control,
        proto: int,
        listen: Endpoint,
        outside_addr: int,
        now: float,
        *,
        pair: bool,
    ) -> tuple[Hold, list[Update]] | Refusal:
        """Reserve the outside endpoint of an inside one (`Gateway.reserve`), and its writes."""
        if listen.addr != control.flow.key.inside_addr:
            return Refusal("bounce")
        lowest = 0 if proto in TUNNELS else 1
        if not lowest <= listen.port <= 0xFFFF - pair:
            return Refusal("bad-id")
        if not control.outlived:
            held = sum(len(h.bindings) for h in self._holds.values() if h.control is control)
            if held >= _HOLDS_PER_PINHOLE * self._limits.pinholes_per_control:
                return Refusal("control-limit")
        bindings = self._translation.bindings
        first = flow_id(proto, listen.port)
        ids = [first, first + 1] if pair else [first]
        known = [bindings.outbound(proto, listen.addr, number) for number in ids]
        if pair and self._translation.outside_of(listen.addr) is None:
            both = bindings.allocate_pair(
                proto, listen.addr, listen.port, now, outside_addr=outside_addr
            )
            if isinstance(both, Refused):
                return Refusal(both.reason)
            found: tuple[Binding, ...] = both
        else:
            made: list[Binding] = []
            for number in ids:
                one = self._translation.binding_for(
                    proto,
                    (listen.addr, number),
                    now,
                    kind=Kind.PINHOLE,
                    outside_addr=outside_addr,
                )
                if isinstance(one, Refused):
                    return Refusal(one.reason)
                made.append(one[0])
            found = tuple(made)
        updates = [
            Update(Op.INSERT, entry)
            for binding, before in zip(found, known, strict=True)
            if before is None and binding.kind is not Kind.STATIC
            for entry in self._translation.binding_entries(binding)
        ]
        hold = Hold(self.new_id(), found, control)
        for binding in found:
            binding.reservations += 1
        self._holds[hold.number] = hold
        return hold, updates

    def end(self, number: int, now: float, unwritten: list[Update]) -> None:
        """End a hold, or a pinhole and the flows that came through it (`Gateway.end`).

        `unwritten` are writes that the switch has not been told yet: what is not
        needed any more is taken out of them, as it cannot be deleted.
        """
        hold = self._holds.pop(number, None)
        if hold is not None:
            self._let_go(hold, now, unwritten)
            return
        for key in list(self._flows.pop(number, ())):
            flow = self._translation.flows.get(key)
            if flow is not None:
                self._translation.remove(flow, now)
        pinhole = self._by_id.get(number)
        if pinhole is not None:
            if pinhole.installed:
                self._close(pinhole, "closed", now)
            elif Update(Op.INSERT, pinhole.entry) in unwritten:
                self._unwritten(pinhole, now, unwritten)
            else:
                self._retire(pinhole, now)

    def _unwritten(self, pinhole: Pinhole, now: float, unwritten: list[Update]) -> None:
        """A pinhole is not wanted any more before it was written."""
        gone = [Update(Op.INSERT, pinhole.entry)]
        if pinhole.control is not None and pinhole in pinhole.control.reserved:
            pinhole.control.reserved.remove(pinhole)
        self._forget(pinhole)
        for update in self._translation.release_if_unused(pinhole.binding, now):
            insert = Update(Op.INSERT, update.entry)
            if insert in unwritten:
                gone.append(insert)
            else:
                self._outbox.transact([update])
        unwritten[:] = [update for update in unwritten if update not in gone]

    def _let_go(self, hold: Hold, now: float, unwritten: list[Update]) -> None:
        updates: list[Update] = []
        for binding in hold.bindings:
            binding.reservations -= 1
            updates += self._translation.release_if_unused(binding, now)
        never = [Update(Op.INSERT, update.entry) for update in updates]
        known = [u for u, inserted in zip(updates, never, strict=True) if inserted not in unwritten]
        unwritten[:] = [update for update in unwritten if update not in never]
        if known:
            self._outbox.transact(known)

    def close(self, pinhole_id: int, now: float) -> None:
        """Withdraw an unused pinhole, after `GRACE`; unknown ids are ignored."""
        pinhole = self._by_id.get(pinhole_id)
        if pinhole is not None:
            self._retire(pinhole, now)

    def close_of(self, control: Control, now: float) -> None:
        """The control connection is gone: its unused pinholes close with it (F3)."""
        for pinhole in self._by_id.values():
            if pinhole.control is control:
                self._retire(pinhole, now)
        for hold in [h for h in self._holds.values() if h.control is control]:
            del self._holds[hold.number]
            self._let_go(hold, now, control.writes)

    def close_all(self, alg: str, now: float) -> None:
        """Close all unused pinholes of an ALG, and what it holds."""
        for pinhole in self._by_id.values():
            if pinhole.alg == alg:
                self._retire(pinhole, now)
        for hold in [h for h in self._holds.values() if h.control.alg == alg]:
            del self._holds[hold.number]
            self._let_go(hold, now, hold.control.writes)

    def idle(self, pinhole_id: int, now: float) -> None:
        """The switch reports a pinhole unused; our own clock decides."""
        pinhole = self._by_id.get(pinhole_id)
        if pinhole is not None and pinhole.expires <= now:
            self._close(pinhole, "expired", now)

    def expire(self, now: float) -> None:
        """Close what nobody used in its lifetime, or wants any more."""
        for pinhole in [p for p in self._by_id.values() if p.expires <= now and p.installed]:
            self._close(pinhole, "closed" if pinhole.retired else "expired", now)

    def adopt(self, entry: t.PinholeEntry, binding: Binding, now: float) -> None:
        """Take over a pinhole found in the switch; its control connection is not known."""
        pinhole = Pinhole(
            entry.pinhole_id,
            entry,
            binding,
            None,
            "adopted",
            "",
            now,
            now + (entry.idle_timeout or self._limits.pinhole_lifetime),
            1,
            installed=True,
        )
        self._keep(pinhole)
        self._next_id = max(self._next_id, entry.pinhole_id + 1)

    def _objection(self, control: Control, request: PinholeRequest) -> str:
        """Why a request may not be granted whoever asks (G7)."""
        inside, _ = _ends(control, request)
        if inside[0] != control.flow.key.inside_addr:
            return "bounce"
        if request.proto in TUNNELS:
            return "" if 0 <= request.listen.port <= 0xFFFF else "bad-id"
        if not _LOWEST_PORT <= request.listen.port <= 0xFFFF:
            return "low-port"
        return ""

    def _count(self, control: Control) -> int:
        return sum(1 for pinhole in self._by_id.values() if pinhole.control is control)

    def _keep(self, pinhole: Pinhole) -> None:
        self._by_id[pinhole.pinhole_id] = pinhole
        self._by_match[_match(pinhole.entry)] = pinhole
        self._per_subscriber[pinhole.entry.inside_addr] += 1
        pinhole.binding.reservations += 1

    def _forget(self, pinhole: Pinhole) -> None:
        if self._by_id.pop(pinhole.pinhole_id, None) is None:
            return
        del self._by_match[_match(pinhole.entry)]
        pinhole.binding.reservations -= 1
        addr = pinhole.entry.inside_addr
        self._per_subscriber[addr] -= 1
        if self._per_subscriber[addr] <= 0:
            del self._per_subscriber[addr]

    def _retire(self, pinhole: Pinhole, now: float) -> None:
        pinhole.retired = True
        pinhole.expires = min(pinhole.expires, now + GRACE)

    def _close(self, pinhole: Pinhole, why: str, now: float) -> None:
        self._counters.count(f"alg.{pinhole.alg}.pinholes.{why}")
        self._forget(pinhole)
        updates: Sequence[Update] = self._translation.release_if_unused(pinhole.binding, now)
        self._outbox.transact([Update(Op.DELETE, pinhole.entry), *updates])


def _shown(binding: Binding) -> Endpoint:
    """The outside endpoint of a binding, as a protocol names it."""
    return Endpoint(binding.outside_addr, number_of(binding.proto, binding.outside_id))


def _ends(
    control: Control, request: PinholeRequest
) -> tuple[tuple[int, int], tuple[int, int | None]]:
    """The inside and the remote end of the flows that a request is about.

    Of a tunnel only the receiver's identifier is in a packet: that of the
    sender is 0.
    """
    listen = (request.listen.addr, flow_id(request.proto, request.listen.port))
    if request.listener is control.facts.inside:
        if request.proto in TUNNELS:
            return listen, (request.opener_addr, 0)
        return listen, (request.opener_addr, request.opener_port)
    return (request.opener_addr, 0), listen


def _match(entry: t.PinholeEntry) -> tuple[object, ...]:
    return (entry.proto, entry.inside_addr, entry.inside_id, entry.remote_addr, entry.remote_id)
