"""The entries that follow from the settings: zones, pool, rules, static mappings, routes, timers.

Besides the settings only the numbers of the hosts that static mappings lead to are needed.

The table `policy` has three kinds of entries, from the highest priority to the lowest:
the operator's rules; for each of our outside prefixes a rule that translates traffic to it;
and rules that exempt traffic which stays in a zone, or inside, from translation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product

from p4alg.alg.descriptor import Alg
from p4alg.engine import tables as t
from p4alg.engine.settings import AlgSettings, PortSpan, Prefix, Rule, Settings, Timers
from p4alg.p4constants import Phase, Side
from p4alg.protocols import ICMP, TCP, UDP

_RULES = 30000
_OWN = 20000
_LOCAL = 10000
_SIDE_MASK = 1
_PROTO_MASK = 0xFF
_ID_MASK = 0xFFFFFFFF
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


def static_hosts(settings: Settings) -> list[int]:
    """The inside addresses that static mappings lead to."""
    ports = [forward.inside_addr for forward in settings.forwards]
    whole = [forward.inside_addr for forward in settings.address_forwards]
    return list(dict.fromkeys([*ports, *whole]))


def base_entries(
    settings: Settings, number_of: Callable[[int], int] = lambda _inside_addr: 0
) -> list[t.Entry]:
    """The entries of zones, pools, routes, rules, static mappings and timers.

    `number_of` tells the number of a host that a static mapping leads to.
    """
    own = own_outside(settings)
    entries: list[t.Entry] = []
    for zone in settings.zones:
        entries += [
            t.Port(port, zone.vlan_id, zone.zone_id, zone.side, zone.mac) for port in zone.ports
        ]
        entries.append(t.Local(zone.addr))
        entries.append(t.Route(zone.network.addr, zone.network.length, 0))
    entries += _sources(settings, own)
    entries += _timers(settings.timers)
    entries.append(t.Gateway(t.ticks(settings.timers.port_rest), settings.filter_mode))
    entries += [t.PoolPrefix(prefix.addr, prefix.length) for prefix in own]
    hops = next_hop_ids(settings)
    entries += [
        t.Route(route.to.addr, route.to.length, hops[route.via]) for route in settings.routes
    ]
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


def all_entries(settings: Settings) -> list[t.Entry]:
    """All entries that a controller writes before it has seen a packet."""
    hosts = [t.Subscriber(addr, 0) for addr in static_hosts(settings)]
    secret = [table(n, 0) for table in (t.ScrambleLow, t.ScrambleHigh) for n in range(256)]
    return [*base_entries(settings), *hosts, *secret, *all_services(settings, settings.algs)]


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


def _sources(settings: Settings, own: Sequence[Prefix]) -> Iterator[t.Source]:
    """From which addresses packets of each zone may come.

    Inside: those of the zone's network and of what is routed behind it. Outside: all but those
    that are inside, our own, and those that exist nowhere.
    """
    ours = [*own, *(Prefix(zone.addr, 32) for zone in settings.zones)]
    behind = {zone.zone_id: [zone.network] for zone in settings.zones}
    for route in settings.routes:
        for zone in settings.zones:
            if route.via in zone.network:
                behind[zone.zone_id].append(route.to)
    inside = [
        p for zone in settings.zones if zone.side is t.Side.INSIDE for p in behind[zone.zone_id]
    ]
    for zone in settings.zones:
        if zone.side is t.Side.OUTSIDE:
            accepted, refused = [Prefix(0, 0)], [*inside, *ours, *_NEVER_OUTSIDE]
        else:
            accepted = behind[zone.zone_id]
            elsewhere = [p for other, ps in behind.items() if other != zone.zone_id for p in ps]
            refused = [p for p in (*elsewhere, *ours) if _is_part(p, accepted)]
        verdicts = dict.fromkeys(refused, t.SourceAction.REFUSE)
        verdicts |= dict.fromkeys(accepted, t.SourceAction.ACCEPT)
        for prefix, verdict in verdicts.items():
            yield t.Source(zone.zone_id, prefix.addr, prefix.length, verdict)


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
        return t.Timer(proto, when, server, outbound, t.ticks(seconds), priority, action)

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
    for number, rule in enumerate(settings.rules):
        yield from _rule(rule, _RULES - number)
    for prefix in own:
        # An outside address of ours may be in the network of an outside zone. The rule of that
        # zone must not exempt traffic to it.
        yield t.Policy(_OWN, t.PolicyAction.TRANSLATE, dst_addr=(prefix.addr, prefix.mask))
    for zone, other in product(settings.zones, repeat=2):
        # Inside zones are one realm of addresses (RFC 2663), and each knows the way to the others.
        if zone is other or zone.side is other.side is Side.INSIDE:
            yield t.Policy(
                _LOCAL,
                t.PolicyAction.EXEMPT,
                side=(int(zone.side), _SIDE_MASK),
                src_addr=(zone.network.addr, zone.network.mask),
                dst_addr=(other.network.addr, other.network.mask),
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
