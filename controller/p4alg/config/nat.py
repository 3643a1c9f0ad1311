"""Reads the `nat` section: pools, filtering, static mappings, exempt destinations, blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from ipaddress import AddressValueError, IPv4Address
from itertools import combinations

from p4alg.config.blocks import read_blocks, read_common_blocks
from p4alg.config.errors import gather
from p4alg.config.source import Item
from p4alg.config.zones import network_of, prefix, zone_of
from p4alg.engine.settings import (
    AddressForward,
    BlockSettings,
    PortForward,
    Prefix,
    Rule,
    StaticRoute,
    Zone,
)
from p4alg.engine.tables import FilterMode, PolicyAction, Side
from p4alg.protocols import NUMBERS, PORTED

FILTERS = {
    "address-and-port": FilterMode.ADDRESS_AND_PORT,
    "address": FilterMode.ADDRESS,
    "endpoint-independent": FilterMode.ENDPOINT_INDEPENDENT,
}
"""Filtering behaviours of RFC 4787 section 5, strictest (the default) first."""
MAX_STATIC = 4096
MAX_EXEMPT = 256
_ENDPOINT = re.compile(r"([0-9.]+):([0-9]{1,5})(?:-([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Nat:
    """The contents of the section."""

    pools: tuple[Prefix, ...]
    filter_mode: FilterMode
    blocks: BlockSettings
    forwards: tuple[PortForward, ...]
    address_forwards: tuple[AddressForward, ...]
    exemptions: tuple[Rule, ...]
    claims: tuple[tuple[Item, Prefix], ...] = field(default=(), compare=False)
    """All outside addresses, with where they are configured."""


_OF_ORGANISATION = ("pools", "static", "exempt")
"""The keys that belong to an organisation, where there are some."""


def read_common_nat(item: Item | None) -> dict[str, Item]:
    """The keys of the section at the top that hold for all organisations."""
    found = item.entries() if item else {}
    for key in _OF_ORGANISATION:
        if key in found:
            raise found[key].error(f"'{key}' belongs to an organisation: organisations.NAME.nat")
    return item.mapping(optional=("filter", "blocks")) if item else {}


def read_nat(
    item: Item,
    zones: tuple[Zone, ...],
    routes: tuple[StaticRoute, ...],
    every: tuple[Zone, ...] | None = None,
    common: dict[str, Item] | None = None,
) -> Nat:
    """Read and check the section.

    That of one of several organisations has `zones` and `routes` which are that organisation's.
    `every` are the zones of all, and `common` is what holds for all of them.
    """
    optional = ("filter", "static", "exempt", "blocks")
    if common is not None and "filter" in item.entries():
        raise item.entries()["filter"].error("the filter is one for all organisations: nat.filter")
    keys = {**(common or {}), **item.mapping(required=("pools",), optional=optional)}
    all_of_them = zones if every is None else every
    pools = _pools(keys["pools"], all_of_them)
    reader = _Statics(zones, routes, pools, all_of_them)
    entries = keys["static"].sequence() if "static" in keys else []
    if len(entries) > MAX_STATIC:
        raise keys["static"].error(f"more than {MAX_STATIC} static mappings")
    gather(partial(reader.read, entry) for entry in entries)
    mode = keys["filter"].choice(FILTERS) if "filter" in keys else next(iter(FILTERS))
    exempt = keys["exempt"].sequence() if "exempt" in keys else []
    if len(exempt) > MAX_EXEMPT:
        raise keys["exempt"].error(f"more than {MAX_EXEMPT} prefixes")
    exemptions: list[Rule] = []
    for entry in exempt:
        exemptions += _exemption(prefix(entry.network()))
    forwards = tuple(reader.forwards.values())
    own_blocks = item.entries().get("blocks")
    above = None if common is None else read_common_blocks(common.get("blocks"))
    return Nat(
        pools,
        FILTERS[mode],
        read_blocks(own_blocks, keys["pools"], zones, routes, pools, forwards, above),
        forwards,
        tuple(reader.pairs.values()),
        tuple(exemptions),
        (*zip(keys["pools"].sequence(), pools, strict=True), *reader.claims),
    )


def _exemption(there: Prefix) -> list[Rule]:
    """The rules that exempt both directions of traffic with a prefix from translation."""
    return [
        Rule(PolicyAction.EXEMPT, Side.INSIDE, destination=there),
        Rule(PolicyAction.EXEMPT, Side.OUTSIDE, source=there),
    ]


def _pools(item: Item, zones: tuple[Zone, ...]) -> tuple[Prefix, ...]:
    entries = [(entry, entry.network()) for entry in item.sequence()]
    if not entries:
        raise item.error("at least one pool is needed")
    for (_, first), (entry, second) in combinations(entries, 2):
        if first.overlaps(second):
            raise entry.error(f"pool {second} overlaps pool {first}")
    for entry, pool in entries:
        for zone in zones:
            if zone.side is Side.INSIDE and pool.overlaps(network_of(zone)):
                raise entry.error(f"pool {pool} overlaps inside zone '{zone.name}'")
            if IPv4Address(zone.addr) in pool:
                raise entry.error(f"pool {pool} holds the gateway's own {IPv4Address(zone.addr)}")
    return tuple(prefix(pool) for _, pool in entries)


class _Statics:
    """Reads static mappings, and checks each against those read before."""

    def __init__(
        self,
        zones: tuple[Zone, ...],
        routes: tuple[StaticRoute, ...],
        pools: tuple[Prefix, ...],
        every: tuple[Zone, ...],
    ) -> None:
        self._every = every
        self._zones = zones
        self._routes = routes
        self._pools = pools
        self.forwards: dict[tuple[int, int, int], PortForward] = {}
        self._insides: set[tuple[int, int, int]] = set()
        self.pairs: dict[int, AddressForward] = {}
        self.claims: list[tuple[Item, Prefix]] = []

    def read(self, item: Item) -> None:
        keys = item.mapping(required=("outside", "inside"), optional=("protocol",))
        outside, inside = keys["outside"], keys["inside"]
        if "protocol" in keys:
            proto = NUMBERS[keys["protocol"].choice(PORTED)]
            (forward_addr, there), (inside_addr, here) = _endpoint(outside), _endpoint(inside)
            if len(there) != len(here):
                raise item.error(f"{len(there)} ports outside and {len(here)} inside: map as many")
            if len(self.forwards) + len(there) > MAX_STATIC:
                raise item.error(f"more than {MAX_STATIC} static mappings, each port counted")
            for port, inside_port in zip(there, here, strict=True):
                self._forward(item, proto, (forward_addr, port), (inside_addr, inside_port))
        else:
            forward_addr, inside_addr = int(outside.address()), int(inside.address())
            self._pair(item, forward_addr, inside_addr)
        self._reachable(inside, inside_addr)
        self._outside(outside, forward_addr)
        self.claims.append((item, Prefix(forward_addr, 32)))

    def _forward(
        self, item: Item, proto: int, outside: tuple[int, int], inside: tuple[int, int]
    ) -> None:
        key = (proto, *outside)
        if key in self.forwards:
            raise item.error(f"{IPv4Address(outside[0])}:{outside[1]} is mapped already")
        if (proto, *inside) in self._insides:
            raise item.error(f"{IPv4Address(inside[0])}:{inside[1]} is mapped already")
        if outside[0] in {pair.outside_addr for pair in self.pairs.values()}:
            raise item.error(f"{IPv4Address(outside[0])} is mapped as a whole already")
        self._insides.add((proto, *inside))
        self.forwards[key] = PortForward(proto, *inside, *outside)

    def _pair(self, item: Item, outside: int, inside: int) -> None:
        shown = IPv4Address(outside)
        if any(outside in pool for pool in self._pools):
            raise item.error(f"{shown} is in a pool: map a whole address outside the pools")
        taken = {f.outside_addr for f in self.forwards.values()}
        if outside in taken or outside in {p.outside_addr for p in self.pairs.values()}:
            raise item.error(f"{shown} is mapped already")
        if inside in self.pairs:
            raise item.error(f"{IPv4Address(inside)} is mapped already")
        if any(zone.addr == outside for zone in self._zones):
            raise item.error(f"{shown} is the gateway's own address")
        self.pairs[inside] = AddressForward(inside, outside)

    def _reachable(self, item: Item, addr: int) -> None:
        zone = zone_of(addr, self._zones)
        if zone is None:
            vias = [route.via for route in self._routes if addr in route.to]
            zone = zone_of(vias[0], self._zones) if vias else None
        if zone is None or zone.side is not Side.INSIDE:
            raise item.error(f"{IPv4Address(addr)} is in no inside zone and behind no route")
        if addr == zone.addr:
            raise item.error(f"{IPv4Address(addr)} is the gateway itself")

    def _outside(self, item: Item, addr: int) -> None:
        zone = zone_of(addr, self._every)
        if zone is not None and zone.side is Side.INSIDE:
            raise item.error(f"{IPv4Address(addr)} is in inside zone '{zone.name}'")


def _endpoint(item: Item) -> tuple[int, range]:
    """An address and a port, or several that follow each other."""
    found = _ENDPOINT.fullmatch(item.text())
    try:
        if found is None or not 1 <= int(found[2]) <= int(found[3] or found[2]) <= 65535:
            raise AddressValueError
        ports = range(int(found[2]), int(found[3] or found[2]) + 1)
        return int(IPv4Address(found[1])), ports
    except AddressValueError:
        raise item.error(f"'{item.value}' is not ADDRESS:PORT or ADDRESS:FIRST-LAST") from None
