"""The section `nat`."""

from __future__ import annotations

import pytest

from p4alg.config.nat import MAX_EXEMPT, MAX_STATIC, Nat, read_nat
from p4alg.config.source import Item
from p4alg.engine.settings import (
    AddressForward,
    BlockSettings,
    PortForward,
    Prefix,
    Rule,
    StaticRoute,
)
from p4alg.engine.tables import FilterMode, PolicyAction, Side
from p4alg.protocols import TCP, UDP
from tests.unit.config.reading import ZONES, refusal, section

ROUTES = (
    StaticRoute(Prefix(0xC0A80000, 16), 0x0A000002),
    StaticRoute(Prefix(0, 0), 0xC6336409),
)
POOL = Prefix(0xCB007100, 28)
HEAD = "pools: [203.0.113.0/28]\n"

ENDPOINT = "ADDRESS:PORT or ADDRESS:FIRST-LAST"


def read(item: Item) -> Nat:
    return read_nat(item, ZONES, ROUTES)


def static(*entries: str) -> str:
    return HEAD + "static:\n" + "".join(f"- {{{entry}}}\n" for entry in entries)


def forward(outside: str, inside: str, protocol: str = "tcp") -> str:
    return f'protocol: {protocol}, outside: "{outside}", inside: "{inside}"'


def whole(outside: str, inside: str) -> str:
    return f"outside: {outside}, inside: {inside}"


def test_a_pool_alone_is_filtered_strictly() -> None:
    blocks = BlockSettings(4096, 4)
    assert read(section(HEAD)) == Nat((POOL,), FilterMode.ADDRESS_AND_PORT, blocks, (), (), ())


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("address-and-port", FilterMode.ADDRESS_AND_PORT),
        ("address", FilterMode.ADDRESS),
        ("endpoint-independent", FilterMode.ENDPOINT_INDEPENDENT),
    ],
)
def test_N4787_8_filtering_is_selectable(name: str, mode: FilterMode) -> None:
    assert read(section(HEAD + f"filter: {name}\n")).filter_mode is mode


def test_static_mappings_are_read() -> None:
    text = static(
        forward("203.0.113.5:21", "10.0.0.11:2121"),
        forward("203.0.113.5:21", "10.0.0.11:2121", "udp"),
        # Behind a router of an inside zone.
        forward("203.0.113.5:1", "192.168.7.7:65535"),
        whole("192.0.2.9", "10.0.0.12"),
    )
    nat = read(section(text))
    assert nat.forwards == (
        PortForward(TCP, 0x0A00000B, 2121, 0xCB007105, 21),
        PortForward(UDP, 0x0A00000B, 2121, 0xCB007105, 21),
        PortForward(TCP, 0xC0A80707, 65535, 0xCB007105, 1),
    )
    assert nat.address_forwards == (AddressForward(0x0A00000C, 0xC0000209),)


