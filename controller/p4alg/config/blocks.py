"""Reads the section `nat.blocks`: how outside ports are cut into blocks and given to hosts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from p4alg.config.source import Item
from p4alg.config.zones import prefix
from p4alg.engine.settings import BlockSettings, PortForward, Prefix, StaticRoute, Zone
from p4alg.engine.tables import Side
from p4alg.nat.blocks import LARGEST, LOWEST_PORT, SMALLEST, Layout, computed

ALLOCATIONS = ("dynamic", "deterministic")
"""Whether the block of a host is drawn at random (the default) or computed (RFC 7422)."""
MAX_PER_SUBSCRIBER = 64


def read_common_blocks(item: Item | None) -> dict[str, Item]:
    """What the section at the top says for all organisations that do not say it themselves."""
    return item.mapping(optional=("size", "per_subscriber", "allocation")) if item else {}


def read_blocks(
    item: Item | None,
    where: Item,
    zones: tuple[Zone, ...],
    routes: tuple[StaticRoute, ...],
    pools: Sequence[Prefix],
    forwards: Sequence[PortForward],
    common: dict[str, Item] | None = None,
) -> BlockSettings:
    """Read and check the section. `where` is what has to be changed if there is no section.

    `common` is what holds for all organisations, if there are several; the size does.
    """
    keys = item.mapping(optional=("size", "per_subscriber", "allocation", "inside")) if item else {}
    if common is not None and "size" in keys:
        raise keys["size"].error("blocks have one size for all organisations: nat.blocks.size")
    keys = {**(common or {}), **keys}
    size = _size(keys["size"]) if "size" in keys else BlockSettings().size
    share = Layout(size, 1).per_address
    per_subscriber = min(BlockSettings().per_subscriber, share)
    if "per_subscriber" in keys:
        per_subscriber = keys["per_subscriber"].integer(1, MAX_PER_SUBSCRIBER)
        if per_subscriber > share:
            raise keys["per_subscriber"].error(
                f"an outside address has {share} blocks of {size} ports: "
                f"a host cannot have {per_subscriber}"
            )
    chosen = keys["allocation"].choice(ALLOCATIONS) if "allocation" in keys else ALLOCATIONS[0]
    inside: tuple[Prefix, ...] = ()
    if chosen == "deterministic":
        inside = _inside(keys.get("inside"), zones, routes)
    elif "inside" in keys:
        raise keys["inside"].error("inside prefixes are for allocation: deterministic")
    found = BlockSettings(size, per_subscriber, inside)
    _check_room(found.layout, item or where, pools, forwards)
    return found


def _size(item: Item) -> int:
    size = item.integer(SMALLEST, LARGEST)
    if size & (size - 1):
        raise item.error(f"{size} is not a power of two")
    return size


def _inside(
    item: Item | None, zones: tuple[Zone, ...], routes: tuple[StaticRoute, ...]
) -> tuple[Prefix, ...]:
    """The prefixes whose hosts have a computed block; without any, those of the inside zones."""
    networks = [zone.network for zone in zones if zone.side is Side.INSIDE]
    if item is None:
        return tuple(networks)
    reached = [*networks]
    reached += [r.to for r in routes if any(r.via in network for network in networks)]
    entries = [(entry, entry.network()) for entry in item.sequence()]
    if not entries:
        raise item.error("at least one inside prefix is needed")
    for entry, network in entries:
        whole = prefix(network)
        if not any(whole.addr in known and whole.length >= known.length for known in reached):
            raise entry.error(f"{network} is in no inside zone and behind no route")
    for (_, first), (entry, second) in combinations(entries, 2):
        if first.overlaps(second):
            raise entry.error(f"{second} overlaps {first}")
    return tuple(prefix(network) for _, network in entries)


def _check_room(
    layout: Layout, item: Item, pools: Sequence[Prefix], forwards: Sequence[PortForward]
) -> None:
    """Refuse pools without a block, and those with too few for the hosts that need one each."""
    static = {
        (f.outside_addr, f.outside_port // layout.size)
        for f in forwards
        if f.outside_port >= LOWEST_PORT
    }
    addresses = sum(1 << (32 - pool.length) for pool in pools)
    in_pools = [nth for addr, nth in static if any(addr in pool for pool in pools)]
    usable = addresses * layout.per_address
    usable -= sum(1 for nth in in_pools if nth >= layout.first)
    if usable <= 0:
        raise item.error(
            f"static mappings use all blocks of {layout.size} ports of the pools: "
            "add a pool, or choose smaller blocks"
        )
    if layout.inside and computed(layout, addresses, {nth for _, nth in static}, 0) is None:
        raise item.error(
            f"{layout.hosts} inside addresses need a block of {layout.size} ports each, and the "
            f"pools have {usable}: add a pool, or choose smaller blocks"
        )
