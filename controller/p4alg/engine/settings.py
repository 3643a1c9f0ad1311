"""What the engine is told to do: frozen, checked values, however they were written down.

Addresses are IPv4 addresses as integers; times are in seconds, sizes in bytes.
`config` makes these from a file; tests make them directly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from p4alg.alg.descriptor import Alg, Value
from p4alg.engine.tables import FilterMode, PolicyAction, Side
from p4alg.protocols import proto_name


class RefuseMode(Enum):
    """What becomes of a control message that is refused (F4)."""

    RESET = "reset"
    PASS = "pass"


@dataclass(frozen=True, slots=True)
class Zone:
    """A network at some switch ports; the gateway's own address and MAC there.

    `vlan_id` 0 is untagged; `mtu` is in bytes of IP packet; `zone_id` is 1..255.
    """

    name: str
    zone_id: int
    side: Side
    ports: tuple[int, ...]
    vlan_id: int
    addr: int
    prefix_len: int
    mac: int
    mtu: int = 1500


@dataclass(frozen=True, slots=True)
class Prefix:
    """An IPv4 prefix without host bits."""

    addr: int
    length: int

    @property
    def mask(self) -> int:
        """The netmask as an integer."""
        return 0xFFFFFFFF << (32 - self.length) & 0xFFFFFFFF

    def __contains__(self, addr: int) -> bool:
        return addr & self.mask == self.addr


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """A prefix behind a router in one of the zones."""

    to: Prefix
    via: int


@dataclass(frozen=True, slots=True)
class PortForward:
    """A static mapping of one endpoint; `proto` is TCP (6) or UDP (17)."""

    proto: int
    inside_addr: int
    inside_port: int
    outside_addr: int
    outside_port: int


@dataclass(frozen=True, slots=True)
class AddressForward:
    """A static 1:1 mapping of a whole address, every protocol."""

    inside_addr: int
    outside_addr: int


@dataclass(frozen=True, slots=True)
class PortSpan:
    """Server ports of a protocol (6 or 17), both ends included."""

    proto: int
    first: int
    last: int

    def overlaps(self, other: PortSpan) -> bool:
        """Whether some port is in both."""
        same = self.proto == other.proto
        return same and self.first <= other.last and other.first <= self.last

    def __str__(self) -> str:
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{proto_name(self.proto)}/{ports}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy rule; the first of the list that matches wins. None matches all.

    `proto` is an IP protocol number; `ports` are destination ports, both ends included.
    """

    action: PolicyAction
    side: Side | None = None
    proto: int | None = None
    source: Prefix | None = None
    destination: Prefix | None = None
    ports: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Timers:
    """Lifetimes in seconds; defaults are those of the RFCs named."""

    tcp_established: float = 7440.0
    """RFC 5382 REQ-5: 2 h 4 min."""
    tcp_transitory: float = 240.0
    """RFC 5382 REQ-5: 4 min."""
    udp: float = 300.0
    """RFC 4787 REQ-5."""
    udp_dns: float = 30.0
    """RFC 4787 REQ-5 a, for destination port 53."""
    icmp: float = 60.0
    """RFC 5508 REQ-2."""
    gre: float = 600.0
    """A call's GRE, either direction (PPTP sends an echo a minute, RFC 2637 section 2.6)."""
    esp: float = 600.0
    """ESP of one SPI."""
    port_rest: float = 120.0
    """RFC 6888 REQ-8: how long a freed outside port is not given out again."""
    fragment: float = 30.0
    """How long a datagram's fragments may take."""
    neighbour: float = 60.0
    """How long a neighbour is believed before it is asked again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds (G4, RFC 6888 REQ-4); at a limit the new is refused and the old kept."""

    bindings: int = 65536
    sessions: int = 200000
    bindings_per_subscriber: int = 32768
    sessions_per_subscriber: int = 65536
    pinholes: int = 8192
    pinholes_per_subscriber: int = 4096
    pinholes_per_control: int = 64
    controls_per_subscriber: int = 256
    message: int = 2048
    """Longest message of a control stream, bytes."""
    stream: int = 65536
    """Bytes kept for one direction of a control stream: out of order, or not acknowledged yet."""
    pinhole_lifetime: float = 60.0
    """Seconds until first use (F3), where the protocol does not say."""
    pinhole_longest: float = 86400.0
    """The longest that an ALG gets a pinhole for, or a flow through it may be silent; seconds."""
    grants_per_message: int = 256
    """Pinholes and reserved endpoints that one message may ask for."""


@dataclass(frozen=True, slots=True)
class AlgSettings:
    """An ALG as it is configured (G1): on or off, the names of its services, its options."""

    alg: Alg
    enabled: bool
    services: tuple[str, ...]
    options: Mapping[str, Value] = field(default_factory=dict)
    """Those that were configured; the others have their defaults."""

    @property
    def name(self) -> str:
        """The ALG's name."""
        return self.alg.name

    @property
    def all_options(self) -> Mapping[str, Value]:
        """Every option of the ALG."""
        return {**self.alg.defaults, **self.options}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the engine is told, free of contradictions."""

    zones: tuple[Zone, ...]
    pools: tuple[Prefix, ...]
    routes: tuple[StaticRoute, ...] = ()
    forwards: tuple[PortForward, ...] = ()
    address_forwards: tuple[AddressForward, ...] = ()
    rules: tuple[Rule, ...] = ()
    filter_mode: FilterMode = FilterMode.ADDRESS_AND_PORT
    timers: Timers = Timers()
    limits: Limits = Limits()
    services: Mapping[str, tuple[PortSpan, ...]] = field(default_factory=dict)
    algs: tuple[AlgSettings, ...] = ()
    refuse: RefuseMode = RefuseMode.RESET
    denied_ports: frozenset[int] = frozenset()
    """Inside ports that no pinhole may point to (G7)."""

    def spans(self, services: Iterable[str]) -> list[PortSpan]:
        """The ports of some services, by their names; raises KeyError for an unknown one."""
        return [span for service in services for span in self.services[service]]
