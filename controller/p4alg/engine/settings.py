"""The settings of the engine: values that are checked and do not change.

Addresses are IPv4 addresses as integers; times are in seconds, sizes in bytes.
The package `config` makes them from a file; tests make them directly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from p4alg.alg.contract import format_addr
from p4alg.alg.descriptor import Alg, Value
from p4alg.engine.defaults import DEFAULT_ORGANISATION
from p4alg.engine.tables import FilterMode, PolicyAction, Side
from p4alg.nat.blocks import Layout
from p4alg.protocols import proto_name


class RefuseMode(Enum):
    """What the gateway does with a control message that is refused (F4).

    RESET resets its connection, or drops its datagram; PASS sends it on unchanged.
    """

    RESET = "reset"
    PASS = "pass"


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

    def __str__(self) -> str:
        return f"{format_addr(self.addr)}/{self.length}"


@dataclass(frozen=True, slots=True)
class Zone:
    """A network at some ports of the switch, with the gateway's address and MAC address in it.

    `vlan_id` 0 is untagged; `mtu` is in bytes of IP packet; `zone_id` is 1..255. An inside zone
    is of the organisation with that number; those outside are everybody's, and have 0.
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
    organisation: int = 0

    @property
    def network(self) -> Prefix:
        """The IP network of the zone."""
        return Prefix(self.addr & Prefix(0, self.prefix_len).mask, self.prefix_len)


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """A prefix that is reached through the router `via`, which is in one of the zones."""

    to: Prefix
    via: int


@dataclass(frozen=True, slots=True)
class PortForward:
    """A static mapping of one endpoint. `proto` is TCP (6) or UDP (17)."""

    proto: int
    inside_addr: int
    inside_port: int
    outside_addr: int
    outside_port: int


@dataclass(frozen=True, slots=True)
class AddressForward:
    """A static 1:1 mapping of a whole address, for all protocols."""

    inside_addr: int
    outside_addr: int


@dataclass(frozen=True, slots=True)
class PortSpan:
    """Server ports of a protocol (6 or 17), both ends included."""

    proto: int
    first: int
    last: int

    def overlaps(self, other: PortSpan) -> bool:
        """Whether at least one port is in both."""
        same = self.proto == other.proto
        return same and self.first <= other.last and other.first <= self.last

    def __str__(self) -> str:
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{proto_name(self.proto)}/{ports}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy rule. Of a list of rules the first that matches decides. None matches everything.

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
    """Lifetimes in seconds. The defaults are those of the RFCs named."""

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
    """GRE of a PPTP call, each direction (an echo is sent each minute, RFC 2637 section 2.6)."""
    esp: float = 600.0
    """ESP with one SPI."""
    port_rest: float = 120.0
    """RFC 6888 REQ-8: how long a freed outside port is not given out again."""
    neighbour: float = 60.0
    """The time after which a neighbour is asked by ARP whether it is still there."""

    @property
    def one_way(self) -> float:
        """The longest that a plain flow lives on which nobody has answered."""
        return max(self.tcp_transitory, self.udp, self.udp_dns, self.icmp)

    @property
    def longest(self) -> float:
        """The longest that any plain flow lives on."""
        return max(self.one_way, self.tcp_established)


