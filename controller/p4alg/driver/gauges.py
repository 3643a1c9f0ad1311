"""The rates of the program's meters, and the names of punt classes and drop reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import product

from p4alg import p4constants as p4
from p4alg.engine.settings import Settings, all_zones
from p4alg.engine.tables import Side
from p4alg.p4constants import Drop, Punt


def _words(members: Iterable[IntEnum]) -> dict[int, str]:
    """The names of all members but NONE, by their values, as they are shown to operators."""
    return {int(m): m.name.lower().replace("_", "-") for m in members if m}


PUNTS = _words(Punt)
"""Names of punt classes ("new-flow", ...), by the index in `punt_counter`."""

DROPS = _words(Drop)
"""Names of drop reasons ("not-for-us", ...), by the index in `drop_counter`."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate in packets a second, and a burst in packets."""

    packets: int
    burst: int


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter of the program: the name of its array, its index there, and its rate."""

    array: str
    index: int
    rate: Rate


_INSIDE = {
    Punt.SUBSCRIBER: Rate(1000, 1000),
    Punt.NEW_FLOW: Rate(4000, 4000),
    Punt.OVERFLOW: Rate(600, 600),
    Punt.ESP: Rate(500, 500),
    Punt.ALG: Rate(8000, 4000),
    Punt.ARP: Rate(500, 500),
    Punt.FRAGMENT: Rate(1000, 1000),
    Punt.LOCAL: Rate(200, 200),
    Punt.TTL: Rate(200, 200),
    Punt.MTU: Rate(500, 500),
    Punt.NEIGHBOUR: Rate(500, 500),
    Punt.NO_ROUTE: Rate(200, 200),
    Punt.SYN: Rate(100, 100),
}
_OUTSIDE = {**_INSIDE, Punt.NEW_FLOW: Rate(2000, 2000), Punt.OVERFLOW: Rate(600, 600)}
"""The rate of packets of each class that either side may send to the controller.

Each has its own, so that a flood of one does not keep the packets of another away.
"""

_SHARED_BY_PORTS = (
    *(Punt.SUBSCRIBER, Punt.NEW_FLOW, Punt.OVERFLOW, Punt.ESP, Punt.FRAGMENT, Punt.ARP),
    Punt.SYN,
)
"""The classes of which one port of the switch may send no more than a part."""
_PORT_PART = 2
_ALG_TIMES = 24
"""Packets of ALG sessions of one source may be so many times as many as others of it: a proxy
speaks for many calls."""


def meters(organisations: Sequence[Settings]) -> list[Meter]:
    """All meters of the program that these settings need.

    The limits that they set are the same for all organisations.
    """
    limits = organisations[0].limits
    found = [
        Meter("punt_meter", side * p4.PUNT_CLASSES + punt, rate)
        for side, rates in ((Side.INSIDE, _INSIDE), (Side.OUTSIDE, _OUTSIDE))
        for punt, rate in rates.items()
    ]
    for zone in all_zones(organisations):
        rates = _INSIDE if zone.side is Side.INSIDE else _OUTSIDE
        for port, punt in product(zone.ports, _SHARED_BY_PORTS):
            whole = rates[punt]
            part = Rate(whole.packets // _PORT_PART, whole.burst // _PORT_PART)
            found.append(Meter("port_meter", port * p4.PUNT_CLASSES + punt, part))
    sources = 1 << p4.SOURCE_METER_BITS
    for kind, times in enumerate((1, _ALG_TIMES)):
        packets = limits.punts_per_source * times
        of_source = Rate(packets, packets)
        found += [Meter("source_meter", kind * sources + n, of_source) for n in range(sources)]
    flows = Rate(limits.flows_per_second, limits.flows_per_second)
    found += [Meter("claim_meter", n, flows) for n in range(1 << p4.CLAIM_METER_BITS)]
    return found
