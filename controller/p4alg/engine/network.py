"""Looks up zones and routes: the zone of a frame or an address, and the next hop."""

from __future__ import annotations

from p4alg.engine.settings import Settings, Zone


class Network:
    """The zones and static routes of the settings, by what they are looked up with."""

    def __init__(self, settings: Settings) -> None:
        self._zones = {(p, zone.vlan_id): zone for zone in settings.zones for p in zone.ports}
        self._all = settings.zones
        self.organisation = settings.organisation
        """The number of the organisation whose network it is."""
        self._routes = sorted(settings.routes, key=lambda route: -route.to.length)

    def zone_at(self, port: int, vlan_id: int) -> Zone | None:
        """The zone of a switch port and VLAN."""
        return self._zones.get((port, vlan_id))

    def zone_of(self, addr: int) -> Zone | None:
        """The zone whose network `addr` is in."""
        for zone in self._all:
            if (addr ^ zone.addr) >> (32 - zone.prefix_len) == 0:
                return zone
        return None

    def is_own(self, addr: int) -> bool:
        """Whether `addr` is the gateway's own address in some zone."""
        return any(zone.addr == addr for zone in self._all)

    def next_hop(self, addr: int) -> tuple[Zone, int] | None:
        """The zone in which a packet to `addr` leaves, and its next hop; None without a route.

        The longest prefix wins, of static routes and of the networks of the zones.
        """
        zone = self.zone_of(addr)
        for route in self._routes:
            if addr in route.to and (zone is None or route.to.length > zone.prefix_len):
                via = self.zone_of(route.via)
                return None if via is None else (via, route.via)
        return None if zone is None else (zone, addr)