def test_an_exempt_prefix_is_exempt_in_both_directions() -> None:
    there = Prefix(0xAC100000, 12)
    assert read(section(HEAD + "exempt: [172.16.0.0/12]\n")).exemptions == (
        Rule(PolicyAction.EXEMPT, Side.INSIDE, destination=there),
        Rule(PolicyAction.EXEMPT, Side.OUTSIDE, source=there),
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("pools: []", "1: at least one pool is needed"),
        ("pools: [203.0.113.1/28]", "1: '203.0.113.1/28' has host bits set"),
        (
            "pools: [203.0.113.0/28, 203.0.113.8/29]",
            "1: pool 203.0.113.8/29 overlaps pool 203.0.113.0/28",
        ),
        ("pools: [10.0.0.0/28]", "1: pool 10.0.0.0/28 overlaps inside zone 'inside'"),
        (
            "pools: [198.51.100.0/28]",
            "1: pool 198.51.100.0/28 holds the gateway's own 198.51.100.1",
        ),
        (
            HEAD + "filter: none",
            "2: 'none' is not one of address-and-port, address, endpoint-independent",
        ),
        (
            HEAD + "exempt: [10.0.0.1]\nmore: 1",
            "3: unknown key 'more' (known: blocks, exempt, filter, pools, static)",
        ),
        ("filter: address", "1: 'pools' is missing"),
    ],
)
def test_a_wrong_section_is_refused(text: str, reason: str) -> None:
    assert refusal(read, text) == reason


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (
            [forward("203.0.113.5", "10.0.0.11:21")],
            f"3: '203.0.113.5' is not {ENDPOINT}",
        ),
        (
            [forward("203.0.113.5:0", "10.0.0.11:21")],
            f"3: '203.0.113.5:0' is not {ENDPOINT}",
        ),
        (
            [forward("203.0.113.256:1", "10.0.0.11:1")],
            f"3: '203.0.113.256:1' is not {ENDPOINT}",
        ),
        ([forward("203.0.113.5:1", "10.0.0.11:1", "icmp")], "3: 'icmp' is not one of tcp, udp"),
        ([forward("10.0.0.5:21", "10.0.0.11:21")], "3: 10.0.0.5 is in inside zone 'inside'"),
        (
            [forward("203.0.113.5:21", "198.51.100.9:21")],
            "3: 198.51.100.9 is in no inside zone and behind no route",
        ),
        (
            [forward("203.0.113.5:21", "8.8.8.8:21")],
            "3: 8.8.8.8 is in no inside zone and behind no route",
        ),
        ([forward("203.0.113.5:21", "10.0.0.1:21")], "3: 10.0.0.1 is the gateway itself"),
        (
            [forward("203.0.113.5:21", "10.0.0.11:21"), forward("203.0.113.5:21", "10.0.0.12:21")],
            "4: 203.0.113.5:21 is mapped already",
        ),
        (
            [forward("203.0.113.5:21", "10.0.0.11:21"), forward("203.0.113.6:21", "10.0.0.11:21")],
            "4: 10.0.0.11:21 is mapped already",
        ),
        (
            [whole("192.0.2.9", "10.0.0.11"), forward("192.0.2.9:21", "10.0.0.12:21")],
            "4: 192.0.2.9 is mapped as a whole already",
        ),
        (
            [forward("203.0.113.5:9-8", "10.0.0.11:8-9")],
            f"3: '203.0.113.5:9-8' is not {ENDPOINT}",
        ),
        (
            [forward("203.0.113.5:8-9", "10.0.0.11:8-10")],
            "3: 2 ports outside and 3 inside: map as many",
        ),
        (
            [forward("203.0.113.5:8-9", "10.0.0.11:8-9"), forward("203.0.113.6:1", "10.0.0.11:9")],
            "4: 10.0.0.11:9 is mapped already",
        ),
        (
            [forward("203.0.113.5:8-9", "10.0.0.11:8-9"), forward("203.0.113.5:9", "10.0.0.12:9")],
            "4: 203.0.113.5:9 is mapped already",
        ),
        (
            [forward("203.0.113.5:1-5000", "10.0.0.11:1-5000")],
            f"3: more than {MAX_STATIC} static mappings, each port counted",
        ),
        (
            [forward("192.0.2.9:21", "10.0.0.12:21"), whole("192.0.2.9", "10.0.0.11")],
            "4: 192.0.2.9 is mapped already",
        ),
        (
            [whole("192.0.2.9", "10.0.0.11"), whole("192.0.2.9", "10.0.0.12")],
            "4: 192.0.2.9 is mapped already",
        ),
        (
            [whole("192.0.2.9", "10.0.0.11"), whole("192.0.2.8", "10.0.0.11")],
            "4: 10.0.0.11 is mapped already",
        ),
        (
            [whole("203.0.113.6", "10.0.0.12")],
            "3: 203.0.113.6 is in a pool: map a whole address outside the pools",
        ),
        ([whole("198.51.100.1", "10.0.0.12")], "3: 198.51.100.1 is the gateway's own address"),
        ([whole("192.0.2.9:21", "10.0.0.12")], "3: '192.0.2.9:21' is not an IPv4 address"),
    ],
)
def test_a_wrong_static_mapping_is_refused(entries: list[str], reason: str) -> None:
    text = static(*entries).replace("192.0.2.9:21, inside", '"192.0.2.9:21", inside')
    assert refusal(read, text) == reason


def test_mappings_and_exemptions_are_bounded() -> None:
    many = HEAD + "static: [" + "1, " * (MAX_STATIC + 1) + "]\n"
    assert refusal(read, many) == f"2: more than {MAX_STATIC} static mappings"
    many = HEAD + "exempt: [" + "1, " * (MAX_EXEMPT + 1) + "]\n"
    assert refusal(read, many) == f"2: more than {MAX_EXEMPT} prefixes"


def test_ports_that_follow_each_other_are_mapped_one_to_one() -> None:
    found = read(section(static(forward("203.0.113.5:6000-6002", "10.0.0.11:7000-7002"))))
    assert [(f.outside_port, f.inside_port) for f in found.forwards] == [
        (6000, 7000),
        (6001, 7001),
        (6002, 7002),
    ]
    assert len({f.proto for f in found.forwards}) == 1
