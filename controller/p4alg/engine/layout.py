"""The entries that follow from the settings: zones, pool, rules, static mappings, routes, timers.

Besides the settings only the numbers of the hosts that static mappings lead to are needed.

Some entries are common to all organisations (`common_entries`), the others are those of one
(`base_entries`), which are written as `stamping` says; but `policy` names the organisation here.

The table `policy` has three kinds of entries, from the highest priority to the lowest:
the operator's rules; for each of our outside prefixes a rule that translates traffic to it;
and rules that exempt traffic which stays in a zone, or inside, from translation.

The switch learns whose a packet from outside is only after `policy`. So a rule of one of several
organisations becomes one for packets of its own from inside, and one for each of its outside
prefixes for packets from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, product

from p4alg.alg.descriptor import Alg
from p4alg.engine import cells
from p4alg.engine import tables as t
from p4alg.engine.settings import (
    AlgSettings,
    PortSpan,
    Prefix,
    Rule,
    Settings,
    Timers,
    Zone,
    all_zones,
)
from p4alg.engine.stamping import stamp_of
from p4alg.p4constants import Phase
from p4alg.protocols import ICMP, TCP, UDP

_RULES = 30000
_OWN = 20000
_LOCAL = 10000
_SIDE_MASK = 1
_PROTO_MASK = 0xFF
_ID_MASK = 0xFFFFFFFF
_ORGANISATION_MASK = 0xFF
_ANY = (0, 0)
_DNS = 53
_NEVER_OUTSIDE = (Prefix(0, 8), Prefix(127 << 24, 8), Prefix(224 << 24, 4), Prefix(240 << 24, 4))
"""Source addresses that no packet from outside has (RFC 6890): this network, loopback, multicast,
and reserved ones."""


def port_prefixes(first: int, last: int) -> Iterator[tuple[int, int]]:
    """The fewest (value, mask) pairs on 32-bit ids that match `first` to `last`, both included."""
    while first <= last:
        size = first & -first or 1 << 16
        while first + size - 1 > last:
            size >>= 1
        yield first, _ID_MASK & ~(size - 1)
        first += size


def next_hop_ids(organisations: Iterable[Settings]) -> dict[tuple[int, int], int]:
    """The next hop number of each router that a static route names.

    A router is known by the number of its zone and its address.
    """
    routers = dict.fromkeys(
        (_zone_of(route.via, settings).zone_id, route.via)
        for settings in organisations
        for route in settings.routes
    )
    return {router: number for number, router in enumerate(routers, 1)}


def _zone_of(addr: int, settings: Settings) -> Zone:
    """The zone that a router is in; the configuration has made sure that there is one."""
    return next(zone for zone in settings.zones if addr in zone.network)


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


def static_hosts(settings: Settings) -> list[int]:
    """The inside addresses that static mappings lead to."""
    ports = [forward.inside_addr for forward in settings.forwards]
    whole = [forward.inside_addr for forward in settings.address_forwards]
    return list(dict.fromkeys([*ports, *whole]))


def common_entries(organisations: Sequence[Settings]) -> list[t.Entry]:
    """The entries that are nobody's in particular: ports, sources, timers, outside zones.

    Packets that come from outside and are not translated are routed in realm 0. Where no
    organisation has that number, its routes are here; and so are the services of protocols
    without ports, since a packet from outside with an unknown SPI is in that realm as well.
    """
    first = organisations[0]
    zones = all_zones(organisations)
    entries: list[t.Entry] = [
        t.Port(port, zone.vlan_id, zone.zone_id, zone.side, zone.mac, zone.organisation)
        for zone in zones
        for port in zone.ports
    ]
    entries += [t.Local(addr) for addr in dict.fromkeys(zone.addr for zone in zones)]
    entries += _sources(organisations)
    entries += _timers(first.timers)
    entries.append(t.Gateway(cells.ticks(first.timers.port_rest), first.filter_mode))
    outside = [zone for zone in zones if zone.side is t.Side.OUTSIDE]
    entries += [_stays(zone, zone, _ANY) for zone in outside]
    if all(settings.organisation for settings in organisations):
        entries += [t.Route(zone.network.addr, zone.network.length, 0) for zone in outside]
    if not first.is_only:
        served = {alg.alg.alg_id: alg.alg.protocols for s in organisations for alg in s.algs}
        entries += [
            t.Service(proto, _ANY, alg_id, organisation=0)
            for alg_id, protocols in served.items()
            for proto in protocols
        ]
    return entries


def base_entries(
    settings: Settings,
    number_of: Callable[[int], int] = lambda _inside_addr: 0,
    hops: dict[tuple[int, int], int] | None = None,
) -> list[t.Entry]:
    """The entries of an organisation's pools, routes, rules and static mappings.

    `number_of` tells the number of a host that a static mapping leads to, and `hops` are the
    `next_hop_ids` of all organisations.
    """
    own = own_outside(settings)
    entries: list[t.Entry] = [
        t.Route(zone.network.addr, zone.network.length, 0) for zone in settings.zones
    ]
    entries += [t.PoolPrefix(prefix.addr, prefix.length) for prefix in own]
    if hops is None:
        hops = next_hop_ids((settings,))
    for route in settings.routes:
        hop = hops[_zone_of(route.via, settings).zone_id, route.via]
        entries.append(t.Route(route.to.addr, route.to.length, hop))
    entries += _policies(settings, own)
    for forward in settings.forwards:
        number = number_of(forward.inside_addr)
        entries += [
            t.MapOut(
                forward.proto,
                forward.inside_addr,
                forward.inside_port,
                forward.outside_addr,
                forward.outside_port,
                number,
            ),
            t.MapIn(
                forward.proto,
                forward.outside_addr,
                forward.outside_port,
                forward.inside_addr,
                forward.inside_port,
                t.FilterMode.ENDPOINT_INDEPENDENT,
                number,
            ),
        ]
    for pair in settings.address_forwards:
        number, anyone = number_of(pair.inside_addr), t.FilterMode.ENDPOINT_INDEPENDENT
        entries += [
            t.AddrMapOut(pair.inside_addr, pair.outside_addr, number),
            t.AddrMapIn(pair.outside_addr, pair.inside_addr, anyone, number),
        ]
    return entries


def all_entries(organisations: Sequence[Settings]) -> list[t.Entry]:
    """All entries that a controller writes before it has seen a packet."""
    entries = common_entries(organisations)
    entries += [table(n, 0) for table in (t.ScrambleLow, t.ScrambleHigh) for n in range(256)]
    hops = next_hop_ids(organisations)
    for settings in organisations:
        stamp = stamp_of(settings)
        hosts = [t.Subscriber(addr, 0) for addr in static_hosts(settings)]
        own = (base_entries(settings, hops=hops), hosts, all_services(settings, settings.algs))
        entries += [stamp(entry) for entry in chain(*own)]
    return entries


def all_services(settings: Settings, algs: Iterable[AlgSettings]) -> list[t.Entry]:
    """The entries of every ALG that is on."""
    return [
        entry
        for alg in algs
        if alg.enabled
        for entry in service_entries(alg.alg, settings.spans(alg.services))
        if not _is_common(entry, settings)
    ]


def _is_common(entry: t.Service, settings: Settings) -> bool:
    """Whether a service of an organisation is among the `common_entries` already."""
    return not settings.is_only and settings.organisation == 0 and entry.server_id == _ANY


def service_entries(alg: Alg, spans: Iterable[PortSpan]) -> list[t.Service]:
    """The entries that give new flows to the ports in `spans` to an ALG, without duplicates.

    Protocols without ports that the ALG serves get one entry each.
    """
    alg_id = alg.alg_id
    whole = [t.Service(proto, _ANY, alg_id) for proto in alg.protocols]
    pairs = {(span.proto, pair) for span in spans for pair in port_prefixes(span.first, span.last)}
    return [*(t.Service(proto, pair, alg_id) for proto, pair in sorted(pairs)), *whole]


def _sources(organisations: Sequence[Settings]) -> Iterator[t.Source]:
    """From which addresses packets of each zone may come.

    Inside: those of the zone's network and of what is routed behind it. Outside: all but those
    that are inside, our own, and those that exist nowhere.
    """
    zones = all_zones(organisations)
    own = [prefix for settings in organisations for prefix in own_outside(settings)]
    behind = {zone.zone_id: [zone.network] for zone in zones}
    for settings in organisations:
        for route in settings.routes:
            networks = behind[_zone_of(route.via, settings).zone_id]
            if route.to not in networks:
                networks.append(route.to)
    inside = [p for zone in zones if zone.side is t.Side.INSIDE for p in behind[zone.zone_id]]
    for zone in zones:
        if zone.side is t.Side.OUTSIDE:
            ours = [*own, *(Prefix(other.addr, 32) for other in zones)]
            accepted, refused = [Prefix(0, 0)], [*inside, *ours, *_NEVER_OUTSIDE]
        else:
            # Another organisation may have the same addresses inside.
            seen = [o for o in zones if o.side is t.Side.OUTSIDE or _is_shared(o, zone)]
            ours = [*own, *(Prefix(other.addr, 32) for other in seen)]
            accepted = behind[zone.zone_id]
            elsewhere = [p for other in seen if other is not zone for p in behind[other.zone_id]]
            refused = [p for p in (*elsewhere, *ours) if _is_part(p, accepted)]
        verdicts = dict.fromkeys(refused, t.SourceAction.REFUSE)
        verdicts |= dict.fromkeys(accepted, t.SourceAction.ACCEPT)
        for prefix, verdict in verdicts.items():
            yield t.Source(zone.zone_id, prefix.addr, prefix.length, verdict)


def _is_shared(one: Zone, other: Zone) -> bool:
    """Whether two zones are on the same side of one organisation."""
    return (one.side, one.organisation) == (other.side, other.organisation)


def _is_part(prefix: Prefix, wholes: Iterable[Prefix]) -> bool:
    return any(prefix.addr in whole and prefix.length > whole.length for whole in wholes)


def _timers(timers: Timers) -> Iterator[t.Timer]:
    """How long plain flows live on after a packet (RFC 4787 REQ-5, 5382 REQ-5, 5508 REQ-2).

    Nothing that comes from outside makes a TCP connection live longer, since anybody can forge
    it; its RST makes it shorter. Packets of UDP and ICMP do so in both directions.
    """
    both_fins = int(Phase.INSIDE_FIN | Phase.OUTSIDE_FIN)

    def row(
        priority: int,
        proto: int,
        seconds: float,
        phase: int = 0,
        server: int | None = None,
        outbound: int | None = None,
        action: t.TimerAction = t.TimerAction.SET,
    ) -> t.Timer:
        when = (phase, phase)
        return t.Timer(proto, when, server, outbound, cells.ticks(seconds), priority, action)

    for proto in (TCP, UDP, ICMP):
        # The mapping is that of a session in the table, which may be idle for as long as this.
        yield row(90, proto, timers.longest, Phase.TABLE)
    short, long = timers.tcp_transitory, timers.tcp_established
    yield row(80, TCP, short, Phase.RESET, outbound=0, action=t.TimerAction.CUT)
    yield row(80, TCP, short, Phase.RESET, outbound=1)
    yield row(70, TCP, short, both_fins, outbound=1)
    yield row(60, TCP, long, Phase.ESTABLISHED, outbound=1)
    yield row(50, TCP, short, outbound=1)
    yield row(50, UDP, timers.udp_dns, server=_DNS)
    yield row(40, UDP, timers.udp)
    yield row(40, ICMP, timers.icmp)


def _policies(settings: Settings, own: Sequence[Prefix]) -> Iterator[t.Policy]:
    whose = _whose(settings)
    for number, rule in enumerate(settings.rules):
        for part in [rule] if settings.is_only else _parts(rule, settings, own):
            of = whose if part.side is t.Side.INSIDE else _ANY
            yield from _rule(part, _RULES - number, of)
    for prefix in own:
        # An outside address of ours may be in the network of an outside zone. The rule of that
        # zone must not exempt traffic to it.
        yield t.Policy(_OWN, t.PolicyAction.TRANSLATE, dst_addr=(prefix.addr, prefix.mask))
    inside = [zone for zone in settings.zones if zone.side is t.Side.INSIDE]
    # They are one realm of addresses (RFC 2663), and each knows the way to the others.
    for zone, other in product(inside, repeat=2):
        yield _stays(zone, other, whose)


def _whose(settings: Settings) -> tuple[int, int]:
    """What matches packets from inside an organisation, as value and mask."""
    return _ANY if settings.is_only else (settings.organisation, _ORGANISATION_MASK)


def _stays(zone: Zone, other: Zone, organisation: tuple[int, int]) -> t.Policy:
    """The rule that exempts traffic from one zone to another one, or the same."""
    return t.Policy(
        _LOCAL,
        t.PolicyAction.EXEMPT,
        side=(int(zone.side), _SIDE_MASK),
        src_addr=(zone.network.addr, zone.network.mask),
        dst_addr=(other.network.addr, other.network.mask),
        organisation=organisation,
    )


def _parts(rule: Rule, settings: Settings, own: Sequence[Prefix]) -> Iterator[Rule]:
    """A rule of one of several organisations, as rules of which each has a side.

    The one for inside matches what comes from the organisation. Those for outside match what goes
    to its outside addresses; of a rule that exempts, to the inside ones of organisation 0.
    """
    if rule.side is not t.Side.OUTSIDE:
        yield replace(rule, side=t.Side.INSIDE)
    if rule.side is t.Side.INSIDE:
        return
    reached = list(own)
    if rule.action is t.PolicyAction.EXEMPT:
        zones = [zone for zone in settings.zones if zone.side is t.Side.INSIDE]
        behind = [r.to for r in settings.routes if any(r.via in zone.network for zone in zones)]
        reached = [] if settings.organisation else [*(zone.network for zone in zones), *behind]
    for prefix in dict.fromkeys(reached):
        there = rule.destination or Prefix(0, 0)
        if prefix.addr in there and prefix.length >= there.length:
            yield replace(rule, side=t.Side.OUTSIDE, destination=prefix)
        elif there.addr in prefix:
            yield replace(rule, side=t.Side.OUTSIDE, destination=there)


def _rule(rule: Rule, priority: int, organisation: tuple[int, int]) -> Iterator[t.Policy]:
    ports = [_ANY] if rule.ports is None else list(port_prefixes(*rule.ports))
    for pair in ports:
        yield t.Policy(
            priority,
            rule.action,
            side=_ANY if rule.side is None else (int(rule.side), _SIDE_MASK),
            proto=_ANY if rule.proto is None else (rule.proto, _PROTO_MASK),
            src_addr=_pair(rule.source),
            dst_addr=_pair(rule.destination),
            dst_id=pair,
            organisation=organisation,
        )


def _pair(prefix: Prefix | None) -> tuple[int, int]:
    return _ANY if prefix is None else (prefix.addr, prefix.mask)
