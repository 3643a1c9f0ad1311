"""The switch tables as the engine sees them: one frozen dataclass per table entry.

These classes are the interface between engine and data plane. The switch
driver turns them into P4Runtime entities and back (`driver/codec.py`). Field
names are those of the P4 program (p4src/).

Addresses are IPv4 addresses as integers; ids are the 32-bit identifiers of the
normalised flow key (port, ICMP query id, call id or SPI). Timeouts are in
seconds, 0 meaning that the entry does not age.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag
from typing import ClassVar, NamedTuple


class FlowKey(NamedTuple):
    """A flow by its inside and remote ends, whichever sent the packet."""

    proto: int
    inside_addr: int
    inside_id: int
    remote_addr: int
    remote_id: int


class Side(IntEnum):
    """Which side of the translation a zone is on (`side_t` in the program)."""

    INSIDE = 0
    OUTSIDE = 1


class FilterMode(IntEnum):
    """Who may open a flow to a mapping from outside (RFC 4787 section 5)."""

    ADDRESS_AND_PORT = 0
    ADDRESS = 1
    ENDPOINT_INDEPENDENT = 2


class SessionFlags(IntFlag):
    """`flags` of a session entry."""

    NONE = 0
    NOTIFY_ESTABLISHED = 1
    """Report the first packet that proves the handshake, by digest."""
    CORRECT_SEQUENCE = 2
    """The session has an entry in `sequence`."""
    WATCH_INSIDE = 4
    """Of the packets from inside, datagrams below `watch_below` go to the ALG, no others."""
    WATCH_OUTSIDE = 8
    """The same for packets from outside."""


@dataclass(frozen=True, slots=True)
class Port:
    """`port_zone`: the zone and router MAC of a switch port and VLAN (0: untagged)."""

    TABLE: ClassVar[str] = "port_zone"
    port: int
    vlan_id: int
    zone: int
    side: Side
    mac: int


@dataclass(frozen=True, slots=True)
class Local:
    """`local_addr`: an address of the gateway itself; its packets are punted."""

    TABLE: ClassVar[str] = "local_addr"
    addr: int


@dataclass(frozen=True, slots=True)
class PoolPrefix:
    """`pool`: a prefix of outside addresses of the gateway (for hairpinning)."""

    TABLE: ClassVar[str] = "pool"
    addr: int
    prefix_len: int


class PolicyAction(Enum):
    """What a policy rule does with a packet."""

    TRANSLATE = "translate"
    EXEMPT = "exempt"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Policy:
    """`policy`: an ordered rule; each field is (value, mask), mask 0 matching all."""

    TABLE: ClassVar[str] = "policy"
    priority: int
    action: PolicyAction
    side: tuple[int, int] = (0, 0)
    proto: tuple[int, int] = (0, 0)
    src_addr: tuple[int, int] = (0, 0)
    dst_addr: tuple[int, int] = (0, 0)
    dst_id: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class MapOut:
    """`map_out`: inside endpoint to outside endpoint."""

    TABLE: ClassVar[str] = "map_out"
    proto: int
    inside_addr: int
    inside_id: int
    outside_addr: int
    outside_id: int


@dataclass(frozen=True, slots=True)
class MapIn:
    """`map_in`: outside endpoint to inside endpoint, and who may use it."""

    TABLE: ClassVar[str] = "map_in"
    proto: int
    outside_addr: int
    outside_id: int
    inside_addr: int
    inside_id: int
    filter_mode: FilterMode


@dataclass(frozen=True, slots=True)
class IkeIn:
    """`ike_in`: whose exchange it is, of hosts that all keep port 500 of an outside address."""

    TABLE: ClassVar[str] = "ike_in"
    outside_addr: int
    initiator_spi: int
    inside_addr: int
    inside_id: int
    filter_mode: FilterMode


@dataclass(frozen=True, slots=True)
class AddrMapOut:
    """`addr_map_out`: a whole inside address to an outside address (1:1)."""

    TABLE: ClassVar[str] = "addr_map_out"
    inside_addr: int
    outside_addr: int


@dataclass(frozen=True, slots=True)
class AddrMapIn:
    """`addr_map_in`: a whole outside address to an inside address (1:1)."""

    TABLE: ClassVar[str] = "addr_map_in"
    outside_addr: int
    inside_addr: int
    filter_mode: FilterMode


@dataclass(frozen=True, slots=True)
class PeerEntry:
    """`peer`: a remote address an inside endpoint has sent to (address-dependent filtering)."""

    TABLE: ClassVar[str] = "peer"
    proto: int
    inside_addr: int
    inside_id: int
    remote_addr: int


@dataclass(frozen=True, slots=True)
class Session:
    """`session`: a flow allowed in both directions.

    A non-zero `alg_id` sends its payload-bearing packets (TCP: also SYN, FIN
    and RST) to the controller; with a `WATCH_` flag only UDP datagrams shorter
    than `watch_below` bytes (UDP header included).
    """

    TABLE: ClassVar[str] = "session"
    flow: FlowKey
    alg_id: int = 0
    flags: SessionFlags = SessionFlags.NONE
    idle_timeout: float = 0.0
    watch_below: int = 0


@dataclass(frozen=True, slots=True)
class PinholeEntry:
    """`pinhole`: flows that may begin without a session; hits are forwarded and reported.

    `remote_id` None is a wildcard. Higher `priority` wins. With an `alg_id` the
    first packet is not forwarded but given to the ALG, as a new flow's.
    """

    TABLE: ClassVar[str] = "pinhole"
    proto: int
    inside_addr: int
    inside_id: int
    remote_addr: int | None
    remote_id: int | None
    pinhole_id: int
    priority: int = 10
    idle_timeout: float = 0.0
    alg_id: int = 0


@dataclass(frozen=True, slots=True)
class Correction:
    """Sequence correction of one direction of a TCP connection.

    Bytes of the sender's sequence space at or after `position` are shifted by
    `after`, those before it by `before` (both signed).
    """

    position: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """`sequence`: corrections of a connection; `outbound` is inside to outside."""

    TABLE: ClassVar[str] = "sequence"
    flow: FlowKey
    outbound: Correction
    inbound: Correction


@dataclass(frozen=True, slots=True)
class Fragment:
    """`fragment`: the transport identifiers of a fragmented datagram (RFC 4787 REQ-14)."""

    TABLE: ClassVar[str] = "fragment"
    src_addr: int
    dst_addr: int
    proto: int
    ident: int
    src_id: int
    dst_id: int
    idle_timeout: float = 0.0


@dataclass(frozen=True, slots=True)
class Service:
    """`alg_service`: new flows to this server port belong to an ALG; (value, mask) pairs."""

    TABLE: ClassVar[str] = "alg_service"
    proto: int
    server_id: tuple[int, int]
    alg_id: int
    priority: int = 10


@dataclass(frozen=True, slots=True)
class Route:
    """`route`: longest prefix to a next hop; `next_hop` 0 means not resolved yet (punted)."""

    TABLE: ClassVar[str] = "route"
    addr: int
    prefix_len: int
    next_hop: int


@dataclass(frozen=True, slots=True)
class NextHop:
    """`next_hop`: how packets leave; `mtu` in bytes of IP packet, `vlan_id` 0: untagged."""

    TABLE: ClassVar[str] = "next_hop"
    next_hop: int
    port: int
    vlan_id: int
    src_mac: int
    dst_mac: int
    mtu: int


Entry = (
    Port
    | Local
    | PoolPrefix
    | Policy
    | MapOut
    | MapIn
    | IkeIn
    | AddrMapOut
    | AddrMapIn
    | PeerEntry
    | Session
    | PinholeEntry
    | Sequence
    | Fragment
    | Service
    | Route
    | NextHop
)


class Op(Enum):
    """What to do with an entry."""

    INSERT = "insert"
    MODIFY = "modify"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Update:
    """One table write. A DELETE needs only the key fields of the entry to be right."""

    op: Op
    entry: Entry
