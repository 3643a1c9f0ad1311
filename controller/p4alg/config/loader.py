"""Reads a configuration file into `schema.Config`; refuses what contradicts itself."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from itertools import combinations
from pathlib import Path

from p4alg.config.schema import FILTERS, SIDES, Config, StaticRoute, Switch, Zone
from p4alg.config.services import read_algs, read_services
from p4alg.config.source import Item, load

MAX_ZONES = 64
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_MAX_PORT = 509  # 510 is the CPU port, 511 drops


def read(path: Path) -> Config:
    """Read and check a configuration; `ConfigError` with file, line and reason."""
    return from_item(load(path))


def from_item(root: Item) -> Config:
    """Check a configuration that was read already."""
    top = root.mapping(required=("zones", "nat"), optional=("switch", "routes", "services", "algs"))
    nat = top["nat"].mapping(required=("pools",), optional=("filter",))
    zones = _zones(top["zones"])
    services = read_services(top.get("services"))
    return Config(
        switch=_switch(top["switch"]) if "switch" in top else Switch(),
        zones=zones,
        routes=_routes(top.get("routes"), zones),
        pools=_pools(nat["pools"], zones),
        filtering=nat["filter"].choice(FILTERS) if "filter" in nat else FILTERS[0],
        services=services,
        algs=read_algs(top.get("algs"), services),
    )


def _switch(item: Item) -> Switch:
    keys = item.mapping(optional=("grpc", "device_id"))
    default = Switch()
    grpc = keys["grpc"].text() if "grpc" in keys else default.grpc
    host, _, port = grpc.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise keys["grpc"].error(f"'{grpc}' is not HOST:PORT")
    low, high = 1, (1 << 63) - 1
    device = keys["device_id"].integer(low, high) if "device_id" in keys else default.device_id
    return Switch(grpc, device)


def _zones(item: Item) -> tuple[Zone, ...]:
    entries = item.entries()
    if len(entries) > MAX_ZONES:
        raise item.error(f"more than {MAX_ZONES} zones")
    zones: list[Zone] = []
    for name, entry in entries.items():
        zone = _zone(name, entry)
        for other in zones:
            shared = set(zone.ports) & set(other.ports)
            if shared and zone.vlan == other.vlan:
                raise entry.error(f"port {min(shared)} is in zone '{other.name}' already")
            if zone.address.network.overlaps(other.address.network):
                raise entry.error(f"{zone.address.network} overlaps zone '{other.name}'")
        zones.append(zone)
    for side in SIDES:
        if side not in {zone.side for zone in zones}:
            raise item.error(f"no zone is {side}")
    return tuple(zones)


def _zone(name: str, item: Item) -> Zone:
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
        side=keys["side"].choice(SIDES),
        ports=tuple(ports),
        vlan=keys["vlan"].integer(0, 4094) if "vlan" in keys else 0,
        address=address,
        mac=int(mac.replace(":", ""), 16),
        mtu=keys["mtu"].integer(68, 9216) if "mtu" in keys else 1500,
    )


def _pools(item: Item, zones: tuple[Zone, ...]) -> tuple[IPv4Network, ...]:
    entries = [(entry, entry.network()) for entry in item.sequence()]
    if not entries:
        raise item.error("at least one pool is needed")
    for (_, first), (entry, second) in combinations(entries, 2):
        if first.overlaps(second):
            raise entry.error(f"pool {second} overlaps pool {first}")
    for entry, pool in entries:
        for zone in zones:
            if zone.side == "inside" and pool.overlaps(zone.address.network):
                raise entry.error(f"pool {pool} overlaps inside zone '{zone.name}'")
            if zone.address.ip in pool:
                raise entry.error(f"pool {pool} holds the gateway's own {zone.address.ip}")
    return tuple(pool for _, pool in entries)


def _routes(item: Item | None, zones: tuple[Zone, ...]) -> tuple[StaticRoute, ...]:
    routes: dict[IPv4Network, StaticRoute] = {}
    for entry in item.sequence() if item else ():
        keys = entry.mapping(required=("to", "via"))
        route = StaticRoute(keys["to"].network(), keys["via"].address())
        if route.to in routes:
            raise entry.error(f"{route.to} has a route already")
        if not any(route.via in zone.address.network for zone in zones):
            raise keys["via"].error(f"{route.via} is in no zone's network")
        if any(route.via == zone.address.ip for zone in zones):
            raise keys["via"].error(f"{route.via} is the gateway itself")
        routes[route.to] = route
    return tuple(routes.values())
