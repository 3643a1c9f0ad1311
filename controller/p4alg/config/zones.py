"""Reads the sections `zones` and `routes`: the networks around the gateway."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from p4alg.config.source import Item
from p4alg.engine.settings import Prefix, StaticRoute, Zone
from p4alg.engine.tables import Side
from p4alg.p4constants import CPU_PORT

MAX_ZONES = 255
"""The switch has their numbers in 8 bits."""
MAX_PORT = CPU_PORT - 1
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
SIDES = {"inside": Side.INSIDE, "outside": Side.OUTSIDE}


def prefix(network: IPv4Network) -> Prefix:
    """A network as the engine's `Prefix`."""
    return Prefix(int(network.network_address), network.prefixlen)


def network_of(zone: Zone) -> IPv4Network:
    """The IP network of a zone."""
    return IPv4Interface((zone.addr, zone.prefix_len)).network


def zone_of(addr: int, zones: Sequence[Zone]) -> Zone | None:
    """The zone whose network `addr` is in."""
    return next((z for z in zones if addr in prefix(network_of(z))), None)


def read_zones(item: Item, organisations: Mapping[str, int] | None = None) -> tuple[Zone, ...]:
    """The zones, numbered in the order of the file.

    `organisations` are the numbers of organisations by name, if there is more than the default.
    """
    names = organisations or {}
    entries = item.entries()
    if len(entries) > MAX_ZONES:
        raise item.error(f"more than {MAX_ZONES} zones")
    zones: list[Zone] = []
    for number, (name, entry) in enumerate(entries.items(), 1):
        zone = _zone(name, number, entry, names)
        for other in zones:
            shared = set(zone.ports) & set(other.ports)
            if shared and zone.vlan_id == other.vlan_id:
                raise entry.error(f"port {min(shared)} is in zone '{other.name}' already")
            if not _are_apart(zone, other) and network_of(zone).overlaps(network_of(other)):
                raise entry.error(f"{network_of(zone)} overlaps zone '{other.name}'")
        zones.append(zone)
    for name, side in SIDES.items():
        if side not in {zone.side for zone in zones}:
            raise item.error(f"no zone is {name}")
    for zone, entry in zip(zones, entries.values(), strict=True):
        _check_gateways(zone, entry, zones)
    return tuple(zones)


def _are_apart(one: Zone, other: Zone) -> bool:
    """Whether two zones may have the same addresses: inside, of different organisations."""
    both_inside = one.side is Side.INSIDE and other.side is Side.INSIDE
    return both_inside and one.organisation != other.organisation


def _check_gateways(zone: Zone, entry: Item, zones: Sequence[Zone]) -> None:
    """Refuse a zone in which a host may have an address that is the gateway's in another one.

    The switch takes packets to such an address for its own, whoever sends them.
    """
    mine = [other for other in zones if not _are_apart(zone, other)]
    inside = [other for other in mine if other.side is Side.INSIDE]
    if len(inside) == 1 and len(zone.ports) == 1:
        return  # Hosts of one wire need no gateway to reach each other.
    own = {other.addr for other in mine}
    for other in zones:
        if _are_apart(zone, other) and other.addr not in own and other.addr in zone.network:
            raise entry.error(
                f"{IPv4Address(other.addr)} in it is the gateway's address in zone "
                f"'{other.name}': give the gateway the same address in both"
            )


def read_routes(
    item: Item | None, zones: Sequence[Zone], common: Sequence[StaticRoute] = ()
) -> tuple[StaticRoute, ...]:
    """The static routes, `common` ones first. The router of each is in one of the zones."""
    routes = {route.to: route for route in common}
    for entry in item.sequence() if item else ():
        keys = entry.mapping(required=("to", "via"))
        to, via = keys["to"].network(), int(keys["via"].address())
        if prefix(to) in routes:
            raise entry.error(f"{to} has a route already")
        zone = zone_of(via, zones)
        if zone is None:
            raise keys["via"].error(f"{keys['via'].value} is in no zone's network{_hint(zones)}")
        if via == zone.addr:
            raise keys["via"].error(f"{keys['via'].value} is the gateway itself")
        routes[prefix(to)] = StaticRoute(prefix(to), via)
    return tuple(routes.values())


def _hint(zones: Sequence[Zone]) -> str:
    """What is said besides where only routers outside fit, as the routes are for everybody."""
    if any(zone.side is Side.INSIDE for zone in zones):
        return ""
    return " outside: a route to inside belongs to an organisation"


def _organisation(name: str, item: Item, keys: Mapping[str, Item], names: Mapping[str, int]) -> int:
    """The number of a zone's organisation."""
    if keys["side"].value == "outside":
        if "organisation" in keys:
            raise keys["organisation"].error("an outside zone is of no organisation")
        return 0
    if "organisation" in keys:
        if not names:
            raise keys["organisation"].error("no organisations are configured")
        return names[keys["organisation"].choice(names)]
    if len(names) > 1:
        raise item.error(f"zone '{name}' names no organisation (known: {', '.join(names)})")
    return next(iter(names.values()), 0)


def _zone(name: str, number: int, item: Item, names: Mapping[str, int]) -> Zone:
    keys = item.mapping(
        required=("side", "ports", "address", "mac"), optional=("vlan", "mtu", "organisation")
    )
    ports = [entry.integer(1, MAX_PORT) for entry in keys["ports"].sequence()]
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
        organisation=_organisation(name, item, keys, names),
    )
