"""Zones and routes as the engine consults them: which zone a frame is in, who is next."""

from __future__ import annotations

from p4alg.engine.settings import Settings, Zone


class Network:
    """Read-only views of the settings' zones and routes."""

    def __init__(self, settings: Settings) -> None:
        self._zones = {(p, zone.vlan_id): zone for zone in settings.zones for p in zone.ports}
        self._all = settings.zones
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
        """Whether `addr` is the gateway's in some zone."""
        return any(zone.addr == addr for zone in self._all)

    def next_hop(self, addr: int) -> tuple[Zone, int] | None:
        """The zone that `addr` is reached by, and the neighbour in it (longest prefix)."""
        zone = self.zone_of(addr)
        for route in self._routes:
            if addr in route.to and (zone is None or route.to.length > zone.prefix_len):
                via = self.zone_of(route.via)
                return None if via is None else (via, route.via)
        return None if zone is None else (zone, addr)
