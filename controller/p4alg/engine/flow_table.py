"""The flows of the table `session`, from first packet to idle timeout (RFC 4787, 5382, 5508).

These are the flows that ALGs read or have announced, and those that the switch cannot set up by
itself. Of plain flows nothing is known here.

The first packet of a flow leaves only after the switch has acknowledged the entries of the flow.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut, Subsystem
from p4alg.engine.counters import Counters
from p4alg.engine.flows import Flow, Phase, session_entry
from p4alg.engine.happenings import of_flow
from p4alg.engine.mappings import Mappings
from p4alg.engine.outbox import Outbox
from p4alg.engine.settings import Settings, Timers
from p4alg.engine.tables import FlowKey, Op, SessionFlags, Side, Update
from p4alg.nat.bindings import Kind, Refused
from p4alg.packet.tcp import FIN, RST
from p4alg.packet.udp import HEADER as UDP_HEADER
from p4alg.protocols import GRE, ICMP, TCP, TUNNELS, UDP
from p4alg.undo import TrackedCounts, TrackedDict, TrackedSet, UndoLog

_DNS = 53


class Flows:
    """Every flow, by its key."""

    def __init__(
        self,
        settings: Settings,
        mappings: Mappings,
        outbox: Outbox,
        counters: Counters,
        log: UndoLog,
    ) -> None:
        self.limits = settings.limits
        """They may be changed, for the flows that begin from now on."""
        self.timers = settings.timers
        """They may be changed as well."""
        self._filters_by_address = settings.filter_mode is t.FilterMode.ADDRESS
        self._log = log
        self._leaving: TrackedSet[FlowKey] = TrackedSet(log)
        self._refused: TrackedDict[FlowKey, Flow] = TrackedDict(log)
        self._per_subscriber: TrackedCounts[int] = TrackedCounts(log)
        self._by_key: TrackedDict[FlowKey, Flow] = TrackedDict(log)
        self.mappings = mappings
        self.outbox = outbox
        self.counters = counters

    def __contains__(self, key: FlowKey) -> bool:
        return key in self._by_key

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: FlowKey | None) -> Flow | None:
        """The flow of a key; None if there is no such flow, or if the key is None."""
        return None if key is None else self._by_key.get(key)

    def all(self) -> list[Flow]:
        """Every flow."""
        return list(self._by_key.values())

    def count_of(self, inside_addr: int) -> int:
        """How many flows an inside host has."""
        return self._per_subscriber[inside_addr]

    # Flows begin

    def prepare(
        self,
        key: FlowKey,
        opened_by: Side,
        now: float,
        outside_addr: int | None = None,
        *,
        share: bool = False,
        mapped_id: int = 0,
    ) -> Flow | Refused:
        """Make a flow and its binding, or say why that cannot be; nothing is written yet.

        `outside_addr`, `share` and `mapped_id` are those of `Mappings.binding_for`.
        """
        if len(self._by_key) >= self.limits.sessions:
            return Refused("session-limit")
        if self._per_subscriber[key.inside_addr] >= self.limits.sessions_per_subscriber:
            return Refused("subscriber-limit")
        inside = (key.inside_addr, key.inside_id)
        binding = self.mappings.binding_for(
            key.proto, inside, now, outside_addr=outside_addr, share=share, mapped_id=mapped_id
        )
        if isinstance(binding, Refused):
            return binding
        flow = Flow(
            key,
            binding,
            opened_by,
            now,
            Phase.OPENING if key.proto == TCP else Phase.ACTIVE,
            first_timeout(self.timers, key, opened_by),
            flags=SessionFlags.NOTIFY_ESTABLISHED if key.proto == TCP else SessionFlags.NONE,
        )
        self.keep(flow)
        return flow

    def keep(self, flow: Flow) -> None:
        """Add a flow that the switch has, or that is about to be written to it."""
        flow.binding.sessions += 1
        self._by_key[flow.key] = flow
        self._per_subscriber.add(flow.key.inside_addr)

    def commit(self, flow: Flow, then: Sequence[PacketOut], more: Sequence[Update] = ()) -> None:
        """Write a prepared flow, and `more` in the same transaction; then send `then`."""
        self.counters.count("nat.sessions.opened")
        needs_binding = not flow.binding.is_in_switch
        updates = [
            *self.mappings.writes(flow.binding),
            *self._peer(flow),
            Update(Op.INSERT, session_entry(flow)),
            *more,
        ]
        self.outbox.transact(updates, then, _FlowWritten(self, flow, needs_binding))

    def not_written(self, flow: Flow, needs_binding: bool, now: float) -> None:
        """Forget a flow that the switch has refused; it has none of the entries.

        `needs_binding` says whether the transaction had the entries of the binding in it.
        """
        if self._by_key.get(flow.key) is not flow:
            # It was ended while it was being written. Its binding may have other users.
            if needs_binding and self.mappings.is_known(flow.binding):
                self.mappings.lost(flow.binding, now)
            return
        self._forget(flow)
        self._refused[flow.key] = flow
        self._peer_gone(flow)
        if needs_binding:
            self.mappings.lost(flow.binding, now)
        else:
            updates = self.mappings.release_if_unused(flow.binding, now)
            if updates:
                self.outbox.transact(updates)

    def take_refused(self) -> list[Flow]:
        """The flows that the switch has refused since the last call."""
        flows = list(self._refused.values())
        self._refused.clear()
        return flows

    def refused(self, reason: str) -> None:
        """Count a flow that was refused, under the reason for it (RFC 6888 REQ-11)."""
        self.counters.count(f"nat.refused.{reason}")

    # Flows change

    def modify(self, flow: Flow) -> None:
        """Write the entry of a flow again, after a change of the flow."""
        self.outbox.transact((Update(Op.MODIFY, session_entry(flow)),))

    def established(self, flow: Flow) -> None:
        """The TCP handshake is complete: the long timer applies (RFC 5382 REQ-5)."""
        changed = bool(flow.flags & SessionFlags.NOTIFY_ESTABLISHED)
        flow.flags &= ~SessionFlags.NOTIFY_ESTABLISHED
        if flow.phase is Phase.OPENING:
            flow.phase = Phase.ESTABLISHED
            flow.idle_timeout = self.timers.tcp_established
            changed = True
        if changed:
            self.modify(flow)

    def tcp_flags(self, flow: Flow, flags: int, outbound: bool) -> None:
        """Note the FIN or RST of a packet.

        A RST, or a FIN of both ends, closes the flow (`close`).
        """
        if flags & FIN:
            flow.finished |= 1 if outbound else 2
        if flow.phase is Phase.CLOSING:
            return
        if flags & RST or flow.both_finished:
            self.close(flow)

    def close(self, flow: Flow) -> None:
        """A TCP connection has ended: give its flow the transitory timer."""
        if flow.phase is not Phase.CLOSING:
            flow.phase = Phase.CLOSING
            flow.flags &= ~SessionFlags.NOTIFY_ESTABLISHED
            flow.idle_timeout = self.timers.tcp_transitory
            self.modify(flow)

    def reopen(self, flow: Flow) -> list[Update]:
        """Put a TCP flow back to its first state for a new connection; returns the writes."""
        updates: list[Update] = []
        if flow.flags & SessionFlags.CORRECT_SEQUENCE:
            updates.append(Update(Op.DELETE, _no_sequence(flow.key)))
        flow.phase = Phase.OPENING
        flow.finished = 0
        flow.flags = SessionFlags.NOTIFY_ESTABLISHED
        flow.idle_timeout = first_timeout(self.timers, flow.key, flow.opened_by)
        return [Update(Op.MODIFY, session_entry(flow)), *updates]

    def watch(self, flow: Flow, side: Side, below: int) -> bool:
        """Let an ALG see only the datagrams with a payload below `below` bytes that `side` sends.

        The switch carries all other datagrams of the flow alone. True if that changes the flow;
        the caller has to write it then (`modify`).
        """
        flag = SessionFlags.WATCH_INSIDE if side is Side.INSIDE else SessionFlags.WATCH_OUTSIDE
        length = UDP_HEADER + below
        if (flow.flags, flow.watch_below) == (flag, length):
            return False
        flow.flags, flow.watch_below = flag, length
        return True

    def leave_to_switch(self, flow: Flow) -> None:
        """Write a flow so that no ALG reads it any more."""
        flow.alg_id, flow.watch_below = 0, 0
        flow.flags &= ~(SessionFlags.WATCH_INSIDE | SessionFlags.WATCH_OUTSIDE)
        self.modify(flow)

    # Flows end

    def idle(self, key: FlowKey, now: float) -> Flow | None:
        """Remove a flow that the switch reports idle. Returns it; None if it is not known."""
        flow = self._by_key.get(key)
        if flow is None:
            # The switch repeats the notice until the entry is gone. If no deletion is under
            # way, the entry is one that nobody knows, and is deleted too.
            if key not in self._leaving:
                self._delete(key, [Update(Op.DELETE, t.Session(key))])
            return None
        self.counters.count("nat.sessions.idle")
        self.remove(flow, now, "idle" if flow.phase is not Phase.CLOSING else "closed")
        return flow

    def remove(self, flow: Flow, now: float, why: str) -> None:
        """End a flow: delete its entries, and those of its binding if no other flow uses that.

        `why` is a word for operators.
        """
        self._forget(flow)
        self.outbox.tell(of_flow(flow, "ended", why))
        updates = [Update(Op.DELETE, t.Session(flow.key))]
        if flow.flags & SessionFlags.CORRECT_SEQUENCE:
            updates.append(Update(Op.DELETE, _no_sequence(flow.key)))
        updates += self._peer_gone(flow)
        updates += self.mappings.release_if_unused(flow.binding, now)
        self._delete(flow.key, updates)

    def left(self, key: FlowKey) -> None:
        """The switch has deleted the entry of a flow, and will not repeat its idle notice."""
        self._leaving.discard(key)

    def _delete(self, key: FlowKey, updates: Sequence[Update]) -> None:
        self._leaving.add(key)
        self.outbox.transact(updates, (), _FlowDeleted(self, key))

    def _forget(self, flow: Flow) -> None:
        if self._by_key.pop(flow.key, None) is not None:
            flow.binding.sessions -= 1
            self._per_subscriber.add(flow.key.inside_addr, -1)

    # Address-dependent filtering: the remote addresses that an endpoint has sent to

    def peers(self) -> list[t.PeerEntry]:
        """Count the remote addresses of all flows, once at the start; returns their entries."""
        if not self._filters_by_address:
            return []
        updates = [update for flow in self.all() for update in self._peer(flow)]
        return [update.entry for update in updates if isinstance(update.entry, t.PeerEntry)]

    def _peer(self, flow: Flow) -> list[Update]:
        binding = flow.binding
        if not self._filters_by_address or binding.kind is Kind.STATIC:
            return []
        if binding.peers is None:
            binding.peers = TrackedCounts(self._log)
        remote = flow.key.remote_addr
        binding.peers.add(remote)
        return [Update(Op.INSERT, _peer_entry(flow))] if binding.peers[remote] == 1 else []

    def _peer_gone(self, flow: Flow) -> list[Update]:
        peers = flow.binding.peers
        remote = flow.key.remote_addr
        if not peers or remote not in peers:
            return []
        peers.add(remote, -1)
        return [] if remote in peers else [Update(Op.DELETE, _peer_entry(flow))]


@dataclass(frozen=True, slots=True)
class _FlowWritten:
    """Waits until the entries of a new flow are written."""

    flows: Flows
    flow: Flow
    needs_binding: bool

    def ended(self, reason: str | None, now: float) -> None:
        if reason is not None:
            self.flows.counters.count("nat.sessions.failed")
            text = f"the switch refused a flow: {reason}"
            self.flows.outbox.log(logging.WARNING, text, Subsystem.SWITCH)
            self.flows.outbox.tell(of_flow(self.flow, "failed", reason))
            self.flows.not_written(self.flow, self.needs_binding, now)
        else:
            self.flows.outbox.tell(of_flow(self.flow, "opened"))


@dataclass(frozen=True, slots=True)
class _FlowDeleted:
    """Waits until the entries of a flow are deleted."""

    flows: Flows
    key: FlowKey

    def ended(self, _reason: str | None, _now: float) -> None:
        self.flows.left(self.key)


def first_timeout(timers: Timers, key: FlowKey, opened_by: Side) -> float:
    """The idle timeout of a new flow, in seconds."""
    if key.proto == TCP:
        return timers.tcp_transitory
    if key.proto == ICMP:
        return timers.icmp
    if key.proto in TUNNELS:
        return timers.gre if key.proto == GRE else timers.esp
    if key.proto == UDP and opened_by is Side.INSIDE and key.remote_id == _DNS:
        return timers.udp_dns
    return timers.udp


def _no_sequence(key: FlowKey) -> t.Sequence:
    """A `sequence` entry with the key of a flow, to delete the one that is there."""
    none = t.Correction(0, 0, 0)
    return t.Sequence(key, none, none)


def _peer_entry(flow: Flow) -> t.PeerEntry:
    key = flow.key
    return t.PeerEntry(key.proto, key.inside_addr, key.inside_id, key.remote_addr)
