"""The entries that follow from the settings alone."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.engine import cells
from p4alg.engine import tables as t
from p4alg.engine.layout import (
    all_entries,
    all_services,
    base_entries,
    common_entries,
    next_hop_ids,
    own_outside,
    port_prefixes,
    service_entries,
)
from p4alg.engine.reconcile import entry_key
from p4alg.engine.settings import (
    AddressForward,
    AlgSettings,
    PortForward,
    PortSpan,
    Prefix,
    Rule,
    Settings,
    StaticRoute,
    Timers,
    Zone,
)
from p4alg.engine.tables import FilterMode, PolicyAction, Side
from p4alg.p4constants import Phase
from p4alg.protocols import ESP, ICMP, TCP, UDP
from tests.conftest import examples
from tests.unit.engine.harness import (
    GATEWAY,
    IN_MAC,
    INSIDE,
    OUT_MAC,
    POOL,
    REMOTE,
    REMOTE2,
    SERVER,
    UPLINK,
    WHOLE,
    WHOLE_OUT,
    settings,
)
from tests.unit.engine.parts import TOY_ID, toy

ALL = 0xFFFFFFFF


@given(st.integers(0, 65535), st.integers(0, 65535))
@examples(100)
def test_prefixes_of_ports_match_the_range_and_nothing_else(one: int, other: int) -> None:
    first, last = sorted((one, other))
    found = list(port_prefixes(first, last))
    ranges = [(value, value + (ALL & ~mask)) for value, mask in found]
    assert all(value & ~mask == 0 for value, mask in found)
    assert ranges[0][0] == first
    assert ranges[-1][1] == last
    # Each begins where the one before it ends: no port is missing, none is there twice.
    assert [begin for begin, _ in ranges[1:]] == [end + 1 for _, end in ranges[:-1]]


@pytest.mark.parametrize(
    ("first", "last", "number"),
    [(21, 21, 1), (0, 65535, 1), (1, 65535, 16), (2120, 2129, 2), (1024, 2047, 1), (1, 65534, 30)],
)
def test_prefixes_of_ports_are_the_fewest(first: int, last: int, number: int) -> None:
    assert len(list(port_prefixes(first, last))) == number


def test_each_router_has_one_next_hop_however_many_routes_it_has() -> None:
    routes = (
        StaticRoute(Prefix(0, 0), REMOTE2),
        StaticRoute(Prefix(0xC0A80000, 16), REMOTE),
        StaticRoute(Prefix(0xAC100000, 12), REMOTE2),
    )
    assert next_hop_ids([settings(routes=routes)]) == {(2, REMOTE2): 1, (2, REMOTE): 2}


def test_outside_addresses_are_those_of_pools_and_of_static_mappings_besides() -> None:
    made = settings(
        forwards=(PortForward(TCP, INSIDE, 21, SERVER, 21), PortForward(TCP, INSIDE, 80, 7, 80)),
        address_forwards=(AddressForward(WHOLE, WHOLE_OUT), AddressForward(INSIDE, 7)),
    )
    assert own_outside(made) == [Prefix(POOL, 28), Prefix(7, 32), Prefix(WHOLE_OUT, 32)]


def alone(made: Settings) -> list[t.Entry]:
    """What follows from the settings of the only organisation."""
    return [*base_entries(made), *common_entries([made])]


def test_a_zone_has_its_ports_its_address_and_a_route_that_is_not_resolved() -> None:
    entries = alone(settings())
    assert [entry for entry in entries if isinstance(entry, t.Port)] == [
        t.Port(1, 0, 1, Side.INSIDE, IN_MAC),
        t.Port(2, 0, 1, Side.INSIDE, IN_MAC),
        t.Port(3, 0, 2, Side.OUTSIDE, OUT_MAC),
        t.Port(4, 0, 2, Side.OUTSIDE, OUT_MAC),
    ]
    assert {entry for entry in entries if isinstance(entry, t.Local)} == {
        t.Local(GATEWAY),
        t.Local(UPLINK),
    }
    assert {entry for entry in entries if isinstance(entry, t.Route)} == {
        t.Route(0x0A000000, 24, 0),
        t.Route(0xC6336400, 24, 0),
        t.Route(0, 0, 1),
    }
    assert {entry for entry in entries if isinstance(entry, t.PoolPrefix)} == {
        t.PoolPrefix(POOL, 28),
        t.PoolPrefix(WHOLE_OUT, 32),
    }


def test_static_mappings_are_entries_both_ways() -> None:
    entries = base_entries(settings(), {INSIDE: 7, WHOLE: 8}.__getitem__)
    free = FilterMode.ENDPOINT_INDEPENDENT
    assert t.MapOut(TCP, INSIDE, 21, SERVER, 21, 7) in entries
    assert t.MapIn(TCP, SERVER, 21, INSIDE, 21, free, 7) in entries
    assert t.AddrMapOut(WHOLE, WHOLE_OUT, 8) in entries
    assert t.AddrMapIn(WHOLE_OUT, WHOLE, free, 8) in entries
    # Their plain flows are the switch's to set up.
    assert all(not e.managed for e in entries if isinstance(e, t.MapOut | t.MapIn))


SOURCES: list[tuple[str, int, int]] = [
    ("10.0.0.11", 1, True),
    ("10.0.1.1", 1, False),
    ("10.0.0.1", 1, False),
    ("192.168.7.7", 1, True),
    ("192.168.8.8", 1, False),
    ("192.168.8.8", 3, True),
    ("8.8.8.8", 1, False),
    ("8.8.8.8", 2, True),
    ("198.51.100.77", 2, True),
    ("10.0.0.11", 2, False),
    ("192.168.7.7", 2, False),
    ("172.16.0.9", 2, False),
    ("172.16.0.9", 3, True),
    ("203.0.113.5", 2, False),
    ("192.0.2.20", 2, False),
    ("198.51.100.1", 2, False),
    ("0.0.0.0", 2, False),
    ("127.0.0.1", 2, False),
    ("224.0.0.251", 2, False),
    ("255.255.255.255", 2, False),
]


@pytest.mark.parametrize(("source", "zone", "is_accepted"), SOURCES)
def test_a_source_comes_only_from_where_it_is(source: str, zone: int, is_accepted: bool) -> None:
    office = Zone("office", 3, Side.INSIDE, (5,), 0, 0xAC100001, 16, IN_MAC)
    routes = (
        StaticRoute(Prefix(0, 0), REMOTE2),
        StaticRoute(Prefix(0xC0A80000, 16), 0x0A000002),
        # A part of that is behind the other zone.
        StaticRoute(Prefix(0xC0A80800, 24), 0xAC100002),
    )
    made = settings(routes=routes)
    made = replace(made, zones=(*made.zones, office))
    addr = int(IPv4Address(source))
    fitting = [
        entry
        for entry in common_entries([made])
        if isinstance(entry, t.Source)
        and entry.zone == zone
        and addr in Prefix(entry.src_addr, entry.prefix_len)
    ]
    best = max(fitting, key=lambda entry: entry.prefix_len, default=None)
    # The default action of the table refuses.
    accepts = best is not None and best.action is t.SourceAction.ACCEPT
    assert accepts is is_accepted


def ttl(
    timers: Timers, proto: int, phase: int, server: int, outbound: int
) -> tuple[t.TimerAction, int] | None:
    """What the timer table says about a packet."""
    rows = [e for e in common_entries([settings(timers=timers)]) if isinstance(e, t.Timer)]
    fitting = [
        row
        for row in rows
        if row.proto == proto
        and phase & row.phase[1] == row.phase[0]
        and row.server_id in (None, server)
        and row.outbound in (None, outbound)
    ]
    best = max(fitting, key=lambda row: row.priority, default=None)
    return None if best is None else (best.action, best.ticks)


TIMERS = Timers(tcp_established=1000.0, tcp_transitory=200.0, udp=100.0, udp_dns=30.0, icmp=60.0)
INSIDE_SYN = Phase.INSIDE_SYN
BOTH_SYNS = INSIDE_SYN | Phase.OUTSIDE_SYN
OPEN = BOTH_SYNS | Phase.ESTABLISHED


@pytest.mark.parametrize(
    ("proto", "phase", "server", "outbound", "seconds"),
    [
        (TCP, INSIDE_SYN, 80, 1, 200.0),
        (TCP, BOTH_SYNS, 80, 1, 200.0),
        (TCP, OPEN, 80, 1, 1000.0),
        (TCP, OPEN | Phase.INSIDE_FIN, 80, 1, 1000.0),
        (TCP, OPEN | Phase.OUTSIDE_FIN, 80, 1, 1000.0),
        (TCP, OPEN | Phase.INSIDE_FIN | Phase.OUTSIDE_FIN, 80, 1, 200.0),
        (TCP, OPEN | Phase.RESET, 80, 1, 200.0),
        (UDP, INSIDE_SYN, 80, 1, 100.0),
        (UDP, BOTH_SYNS, 80, 0, 100.0),
        (UDP, INSIDE_SYN, 53, 1, 30.0),
        (UDP, BOTH_SYNS, 53, 0, 30.0),
        (ICMP, INSIDE_SYN, 0, 1, 60.0),
        (ICMP, BOTH_SYNS, 0, 0, 60.0),
        (TCP, OPEN | Phase.TABLE, 21, 0, 1000.0),
        (UDP, BOTH_SYNS | Phase.TABLE, 53, 1, 1000.0),
    ],
)
def test_N4787_5_N5382_5_N5508_2_the_timers_reach_the_switch(
    proto: int, phase: int, server: int, outbound: int, seconds: float
) -> None:
    assert ttl(TIMERS, proto, phase, server, outbound) == (t.TimerAction.SET, cells.ticks(seconds))


@pytest.mark.parametrize(
    "phase",
    [
        Phase.NONE,
        INSIDE_SYN,
        Phase.OUTSIDE_SYN,
        BOTH_SYNS,
        OPEN,
        OPEN | Phase.INSIDE_FIN,
        OPEN | Phase.OUTSIDE_FIN,
        OPEN | Phase.INSIDE_FIN | Phase.OUTSIDE_FIN,
    ],
)
def test_N7857_2_no_TCP_packet_from_outside_prolongs(phase: int) -> None:
    assert ttl(TIMERS, TCP, phase, 80, 0) is None


def test_N7857_2_a_reset_from_outside_only_shortens() -> None:
    assert ttl(TIMERS, TCP, OPEN | Phase.RESET, 80, 0) == (t.TimerAction.CUT, cells.ticks(200.0))


def test_a_time_in_ticks_is_never_shorter() -> None:
    assert cells.ticks(0.0) == 0
    assert cells.ticks(0.001) == 1
    assert cells.ticks(131.072) == 1000
    assert cells.ticks(131.073) == 1001


def test_N6888_8_rest_and_filter_of_the_switchs_own_mappings_are_in_the_default_entry() -> None:
    made = settings(timers=Timers(port_rest=120.0), filter_mode=FilterMode.ADDRESS)
    assert t.Gateway(cells.ticks(120.0), FilterMode.ADDRESS) in common_entries([made])


def test_the_operators_rules_win_in_their_order_and_our_own_addresses_are_translated() -> None:
    far, web = Prefix(0xAC100000, 12), (8080, 8081)
    rules = (
        Rule(PolicyAction.DENY, Side.INSIDE, TCP, None, far, web),
        Rule(PolicyAction.EXEMPT, None, ESP, Prefix(INSIDE, 32)),
    )
    found = [entry for entry in alone(settings(rules=rules)) if isinstance(entry, t.Policy)]
    by_priority = sorted(found, key=lambda policy: -policy.priority)
    deny, exempt, own, whole, *local = by_priority
    assert deny == t.Policy(
        deny.priority,
        PolicyAction.DENY,
        side=(0, 1),
        proto=(TCP, 0xFF),
        dst_addr=(far.addr, far.mask),
        dst_id=(8080, ALL - 1),
    )
    assert exempt == t.Policy(
        deny.priority - 1, PolicyAction.EXEMPT, proto=(ESP, 0xFF), src_addr=(INSIDE, ALL)
    )
    assert [policy.dst_addr for policy in (own, whole)] == [(POOL, 0xFFFFFFF0), (WHOLE_OUT, ALL)]
    assert own.action is whole.action is PolicyAction.TRANSLATE
    # Within a zone nothing is translated.
    assert [(policy.side, policy.src_addr, policy.dst_addr) for policy in local] == [
        ((0, 1), (0x0A000000, 0xFFFFFF00), (0x0A000000, 0xFFFFFF00)),
        ((1, 1), (0xC6336400, 0xFFFFFF00), (0xC6336400, 0xFFFFFF00)),
    ]
    assert {policy.action for policy in local} == {PolicyAction.EXEMPT}
    assert local[0].priority < own.priority < exempt.priority


def test_services_bind_every_port_once_and_protocols_without_ports_whole() -> None:
    spans = [PortSpan(TCP, 2120, 2129), PortSpan(TCP, 2120, 2127), PortSpan(UDP, 69, 69)]
    assert service_entries(toy(protocols=(ESP,)), spans) == [
        t.Service(TCP, (2120, ALL - 7), TOY_ID),
        t.Service(TCP, (2128, ALL - 1), TOY_ID),
        t.Service(UDP, (69, ALL), TOY_ID),
        t.Service(ESP, (0, 0), TOY_ID),
    ]


def test_an_ALG_that_is_off_has_no_entries() -> None:
    made = settings()
    (ftp,) = made.algs
    off = AlgSettings(ftp.alg, False, ("ftp",))
    assert len(all_services(made, [ftp, off])) == 1
    assert all_services(made, [off]) == []


def test_a_configuration_never_wants_an_entry_twice() -> None:
    entries = all_entries([settings()])
    assert len({entry_key(entry) for entry in entries}) == len(entries)


def test_traffic_that_stays_inside_is_not_translated_in_whichever_zone() -> None:
    office = Zone("office", 3, Side.INSIDE, (5,), 0, 0xAC100001, 16, IN_MAC)
    made = settings()
    made = replace(made, zones=(*made.zones, office))
    exempt = {
        (entry.src_addr, entry.dst_addr)
        for entry in alone(made)
        if isinstance(entry, t.Policy) and entry.action is t.PolicyAction.EXEMPT
    }
    inside, there = (0x0A000000, 0xFFFFFF00), (0xAC100000, 0xFFFF0000)
    outside = (0xC6336400, 0xFFFFFF00)
    assert exempt == {
        *((inside, inside), (inside, there), (there, inside), (there, there)),
        (outside, outside),
    }
