"""Which zone a frame or an address is in, and by which neighbour an address is reached."""

from __future__ import annotations

import pytest

from p4alg.engine.network import Network
from p4alg.engine.settings import Prefix, StaticRoute, Zone
from p4alg.engine.tables import Side
from tests.unit.engine.harness import (
    GATEWAY,
    IN_MAC,
    INSIDE,
    OUT_MAC,
    REMOTE,
    REMOTE2,
    UPLINK,
    settings,
)

INNER = Zone("inside", 1, Side.INSIDE, (1, 2), 0, GATEWAY, 24, IN_MAC)
TAGGED = Zone("guests", 2, Side.INSIDE, (2,), 7, 0x0A010001, 16, IN_MAC)
OUTER = Zone("outside", 3, Side.OUTSIDE, (3,), 0, UPLINK, 24, OUT_MAC)
FAR = 0x08080808
ROUTES = (
    StaticRoute(Prefix(0, 0), REMOTE2),
    StaticRoute(Prefix(0x0A020000, 16), INSIDE),
    StaticRoute(Prefix(0x0A020300, 24), INSIDE + 1),
    StaticRoute(Prefix(0x0A000080, 25), INSIDE + 2),
    StaticRoute(Prefix(0xC0A80000, 16), 0xC0000201),
    # The network of a zone itself, where its hosts are.
    StaticRoute(Prefix(0xC6336400, 24), INSIDE + 3),
)


def network(routes: tuple[StaticRoute, ...] = ROUTES) -> Network:
    return Network(settings(zones=(INNER, TAGGED, OUTER), routes=routes))


@pytest.mark.parametrize(
    ("port", "vlan_id", "zone"),
    [(1, 0, INNER), (2, 0, INNER), (2, 7, TAGGED), (3, 0, OUTER), (1, 7, None), (9, 0, None)],
)
def test_a_zone_is_found_by_port_and_vlan(port: int, vlan_id: int, zone: Zone | None) -> None:
    assert network().zone_at(port, vlan_id) is zone


@pytest.mark.parametrize(
    ("addr", "zone"),
    [
        (GATEWAY, INNER),
        (0x0A0000FF, INNER),
        (0x0A000100, None),
        (0x0A01FFFF, TAGGED),
        (REMOTE, OUTER),
        (FAR, None),
    ],
)
def test_an_address_is_in_the_zone_of_its_prefix(addr: int, zone: Zone | None) -> None:
    assert network().zone_of(addr) is zone


def test_an_address_of_the_gateway_is_its_own_in_every_zone() -> None:
    made = network()
    assert all(made.is_own(addr) for addr in (GATEWAY, TAGGED.addr, UPLINK))
    assert not made.is_own(INSIDE)


@pytest.mark.parametrize(
    ("addr", "hop"),
    [
        (INSIDE, (INNER, INSIDE)),
        (FAR, (OUTER, REMOTE2)),
        (0x0A020201, (INNER, INSIDE)),
        # The longest prefix wins, also over that of a zone.
        (0x0A020301, (INNER, INSIDE + 1)),
        (0x0A000081, (INNER, INSIDE + 2)),
        (REMOTE, (OUTER, REMOTE)),
        # Its router is in no zone.
        (0xC0A80101, None),
    ],
)
def test_the_next_hop_is_that_of_the_longest_prefix(
    addr: int, hop: tuple[Zone, int] | None
) -> None:
    assert network().next_hop(addr) == hop


def test_without_a_route_there_is_no_next_hop() -> None:
    assert network(routes=()).next_hop(FAR) is None
    assert network(routes=()).next_hop(REMOTE) == (OUTER, REMOTE)
