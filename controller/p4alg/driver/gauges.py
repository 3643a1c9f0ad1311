"""The program's punt meters and its counters of punts and drops.

Indices and words are those of p4src/shared/constants.p4.
"""

from __future__ import annotations

from dataclasses import dataclass

PUNTS = {
    1: "new-flow",
    2: "alg",
    3: "arp",
    4: "fragment",
    5: "local",
    6: "ttl",
    7: "mtu",
    8: "neighbour",
}
"""Punt classes by index, of `punt_meter` and `punt_counter`."""

DROPS = {
    1: "parse",
    2: "checksum",
    3: "no-zone",
    4: "not-for-us",
    5: "ethertype",
    6: "policy",
    7: "no-mapping",
    8: "filtered",
    9: "no-session",
    10: "meter",
    11: "no-route",
    12: "ttl",
    13: "protocol",
    14: "fragment",
}
"""Reasons by index of `drop_counter`."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Packets a second, and how many at once."""

    packets: int
    burst: int


METERS = {
    1: Rate(4000, 4000),
    2: Rate(8000, 4000),
    3: Rate(500, 500),
    4: Rate(1000, 1000),
    5: Rate(200, 200),
    6: Rate(200, 200),
    7: Rate(500, 500),
    8: Rate(500, 500),
}
"""What each punt class may bring the controller, so that none crowds out another."""
