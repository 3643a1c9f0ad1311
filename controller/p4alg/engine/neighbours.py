"""ARP (RFC 826) on the gateway's interfaces: answers, requests, and next hops.

The switch punts a packet whose next hop has no entry. The packet waits here until the neighbour
has answered the ARP request; the number of packets that wait is bounded. A known neighbour is
asked again at intervals, so that one that moved or left is noticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.counters import Counters
from p4alg.engine.layout import next_hop_ids, own_outside
from p4alg.engine.network import Network
from p4alg.engine.outbox import Outbox
from p4alg.engine.settings import Settings, Zone
from p4alg.engine.tables import Op, Side, Update
from p4alg.packet.arp import Arp, arp_reply, arp_request, parse_arp
from p4alg.packet.errors import PacketError
from p4alg.undo import Tracked, TrackedDict, UndoLog

MAX_NEIGHBOURS = 2048
MAX_WAITING = 16
"""Packets that wait for one neighbour."""
MAX_ASKED = 256
"""ARP requests that may be unanswered at the same time."""
TRIES = 3
"""Requests, one a second, before a neighbour is given up."""


@dataclass(slots=True, eq=False)
class Neighbour(Tracked):
    """A neighbour that is known.

    `confirmed` is the time of its last ARP packet (seconds), `tries` the number of requests
    that were sent since then and not answered.
    """

    addr: int
    zone: Zone
    port: int
    mac: int
    next_hop: int
    confirmed: float
    tries: int = 0


@dataclass(slots=True, eq=False)
class Question(Tracked):
    """A neighbour whose MAC address is being asked for, and the packets that wait for it."""

    zone: Zone
    tries: int = 0
    waiting: tuple[PacketOut, ...] = ()


class Neighbours:
    """The neighbours in all zones."""

    def __init__(
        self,
        settings: Settings,
        network: Network,
        outbox: Outbox,
        counters: Counters,
        log: UndoLog,
    ) -> None:
        self._refresh = settings.timers.neighbour
        self._network = network
        self._outbox = outbox
        self._counters = counters
        self._own_outside = own_outside(settings)
        self._routers = next_hop_ids(settings)
        self._next_id = len(self._routers) + 1
        self._known: TrackedDict[int, Neighbour] = TrackedDict(log)
        self._asked: TrackedDict[int, Question] = TrackedDict(log)

    def arp(self, port: int, frame: bytes, now: float) -> Sequence[PacketOut]:
        """An ARP packet arrived. Returns the packets that had waited for it, and go now."""
        try:
            arp = parse_arp(frame)
        except PacketError:
            self._counters.count("arp.malformed")
            return ()
        zone = self._network.zone_at(port, arp.vlan_id)
        if zone is None:
            return ()
        released = self._learn(zone, port, arp, now)
        if arp.is_request and self._answers_for(zone, port, arp):
            self._counters.count("arp.answered")
            self._outbox.send(PacketOut(arp_reply(arp, zone.mac), egress_port=port))
        return released

    def resolve(self, addr: int, zone: Zone, packet: PacketOut) -> bool:
        """Ask for the neighbour `addr` in `zone`, and send `packet` when it has answered.

        True if it waits for that.
        """
        if addr in self._known:
            # The neighbour was learnt after the switch had punted this packet.
            self._outbox.send(packet)
            return False
        question = self._asked.get(addr)
        if question is None:
            if len(self._asked) >= MAX_ASKED:
                self._counters.count("arp.dropped")
                return False
            question = self._asked[addr] = Question(zone)
            self._ask(addr, question)
        if len(question.waiting) < MAX_WAITING:
            question.waiting = (*question.waiting, packet)
            return True
        self._counters.count("arp.dropped")
        return False

    def is_at(self, addr: int, port: int) -> bool:
        """Whether a neighbour is known, and behind this port of the switch."""
        known = self._known.get(addr)
        return known is not None and known.port == port

    def ask(self, addr: int, zone: Zone, port: int) -> None:
        """Ask once for a host that should be behind this port; its answer makes it known."""
        self._send_question(zone, (port,), addr)

    def tick(self, now: float) -> list[PacketOut]:
        """Repeat requests that are due. Returns the packets whose next hop did not answer any."""
        lost: list[PacketOut] = []
        for addr, question in list(self._asked.items()):
            if question.tries >= TRIES:
                del self._asked[addr]
                self._counters.count("arp.unanswered")
                lost += question.waiting
            else:
                self._ask(addr, question)
        for neighbour in list(self._known.values()):
            if now - neighbour.confirmed < self._refresh:
                continue
            if neighbour.tries >= TRIES:
                self._remove(neighbour)
            else:
                neighbour.tries += 1
                self._send_question(neighbour.zone, (neighbour.port,), neighbour.addr)
        return lost

    def adopt(self, hop: t.NextHop, addr: int, now: float) -> bool:
        """Take over a neighbour that was found in the switch.

        False if the entry does not fit the settings: its zone, our MAC address there, or the
        number of its next hop.
        """
        zone = self._network.zone_of(addr)
        at = self._network.zone_at(hop.port, hop.vlan_id)
        expected = self._routers.get(addr)
        wrong_id = hop.next_hop != expected if expected else hop.next_hop <= len(self._routers)
        if zone is None or zone is not at or hop.src_mac != zone.mac or wrong_id:
            return False
        stale = now - self._refresh
        self._known[addr] = Neighbour(addr, zone, hop.port, hop.dst_mac, hop.next_hop, stale)
        self._next_id = max(self._next_id, hop.next_hop + 1)
        return True

    def _learn(self, zone: Zone, port: int, arp: Arp, now: float) -> Sequence[PacketOut]:
        addr = arp.sender_addr
        if self._network.zone_of(addr) is not zone or self._is_ours(addr) or arp.sender_mac == 0:
            return ()
        known = self._known.get(addr)
        if known is not None:
            known.confirmed, known.tries = now, 0
            if (known.port, known.mac) != (port, arp.sender_mac):
                known.port, known.mac = port, arp.sender_mac
                self._outbox.transact((Update(Op.MODIFY, _entry(known)),))
            return ()
        # A host gets an entry only if it speaks to us or if we asked for it. Otherwise anybody
        # could fill the table with ARP packets of invented hosts.
        if addr not in self._asked and not self._is_ours(arp.target_addr):
            return ()
        if len(self._known) >= MAX_NEIGHBOURS:
            self._counters.count("arp.full")
            return ()
        next_hop = self._routers.get(addr) or self._new_id()
        known = Neighbour(addr, zone, port, arp.sender_mac, next_hop, now)
        self._known[addr] = known
        question = self._asked.pop(addr, None)
        updates = [
            Update(Op.INSERT, _entry(known)),
            Update(Op.INSERT, t.Route(addr, 32, next_hop)),
        ]
        released = question.waiting if question else ()
        self._outbox.transact(updates, released)
        return released

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _remove(self, neighbour: Neighbour) -> None:
        del self._known[neighbour.addr]
        self._counters.count("arp.lost")
        route = t.Route(neighbour.addr, 32, neighbour.next_hop)
        self._outbox.transact([Update(Op.DELETE, route), Update(Op.DELETE, _entry(neighbour))])

    def _answers_for(self, zone: Zone, port: int, arp: Arp) -> bool:
        target = arp.target_addr
        if target == zone.addr:
            return True
        if self._network.zone_of(target) is not zone or arp.sender_addr == target:
            return False
        if any(target in prefix for prefix in self._own_outside):
            return zone.side is Side.OUTSIDE
        if len(zone.ports) < 2:
            return False
        # The ports of a zone are one IP network but not one link. So the gateway answers
        # for a host that is behind another port of the zone (proxy ARP, RFC 1027).
        known = self._known.get(target)
        if known is None and target not in self._asked and len(self._asked) < MAX_ASKED:
            question = self._asked[target] = Question(zone)
            self._ask(target, question)
        return known is not None and known.port != port

    def _is_ours(self, addr: int) -> bool:
        return self._network.is_own(addr) or any(addr in p for p in self._own_outside)

    def _ask(self, addr: int, question: Question) -> None:
        question.tries += 1
        self._send_question(question.zone, question.zone.ports, addr)

    def _send_question(self, zone: Zone, ports: tuple[int, ...], addr: int) -> None:
        frame = arp_request(zone.mac, zone.vlan_id, zone.addr, addr)
        for port in ports:
            self._outbox.send(PacketOut(frame, egress_port=port))


def _entry(neighbour: Neighbour) -> t.NextHop:
    zone = neighbour.zone
    return t.NextHop(
        neighbour.next_hop, neighbour.port, zone.vlan_id, zone.mac, neighbour.mac, zone.mtu
    )
