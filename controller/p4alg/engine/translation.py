"""NAPT: bindings and sessions from first packets to idle timeouts (RFC 4787, 5382, 5508).

Owns every flow and every dynamic mapping entry. A first packet leaves only
after the switch has acknowledged the entries of its flow.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.counters import Counters
from p4alg.engine.flows import Flow, Phase
from p4alg.engine.outbox import Outbox
from p4alg.engine.settings import Settings
from p4alg.engine.tables import FlowKey, Op, SessionFlags, Side, Update
from p4alg.nat.bindings import Binding, Bindings, Kind, Refused
from p4alg.packet.udp import HEADER as UDP_HEADER
from p4alg.protocols import ESP, GRE, ICMP, TCP, TUNNELS, UDP

_DNS = 53
_FIN, _RST = 1, 4


@dataclass(frozen=True, slots=True)
class Opening:
    """A flow that may come to be: its key, the binding it uses and the writes it needs."""

    flow: Flow
    updates: tuple[Update, ...]


class Translation:
    """All bindings and flows."""

    def __init__(
        self, settings: Settings, bindings: Bindings, outbox: Outbox, counters: Counters
    ) -> None:
        self._settings = settings
        self._bindings = bindings
        self._outbox = outbox
        self._counters = counters
        self._by_address = {f.inside_addr: f.outside_addr for f in settings.address_forwards}
        self._by_outside = {f.outside_addr: f.inside_addr for f in settings.address_forwards}
        self._leaving: set[FlowKey] = set()
        self._per_subscriber: Counter[int] = Counter()
        self.flows: dict[FlowKey, Flow] = {}

    @property
    def bindings(self) -> Bindings:
        """The bindings of endpoints; 1:1 addresses have none."""
        return self._bindings

    def sessions_of(self, inside_addr: int) -> int:
        """How many flows an inside host has."""
        return self._per_subscriber[inside_addr]

    # What a packet belongs to

    def outside_of(self, inside_addr: int) -> int | None:
        """The outside address of a host with a 1:1 mapping."""
        return self._by_address.get(inside_addr)

    def outside_addr_of(self, inside_addr: int) -> int | None:
        """The outside address of a host, chosen now if it has none; None without a pool."""
        return self._by_address.get(inside_addr) or self._bindings.address_of(inside_addr)

    def inside_endpoint(self, proto: int, addr: int, port: int) -> Binding | None:
        """The binding that a packet from outside to (`addr`, `port`) uses."""
        binding = self._bindings.inbound(proto, addr, port)
        if binding is None and addr in self._by_outside:
            return self._whole_address(proto, self._by_outside[addr], port, 0.0)
        return binding

    def key_of(
        self, proto: int, side: Side, source: tuple[int, int], target: tuple[int, int]
    ) -> FlowKey | None:
        """The flow of a packet as it arrived; None if no mapping leads inside.

        ICMP queries have one identifier, which belongs to the inside end.
        """
        if side is Side.INSIDE:
            return FlowKey(proto, *source, target[0], 0 if proto == ICMP else target[1])
        binding = self.inside_endpoint(proto, *target)
        if binding is None:
            return None
        remote_id = 0 if proto == ICMP else source[1]
        return FlowKey(proto, binding.inside_addr, binding.inside_id, source[0], remote_id)

    # Flows begin

    def binding_for(
        self,
        proto: int,
        inside: tuple[int, int],
        now: float,
        *,
        kind: Kind = Kind.DYNAMIC,
        outside_addr: int | None = None,
        share: bool = False,
    ) -> tuple[Binding, tuple[Update, ...]] | Refused:
        """The binding of an inside endpoint and what the switch lacks of it.

        `outside_addr` demands an outside address, `share` the same identifier
        outside, even if other hosts have it too. The binding is nobody's until
        a session or a hold is added; see `release_if_unused`.
        """
        whole = self._by_address.get(inside[0])
        if whole is not None and self._bindings.outbound(proto, *inside) is None:
            if outside_addr not in (None, whole):
                return Refused("mapping-conflict")
            return self._whole_address(proto, *inside, now), ()
        known = self._bindings.outbound(proto, *inside) is not None
        if share or (proto in TUNNELS and inside[1] == 0):
            binding = self._bindings.share(proto, *inside, outside_addr, now)
        elif proto == ESP:
            binding = self._bindings.claim(proto, *inside, outside_addr, now)
        else:
            binding = self._bindings.allocate(
                proto, *inside, now, kind=kind, outside_addr=outside_addr
            )
        if isinstance(binding, Refused):
            return binding
        if known:
            return binding, ()
        entries = self.binding_entries(binding)
        return binding, tuple(Update(Op.INSERT, entry) for entry in entries)

    def binding_entries(self, binding: Binding) -> tuple[t.MapOut | t.MapIn, ...]:
        """The entries of a dynamic binding."""
        inside = (binding.inside_addr, binding.inside_id)
        outside = (binding.outside_addr, binding.outside_id)
        mode = self._settings.filter_mode
        if binding.kind is Kind.PINHOLE:
            # What an ALG reserved is open to those only whom its pinholes name.
            mode = t.FilterMode.ADDRESS_AND_PORT
        if binding.kind is Kind.SHARED:
            return (t.MapOut(binding.proto, *inside, *outside),)
        return (
            t.MapOut(binding.proto, *inside, *outside),
            t.MapIn(binding.proto, *outside, *inside, mode),
        )

    def prepare(
        self,
        key: FlowKey,
        opened_by: Side,
        now: float,
        outside_addr: int | None = None,
        *,
        share: bool = False,
    ) -> Opening | Refused:
        """Make a flow and its binding (`binding_for`); nothing is written yet."""
        limits = self._settings.limits
        if len(self.flows) >= limits.sessions:
            return Refused("session-limit")
        if self._per_subscriber[key.inside_addr] >= limits.sessions_per_subscriber:
            return Refused("subscriber-limit")
        found = self.binding_for(
            key.proto,
            (key.inside_addr, key.inside_id),
            now,
            outside_addr=outside_addr,
            share=share,
        )
        if isinstance(found, Refused):
            return found
        binding, updates = found
        flow = Flow(
            key,
            binding,
            opened_by,
            now,
            Phase.OPENING if key.proto == TCP else Phase.ACTIVE,
            self._first_timeout(key, opened_by),
            flags=SessionFlags.NOTIFY_ESTABLISHED if key.proto == TCP else SessionFlags.NONE,
        )
        self.keep(flow)
        return Opening(flow, (*updates, *self._peer(flow)))

    def keep(self, flow: Flow) -> None:
        """Count a flow in that the switch has or is about to have."""
        flow.binding.sessions += 1
        self.flows[flow.key] = flow
        self._per_subscriber[flow.key.inside_addr] += 1

    def commit(
        self, opening: Opening, then: Sequence[PacketOut], more: Sequence[Update] = ()
    ) -> None:
        """Write a prepared flow, and `more` with it; `then` leaves once it stands."""
        flow = opening.flow
        self._counters.count("nat.sessions.opened")

        def ended(reason: str | None, now: float) -> None:
            if reason is not None:
                self._counters.count("nat.sessions.failed")
                self._outbox.log(logging.WARNING, f"the switch refused a flow: {reason}")
                self._forget(flow)
                self._peer_gone(flow)
                # Nothing was left in the switch, so the port may go too; if
                # another flow has come to use the binding, it needs it again.
                if not self.drop_binding_if_unused(flow.binding, now):
                    lost = [u for u in opening.updates if not isinstance(u.entry, t.PeerEntry)]
                    if lost:
                        self._outbox.transact(lost)

        session = Update(Op.INSERT, session_entry(flow))
        self._outbox.transact((*opening.updates, session, *more), then, ended)

    def refused(self, reason: str) -> None:
        """Count a flow that may not be (RFC 6888 REQ-11)."""
        self._counters.count(f"nat.refused.{reason}")

    # Flows change

    def modify(self, flow: Flow) -> None:
        """Write a flow's entry again after a change."""
        self._outbox.transact((Update(Op.MODIFY, session_entry(flow)),))

    def established(self, flow: Flow) -> None:
        """The handshake is proved: the long timer applies (RFC 5382 REQ-5)."""
        changed = bool(flow.flags & SessionFlags.NOTIFY_ESTABLISHED)
        flow.flags &= ~SessionFlags.NOTIFY_ESTABLISHED
        if flow.phase is Phase.OPENING:
            flow.phase = Phase.ESTABLISHED
            flow.idle_timeout = self._settings.timers.tcp_established
            changed = True
        if changed:
            self.modify(flow)

    def tcp_flags(self, flow: Flow, flags: int, outbound: bool) -> None:
        """A FIN or RST was seen: both FINs, or an RST, put the flow on the short timer."""
        if flags & _FIN:
            flow.finished |= 1 if outbound else 2
        if flow.phase is Phase.CLOSING:
            return
        if flags & _RST or flow.finished == 3:
            self.close(flow)

    def close(self, flow: Flow) -> None:
        """Put a TCP flow on the transitory timer."""
        if flow.phase is not Phase.CLOSING:
            flow.phase = Phase.CLOSING
            flow.flags &= ~SessionFlags.NOTIFY_ESTABLISHED
            flow.idle_timeout = self._settings.timers.tcp_transitory
            self.modify(flow)

    def reopen(self, flow: Flow) -> list[Update]:
        """A TCP flow that was over begins anew: back to its first state; the writes that takes."""
        updates: list[Update] = []
        if flow.flags & SessionFlags.CORRECT_SEQUENCE:
            updates.append(Update(Op.DELETE, _no_sequence(flow.key)))
        flow.phase = Phase.OPENING
        flow.finished = 0
        flow.flags = SessionFlags.NOTIFY_ESTABLISHED
        flow.idle_timeout = self._first_timeout(flow.key, flow.opened_by)
        return [Update(Op.MODIFY, session_entry(flow)), *updates]

    def watch(self, flow: Flow, side: Side, below: int) -> bool:
        """Leave a flow to the switch but for datagrams below `below` bytes; True if it is news."""
        flag = SessionFlags.WATCH_INSIDE if side is Side.INSIDE else SessionFlags.WATCH_OUTSIDE
        length = UDP_HEADER + below
        if (flow.flags, flow.watch_below) == (flag, length):
            return False
        flow.flags, flow.watch_below = flag, length
        return True

    def leave_to_switch(self, flow: Flow) -> None:
        """No ALG reads a flow any more."""
        flow.alg_id, flow.watch_below = 0, 0
        flow.flags &= ~(SessionFlags.WATCH_INSIDE | SessionFlags.WATCH_OUTSIDE)
        self.modify(flow)

    # Flows end

    def idle(self, key: FlowKey, now: float) -> Flow | None:
        """The switch saw nothing of a flow for its timeout: remove it."""
        flow = self.flows.get(key)
        if flow is None:
            # Notices repeat until the entry is gone; an entry nobody knows goes too.
            if key not in self._leaving:
                self._delete(key, [Update(Op.DELETE, t.Session(key))])
            return None
        self._counters.count("nat.sessions.idle")
        self.remove(flow, now)
        return flow

    def remove(self, flow: Flow, now: float) -> None:
        """End a flow: its entries go, and with it what only it used."""
        self._forget(flow)
        updates = [Update(Op.DELETE, t.Session(flow.key))]
        if flow.flags & SessionFlags.CORRECT_SEQUENCE:
            updates.append(Update(Op.DELETE, _no_sequence(flow.key)))
        updates += self._peer_gone(flow)
        updates += self.release_if_unused(flow.binding, now)
        self._delete(flow.key, updates)

    def release_if_unused(self, binding: Binding, now: float) -> list[Update]:
        """Give a binding's outside port back if nothing uses it; the deletes that follow."""
        if not self.drop_binding_if_unused(binding, now):
            return []
        return [Update(Op.DELETE, entry) for entry in self.binding_entries(binding)]

    def drop_binding_if_unused(self, binding: Binding, now: float) -> bool:
        """Forget a dynamic binding that nothing uses; its port rests (RFC 6888 REQ-8)."""
        if binding.sessions > 0 or binding.reservations > 0 or binding.kind is Kind.STATIC:
            return False
        if self._bindings.outbound(binding.proto, binding.inside_addr, binding.inside_id) is (
            binding
        ):
            self._bindings.release(binding, now)
            return True
        return False

    def _delete(self, key: FlowKey, updates: Sequence[Update]) -> None:
        self._leaving.add(key)
        self._outbox.transact(updates, (), lambda _reason, _now: self._leaving.discard(key))

    def _forget(self, flow: Flow) -> None:
        if self.flows.pop(flow.key, None) is not None:
            flow.binding.sessions -= 1
            self._per_subscriber[flow.key.inside_addr] -= 1
            if self._per_subscriber[flow.key.inside_addr] <= 0:
                del self._per_subscriber[flow.key.inside_addr]

    def _first_timeout(self, key: FlowKey, opened_by: Side) -> float:
        timers = self._settings.timers
        if key.proto == TCP:
            return timers.tcp_transitory
        if key.proto == ICMP:
            return timers.icmp
        if key.proto in TUNNELS:
            return timers.gre if key.proto == GRE else timers.esp
        if key.proto == UDP and opened_by is Side.INSIDE and key.remote_id == _DNS:
            return timers.udp_dns
        return timers.udp

    def _whole_address(self, proto: int, inside_addr: int, number: int, now: float) -> Binding:
        outside = self._by_address[inside_addr]
        return Binding(proto, inside_addr, number, outside, number, Kind.STATIC, now)

    # Address-dependent filtering: the remote addresses an endpoint has sent to

    def _peer(self, flow: Flow) -> list[Update]:
        binding = flow.binding
        if self._settings.filter_mode is not t.FilterMode.ADDRESS or binding.kind is Kind.STATIC:
            return []
        if binding.peers is None:
            binding.peers = {}
        remote = flow.key.remote_addr
        binding.peers[remote] = binding.peers.get(remote, 0) + 1
        if binding.peers[remote] > 1:
            return []
        return [Update(Op.INSERT, _peer_entry(flow))]

    def _peer_gone(self, flow: Flow) -> list[Update]:
        peers = flow.binding.peers
        remote = flow.key.remote_addr
        if not peers or remote not in peers:
            return []
        peers[remote] -= 1
        if peers[remote] > 0:
            return []
        del peers[remote]
        return [Update(Op.DELETE, _peer_entry(flow))]


def _no_sequence(key: FlowKey) -> t.Sequence:
    """The sequence entry of a flow, to name it only."""
    none = t.Correction(0, 0, 0)
    return t.Sequence(key, none, none)


def _peer_entry(flow: Flow) -> t.PeerEntry:
    key = flow.key
    return t.PeerEntry(key.proto, key.inside_addr, key.inside_id, key.remote_addr)


def session_entry(flow: Flow) -> t.Session:
    """The switch's entry of a flow."""
    return t.Session(flow.key, flow.alg_id, flow.flags, flow.idle_timeout, flow.watch_below)
