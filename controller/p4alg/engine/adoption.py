"""Takes over the entries of a switch that was in use before the controller started (rule 8).

Subscribers, mappings, sessions, pinholes and sequence corrections that fit the settings are kept.
Control sessions go on as plain NAT: nobody has followed their streams in the meantime, so
no ALG can read them any more (G5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from p4alg.engine import tables as t
from p4alg.engine.flow_table import Flows, first_timeout
from p4alg.engine.flows import Flow, Phase, session_entry
from p4alg.engine.pinholes import Pinholes
from p4alg.engine.settings import Settings
from p4alg.engine.tables import FlowKey, SessionFlags, Side
from p4alg.nat.bindings import Binding, Kind, Refused
from p4alg.protocols import TCP, TUNNELS
from p4alg.undo import UndoLog

_Entry = TypeVar("_Entry")


class Adoption:
    """Builds the state of the engine from entries of the switch. Used once, at the start."""

    def __init__(
        self,
        settings: Settings,
        flows: Flows,
        pinholes: Pinholes,
        log: UndoLog,
    ) -> None:
        self._settings = settings
        self._flows = flows
        self._mappings = flows.mappings
        self._subscribers = flows.mappings.subscribers
        self._pinholes = pinholes
        self._log = log
        self._statics = {(f.proto, f.inside_addr, f.inside_port): f for f in settings.forwards}
        self._hosts: list[t.Entry] = []
        self.sessions = 0
        self.subscribers = 0

    def keep_hosts(self, present: Sequence[t.Entry], now: float) -> None:
        """Take over the hosts, with their numbers and blocks. This comes before `keep`."""
        self._make_statics(now)
        self._hosts = self._subscribers.adopt(present, now)
        self.subscribers = len(self._subscribers)

    def keep(self, present: Sequence[t.Entry], now: float) -> list[t.Entry]:
        """Take over the entries that fit the settings. Returns them, as they are to be written.

        Entries that follow from the settings alone are not among them.
        """
        kept = self._hosts
        kept += self._subscribers.fix_static(now)
        bindings = self._bindings(present, now)
        sequences = {entry.flow: entry for entry in _of(present, t.Sequence)}
        for session in _of(present, t.Session):
            binding = bindings.get(session.flow[:3]) or self._address_binding(session.flow)
            if binding is None:
                continue
            flow = self._flow(session, binding, now)
            correction = sequences.get(flow.key)
            if correction is None:
                flow.flags &= ~SessionFlags.CORRECT_SEQUENCE
            elif flow.flags & SessionFlags.CORRECT_SEQUENCE:
                kept.append(correction)
            self._flows.keep(flow)
            kept.append(session_entry(flow))
            self.sessions += 1
            # Nothing of a start is undone, and a full switch has 200000 sessions.
            self._log.forget()
        for entry in _of(present, t.PinholeEntry):
            if entry.inside_id is None:
                continue  # of a flow that the former controller expected
            binding = bindings.get((entry.proto, entry.inside_addr, entry.inside_id))
            if binding is not None:
                self._pinholes.adopt(entry, binding, now)
                kept.append(entry)
        kept += self._flows.peers()
        for binding in bindings.values():
            if binding.kind is Kind.STATIC:
                continue
            if binding.sessions or binding.reservations:
                kept += self._mappings.entries(binding)
            else:
                self._mappings.drop_if_unused(binding, now)
        self._subscribers.forget_bare(now)
        return kept

    def _make_statics(self, now: float) -> None:
        bindings = self._mappings.bindings
        for f in self._settings.forwards:
            inside, outside = (f.inside_addr, f.inside_port), (f.outside_addr, f.outside_port)
            bindings.add_static(f.proto, *inside, *outside, now)
            bindings.pair(f.inside_addr, f.outside_addr)

    def _bindings(
        self, present: Sequence[t.Entry], now: float
    ) -> dict[tuple[int, int, int], Binding]:
        """The static bindings, and those of which all entries are there; by inside endpoint."""
        store = self._mappings.bindings
        found: dict[tuple[int, int, int], Binding] = {}
        for key in self._statics:
            static = store.outbound(*key)
            if static is not None:
                found[key] = static
        inbound = {(e.proto, e.outside_addr, e.outside_id): e for e in _of(present, t.MapIn)}
        tagged = {(e.inside_addr, e.inside_id) for e in _of(present, t.IkeIn)}
        for out in _of(present, t.MapOut):
            key = (out.proto, out.inside_addr, out.inside_id)
            back = inbound.get((out.proto, out.outside_addr, out.outside_id))
            # A shared binding has no `map_in` entry.
            is_shared = (
                back is None
                and out.inside_id == out.outside_id
                and (out.proto in TUNNELS or key[1:] in tagged)
            )
            whole = back is not None and key[1:] == (back.inside_addr, back.inside_id)
            if key in found or not (whole or is_shared):
                store.blocks.rest(out.subscriber, now)
                continue
            store.blocks.adopt(out.inside_addr, out.subscriber, None, None, now)
            outside = (out.outside_addr, out.outside_id)
            kind = Kind.SHARED if is_shared else Kind.DYNAMIC
            if back is not None and back.filter_mode is not self._settings.filter_mode:
                # Only bindings that an ALG asked for have another filter mode.
                kind = Kind.PINHOLE
            binding = store.adopt(*key, *outside, kind=kind, now=now)
            if not isinstance(binding, Refused):
                binding.is_in_switch = True
                found[key] = binding
        return found

    def _address_binding(self, key: FlowKey) -> Binding | None:
        outside = self._mappings.outside_of(key.inside_addr)
        if outside is None:
            return None
        return Binding(*key[:3], outside, key.inside_id, Kind.STATIC, 0.0)

    def _flow(self, session: t.Session, binding: Binding, now: float) -> Flow:
        phase, timeout = Phase.ACTIVE, session.idle_timeout
        timers = self._settings.timers
        if session.flow.proto == TCP:
            if session.flags & SessionFlags.NOTIFY_ESTABLISHED:
                phase = Phase.OPENING
            elif not timeout or timeout > timers.tcp_transitory:
                phase = Phase.ESTABLISHED
            else:
                phase = Phase.CLOSING
        if not timeout:
            # A switch that reports no idle entries has forgotten how long this one may be idle.
            is_long = phase is Phase.ESTABLISHED
            first = first_timeout(timers, session.flow, Side.INSIDE)
            timeout = timers.tcp_established if is_long else first
        return Flow(session.flow, binding, Side.INSIDE, now, phase, timeout, flags=session.flags)


def _of(entries: Sequence[t.Entry], kind: type[_Entry]) -> list[_Entry]:
    return [entry for entry in entries if isinstance(entry, kind)]
