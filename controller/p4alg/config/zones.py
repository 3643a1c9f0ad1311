"""Reads the sections `zones` and `routes`: the networks around the gateway."""

from __future__ import annotations

import re
from ipaddress import IPv4Interface, IPv4Network

from p4alg.config.source import Item
from p4alg.engine.settings import Prefix, StaticRoute, Zone
from p4alg.engine.tables import Side
from p4alg.p4constants import CPU_PORT

MAX_ZONES = 64
_MAX_PORT = CPU_PORT - 1
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
SIDES = {"inside": Side.INSIDE, "outside": Side.OUTSIDE}


def prefix(network: IPv4Network) -> Prefix:
    """A network as the engine's `Prefix`."""
    return Prefix(int(network.network_address), network.prefixlen)


def network_of(zone: Zone) -> IPv4Network:
    """The IP network of a zone."""
    return IPv4Interface((zone.addr, zone.prefix_len)).network


def zone_of(addr: int, zones: tuple[Zone, ...]) -> Zone | None:
    """The zone whose network `addr` is in."""
    return next((z for z in zones if addr in prefix(network_of(z))), None)


def read_zones(item: Item) -> tuple[Zone, ...]:
    """The zones, numbered in the order of the file."""
    entries = item.entries()
    if len(entries) > MAX_ZONES:
        raise item.error(f"more than {MAX_ZONES} zones")
    zones: list[Zone] = []
    for number, (name, entry) in enumerate(entries.items(), 1):
        zone = _zone(name, number, entry)
        for other in zones:
            shared = set(zone.ports) & set(other.ports)
            if shared and zone.vlan_id == other.vlan_id:
                raise entry.error(f"port {min(shared)} is in zone '{other.name}' already")
            if network_of(zone).overlaps(network_of(other)):
                raise entry.error(f"{network_of(zone)} overlaps zone '{other.name}'")
        zones.append(zone)
    for name, side in SIDES.items():
        if side not in {zone.side for zone in zones}:
            raise item.error(f"no zone is {name}")
    return tuple(zones)


def read_routes(item: Item | None, zones: tuple[Zone, ...]) -> tuple[StaticRoute, ...]:
    """The static routes. The router of each is in one of the zones."""
    routes: dict[Prefix, StaticRoute] = {}
    for entry in item.sequence() if item else ():
        keys = entry.mapping(required=("to", "via"))
        to, via = keys["to"].network(), int(keys["via"].address())
        if prefix(to) in routes:
            raise entry.error(f"{to} has a route already")
        zone = zone_of(via, zones)
        if zone is None:
            raise keys["via"].error(f"{keys['via'].value} is in no zone's network")
        if via == zone.addr:
            raise keys["via"].error(f"{keys['via'].value} is the gateway itself")
        routes[prefix(to)] = StaticRoute(prefix(to), via)
    return tuple(routes.values())


def _zone(name: str, number: int, item: Item) -> Zone:
    keys = item.mapping(required=("side", "ports", "address", "mac"), optional=("vlan", "mtu"))
    ports = [entry.integer(1, _MAX_PORT) for entry in keys["ports"].sequence()]
    if not ports or len(set(ports)) < len(ports):
        raise keys["ports"].error("a zone has at least one port, and each port once")
    address = keys["address"].interface()
    network = address.network
    if network.prefixlen < 31 and address.ip in (network[0], network[-1]):
        raise keys["address"].error(f"{address.ip} is not a host address of {network}")
    mac = keys["mac"].text()
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1 or int(mac.replace(":", ""), 16) == 0:
        raise keys["mac"].error(f"'{mac}' is not a unicast MAC address")
    return Zone(
        name=name,
        zone_id=number,
        side=SIDES[keys["side"].choice(SIDES)],
        ports=tuple(ports),
        vlan_id=keys["vlan"].integer(0, 4094) if "vlan" in keys else 0,
        addr=int(address.ip),
        prefix_len=network.prefixlen,
        mac=int(mac.replace(":", ""), 16),
        mtu=keys["mtu"].integer(68, 9216) if "mtu" in keys else 1500,
    )
