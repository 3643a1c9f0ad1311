"""The section `nat.blocks`."""

from __future__ import annotations

import pytest

from p4alg.config.blocks import read_blocks
from p4alg.config.source import Item
from p4alg.engine.settings import BlockSettings, PortForward, Prefix, StaticRoute
from p4alg.protocols import TCP
from tests.unit.config.reading import ZONES, refusal, section

INSIDE = Prefix(0x0A000000, 24)
ROUTES = (StaticRoute(Prefix(0xC0A80000, 16), 0x0A000002),)


def reader(*pools: Prefix, forwards: tuple[PortForward, ...] = ()) -> Reader:
    return Reader(pools or (Prefix(0xCB007100, 28),), forwards)


class Reader:
    """Reads the section with these pools and static mappings."""

    def __init__(self, pools: tuple[Prefix, ...], forwards: tuple[PortForward, ...]) -> None:
        self._pools = pools
        self._forwards = forwards

    def __call__(self, item: Item) -> BlockSettings:
        return read_blocks(item, item, ZONES, ROUTES, self._pools, self._forwards)


def test_without_a_section_blocks_have_4096_ports_and_are_drawn() -> None:
    where = section("{}")
    pools = (Prefix(0xCB007100, 28),)
    assert read_blocks(None, where, ZONES, (), pools, ()) == BlockSettings(4096, 4, ())


@pytest.mark.parametrize("size", [64, 128, 1024, 16384])
def test_N6888_13_the_size_of_blocks_can_be_chosen(size: int) -> None:
    assert reader()(section(f"size: {size}")).size == size


def test_a_share_above_what_an_address_has_gives_way_if_nobody_asked_for_it() -> None:
    assert reader()(section("size: 16384")).per_subscriber == 3
    assert reader()(section("per_subscriber: 15")).per_subscriber == 15


def test_N6888_13_blocks_are_computed_for_the_prefixes_that_are_listed() -> None:
    text = "allocation: deterministic\nsize: 1024\ninside: [10.0.0.128/25, 192.168.3.0/26]\n"
    assert reader()(section(text)).inside == (Prefix(0x0A000080, 25), Prefix(0xC0A80300, 26))


def test_N6888_13_without_a_list_they_are_computed_for_the_inside_zones() -> None:
    text = "{allocation: deterministic, size: 1024}"
    assert reader()(section(text)).inside == (INSIDE,)
    assert reader()(section("allocation: dynamic")).inside == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("size: 1000", "1: 1000 is not a power of two"),
        ("size: 32", "1: 32 is not in 64..16384"),
        ("size: 32768", "1: 32768 is not in 64..16384"),
        ("per_subscriber: 0", "1: 0 is not in 1..64"),
        (
            "per_subscriber: 16",
            "1: an outside address has 15 blocks of 4096 ports: a host cannot have 16",
        ),
        ("allocation: random", "1: 'random' is not one of dynamic, deterministic"),
        (
            "inside: [10.0.0.0/24]",
            "1: inside prefixes are for allocation: deterministic",
        ),
        (
            "allocation: deterministic\ninside: []",
            "2: at least one inside prefix is needed",
        ),
        (
            "allocation: deterministic\ninside: [10.0.1.0/24]",
            "2: 10.0.1.0/24 is in no inside zone and behind no route",
        ),
        (
            "allocation: deterministic\ninside: [10.0.0.0/23]",
            "2: 10.0.0.0/23 is in no inside zone and behind no route",
        ),
        (
            "allocation: deterministic\ninside: [10.0.0.0/25, 10.0.0.64/26]",
            "2: 10.0.0.64/26 overlaps 10.0.0.0/25",
        ),
        ("more: 1", "1: unknown key 'more' (known: allocation, inside, per_subscriber, size)"),
        (
            "allocation: deterministic",
            "1: 256 inside addresses need a block of 4096 ports each, and the pools have 240: "
            "add a pool, or choose smaller blocks",
        ),
    ],
)
def test_a_wrong_section_is_refused(text: str, reason: str) -> None:
    assert refusal(reader(), text) == reason


def test_N6888_13_every_address_must_have_its_share_of_computed_blocks() -> None:
    # 24 hosts on two addresses: twelve each, and a static mapping takes one away from both.
    text = "{allocation: deterministic, inside: [10.0.0.0/28, 10.0.0.16/29]}"
    assert reader(Prefix(0xCB007100, 31))(section(text)).layout.hosts == 24
    static = (*(PortForward(TCP, 0x0A00000B, n, 0xCB007100, 4096 * n) for n in range(1, 5)),)
    reason = refusal(reader(Prefix(0xCB007100, 31), forwards=static), text)
    assert reason.startswith("1: 24 inside addresses need a block of 4096 ports each")


def test_pools_whose_blocks_are_all_static_are_refused() -> None:
    static = (*(PortForward(TCP, 0x0A00000B, n, 0xCB007100, 16384 * n) for n in range(1, 4)),)
    reason = refusal(reader(Prefix(0xCB007100, 32), forwards=static), "size: 16384")
    assert reason == (
        "1: static mappings use all blocks of 16384 ports of the pools: "
        "add a pool, or choose smaller blocks"
    )
    assert reader(Prefix(0xCB007100, 32), forwards=static[:2])(section("size: 16384"))
