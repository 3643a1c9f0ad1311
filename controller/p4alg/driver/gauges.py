"""The rates of the program's punt meters, and the names of punt classes and drop reasons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from p4alg.p4constants import Drop, Punt


def _words(members: Iterable[IntEnum]) -> dict[int, str]:
    """The names of all members but NONE, by their values, as they are shown to operators."""
    return {int(m): m.name.lower().replace("_", "-") for m in members if m}


PUNTS = _words(Punt)
"""Names of punt classes ("new-flow", ...), by the index in `punt_meter` and `punt_counter`."""

DROPS = _words(Drop)
"""Names of drop reasons ("not-for-us", ...), by the index in `drop_counter`."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate in packets a second, and a burst in packets."""

    packets: int
    burst: int


METERS = {
    Punt.NEW_FLOW: Rate(4000, 4000),
    Punt.ALG: Rate(8000, 4000),
    Punt.ARP: Rate(500, 500),
    Punt.FRAGMENT: Rate(1000, 1000),
    Punt.LOCAL: Rate(200, 200),
    Punt.TTL: Rate(200, 200),
    Punt.MTU: Rate(500, 500),
    Punt.NEIGHBOUR: Rate(500, 500),
}
"""The rate of packets that each punt class may send to the controller.

Each class has its own, so that a flood of one does not keep the packets of another away.
"""
