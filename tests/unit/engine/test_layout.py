"""The entries that follow from the settings alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.engine import tables as t
from p4alg.engine.layout import (
    all_entries,
    all_services,
    base_entries,
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
    StaticRoute,
)
from p4alg.engine.tables import FilterMode, PolicyAction, Side
from p4alg.protocols import ESP, TCP, UDP
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
    assert next_hop_ids(settings(routes=routes)) == {REMOTE2: 1, REMOTE: 2}


def test_outside_addresses_are_those_of_pools_and_of_static_mappings_besides() -> None:
    made = settings(
        forwards=(PortForward(TCP, INSIDE, 21, SERVER, 21), PortForward(TCP, INSIDE, 80, 7, 80)),
        address_forwards=(AddressForward(WHOLE, WHOLE_OUT), AddressForward(INSIDE, 7)),
    )
    assert own_outside(made) == [Prefix(POOL, 28), Prefix(7, 32), Prefix(WHOLE_OUT, 32)]


def test_a_zone_has_its_ports_its_address_and_a_route_that_is_not_resolved() -> None:
    entries = base_entries(settings())
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
    entries = base_entries(settings())
    free = FilterMode.ENDPOINT_INDEPENDENT
    assert t.MapOut(TCP, INSIDE, 21, SERVER, 21) in entries
    assert t.MapIn(TCP, SERVER, 21, INSIDE, 21, free) in entries
    assert t.AddrMapOut(WHOLE, WHOLE_OUT) in entries
    assert t.AddrMapIn(WHOLE_OUT, WHOLE, free) in entries


def test_the_operators_rules_win_in_their_order_and_our_own_addresses_are_translated() -> None:
    far, web = Prefix(0xAC100000, 12), (8080, 8081)
    rules = (
        Rule(PolicyAction.DENY, Side.INSIDE, TCP, None, far, web),
        Rule(PolicyAction.EXEMPT, None, ESP, Prefix(INSIDE, 32)),
    )
    found = [entry for entry in base_entries(settings(rules=rules)) if isinstance(entry, t.Policy)]
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
    entries = all_entries(settings())
    assert len({entry_key(entry) for entry in entries}) == len(entries)
