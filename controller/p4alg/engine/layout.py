"""The entries that follow from the settings alone: zones, pool, rules, static mappings, routes.

The table `policy` has three kinds of entries, from the highest priority to the lowest:
the operator's rules; for each of our outside prefixes a rule that translates traffic to it;
and for each zone a rule that exempts traffic which stays in the zone from translation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from p4alg.alg.descriptor import Alg
from p4alg.engine import tables as t
from p4alg.engine.settings import AlgSettings, PortSpan, Prefix, Rule, Settings

_RULES = 30000
_OWN = 20000
_LOCAL = 10000
_SIDE_MASK = 1
_PROTO_MASK = 0xFF
_ID_MASK = 0xFFFFFFFF


def port_prefixes(first: int, last: int) -> Iterator[tuple[int, int]]:
    """The fewest (value, mask) pairs on 32-bit ids that match `first` to `last`, both included."""
    while first <= last:
        size = first & -first or 1 << 16
        while first + size - 1 > last:
            size >>= 1
        yield first, _ID_MASK & ~(size - 1)
        first += size


def next_hop_ids(settings: Settings) -> dict[int, int]:
    """The next hop number of each router that a static route names, by the router's address."""
    routers = dict.fromkeys(route.via for route in settings.routes)
    return {via: number for number, via in enumerate(routers, 1)}


def own_outside(settings: Settings) -> list[Prefix]:
    """All outside addresses that translation uses: the pools, and those of static mappings."""
    found = dict.fromkeys(settings.pools)
    for addr in (
        *(forward.outside_addr for forward in settings.forwards),
        *(forward.outside_addr for forward in settings.address_forwards),
    ):
        if not any(addr in prefix for prefix in found):
            found[Prefix(addr, 32)] = None
    return list(found)


def base_entries(settings: Settings) -> list[t.Entry]:
    """The entries of zones, pools, routes, rules and static mappings."""
    own = own_outside(settings)
    entries: list[t.Entry] = []
    for zone in settings.zones:
        entries += [
            t.Port(port, zone.vlan_id, zone.zone_id, zone.side, zone.mac) for port in zone.ports
        ]
        entries.append(t.Local(zone.addr))
        network = Prefix(zone.addr & Prefix(0, zone.prefix_len).mask, zone.prefix_len)
        entries.append(t.Route(network.addr, network.length, 0))
    entries += [t.PoolPrefix(prefix.addr, prefix.length) for prefix in own]
    hops = next_hop_ids(settings)
    entries += [
        t.Route(route.to.addr, route.to.length, hops[route.via]) for route in settings.routes
    ]
    entries += _policies(settings, own)
    for forward in settings.forwards:
        entries += [
            t.MapOut(
                forward.proto,
                forward.inside_addr,
                forward.inside_port,
                forward.outside_addr,
                forward.outside_port,
            ),
            t.MapIn(
                forward.proto,
                forward.outside_addr,
                forward.outside_port,
                forward.inside_addr,
                forward.inside_port,
                t.FilterMode.ENDPOINT_INDEPENDENT,
            ),
        ]
    for pair in settings.address_forwards:
        entries += [
            t.AddrMapOut(pair.inside_addr, pair.outside_addr),
            t.AddrMapIn(pair.outside_addr, pair.inside_addr, t.FilterMode.ENDPOINT_INDEPENDENT),
        ]
    return entries


def all_entries(settings: Settings) -> list[t.Entry]:
    """All entries that a controller writes before it has seen a packet."""
    return [*base_entries(settings), *all_services(settings, settings.algs)]


def all_services(settings: Settings, algs: Iterable[AlgSettings]) -> list[t.Entry]:
    """The entries of every ALG that is on."""
    return [
        entry
        for alg in algs
        if alg.enabled
        for entry in service_entries(alg.alg, settings.spans(alg.services))
    ]


def service_entries(alg: Alg, spans: Iterable[PortSpan]) -> list[t.Service]:
    """The entries that give new flows to the ports in `spans` to an ALG, without duplicates.

    Protocols without ports that the ALG serves get one entry each.
    """
    alg_id = alg.alg_id
    whole = [t.Service(proto, (0, 0), alg_id) for proto in alg.protocols]
    pairs = {(span.proto, pair) for span in spans for pair in port_prefixes(span.first, span.last)}
    return [*(t.Service(proto, pair, alg_id) for proto, pair in sorted(pairs)), *whole]


def _policies(settings: Settings, own: Sequence[Prefix]) -> Iterator[t.Policy]:
    for number, rule in enumerate(settings.rules):
        yield from _rule(rule, _RULES - number)
    for prefix in own:
        # An outside address of ours may be in the network of an outside zone. The rule of that
        # zone must not exempt traffic to it.
        yield t.Policy(_OWN, t.PolicyAction.TRANSLATE, dst_addr=(prefix.addr, prefix.mask))
    for zone in settings.zones:
        mask = Prefix(0, zone.prefix_len).mask
        yield t.Policy(
            _LOCAL,
            t.PolicyAction.EXEMPT,
            side=(int(zone.side), _SIDE_MASK),
            src_addr=(zone.addr & mask, mask),
            dst_addr=(zone.addr & mask, mask),
        )


def _rule(rule: Rule, priority: int) -> Iterator[t.Policy]:
    ports = [(0, 0)] if rule.ports is None else list(port_prefixes(*rule.ports))
    for pair in ports:
        yield t.Policy(
            priority,
            rule.action,
            side=(0, 0) if rule.side is None else (int(rule.side), _SIDE_MASK),
            proto=(0, 0) if rule.proto is None else (rule.proto, _PROTO_MASK),
            src_addr=_pair(rule.source),
            dst_addr=_pair(rule.destination),
            dst_id=pair,
        )


def _pair(prefix: Prefix | None) -> tuple[int, int]:
    return (0, 0) if prefix is None else (prefix.addr, prefix.mask)
