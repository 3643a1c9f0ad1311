"""The program's punt meters, and the words for its punts and drops."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from p4alg.p4constants import Drop, Punt


def _words(members: Iterable[IntEnum]) -> dict[int, str]:
    """By index, the words of all members but NONE."""
    return {int(m): m.name.lower().replace("_", "-") for m in members if m}


PUNTS = _words(Punt)
"""Punt classes by index, of `punt_meter` and `punt_counter`: "new-flow" and so on."""

DROPS = _words(Drop)
"""Reasons by index of `drop_counter`: "not-for-us" and so on."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Packets a second, and how many at once."""

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
"""What each punt class may bring the controller, so that none crowds out another."""
