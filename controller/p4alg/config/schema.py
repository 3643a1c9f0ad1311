"""What a configuration says, checked; knows neither YAML nor the engine."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

ALGS = ("ftp", "sip", "tftp", "pptp", "ike")
SIDES = ("inside", "outside")
FILTERS = ("address-and-port", "address", "endpoint-independent")
"""Filtering behaviours of RFC 4787 section 5, strictest (the default) first."""


@dataclass(frozen=True, slots=True)
class PortRange:
    """Server ports of a protocol, both ends included; `protocol` is ``tcp`` or ``udp``."""

    protocol: str
    first: int
    last: int

    def overlaps(self, other: PortRange) -> bool:
        """Whether some port is in both."""
        same = self.protocol == other.protocol
        return same and self.first <= other.last and other.first <= self.last

    def __str__(self) -> str:
        span = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.protocol}/{span}"


PREDEFINED: dict[str, tuple[PortRange, ...]] = {
    "ftp": (PortRange("tcp", 21, 21),),
    "sip": (PortRange("udp", 5060, 5060), PortRange("tcp", 5060, 5060)),
    "tftp": (PortRange("udp", 69, 69),),
    "pptp": (PortRange("tcp", 1723, 1723),),
    "ike": (PortRange("udp", 500, 500),),
}
"""Services that exist without being configured; each ALG is on that of its name by default."""


@dataclass(frozen=True, slots=True)
class Switch:
    """The P4Runtime switch: ``HOST:PORT`` and device id."""

    grpc: str = "127.0.0.1:9559"
    device_id: int = 1


@dataclass(frozen=True, slots=True)
class Zone:
    """Switch ports (untagged for `vlan` 0) that share a network; `mtu` in bytes of IP packet."""

    name: str
    side: str
    ports: tuple[int, ...]
    vlan: int
    address: IPv4Interface
    mac: int
    mtu: int


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """A prefix behind a router in one of the zones."""

    to: IPv4Network
    via: IPv4Address


@dataclass(frozen=True, slots=True)
class Alg:
    """Whether an ALG is on, and the services it serves."""

    name: str
    enabled: bool
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration, free of contradictions."""

    switch: Switch
    zones: tuple[Zone, ...]
    routes: tuple[StaticRoute, ...]
    pools: tuple[IPv4Network, ...]
    filtering: str
    services: dict[str, tuple[PortRange, ...]]
    algs: tuple[Alg, ...]
