"""Packets that the switch cannot forward by itself.

They are too big, their time to live is over, their next hop is not known, they are fragments, or
they are for the gateway itself. RFC 1812 says which errors a router has to send, and RFC 4787
REQ-13 and REQ-14 what a NAT does with packets that are too big and with fragments.
"""

from __future__ import annotations

from p4alg.engine import events as ev
from p4alg.engine.actions import PacketOut
from p4alg.engine.control.table import ControlSessions
from p4alg.engine.flow_table import Flows
from p4alg.engine.fragments import Fragments
from p4alg.engine.neighbours import Neighbours
from p4alg.engine.network import Network
from p4alg.engine.tables import FlowKey, Side
from p4alg.packet.icmp import (
    ECHO_REQUEST,
    TIME_EXCEEDED,
    UNREACHABLE,
    echo_reply,
    icmp_error,
    parse_icmp,
)
from p4alg.packet.ipv4 import Ipv4, fragment_ipv4, parse_ipv4
from p4alg.packet.transport import transport_ids
from p4alg.protocols import ICMP

_NETWORK_UNREACHABLE = 0
_HOST_UNREACHABLE = 1
_PORT_UNREACHABLE = 3
_FRAGMENTATION_NEEDED = 4


class Sighting:
    """Finds the side that a punted packet came from, and its flow."""

    def __init__(self, network: Network, flows: Flows) -> None:
        self._network = network
        self._mappings = flows.mappings

    def side(self, event: ev.PacketIn, packet: Ipv4) -> Side:
        """The side that a packet came from. A hairpinned packet counts as one from outside."""
        zone = self._network.zone_at(event.port, packet.eth.vlan_id)
        if event.hairpin or zone is None:
            return Side.OUTSIDE
        return zone.side

    def key(self, side: Side, packet: Ipv4) -> FlowKey | None:
        """The key of its flow; None without transport identifiers, or without a mapping inside."""
        ids = transport_ids(packet)
        if ids is None:
            return None
        return self._mappings.key_of(packet.proto, side, (packet.src, ids[0]), (packet.dst, ids[1]))


