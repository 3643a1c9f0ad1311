"""ARP (RFC 826) on the gateway's interfaces: answers, requests, and next hops.

The switch punts a packet whose next hop has no entry. The packet waits here until the neighbour
has answered the ARP request; the number of packets that wait is bounded. A known neighbour is
asked again at intervals, so that one that moved or left is noticed.

Organisations share all this, so that the neighbours outside, whom they have in common, are asked
once. A neighbour is found by its zone and address, since inside addresses of different
organisations may be the same. Its route is written in each organisation that sends to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.counters import Counters
from p4alg.engine.layout import next_hop_ids, own_outside
from p4alg.engine.outbox import Outbox
from p4alg.engine.settings import Settings, Zone, all_zones
from p4alg.engine.tables import Op, Side, Update
from p4alg.packet.arp import Arp, arp_reply, arp_request, parse_arp
from p4alg.packet.errors import PacketError
from p4alg.undo import Tracked, TrackedCounts, TrackedDict, UndoLog

MAX_NEIGHBOURS = 2048
MAX_WAITING = 16
"""Packets that wait for one neighbour."""
MAX_ASKED = 256
"""ARP requests that may be unanswered at the same time."""
TRIES = 3
"""Requests, one a second, before a neighbour is given up."""

Place = tuple[int, int]
"""The number of a zone, and an address in its network."""


@dataclass(slots=True, eq=False)
class Neighbour(Tracked):
    """A neighbour that is known.

    `confirmed` is the time of its last ARP packet (seconds), `tries` the number of requests
    that were sent since then and not answered. `realms` are the organisations in which it has a
    route.
    """

    addr: int
    zone: Zone
    port: int
    mac: int
    next_hop: int
    confirmed: float
    realms: tuple[int, ...]
    tries: int = 0


@dataclass(slots=True, eq=False)
class Question(Tracked):
    """A neighbour whose MAC address is being asked for, and the packets that wait for it.

    Each packet is with the realm that it is routed in, and the organisation that sent it.
    """

    zone: Zone
    by: int
    """The organisation that asked first."""
    tries: int = 0
    waiting: tuple[tuple[int, int, PacketOut], ...] = ()


class Neighbours:
    """The neighbours in all zones of all organisations."""

    def __init__(
        self,
        organisations: Sequence[Settings],
        outbox: Outbox,
        counters: Counters,
        log: UndoLog,
    ) -> None:
        """`outbox` must be that of all organisations: routes name theirs."""
        self.refresh = organisations[0].timers.neighbour
        """Seconds after which a neighbour is asked for; may be changed."""
        self._outbox = outbox
        self._counters = counters
        zones = all_zones(organisations)
        self._zones = {(port, zone.vlan_id): zone for zone in zones for port in zone.ports}
        self._own_addrs = {(zone.side, zone.organisation, zone.addr) for zone in zones}
        self._own_outside = [prefix for one in organisations for prefix in own_outside(one)]
        self._share = {one.organisation: one.share for one in organisations}
        self._realms = {0, *self._share}
        self._usual = (0,) if organisations[0].is_only else ()
        self._routers = next_hop_ids(organisations)
        self._next_id = len(self._routers) + 1
        self._known: TrackedDict[Place, Neighbour] = TrackedDict(log)
        self._inside_of: TrackedCounts[int] = TrackedCounts(log)
        self._asked: TrackedDict[Place, Question] = TrackedDict(log)
        self._asked_by: TrackedCounts[int] = TrackedCounts(log)
        self._lost: TrackedDict[int, tuple[PacketOut, ...]] = TrackedDict(log)
        self._released: TrackedDict[int, tuple[PacketOut, ...]] = TrackedDict(log)

    def zone_at(self, port: int, vlan_id: int) -> Zone | None:
        """The zone of a switch port and VLAN."""
        return self._zones.get((port, vlan_id))

    def arp(self, port: int, frame: bytes, now: float) -> None:
        """An ARP packet arrived."""
        try:
            arp = parse_arp(frame)
        except PacketError:
            self._counters.count("arp.malformed")
            return
        zone = self.zone_at(port, arp.vlan_id)
        if zone is None:
            return
        self._learn(zone, port, arp, now)
        if arp.is_request and self._answers_for(zone, port, arp):
            self._counters.count("arp.answered")
            self._outbox.send(PacketOut(arp_reply(arp, zone.mac), egress_port=port))

    def resolve(
        self, addr: int, zone: Zone, packet: PacketOut, *, realm: int, organisation: int
    ) -> bool:
        """Ask for the neighbour `addr` in `zone`, and send `packet` when it has answered.

        True if it waits for that.

        `realm` is the organisation whose routes the packet takes, 0 if it was not translated
        and came from outside; `organisation` is the one that will be told what became of it.
        """
        place = (zone.zone_id, addr)
        known = self._known.get(place)
        if known is not None:
            # The neighbour was learnt after the switch had punted this packet, or is one of
            # another organisation's as well.
            if realm in known.realms:
                self._outbox.send(packet)
            else:
                known.realms = (*known.realms, realm)
                route = t.Route(addr, 32, known.next_hop, realm)
                self._outbox.transact((Update(Op.INSERT, route),), (packet,))
            return False
        question = self._asked.get(place) or self._question(place, zone, organisation)
        if question is not None and len(question.waiting) < MAX_WAITING:
            question.waiting = (*question.waiting, (realm, organisation, packet))
            return True
        self._counters.count("arp.dropped")
        return False

    def is_at(self, addr: int, zone: Zone, port: int) -> bool:
        """Whether a neighbour is known, and behind this port of the switch."""
        known = self._known.get((zone.zone_id, addr))
        return known is not None and known.port == port

    def ask(self, addr: int, zone: Zone, port: int) -> None:
        """Ask once for a host that should be behind this port; its answer makes it known."""
        self._send_question(zone, (port,), addr)

    def tick(self, now: float) -> None:
        """Repeat requests that are due, and give up those that nobody answers (`take_lost`)."""
        for place, question in list(self._asked.items()):
            if question.tries >= TRIES:
                self._forget(place, question)
                self._counters.count("arp.unanswered")
                for _, organisation, packet in question.waiting:
                    self._lost[organisation] = (*self._lost.get(organisation, ()), packet)
            else:
                self._ask(place[1], question)
        for neighbour in list(self._known.values()):
            if now - neighbour.confirmed < self.refresh:
                continue
            if neighbour.tries >= TRIES:
                self._remove(neighbour)
            else:
                neighbour.tries += 1
                self._send_question(neighbour.zone, (neighbour.port,), neighbour.addr)

    def take_lost(self, organisation: int) -> Sequence[PacketOut]:
        """The packets of an organisation whose next hop did not answer; each is returned once."""
        lost: Sequence[PacketOut] = self._lost.pop(organisation, ())
        return lost

    def take_released(self, organisation: int) -> Sequence[PacketOut]:
        """The packets of an organisation that had waited for a neighbour and go now; each once."""
        released: Sequence[PacketOut] = self._released.pop(organisation, ())
        return released

    def with_released(self) -> list[int]:
        """The organisations for which `take_released` has something."""
        return list(self._released)

    def adopt(self, present: Sequence[t.Entry], now: float) -> list[t.Entry]:
        """Take over the neighbours that were found in the switch; returns their entries.

        Those are left out that do not fit the settings: their zone, our MAC address there, the
        number of their next hop, or the organisation of their route.
        """
        hops = {entry.next_hop: entry for entry in present if isinstance(entry, t.NextHop)}
        kept: list[t.Entry] = []
        for route in present:
            if not isinstance(route, t.Route) or route.prefix_len != 32:
                continue
            hop = hops.get(route.next_hop)
            if hop is not None and self._adopt(hop, route, now):
                kept += [route, hop]
        return kept

    def _adopt(self, hop: t.NextHop, route: t.Route, now: float) -> bool:
        zone = self.zone_at(hop.port, hop.vlan_id)
        if zone is None or route.addr not in zone.network or hop.src_mac != zone.mac:
            return False
        is_inside = zone.side is Side.INSIDE
        if route.organisation not in ((zone.organisation,) if is_inside else self._realms):
            return False
        place = (zone.zone_id, route.addr)
        known = self._known.get(place)
        if known is not None:
            # A second route of the same neighbour, in another organisation.
            if known.next_hop != hop.next_hop:
                return False
            known.realms = (*known.realms, route.organisation)
            return True
        expected = self._routers.get(place)
        if hop.next_hop != expected if expected else hop.next_hop <= len(self._routers):
            return False
        stale, realms = now - self.refresh, (route.organisation,)
        self._keep(Neighbour(route.addr, zone, hop.port, hop.dst_mac, hop.next_hop, stale, realms))
        self._next_id = max(self._next_id, hop.next_hop + 1)
        return True

    def _learn(self, zone: Zone, port: int, arp: Arp, now: float) -> None:
        addr = arp.sender_addr
        if addr not in zone.network or self._is_ours(zone, addr) or arp.sender_mac == 0:
            return
        place = (zone.zone_id, addr)
        known = self._known.get(place)
        if known is not None:
            known.confirmed, known.tries = now, 0
            if (known.port, known.mac) != (port, arp.sender_mac):
                known.port, known.mac = port, arp.sender_mac
                self._outbox.transact((Update(Op.MODIFY, _entry(known)),))
            return
        # A host gets an entry only if it speaks to us or if we asked for it. Otherwise anybody
        # could fill the table with ARP packets of invented hosts.
        question = self._asked.get(place)
        if question is None and not self._is_ours(zone, arp.target_addr):
            return
        if not self._has_room(zone):
            self._counters.count("arp.full")
            return
        waiting = () if question is None else question.waiting
        if question is not None:
            self._forget(place, question)
        usual = (zone.organisation,) if zone.side is Side.INSIDE else self._usual
        realms = tuple(dict.fromkeys((*usual, *(realm for realm, _, _ in waiting))))
        next_hop = self._routers.get(place) or self._new_id()
        known = Neighbour(addr, zone, port, arp.sender_mac, next_hop, now, realms)
        self._keep(known)
        updates = [Update(Op.INSERT, _entry(known)), *_routes(known, Op.INSERT)]
        self._outbox.transact(updates, [packet for _, _, packet in waiting])
        for _, organisation, packet in waiting:
            self._released[organisation] = (*self._released.get(organisation, ()), packet)

    def _keep(self, known: Neighbour) -> None:
        self._known[known.zone.zone_id, known.addr] = known
        if known.zone.side is Side.INSIDE:
            self._inside_of.add(known.zone.organisation)

    def _has_room(self, zone: Zone) -> bool:
        """Whether one more neighbour is known in a zone: of an organisation within its share."""
        inside = self._inside_of[zone.organisation]
        if zone.side is Side.INSIDE and inside >= self._part(zone.organisation, MAX_NEIGHBOURS):
            return False
        return len(self._known) < MAX_NEIGHBOURS

    def _part(self, organisation: int, whole: int) -> int:
        return max(1, int(self._share.get(organisation, 1.0) * whole))

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _remove(self, neighbour: Neighbour) -> None:
        del self._known[neighbour.zone.zone_id, neighbour.addr]
        if neighbour.zone.side is Side.INSIDE:
            self._inside_of.add(neighbour.zone.organisation, -1)
        self._counters.count("arp.lost")
        gone = Update(Op.DELETE, _entry(neighbour))
        self._outbox.transact([*_routes(neighbour, Op.DELETE), gone])

    def _answers_for(self, zone: Zone, port: int, arp: Arp) -> bool:
        target = arp.target_addr
        if target == zone.addr:
            return True
        if target not in zone.network or arp.sender_addr == target:
            return False
        if any(target in prefix for prefix in self._own_outside):
            return zone.side is Side.OUTSIDE
        if len(zone.ports) < 2:
            return False
        # The ports of a zone are one IP network but not one link. So the gateway answers
        # for a host that is behind another port of the zone (proxy ARP, RFC 1027).
        place = (zone.zone_id, target)
        known = self._known.get(place)
        if known is None and place not in self._asked:
            self._question(place, zone, zone.organisation)
        return known is not None and known.port != port

    def _is_ours(self, zone: Zone, addr: int) -> bool:
        """Whether an address is the gateway's own, as hosts of a zone see it."""
        own = ((Side.OUTSIDE, 0, addr), (Side.INSIDE, zone.organisation, addr))
        return any(o in self._own_addrs for o in own) or any(addr in p for p in self._own_outside)

    def _question(self, place: Place, zone: Zone, by: int) -> Question | None:
        """Begin to ask for a neighbour. None if too many are asked for, by all or by one."""
        if len(self._asked) >= MAX_ASKED or self._asked_by[by] >= self._part(by, MAX_ASKED):
            return None
        question = self._asked[place] = Question(zone, by)
        self._asked_by.add(by)
        self._ask(place[1], question)
        return question

    def _forget(self, place: Place, question: Question) -> None:
        del self._asked[place]
        self._asked_by.add(question.by, -1)

    def _ask(self, addr: int, question: Question) -> None:
        question.tries += 1
        self._send_question(question.zone, question.zone.ports, addr)

    def _send_question(self, zone: Zone, ports: tuple[int, ...], addr: int) -> None:
        frame = arp_request(zone.mac, zone.vlan_id, zone.addr, addr)
        for port in ports:
            self._outbox.send(PacketOut(frame, egress_port=port))


def _routes(neighbour: Neighbour, op: Op) -> list[Update]:
    return [
        Update(op, t.Route(neighbour.addr, 32, neighbour.next_hop, realm))
        for realm in neighbour.realms
    ]


def _entry(neighbour: Neighbour) -> t.NextHop:
    zone = neighbour.zone
    return t.NextHop(
        neighbour.next_hop, neighbour.port, zone.vlan_id, zone.mac, neighbour.mac, zone.mtu
    )
