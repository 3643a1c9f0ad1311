"""The engine: every event of the switch to the part that decides about it.

Pure: `now` is an argument, randomness is given, actions are returned.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import replace

from p4alg.alg.registry import ALGS
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine import views
from p4alg.engine.actions import Action, PacketOut
from p4alg.engine.adoption import Adoption
from p4alg.engine.controls import Control, Controls, Expectation
from p4alg.engine.counters import Counters
from p4alg.engine.flows import Flow
from p4alg.engine.fragments import Fragments
from p4alg.engine.ipsec import Ipsec
from p4alg.engine.layout import base_entries, service_entries
from p4alg.engine.neighbours import Neighbours
from p4alg.engine.network import Network
from p4alg.engine.outbox import Outbox
from p4alg.engine.pinholes import Pinhole, Pinholes
from p4alg.engine.reconcile import reconcile
from p4alg.engine.settings import AlgSettings, PortSpan, Settings
from p4alg.engine.tables import FlowKey, Side
from p4alg.engine.translation import Opening, Translation
from p4alg.nat.bindings import Bindings, Refused
from p4alg.packet.errors import PacketError
from p4alg.packet.icmp import (
    ECHO_REQUEST,
    TIME_EXCEEDED,
    UNREACHABLE,
    echo_reply,
    icmp_error,
    parse_icmp,
)
from p4alg.packet.ipv4 import Ipv4, fragment_ipv4, parse_ipv4
from p4alg.packet.tcp import ACK, FIN, RST, SYN, parse_tcp
from p4alg.packet.transport import transport_ids
from p4alg.protocols import ESP, ICMP, TCP, UDP

_HOST_UNREACHABLE = 1
_FRAGMENTATION_NEEDED = 4


class Engine:
    """All decisions of the controller."""

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self._settings = settings
        self._algs = {alg.name: alg for alg in settings.algs}
        self._by_id = {kind.info.alg_id: name for name, kind in ALGS.items()}
        self._counters = Counters()
        self._outbox = Outbox()
        self._network = Network(settings)
        limits = settings.limits
        bindings = Bindings(
            [(prefix.addr, prefix.length) for prefix in settings.pools],
            rng=rng,
            port_rest=settings.timers.port_rest,
            limit=limits.bindings,
            per_subscriber=limits.bindings_per_subscriber,
        )
        self._translation = Translation(settings, bindings, self._outbox, self._counters)
        self._pinholes = Pinholes(limits, self._translation, self._outbox, self._counters)
        self._controls = Controls(
            settings, self._translation, self._pinholes, self._outbox, self._counters
        )
        self._ipsec = Ipsec(settings, self._translation, self._outbox, self._counters)
        self._controls.on_read = self._ipsec.read
        self._neighbours = Neighbours(settings, self._network, self._outbox, self._counters)
        self._fragments = Fragments(settings.timers.fragment, self._outbox, self._counters)

    # The life of the controller

    def start(self, present: Sequence[t.Entry], now: float) -> Sequence[Action]:
        """Take over what the switch holds and bring it to what the settings want."""
        adoption = Adoption(self._settings, self._translation, self._pinholes, self._neighbours)
        wanted = [*base_entries(self._settings), *self._services()]
        kept = adoption.keep(present, now)
        kept += self._ipsec.adopt(present, now)
        updates = reconcile([*wanted, *kept], present)
        if adoption.sessions:
            self._outbox.log(
                logging.INFO,
                f"adopted {adoption.sessions} sessions and {len(self._pinholes)} pinholes",
            )
        self._outbox.write_all(updates, self._base_written)
        return self._outbox.take()

    def stop(self, now: float) -> Sequence[Action]:
        """Let the switch go on alone: nothing may wait for a controller that is gone."""
        self._controls.detach_all(None, "controller-stopped", now)
        return self._outbox.take()

    def handle(self, event: ev.Event, now: float) -> Sequence[Action]:
        """Decide what to do about `event`."""
        match event:
            case ev.PacketIn():
                self._packet(event, now)
            case ev.TransactionDone() | ev.TransactionFailed():
                self._outbox.end(event, now)
            case ev.TcpEvent():
                self._tcp_event(event)
            case ev.PinholeHit():
                self._pinholes.hit(event.pinhole_id, event.flow, now)
            case ev.SessionIdle():
                flow = self._translation.idle(event.flow, now)
                if flow is not None:
                    self._pinholes.flow_gone(flow)
                    self._ipsec.flow_gone(flow, now)
                    if flow.control is not None:
                        self._controls.ended(flow.control, now)
            case ev.PinholeIdle():
                self._pinholes.idle(event.pinhole_id, now)
            case ev.FragmentIdle():
                self._fragments.expire(now)
            case ev.Tick():
                self._tick(now)
        return self._outbox.take()

    # What the operator asks for

    def show(self, what: str, now: float) -> list[dict[str, object]] | dict[str, object]:
        """A view for the operator; raises KeyError for a view there is not."""
        context = views.Context(
            self._settings,
            self._algs,
            self._translation,
            self._pinholes,
            self._controls,
            self._counters,
            now,
        )
        return views.VIEWS[what](context)

    def set_alg_enabled(self, name: str, enabled: bool, now: float) -> Sequence[Action]:
        """Switch an ALG on or off, live (G1); raises KeyError for an unknown one."""
        alg = self._algs[name]
        if alg.enabled != enabled:
            self._change(replace(alg, enabled=enabled))
            if not enabled:
                self._controls.detach_all(name, "disabled", now)
        return self._outbox.take()

    def set_alg_services(self, name: str, services: Sequence[str], now: float) -> Sequence[Action]:
        """Bind an ALG to services; established connections keep theirs (F7).

        Raises KeyError for an unknown ALG or service, ValueError if another ALG
        has the service or ports of it.
        """
        alg = self._algs[name]
        spans = [span for service in services for span in self._settings.services[service]]
        for other in self._algs.values():
            if other.name != name:
                for taken in self._spans(other):
                    if any(_overlap(span, taken) for span in spans):
                        raise ValueError(f"'{other.name}' is bound to those ports already")
        self._change(replace(alg, services=tuple(dict.fromkeys(services))))
        return self._outbox.take()

    def _change(self, alg: AlgSettings) -> None:
        before = self._services()
        self._algs[alg.name] = alg
        self._outbox.write_all(reconcile(self._services(), before), self._base_written)

    def _base_written(self, reason: str | None, _now: float) -> None:
        if reason is not None:
            self._counters.count("tables.failed")
            self._outbox.log(logging.ERROR, f"the switch refused part of the set-up: {reason}")

    def _services(self) -> list[t.Service]:
        return [
            entry
            for alg in self._algs.values()
            if alg.enabled
            for entry in service_entries(alg.name, self._spans(alg))
        ]

    def _spans(self, alg: AlgSettings) -> list[PortSpan]:
        return [span for service in alg.services for span in self._settings.services[service]]

    # Packets

    def _packet(self, event: ev.PacketIn, now: float) -> None:
        if event.reason is ev.Reason.ARP:
            self._neighbours.arp(event.port, event.frame, now)
            return
        try:
            packet = parse_ipv4(event.frame)
            match event.reason:
                case ev.Reason.NEW_FLOW:
                    self._new_flow(event, packet, now)
                case ev.Reason.ALG:
                    self._control_packet(event, packet, now)
                case ev.Reason.FRAGMENT:
                    self._fragment(event, packet, now)
                case ev.Reason.LOCAL:
                    self._local(event, packet)
                case ev.Reason.TTL:
                    self._error(event, packet, TIME_EXCEEDED, 0)
                case ev.Reason.MTU:
                    self._too_big(event, packet, now)
                case ev.Reason.NEIGHBOUR:
                    self._unresolved(event, packet)
        except PacketError:
            self._counters.count("packets.malformed")

    def _side(self, event: ev.PacketIn, packet: Ipv4) -> Side:
        zone = self._network.zone_at(event.port, packet.eth.vlan_id)
        if event.hairpin or zone is None:
            return Side.OUTSIDE
        return zone.side

    def _key(self, side: Side, packet: Ipv4) -> FlowKey | None:
        ids = transport_ids(packet)
        if ids is None:
            return None
        return self._translation.key_of(
            packet.proto, side, (packet.src, ids[0]), (packet.dst, ids[1])
        )

    def _new_flow(self, event: ev.PacketIn, packet: Ipv4, now: float) -> None:
        out = PacketOut(event.frame, event.port, hairpin=event.hairpin)
        side = self._side(event, packet)
        if packet.proto == ESP and event.alg_id and not packet.is_fragment:
            self._ipsec.packet(packet, side, out, now)
            return
        key = self._key(side, packet) if packet.proto in (TCP, UDP, ICMP) else None
        if key is None:
            self._counters.count("nat.refused.protocol")
            return
        if key in self._translation.flows:
            # Another packet of a flow on its way into the switch: behind it.
            self._send_in_flow(event, key, side, out, now)
            return
        expected = self._controls.expected(key, now) if side is Side.INSIDE else None
        outside = expected.outside_addr if expected else None
        share = bool(event.alg_id) and self._ipsec.shares_port(key, side)
        opening = self._translation.prepare(key, side, now, outside, share=share)
        if isinstance(opening, Refused) and share:
            # Somebody has port 500 for himself: then as any other flow.
            opening = self._translation.prepare(key, side, now, outside)
        if isinstance(opening, Refused):
            self._translation.refused(opening.reason)
            self._error(event, packet, UNREACHABLE, _HOST_UNREACHABLE)
            return
        flow = opening.flow
        pinhole = self._pinholes.to_inspect(key) if side is Side.OUTSIDE else None
        if expected is not None:
            then = self._expected_flow(expected, flow, out, now)
            self._translation.commit(opening, then)
        elif pinhole is not None and pinhole.control is not None:
            self._through_pinhole(event, opening, pinhole, pinhole.control, now)
        else:
            self._plain_or_control(event, opening, out, now)

    def _through_pinhole(
        self,
        event: ev.PacketIn,
        opening: Opening,
        pinhole: Pinhole,
        parent: Control,
        now: float,
    ) -> None:
        """A flow whose first packet its ALG wants to read: of data, or a control session."""
        flow, port, frame = opening.flow, event.port, event.frame
        more = self._pinholes.use(pinhole, flow)
        if self._controls.follows_data(parent):
            then = self._controls.begin_data(parent, flow, flow.opened_by, port, frame, now)
            self._translation.commit(opening, then, more)
            return
        control = self._controls.attach(flow, parent.alg, event.hairpin)
        out = PacketOut(frame, port, hairpin=event.hairpin)
        self._begin(opening, control, out, more, now)

    def _begin(
        self,
        opening: Opening,
        control: Control | None,
        out: PacketOut,
        more: Sequence[t.Update],
        now: float,
    ) -> None:
        """Write a new flow; its first packet goes on, as its ALG wants it if it has one."""
        assert out.ingress_port is not None
        if control is None:
            self._translation.commit(opening, [out], more)
        elif opening.flow.key.proto == TCP:
            then = self._controls.first_segments(control, out.ingress_port, out.frame, now)
            self._translation.commit(opening, then, more)
        else:
            # A first datagram is a message already: its flow comes before it.
            self._translation.commit(opening, [], more)
            side = opening.flow.opened_by
            self._controls.packet(control, side, out.ingress_port, out.frame, now)

    def _expected_flow(
        self, expected: Expectation, flow: Flow, out: PacketOut, now: float
    ) -> list[PacketOut]:
        """An outbound flow that a control message announced; what leaves once it stands."""
        control, request = expected.control, expected.request
        flow.alg, flow.label = control.alg, request.label
        if request.flow_idle is not None:
            flow.idle_timeout = request.flow_idle
        self._counters.count(f"alg.{control.alg}.expected.used")
        if not request.inspect:
            return [out]
        assert out.ingress_port is not None
        return self._controls.begin_data(
            control, flow, Side.INSIDE, out.ingress_port, out.frame, now
        )

    def _plain_or_control(
        self, event: ev.PacketIn, opening: Opening, out: PacketOut, now: float
    ) -> None:
        """A flow nobody announced: under an ALG if its service has one, or plain NAT."""
        flow = opening.flow
        alg = self._by_id.get(event.alg_id, "")
        control, chosen = None, self._algs.get(alg)
        if chosen is not None and chosen.enabled and self._serves(alg, flow.key.proto):
            control = self._controls.attach(flow, alg, event.hairpin)
        self._begin(opening, control, out, (), now)

    def _serves(self, alg: str, proto: int) -> bool:
        return proto in {served for served, _ in ALGS[alg].default_ports}

    def _send_in_flow(
        self, event: ev.PacketIn, key: FlowKey, side: Side, out: PacketOut, now: float
    ) -> None:
        flow = self._translation.flows[key]
        if flow.control is not None:
            self._controls.packet(flow.control, side, event.port, event.frame, now)
        elif flow.data_of is not None:
            self._controls.data_packet(flow, side, event.port, event.frame, now)
        else:
            self._outbox.send(out)

    def _control_packet(self, event: ev.PacketIn, packet: Ipv4, now: float) -> None:
        side = self._side(event, packet)
        key = self._key(side, packet)
        flow = self._translation.flows.get(key) if key is not None else None
        out = PacketOut(event.frame, event.port, hairpin=event.hairpin)
        if flow is not None and flow.data_of is not None:
            self._controls.data_packet(flow, side, event.port, event.frame, now)
            return
        if flow is None or flow.control is None:
            # Punted before the switch learnt that nobody reads it any more.
            self._outbox.send(out)
            return
        if packet.proto != TCP:
            self._controls.packet(flow.control, side, event.port, event.frame, now)
            return
        flags = parse_tcp(packet).flags
        begins = flags & (SYN | ACK) == SYN and side is flow.opened_by
        if begins and flow.control.stream.is_over:
            self._controls.begin_again(flow.control, event.port, event.frame, now)
            return
        self._controls.packet(flow.control, side, event.port, event.frame, now)
        if flags & (FIN | RST):
            self._translation.tcp_flags(flow, flags, side is Side.INSIDE)
            if flow.control is not None and (flags & RST or flow.finished == 3):
                self._controls.closing(flow.control, now)

    def _tcp_event(self, event: ev.TcpEvent) -> None:
        flow = self._translation.flows.get(event.flow)
        if flow is None:
            return
        if event.established:
            self._translation.established(flow)
        self._translation.tcp_flags(flow, event.flags, event.outbound)

    def _fragment(self, event: ev.PacketIn, packet: Ipv4, now: float) -> None:
        # Whatever is in it: no ALG reads a part of a datagram (G7).
        self._counters.count("fragments.unread")
        out = PacketOut(event.frame, event.port, hairpin=event.hairpin)
        if packet.offset != 0:
            self._fragments.later(packet, out, now)
            return
        ids = transport_ids(packet)
        if ids is None:
            self._counters.count("fragments.dropped")
            return
        side = self._side(event, packet)
        key = self._key(side, packet)
        if side is Side.INSIDE and key is not None and key not in self._translation.flows:
            # Its ALG, if any, reads nothing from fragments (G7): plain NAT.
            opening = self._translation.prepare(key, side, now)
            if isinstance(opening, Refused):
                self._translation.refused(opening.reason)
                return
            self._translation.commit(opening, ())
        self._fragments.first(packet, _switch_ids(packet, side, ids), [out], now)

    def _local(self, event: ev.PacketIn, packet: Ipv4) -> None:
        is_query = packet.proto == ICMP and not packet.is_fragment
        if is_query and parse_icmp(packet).type == ECHO_REQUEST:
            self._counters.count("local.echo")
            self._outbox.send(PacketOut(echo_reply(packet), egress_port=event.port))
        else:
            self._counters.count("local.dropped")

    def _error(self, event: ev.PacketIn, packet: Ipv4, type_: int, code: int, mtu: int = 0) -> None:
        """Tell the sender by ICMP, from the gateway's address on its side."""
        zone = self._network.zone_at(event.port, packet.eth.vlan_id)
        if zone is None or event.hairpin:
            return
        frame = icmp_error(packet, src_addr=zone.addr, type_=type_, code=code, mtu=mtu)
        if frame is not None:
            self._counters.count("icmp.errors-sent")
            self._outbox.send(PacketOut(frame, egress_port=event.port))

    def _final_target(self, event: ev.PacketIn, packet: Ipv4) -> int:
        """Where a packet goes once it is translated."""
        if self._side(event, packet) is Side.INSIDE:
            return packet.dst
        ids = transport_ids(packet)
        if ids is not None:
            binding = self._translation.inside_endpoint(packet.proto, packet.dst, ids[1])
            if binding is not None:
                return binding.inside_addr
        return packet.dst

    def _too_big(self, event: ev.PacketIn, packet: Ipv4, now: float) -> None:
        hop = self._network.next_hop(self._final_target(event, packet))
        if hop is None:
            return
        mtu = hop[0].mtu
        if packet.dont_fragment:
            self._error(event, packet, UNREACHABLE, _FRAGMENTATION_NEEDED, mtu)
            return
        ids = transport_ids(packet)
        if ids is None:
            self._counters.count("fragments.dropped")
            return
        outs = [
            PacketOut(piece, event.port, hairpin=event.hairpin)
            for piece in fragment_ipv4(packet, mtu)
        ]
        side = self._side(event, packet)
        self._fragments.first(packet, _switch_ids(packet, side, ids), outs, now)

    def _unresolved(self, event: ev.PacketIn, packet: Ipv4) -> None:
        key = self._key(self._side(event, packet), packet)
        flow = self._translation.flows.get(key) if key is not None else None
        if flow is not None and flow.control is not None and flow.control.stream.resized:
            # Its numbers may be final, which the punt does not say: the
            # stream sends it again when its sender does.
            return
        hop = self._network.next_hop(self._final_target(event, packet))
        if hop is None:
            self._error(event, packet, UNREACHABLE, _HOST_UNREACHABLE)
            return
        out = PacketOut(event.frame, event.port, hairpin=event.hairpin)
        self._neighbours.resolve(hop[1], hop[0], out)

    def _tick(self, now: float) -> None:
        self._pinholes.expire(now)
        self._controls.tick(now)
        self._ipsec.tick(self._controls.all.values(), now)
        self._fragments.expire(now)
        for lost in self._neighbours.tick(now):
            event = ev.PacketIn(lost.ingress_port, ev.Reason.NEIGHBOUR, 0, lost.hairpin, lost.frame)
            self._error(event, parse_ipv4(lost.frame), UNREACHABLE, _HOST_UNREACHABLE)


def _switch_ids(packet: Ipv4, side: Side, ids: tuple[int, int]) -> tuple[int, int]:
    """The identifiers of a fragment's flow as the program would have parsed them."""
    if packet.proto != ICMP:
        return ids
    return (ids[0], 0) if side is Side.INSIDE else (0, ids[1])


def _overlap(one: PortSpan, other: PortSpan) -> bool:
    return one.proto == other.proto and one.first <= other.last and other.first <= one.last
