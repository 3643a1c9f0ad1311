"""The sections `zones` and `routes`."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from p4alg.config.zones import MAX_ZONES, network_of, prefix, read_routes, read_zones, zone_of
from p4alg.engine.settings import Prefix, StaticRoute, Zone
from p4alg.engine.tables import Side
from tests.unit.config.reading import INSIDE, OUTSIDE, ZONES, refusal, section

TEXT = """\
lan: {side: inside, ports: [1, 2], address: 10.0.0.1/24, mac: "02:00:00:01:00:01"}
guests: {side: inside, ports: [2], vlan: 7, address: 10.1.0.1/16, mac: "02:00:00:01:00:01"}
wan: {side: outside, ports: [3], address: 198.51.100.1/31, mac: "02:0a:0B:01:00:02", mtu: 1400}
"""


def test_zones_are_read_in_order_and_numbered() -> None:
    assert read_zones(section(TEXT)) == (
        Zone("lan", 1, Side.INSIDE, (1, 2), 0, 0x0A000001, 24, 0x020000010001, 1500),
        Zone("guests", 2, Side.INSIDE, (2,), 7, 0x0A010001, 16, 0x020000010001, 1500),
        Zone("wan", 3, Side.OUTSIDE, (3,), 0, 0xC6336401, 31, 0x020A0B010002, 1400),
    )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[1, 2]", "[]", "1: a zone has at least one port, and each port once"),
        ("[1, 2]", "[1, 1]", "1: a zone has at least one port, and each port once"),
        ("[1, 2]", "[0]", "1: 0 is not in 1..509"),
        ("[1, 2]", "[510]", "1: 510 is not in 1..509"),
        ("vlan: 7, ", "", "2: port 2 is in zone 'lan' already"),
        ("vlan: 7", "vlan: 4095", "2: 4095 is not in 0..4094"),
        ("10.1.0.1/16", "10.0.0.2/25", "2: 10.0.0.0/25 overlaps zone 'lan'"),
        ("10.0.0.1/24", "10.0.0.0/24", "1: 10.0.0.0 is not a host address of 10.0.0.0/24"),
        ("10.0.0.1/24", "10.0.0.255/24", "1: 10.0.0.255 is not a host address of 10.0.0.0/24"),
        ('"02:00:00:01:00:01"', '"01:00:00:01:00:01"', "is not a unicast MAC address"),
        ('"02:00:00:01:00:01"', '"00:00:00:00:00:00"', "is not a unicast MAC address"),
        ('"02:00:00:01:00:01"', '"13:00:00:01:00:01"', "is not a unicast MAC address"),
        ('"02:00:00:01:00:01"', '"02-00-00-01-00-01"', "is not a unicast MAC address"),
        ("side: outside", "side: inside", "1: no zone is outside"),
        ("mtu: 1400", "mtu: 67", "3: 67 is not in 68..9216"),
        ("mtu: 1400", "mut: 1400", "3: unknown key 'mut'"),
        ("side: inside", "side: up", "1: 'up' is not one of inside, outside"),
    ],
)
def test_a_wrong_zone_is_refused(old: str, new: str, reason: str) -> None:
    assert reason in refusal(read_zones, TEXT.replace(old, new, 1))


def test_zones_are_bounded() -> None:
    many = "".join(f"z{n}: {{}}\n" for n in range(MAX_ZONES + 1))
    assert refusal(read_zones, many) == f"1: more than {MAX_ZONES} zones"


def test_a_zone_is_found_by_an_address_of_its_network() -> None:
    assert network_of(INSIDE) == IPv4Network("10.0.0.0/24")
    assert prefix(network_of(INSIDE)) == Prefix(0x0A000000, 24)
    assert zone_of(0x0A0000FE, ZONES) is INSIDE
    assert zone_of(0xC63364FE, ZONES) is OUTSIDE
    assert zone_of(0x08080808, ZONES) is None


def test_routes_are_read() -> None:
    text = "- {to: 0.0.0.0/0, via: 198.51.100.9}\n- {to: 192.168.0.0/16, via: 10.0.0.2}\n"
    assert read_routes(section(text), ZONES) == (
        StaticRoute(Prefix(0, 0), 0xC6336409),
        StaticRoute(Prefix(0xC0A80000, 16), 0x0A000002),
    )
    assert read_routes(None, ZONES) == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- {to: 0.0.0.0/0, via: 192.0.2.1}", "1: 192.0.2.1 is in no zone's network"),
        ("- {to: 0.0.0.0/0, via: 10.0.0.1}", "1: 10.0.0.1 is the gateway itself"),
        ("- {to: 10.0.0.1/8, via: 10.0.0.2}", "1: '10.0.0.1/8' has host bits set"),
        ("- {to: 0.0.0.0/0}", "1: 'via' is missing"),
        (
            "- {to: 0.0.0.0/0, via: 10.0.0.2}\n- {to: 0.0.0.0/0, via: 10.0.0.3}",
            "2: 0.0.0.0/0 has a route already",
        ),
    ],
)
def test_a_wrong_route_is_refused(text: str, reason: str) -> None:
    assert refusal(lambda item: read_routes(item, ZONES), text) == reason