@dataclass(frozen=True, slots=True)
class BlockSettings:
    """How outside ports are cut into blocks, and given out (RFC 6888 REQ-13, RFC 7422).

    `size` is a power of two from 64 to 16384. A host gets at most `per_subscriber` blocks, the
    first of which is the switch's. With `inside` the first block of a host is computed from its
    address; hosts outside of these prefixes get none.
    """

    size: int = 4096
    per_subscriber: int = 4
    inside: tuple[Prefix, ...] = ()

    @property
    def layout(self) -> Layout:
        """The same for the allocator."""
        inside = tuple((prefix.addr, prefix.length) for prefix in self.inside)
        return Layout(self.size, self.per_subscriber, inside)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits (G4, RFC 6888 REQ-4). At a limit what is new is refused; nothing old is removed."""

    bindings: int = 65536
    sessions: int = 200000
    bindings_per_subscriber: int = 32768
    sessions_per_subscriber: int = 65536
    subscribers: int = 8192
    """Inside hosts that have ports outside at the same time."""
    flows_per_second: int = 1000
    """New plain flows a second of one host."""
    punts_per_source: int = 250
    """Packets a second that one source address may send to the controller, of any kind."""
    pinholes: int = 8192
    pinholes_per_subscriber: int = 4096
    pinholes_per_control: int = 64
    controls: int = 16384
    """Control sessions of all hosts."""
    controls_per_subscriber: int = 256
    control_bytes: int = 64 << 20
    """Bytes kept of all control streams together."""
    message: int = 2048
    """Longest message of a control stream, bytes."""
    stream: int = 65536
    """Bytes kept for one direction of a control stream: out of order, or not acknowledged yet."""
    pinhole_lifetime: float = 60.0
    """Seconds that an unused pinhole lives if the protocol does not say how long (F3)."""
    pinhole_longest: float = 86400.0
    """Upper bound of the lifetime of a pinhole and of the idle timeout of its flows, in seconds."""
    grants_per_message: int = 256
    """The most pinholes and reserved endpoints that one message may ask for."""


@dataclass(frozen=True, slots=True)
class AlgSettings:
    """The configuration of an ALG (G1): whether it is on, its services by name, its options."""

    alg: Alg
    enabled: bool
    services: tuple[str, ...]
    options: Mapping[str, Value] = field(default_factory=dict)
    """The options that are configured. The others have their default values."""

    @property
    def name(self) -> str:
        """The ALG's name."""
        return self.alg.name

    @property
    def all_options(self) -> Mapping[str, Value]:
        """The values of all options of the ALG."""
        return {**self.alg.defaults, **self.options}


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of an engine, which serves one organisation, checked for contradictions.

    `zones` are the inside zones of the organisation and all outside ones, and `routes` those that
    its packets take. Filter, timers, and size and rest of blocks are the same for all
    organisations of a gateway, since the switch has them once.
    """

    zones: tuple[Zone, ...]
    pools: tuple[Prefix, ...]
    routes: tuple[StaticRoute, ...] = ()
    forwards: tuple[PortForward, ...] = ()
    address_forwards: tuple[AddressForward, ...] = ()
    rules: tuple[Rule, ...] = ()
    filter_mode: FilterMode = FilterMode.ADDRESS_AND_PORT
    blocks: BlockSettings = BlockSettings()
    timers: Timers = Timers()
    limits: Limits = Limits()
    services: Mapping[str, tuple[PortSpan, ...]] = field(default_factory=dict)
    algs: tuple[AlgSettings, ...] = ()
    refuse: RefuseMode = RefuseMode.RESET
    denied_ports: frozenset[int] = frozenset()
    """Inside ports that no pinhole may point to (G7)."""
    name: str = DEFAULT_ORGANISATION
    """The name of the organisation."""
    organisation: int = 0
    """Its number, 0..254, which the switch has in its keys."""
    share: float = 1.0
    """The part of what all organisations share that it may use, above 0 and at most 1."""
    is_only: bool = True
    """Whether it is the only organisation. Its entries say nothing of organisations then."""

    def spans(self, services: Iterable[str]) -> list[PortSpan]:
        """The ports of the named services. Raises KeyError for an unknown service."""
        return [span for service in services for span in self.services[service]]

    def has_outside(self, prefix: Prefix) -> bool:
        """Whether an address of a prefix may be the outside address of something."""
        if any(pool.addr in prefix or prefix.addr in pool for pool in self.pools):
            return True
        if any(forward.outside_addr in prefix for forward in self.forwards):
            return True
        return any(forward.outside_addr in prefix for forward in self.address_forwards)


def all_zones(organisations: Iterable[Settings]) -> tuple[Zone, ...]:
    """The zones of all organisations, in the order of their numbers."""
    found = {zone.zone_id: zone for settings in organisations for zone in settings.zones}
    return tuple(found[number] for number in sorted(found))
