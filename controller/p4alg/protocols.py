"""The IP protocols that the gateway knows, by number and by name (IANA protocol numbers).

Depends on nothing; every package may use it. ALGs get the numbers from their contract.
"""

from __future__ import annotations

from typing import Final

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
GRE: Final = 47
ESP: Final = 50

TUNNELS: Final = (GRE, ESP)
"""Protocols whose packets bear one identifier, the receiver's (call id, SPI), and no ports."""

NAMES: Final = {ICMP: "icmp", TCP: "tcp", UDP: "udp", GRE: "gre", ESP: "esp"}
PORTED: Final = ("tcp", "udp")
"""The names of those that have ports."""
NUMBERS: Final = {name: number for number, name in NAMES.items()}


def proto_name(proto: int) -> str:
    """The name of an IP protocol, or its number."""
    return NAMES.get(proto, str(proto))
