"""The engine: it gives each event of the switch to the part that decides about it.

An engine serves one organisation, and knows nothing of others. Where there are several, there are
as many engines, and `organisations` gives each event to the right one.

It is pure: the time is an argument, the random generator is given, and actions are returned.
It survives every event: if deciding about one raises an exception, the changes that were made
for this event are undone, and the next event is handled as usual.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from p4alg import p4constants
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine import views
from p4alg.engine.actions import Action, PacketOut
from p4alg.engine.admission import Admission
from p4alg.engine.adoption import Adoption
from p4alg.engine.clearing import Cleared, Clearing, Wanted
from p4alg.engine.commons import Commons
from p4alg.engine.control.carrier import Carrier
from p4alg.engine.control.data import DataFlows
from p4alg.engine.control.gateway import Granting
from p4alg.engine.control.reports import Reports
from p4alg.engine.control.table import ControlSessions
from p4alg.engine.control.tags import Tags
from p4alg.engine.counters import Counters
from p4alg.engine.exceptional import Exceptional, Sighting
from p4alg.engine.expectations import Expectations
from p4alg.engine.faults import Faults
from p4alg.engine.flow_table import Flows
from p4alg.engine.flows import Flow
from p4alg.engine.fragments import Fragments
from p4alg.engine.identify import identify
from p4alg.engine.layout import base_entries, next_hop_ids
from p4alg.engine.mappings import Mappings
from p4alg.engine.network import Network
from p4alg.engine.pinholes import Pinholes
from p4alg.engine.plain import Known
from p4alg.engine.reconfiguring import reconfigure
from p4alg.engine.safety import Safety
from p4alg.engine.settings import AlgSettings, Settings
from p4alg.engine.starting import start
from p4alg.engine.statics import Statics
from p4alg.engine.strangers import Strangers
from p4alg.engine.subscribers import NO_BLOCK, Subscribers
from p4alg.engine.switching import AlgSwitching
from p4alg.engine.tables import FlowKey, Side
from p4alg.engine.unported import Unported
from p4alg.engine.unsolicited import Unsolicited
from p4alg.nat.bindings import Bindings
from p4alg.nat.blocks import Blocks
from p4alg.nat.numbers import Numbers
from p4alg.nat.pool import Pool
from p4alg.nat.ports import in_blocks
from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import Ipv4, parse_ipv4
from p4alg.packet.tcp import ACK, FIN, RST, SYN, parse_tcp
from p4alg.protocols import ICMP, TCP, UDP
from p4alg.undo import UndoLog

_BEGIN = (ev.Reason.NEW_FLOW, ev.Reason.SUBSCRIBER, ev.Reason.OVERFLOW, ev.Reason.ESP)
"""Why packets are punted that would give their sender ports outside."""

_FIRST_IDS = (1, 1 << 30)
"""Where the ids of pinholes begin. The switch may still know flows by ids of an earlier
controller, with which those of this one must not meet."""


def make_bindings(
    settings: Settings, rng: random.Random, log: UndoLog, numbers: Numbers | None = None
) -> Bindings:
    """The bindings, addresses and blocks of a controller with these settings; all free yet.

    `numbers` are those that its subscribers share with others.
    """
    timers, limits = settings.timers, settings.limits
    blocks = Blocks(
        Pool([(prefix.addr, prefix.length) for prefix in settings.pools], rng),
        settings.blocks.layout,
        slot_bits=p4constants.SLOT_BITS,
        rng=rng,
        rest=timers.port_rest,
        number_rest=timers.longest + timers.port_rest,
        limit=limits.subscribers,
        log=log,
        numbers=numbers,
    )
    return Bindings(
        blocks,
        rng=rng,
        port_rest=timers.port_rest,
        limit=limits.bindings,
        per_subscriber=limits.bindings_per_subscriber,
        log=log,
    )


class Engine:
    """Makes all decisions of the controller about an organisation."""

    def __init__(
        self, settings: Settings, rng: random.Random, commons: Commons | None = None
    ) -> None:
        """`commons` are what it shares with the engines of other organisations, if there are."""
        self.settings = settings
        commons = self._commons = commons or Commons((settings,), rng)
        self._leads = commons.leader == settings.organisation
        log = self._log = commons.log
        counters = self._counters = commons.counters if settings.is_only else Counters()
        outbox = self._outbox = commons.outbox.of(settings)
        faults = self._faults = Faults(outbox, counters)
        self._switching = AlgSwitching(settings)
        algs, limits = self._switching.algs, settings.limits
        bindings = make_bindings(settings, rng, log, commons.numbers)
        subscribers = Subscribers(settings, bindings.blocks, outbox, counters, log)
        self._subscribers = subscribers
        mappings = Mappings(settings, bindings, subscribers, outbox)
        self._statics = Statics(mappings, outbox)
        flows = self._flows = Flows(settings, mappings, outbox, counters, log)
        safety = self._safety = Safety(limits, settings.denied_ports, settings.zones)
        pinholes = self._pinholes = Pinholes(limits, safety, flows, log, rng.randrange(*_FIRST_IDS))
        expectations = self._expectations = Expectations(limits, safety, pinholes, outbox, log)
        sessions = self._sessions = ControlSessions(settings, outbox, counters, faults, log)
        granting = Granting(limits, safety, mappings, pinholes, expectations, outbox, faults, log)
        self._granting = granting
        tags = self._tags = Tags(mappings, outbox, log)
        reports = self._reports = Reports(outbox, counters, pinholes, expectations)
        carrier = self._carrier = Carrier(sessions, flows, granting, reports, tags)
        data_flows = self._data_flows = DataFlows(carrier, flows, log)
        self._unported = Unported(algs, sessions, flows, faults, log)
        self._admission = Admission(
            algs, flows, pinholes, expectations, sessions, carrier, data_flows
        )
        network = Network(settings)
        sighting = self._sighting = Sighting(network, flows)
        self._neighbours = commons.neighbours
        self._strangers = Strangers(network, self._neighbours, counters, log)
        self._unsolicited = Unsolicited(outbox, counters, log)
        self._fragments = Fragments(outbox, counters, log)
        self._exceptional = Exceptional(
            network, sighting, flows, sessions, self._fragments, self._neighbours
        )
        self._adoption = Adoption(settings, flows, pinholes, log)

    def trace_while(self, is_traced: Callable[[], bool]) -> None:
        """Make trace records only while `is_traced` says so; without this they always are."""
        self._reports.is_traced = is_traced

    # The life of the controller

    def start(self, present: Sequence[t.Entry], now: float) -> Sequence[Action]:
        """Take over entries of the switch (`present`), and write what differs from the settings.

        For an engine that is alone.
        """
        start((self,), self._commons, present, now)
        return self._taken()

    def take_hosts(self, present: Sequence[t.Entry], now: float) -> None:
        """See `starting.Part`."""
        self._adoption.keep_hosts(present, now)

    def take_over(self, present: Sequence[t.Entry], now: float) -> list[t.Entry]:
        """See `starting.Part`."""
        kept = self._adoption.keep(present, now)
        kept += self.wanted()
        kept += self._tags.adopt(present)
        self._unported.adopt(now)
        return kept

    def describe_adopted(self) -> str:
        """See `starting.Part`."""
        found = self._adoption
        if not found.sessions and not found.subscribers:
            return ""
        return (
            f"{found.subscribers} subscribers, {found.sessions} sessions and "
            f"{len(self._pinholes)} pinholes"
        )

    def stop(self, now: float) -> Sequence[Action]:
        """Prepare the switch for going on alone: no packet may wait for this controller."""
        self._carrier.detach_all(None, "controller-stopped", now)
        self._data_flows.leave_all(None)
        return self._taken()

    def handle(self, event: ev.Event, now: float) -> Sequence[Action]:
        """Decide what to do about `event`. Never raises."""
        match event:
            case ev.Tick():
                for part in self._timed():
                    self._attempt(event, part, now)
            case ev.TransactionDone() | ev.TransactionFailed():
                self._ended(event, now)
            case _:
                if not self._attempt(event, lambda now: self._decide(event, now), now):
                    self._attempt(event, lambda now: self._leave_to_switch(event, now), now)
        if not self._attempt(event, self._subscribers.report, now):
            self._subscribers.blocks.changes.clear()
        return self._taken()

    def _taken(self) -> Sequence[Action]:
        self._log.forget()
        return self._outbox.take()

    # Faults

    def _attempt(self, event: ev.Event, decide: Callable[[float], None], now: float) -> bool:
        """Let a part decide about an event. If it raises, undo its changes; False then."""
        savepoint, actions = self._log.savepoint(), self._outbox.savepoint()
        try:
            decide(now)
        except Exception as error:
            self._log.roll_back(savepoint)
            self._outbox.roll_back(actions)
            counter = f"faults.{type(event).__name__}"
            self._faults.report(counter, identify(event), error, now)
            return False
        return True

    def _ended(self, event: ev.TransactionDone | ev.TransactionFailed, now: float) -> None:
        """Tell the waiter of a transaction its outcome, and try that twice if it raises."""
        reason = event.reason if isinstance(event, ev.TransactionFailed) else None

        def tell(now: float) -> None:
            waiter = self._outbox.waiter(event.transaction_id)
            if waiter is not None:
                waiter.ended(reason, now)
            for flow in self._flows.take_refused():
                self._flow_gone(flow, now)

        if not self._attempt(event, tell, now) and not self._attempt(event, tell, now):
            # The failed attempts were undone, so that the waiter is still there. Remove it.
            self._outbox.waiter(event.transaction_id)

    def _leave_to_switch(self, event: ev.Event, now: float) -> None:
        """Deciding about `event` failed: its control session goes on as plain NAT."""
        key: FlowKey | None = None
        match event:
            case ev.PacketIn():
                try:
                    packet = parse_ipv4(event.frame)
                    key = self._sighting.key(self._sighting.side(event, packet), packet)
                except PacketError:
                    return
            case ev.TcpEvent() | ev.SessionIdle():
                key = event.flow
        session = self._sessions.get(key)
        if session is not None:
            self._carrier.give_up(session, now)

    # What the operator asks for

    def show(self, what: str, now: float) -> list[dict[str, object]] | dict[str, object]:
        """A view for the operator. Raises KeyError if there is no such view."""
        return views.show(what, self._context(now))

    def _context(self, now: float) -> views.Context:
        return views.Context(
            self.settings,
            self._switching.algs,
            self._flows,
            self._pinholes,
            self._sessions,
            self._counters,
            now,
        )

    def clear(
        self, what: str, wanted: Wanted, now: float, *, really: bool = True
    ) -> tuple[Cleared, Sequence[Action]]:
        """End what is wanted of a view, or with `really` False only count that; see `clearing`.

        Raises KeyError if nothing of that name can be cleared.
        """
        clearing = Clearing(self._context(now), lambda flow: self._flow_gone(flow, now), really)
        try:
            found = clearing.clear(what, wanted)
        except Exception:
            self._log.roll_back()
            self._outbox.roll_back()
            raise
        return found, self._taken()

    def clear_counters(self, wanted: Callable[[str], bool], *, really: bool = True) -> set[str]:
        """Set the wanted counters to 0; their names. With `really` False, only the names."""
        return self._counters.clear(wanted, really=really)

    def known_hosts(self) -> Known:
        """What is known of the inside hosts that have plain flows."""
        return views.known_hosts(self._flows, self.settings)

    @property
    def algs(self) -> Mapping[str, AlgSettings]:
        """The settings of all ALGs as they are now, by name."""
        return self._switching.algs

    def count(self, name: str) -> None:
        """Count something that was decided about an event of this organisation elsewhere."""
        self._counters.count(name)

    # Settings change

    def reconfigure(self, settings: Settings, now: float) -> Sequence[Action]:
        """Change to other settings while everything goes on; for an engine that is alone.

        They differ in nothing that needs a restart. All or nothing: what a part raises is raised.
        """
        reconfigure((self,), self._commons, (settings,), now)
        return self._taken()

    def configure(self, settings: Settings) -> None:
        """See `reconfiguring.Part`."""
        self.settings, limits = settings, settings.limits
        self._switching.configure(settings)
        self._safety.configure(limits, settings.denied_ports)
        self._sessions.configure(settings)
        self._flows.timers = settings.timers
        for part in (self._flows, self._pinholes, self._expectations, self._granting):
            part.limits = limits
        bindings = self._flows.mappings.bindings
        bindings.set_limits(limits.bindings, limits.bindings_per_subscriber)
        bindings.blocks.limit = limits.subscribers

    def objection(self, settings: Settings) -> str:
        """Why it cannot have other settings just now; empty if it can."""
        return self._statics.objection(self.settings, settings)

    def prepare(self, before: Settings, now: float) -> None:
        """See `reconfiguring.Part`."""
        self._statics.change(before, self.settings, now)

    def wanted(self) -> list[t.Entry]:
        """See `reconfiguring.Part`."""
        hops = next_hop_ids(self._commons.organisations)
        base = base_entries(self.settings, self._subscribers.number_of, hops)
        return [*base, *self._switching.entries()]

    def carry_over(self, before: Settings, now: float) -> None:
        """See `reconfiguring.Part`."""
        for old in before.algs:
            new = self._switching.algs[old.name]
            if old.enabled and not new.enabled:
                self._switched_off(new, now)
            elif new.all_options != old.all_options:
                self._sessions.renew_shared(new.name, now)

    def _switched_off(self, alg: AlgSettings, now: float) -> None:
        """The control sessions of an ALG go on as plain NAT (G1)."""
        self._carrier.detach_all(alg.name, "disabled", now)
        if alg.alg.outlives:
            self._pinholes.close_all(alg.name, now)
            self._sessions.renew_shared(alg.name, now)
        self._data_flows.leave_all(alg.name)
        self._unported.switched_off(alg.name, now)

    # Events

    def _decide(self, event: ev.Event, now: float) -> None:
        match event:
            case ev.PacketIn():
                self._packet(event, now)
            case ev.TcpEvent():
                self._tcp_event(event)
            case ev.PinholeHit():
                self._pinholes.hit(event.pinhole_id, event.flow, now)
            case ev.SessionIdle():
                flow = self._flows.idle(event.flow, now)
                if flow is not None:
                    self._flow_gone(flow, now)
            case ev.PinholeIdle():
                self._pinholes.idle(event.pinhole_id, now)
            case ev.SubscriberIdle():
                self._subscribers.idle(event.inside_addr, Side.INSIDE, now, self._is_used)
            case ev.BlockIdle():
                host = self._subscribers.inside_of(event.outside_addr, event.outside_id)
                if host is not None:
                    self._subscribers.idle(host, Side.OUTSIDE, now, self._is_used)
            case ev.Reminder():
                self._exceptional.released(now)
                self._fragments.retry(now)

    def _timed(self) -> list[Callable[[float], None]]:
        """What is done at each tick. If one of these raises, the others are done all the same."""
        common = [self._neighbours.tick] if self._leads else []
        return [
            *common,
            self._pinholes.expire,
            self._carrier.tick,
            self._expire_shared,
            self._expectations.expire,
            self._unported.tick,
            lambda _now: self._tags.tick(self._sessions.all()),
            self._fragments.retry,
            self._exceptional.tick,
            self._subscribers.expire,
            self._strangers.expire,
            self._unsolicited.tick,
        ]

    def _expire_shared(self, now: float) -> None:
        for name in self._sessions.shared:
            for number in self._sessions.expired(name, now):
                self._pinholes.end(number, now)

    def _is_used(self, inside_addr: int) -> bool:
        """Whether the controller has anything of a host that lives on."""
        return bool(
            self._flows.count_of(inside_addr)
            or self._pinholes.count_of(inside_addr)
            or self._flows.mappings.bindings.count_of(inside_addr)
        )

    def _flow_gone(self, flow: Flow, now: float) -> None:
        self._pinholes.flow_gone(flow)
        self._unported.flow_gone(flow, now)
        self._tags.flow_gone(flow)
        self._data_flows.gone(flow.key)
        session = self._sessions.get(flow.key)
        if session is not None:
            self._carrier.ended(session, now)

    def _tcp_event(self, event: ev.TcpEvent) -> None:
        flow = self._flows.get(event.flow)
        if flow is None:
            return
        if event.established:
            self._flows.established(flow)
        self._flows.tcp_flags(flow, event.flags, event.outbound)

    # Packets

    def _packet(self, event: ev.PacketIn, now: float) -> None:
        if event.reason is ev.Reason.ARP:
            self._neighbours.arp(event.port, event.frame, now)
            self._exceptional.released(now)
            for held in self._strangers.heard():
                # By itself, so that a fault does not undo that its host was heard of.
                self._attempt(held, partial(self._decide, held), now)
            return
        try:
            packet = parse_ipv4(event.frame)
            if self._is_stranger(event, packet):
                self._strangers.hold(event, packet.src, packet.eth.vlan_id, now)
                return
            match event.reason:
                case ev.Reason.NEW_FLOW | ev.Reason.ESP:
                    self._new_flow(event, packet, now)
                case ev.Reason.SUBSCRIBER | ev.Reason.OVERFLOW:
                    self._not_mapped(event, packet, now)
                case ev.Reason.ALG:
                    self._control_packet(event, packet, now)
                case ev.Reason.FRAGMENT:
                    self._exceptional.fragment(event, packet, now)
                case ev.Reason.LOCAL:
                    self._exceptional.local(event, packet)
                case ev.Reason.TTL:
                    self._exceptional.expired(event, packet)
                case ev.Reason.MTU:
                    self._exceptional.too_big(event, packet)
                case ev.Reason.NEIGHBOUR:
                    self._exceptional.unresolved(event, packet, now)
                case ev.Reason.NO_ROUTE:
                    self._exceptional.no_route(event, packet)
                case ev.Reason.SYN:
                    if self._unsolicited.arrived(event, packet, now):
                        self._exceptional.refused(event, packet)
        except PacketError:
            self._counters.count("packets.malformed")

    def _is_stranger(self, event: ev.PacketIn, packet: Ipv4) -> bool:
        """Whether a flow begins whose host may not exist (see `strangers`)."""
        begins = event.reason in _BEGIN and self._sighting.side(event, packet) is Side.INSIDE
        if not begins or self._subscribers.number_of(packet.src):
            return False
        return self._strangers.is_one(packet.src, event.port, packet.eth.vlan_id)

    def _not_mapped(self, event: ev.PacketIn, packet: Ipv4, now: float) -> None:
        """A plain flow begins that the switch cannot set up by itself.

        Either its host has no block yet, or the flow does not fit: no cell is free, the inside
        port is below 1024, or the mapping is one of the controller's.
        """
        side = self._sighting.side(event, packet)
        host = packet.src
        if side is Side.OUTSIDE or not self._subscribers.may_have_block(host):
            self._new_flow(event, packet, now)
            return
        has_block = self._subscribers.has_block(host)
        reason = self._subscribers.arrived(host, event.port, now, may_move=not self._is_used(host))
        key = self._sighting.key(side, packet)
        if reason:
            self._flows.refused(reason)
            self._exceptional.unreachable(event, packet)
        elif has_block and event.reason is ev.Reason.OVERFLOW:
            self._new_flow(event, packet, now)
        elif key is not None and self._is_plain(key, now):
            out = PacketOut(event.frame, event.port, begin=True)
            self._subscribers.send_on(host, out)
        else:
            self._new_flow(event, packet, now)

    def _is_plain(self, key: FlowKey, now: float) -> bool:
        """Whether the switch sets a flow from inside up by itself, once its host has a block."""
        known = self._flows.mappings.bindings.outbound(key.proto, key.inside_addr, key.inside_id)
        fits = key.proto in (TCP, UDP, ICMP) and in_blocks(key.proto, key.inside_id)
        return fits and known is None and not self._expectations.has(key, now)

    def _new_flow(self, event: ev.PacketIn, packet: Ipv4, now: float) -> None:
        side = self._sighting.side(event, packet)
        if event.alg_id and self._unported.serves(packet.proto) and not packet.is_fragment:
            out = PacketOut(event.frame, event.port, hairpin=event.hairpin)
            self._unported.packet(packet, side, out, now)
            return
        key = self._sighting.key(side, packet) if packet.proto in (TCP, UDP, ICMP) else None
        if key is None:
            self._counters.count("nat.refused.protocol")
        elif key in self._flows:
            # The flow is being written. This packet leaves after its entries, as the first does.
            self._in_flow(event, packet, key, side, now)
        else:
            self._begin(event, packet, key, side, now)

    def _begin(
        self, event: ev.PacketIn, packet: Ipv4, key: FlowKey, side: Side, now: float
    ) -> None:
        # A fragment may not be the whole message, so that no ALG can read it (G7).
        as_plain = replace(event, alg_id=0) if packet.is_fragment else event
        refused = self._admission.first_packet(as_plain, key, side, now)
        if refused is not None:
            if refused.reason == NO_BLOCK:
                self._subscribers.refused(key.inside_addr, refused.reason, now)
            self._exceptional.unreachable(event, packet)
        elif packet.is_fragment:
            self._counters.count("fragments.unread")
            self._fragments.first(packet, now)

    def _in_flow(
        self, event: ev.PacketIn, packet: Ipv4, key: FlowKey | None, side: Side, now: float
    ) -> None:
        """Give a packet of a known flow to the ALG that reads it; without one, send it on."""
        if packet.is_fragment:
            self._exceptional.first_fragment(event, packet, now)
            return
        session, data = self._sessions.get(key), self._data_flows.get(key)
        if session is not None:
            self._carrier.packet(session, side, event.port, event.frame, now)
        elif data is not None:
            self._data_flows.packet(data, side, event.port, event.frame, now)
        else:
            self._outbox.send(PacketOut(event.frame, event.port, hairpin=event.hairpin))

    def _control_packet(self, event: ev.PacketIn, packet: Ipv4, now: float) -> None:
        side = self._sighting.side(event, packet)
        key = self._sighting.key(side, packet)
        session = self._sessions.get(key)
        if session is None or packet.proto != TCP or packet.is_fragment:
            self._in_flow(event, packet, key, side, now)
            return
        flow, flags = session.flow, parse_tcp(packet).flags
        begins = flags & (SYN | ACK) == SYN and side is flow.opened_by
        if begins and session.stream.is_over:
            self._carrier.begin_again(session, event.port, event.frame, now)
            return
        self._carrier.packet(session, side, event.port, event.frame, now)
        if self._sessions.get(key) is not session:
            # It has just become plain NAT.
            self._flows.tcp_flags(flow, flags & (FIN | RST), side is Side.INSIDE)
        elif session.stream.is_over:
            # The follower has believed its FINs or RST, which others may forge. Its unused
            # pinholes close (F3).
            self._flows.close(flow)
            self._carrier.drop_promises(session, now)
