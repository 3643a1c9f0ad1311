"""Packets of inside hosts that nobody has heard of: do these hosts exist at all?

Any host can send with the address of a neighbour, and each address would get a block of outside
ports. So a host in the network of a zone gets one only if it has spoken ARP at that port of the
switch, which hosts do before they send to the gateway. Of others the first packets are held until
they have answered an ARP request. Hosts behind a router cannot be asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.engine import events as ev
from p4alg.engine.counters import Counters
from p4alg.engine.neighbours import Neighbours
from p4alg.engine.network import Network
from p4alg.engine.settings import Zone
from p4alg.undo import Tracked, TrackedCounts, TrackedDict, UndoLog

MAX_STRANGERS = 64
"""The most hosts that are asked at the same time."""
MAX_HELD = 4
"""The most packets that are held of one."""
PATIENCE = 3.0
"""Seconds after which a host that does not answer is forgotten, with its packets."""


@dataclass(slots=True, eq=False)
class Stranger(Tracked):
    """A host that was asked, the zone and the port where it should be, and its packets."""

    zone: Zone
    port: int
    until: float
    held: tuple[ev.PacketIn, ...]


class Strangers:
    """The hosts that were asked and have not answered."""

    def __init__(
        self, network: Network, neighbours: Neighbours, counters: Counters, log: UndoLog
    ) -> None:
        self._network = network
        self._neighbours = neighbours
        self._counters = counters
        self._asked: TrackedDict[int, Stranger] = TrackedDict(log)
        self._behind: TrackedCounts[int] = TrackedCounts(log)

    def __len__(self) -> int:
        return len(self._asked)

    def is_one(self, host: int, port: int, vlan_id: int) -> bool:
        """Whether a host in the network of its zone has not been heard of at this port."""
        zone = self._network.zone_at(port, vlan_id)
        if zone is None or self._network.zone_of(host) is not zone:
            return False
        return not self._neighbours.is_at(host, zone, port)

    def hold(self, event: ev.PacketIn, host: int, vlan_id: int, now: float) -> None:
        """Keep a packet of a host until that has answered. At a limit the packet is dropped."""
        found = self._asked.get(host)
        zone = self._network.zone_at(event.port, vlan_id)
        if found is None and zone is not None and self._has_room(event.port):
            self._asked[host] = Stranger(zone, event.port, now + PATIENCE, (event,))
            self._behind.add(event.port)
            self._neighbours.ask(host, zone, event.port)
        elif found is not None and found.port == event.port and len(found.held) < MAX_HELD:
            found.held = (*found.held, event)
        else:
            self._counters.count("subscribers.unheard")

    def heard(self) -> list[ev.PacketIn]:
        """Somebody has spoken ARP: returns the packets of hosts that are known now."""
        packets: list[ev.PacketIn] = []
        for host, stranger in list(self._asked.items()):
            if self._neighbours.is_at(host, stranger.zone, stranger.port):
                self._forget(host)
                packets += stranger.held
        return packets

    def expire(self, now: float) -> None:
        """Forget the hosts that have not answered."""
        for host, stranger in list(self._asked.items()):
            if stranger.until <= now:
                self._counters.count("subscribers.unheard", len(stranger.held))
                self._forget(host)

    def _forget(self, host: int) -> None:
        self._behind.add(self._asked.pop(host).port, -1)

    def _has_room(self, port: int) -> bool:
        """Those behind one port may be no more than is left to the others."""
        return self._behind[port] < MAX_STRANGERS - len(self._asked)