class Exceptional:
    """Handles these packets."""

    def __init__(
        self,
        network: Network,
        sighting: Sighting,
        flows: Flows,
        sessions: ControlSessions,
        fragments: Fragments,
        neighbours: Neighbours,
    ) -> None:
        self._network = network
        self._sighting = sighting
        self._flows = flows
        self._sessions = sessions
        self._fragments = fragments
        self._neighbours = neighbours
        self._outbox = flows.outbox
        self._counters = flows.counters

    def local(self, event: ev.PacketIn, packet: Ipv4) -> None:
        """A packet to the gateway itself. It answers echo requests and drops everything else."""
        is_query = packet.proto == ICMP and not packet.is_fragment
        if is_query and parse_icmp(packet).type == ECHO_REQUEST:
            self._counters.count("local.echo")
            self._outbox.send(PacketOut(echo_reply(packet), egress_port=event.port))
        else:
            self._counters.count("local.dropped")

    def expired(self, event: ev.PacketIn, packet: Ipv4) -> None:
        """Report to the sender that the time to live of a packet is over."""
        self._error(event, packet, TIME_EXCEEDED, 0)

    def unreachable(self, event: ev.PacketIn, packet: Ipv4) -> None:
        """Report to the sender that a packet cannot be delivered (RFC 6888 REQ-11)."""
        self._error(event, packet, UNREACHABLE, _HOST_UNREACHABLE)

    def no_route(self, event: ev.PacketIn, packet: Ipv4) -> None:
        """Report to the sender that no route leads there (RFC 1812 section 4.3.3.1)."""
        self._error(event, packet, UNREACHABLE, _NETWORK_UNREACHABLE)

    def refused(self, event: ev.PacketIn, packet: Ipv4) -> None:
        """Report to the sender of a SYN that nobody takes it (RFC 5382 REQ-4)."""
        self._error(event, packet, UNREACHABLE, _PORT_UNREACHABLE)

    def too_big(self, event: ev.PacketIn, packet: Ipv4) -> None:
        """A packet is longer than the MTU of the network it leaves by.

        It is cut into fragments. If that is forbidden in its header, the sender is told the MTU.
        """
        hop = self._network.next_hop(self._final_target(event, packet))
        if hop is None:
            return
        mtu = hop[0].mtu
        if packet.dont_fragment:
            self._error(event, packet, UNREACHABLE, _FRAGMENTATION_NEEDED, mtu)
            return
        # The switch learns the ports from the first piece, which goes first. It may be the
        # first packet of a plain flow, too.
        for piece in fragment_ipv4(packet, mtu):
            self._outbox.send(_once_more(event, piece))

    def unresolved(self, event: ev.PacketIn, packet: Ipv4, now: float) -> None:
        """Keep a packet until the MAC address of its next hop is known."""
        key = self._sighting.key(self._sighting.side(event, packet), packet)
        session = self._sessions.get(key)
        if session is not None and session.stream.resized:
            # The packet may be one that we sent, with final sequence numbers, and a
            # packet-in does not say so. It is dropped: when its sender repeats it, the
            # stream follower sends it again.
            return
        hop = self._network.next_hop(self._final_target(event, packet))
        if hop is None:
            self.unreachable(event, packet)
            return
        is_inside = hop[0].side is Side.INSIDE
        from_inside = self._sighting.side(event, packet) is Side.INSIDE
        waits = self._neighbours.resolve(
            hop[1],
            hop[0],
            _once_more(event, event.frame),
            realm=self._network.organisation if is_inside or from_inside else 0,
            organisation=self._network.organisation,
        )
        if waits and packet.is_fragment:
            self._fragments.first_waits(packet, event.port, now)

    def released(self, now: float) -> None:
        """Packets that have waited for their next hop go on; fragments follow their first one."""
        for out in self._neighbours.take_released(self._network.organisation):
            packet = parse_ipv4(out.frame)
            if packet.is_fragment:
                self._fragments.first(packet, now)

    def fragment(self, event: ev.PacketIn, packet: Ipv4, now: float) -> None:
        """A fragment that is not the first, and of which the switch does not know the ports."""
        out = PacketOut(event.frame, event.port, hairpin=event.hairpin)
        self._fragments.later(packet, out, now)

    def first_fragment(self, event: ev.PacketIn, packet: Ipv4, now: float) -> None:
        """The first fragment of a datagram of a flow that an ALG reads.

        No ALG reads it, since it may not be the whole message (G7).
        """
        self._counters.count("fragments.unread")
        self._outbox.send(PacketOut(event.frame, event.port, hairpin=event.hairpin))
        self._fragments.first(packet, now)

    def tick(self, _now: float) -> None:
        """Report to the senders of packets whose next hop did not answer."""
        for lost in self._neighbours.take_lost(self._network.organisation):
            event = ev.PacketIn(lost.ingress_port, ev.Reason.NEIGHBOUR, 0, lost.hairpin, lost.frame)
            self.unreachable(event, parse_ipv4(lost.frame))

    def _error(self, event: ev.PacketIn, packet: Ipv4, type_: int, code: int, mtu: int = 0) -> None:
        """Send an ICMP error to the sender of a packet, from the gateway's address in its zone."""
        zone = self._network.zone_at(event.port, packet.eth.vlan_id)
        if zone is None or event.hairpin:
            return
        frame = icmp_error(packet, src_addr=zone.addr, type_=type_, code=code, mtu=mtu)
        if frame is not None:
            self._counters.count("icmp.errors-sent")
            self._outbox.send(PacketOut(frame, egress_port=event.port))

    def _final_target(self, event: ev.PacketIn, packet: Ipv4) -> int:
        """The destination address of a packet after translation."""
        if self._sighting.side(event, packet) is Side.INSIDE:
            return packet.dst
        ids = transport_ids(packet)
        if ids is not None:
            inside = self._flows.mappings.inside_addr_of(packet.proto, packet.dst, ids[1])
            if inside is not None:
                return inside
        return packet.dst


def _once_more(event: ev.PacketIn, frame: bytes) -> PacketOut:
    """A packet that the switch would have forwarded, for another try; it may begin a plain flow."""
    return PacketOut(frame, event.port, hairpin=event.hairpin, begin=True)
