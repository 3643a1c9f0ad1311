"""The switch tables as the engine sees them: each class declares a table and is its entry.

These classes are the interface between engine and data plane, and the only place that says
what a table holds: key, parameters, widths, action, priority and ageing (see
`declaration.py`; docs/targets.md says how to add one). Field names are those of the P4
program (p4src/).

Addresses are IPv4 addresses as integers; ids are the 32-bit identifiers of the
normalised flow key (port, ICMP query id, call id or SPI). Timeouts are in
seconds, 0 meaning that the entry does not age.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, NamedTuple

from p4alg import p4constants as p4
from p4alg.engine.declaration import (
    ACTION,
    IDLE_TIMEOUT,
    IPV4,
    MAC,
    PREFIX_LENGTH,
    PRIORITY,
    Exact,
    Lpm,
    Param,
    Prefixed,
    Ternary,
    Unless0,
    table,
)
from p4alg.engine.declaration import Entry as Entry
from p4alg.p4constants import FilterMode as FilterMode
from p4alg.p4constants import SessionFlags as SessionFlags
from p4alg.p4constants import Side as Side


class FlowKey(NamedTuple):
    """A flow by its inside and remote ends, whichever sent the packet."""

    proto: Annotated[int, Exact(8)]
    inside_addr: Annotated[int, Exact(32, IPV4)]
    inside_id: Annotated[int, Exact(32)]
    remote_addr: Annotated[int, Exact(32, IPV4)]
    remote_id: Annotated[int, Exact(32)]


@table("port_zone", size=p4.SIZE_PORT_ZONE, action="set_zone")
class Port(Entry):
    """`port_zone`: the zone and router MAC of a switch port and VLAN (0: untagged)."""

    port: Annotated[int, Exact(16)]
    vlan_id: Annotated[int, Exact(12)]
    zone: Annotated[int, Param(8)]
    side: Annotated[Side, Param(1)]
    mac: Annotated[int, Param(48, MAC)]


@table("local_addr", size=p4.SIZE_LOCAL_ADDR, action="is_local")
class Local(Entry):
    """`local_addr`: an address of the gateway itself; its packets are punted."""

    addr: Annotated[int, Exact(32, IPV4)]


@table("pool", size=p4.SIZE_POOL, action="in_pool")
class PoolPrefix(Entry):
    """`pool`: a prefix of outside addresses of the gateway (for hairpinning)."""

    addr: Annotated[int, Lpm(32, "prefix_len", IPV4)]
    prefix_len: Annotated[int, PREFIX_LENGTH]


class PolicyAction(Enum):
    """What a policy rule does with a packet."""

    TRANSLATE = "translate"
    EXEMPT = "exempt"
    DENY = "deny"


@table("policy", size=p4.SIZE_POLICY)
class Policy(Entry):
    """`policy`: an ordered rule; each field is (value, mask), mask 0 matching all."""

    priority: Annotated[int, PRIORITY]
    action: Annotated[PolicyAction, ACTION]
    side: Annotated[tuple[int, int], Ternary(1)] = (0, 0)
    proto: Annotated[tuple[int, int], Ternary(8)] = (0, 0)
    src_addr: Annotated[tuple[int, int], Ternary(32, IPV4)] = (0, 0)
    dst_addr: Annotated[tuple[int, int], Ternary(32, IPV4)] = (0, 0)
    dst_id: Annotated[tuple[int, int], Ternary(32)] = (0, 0)


@table("map_out", size=p4.SIZE_MAPPING, action="set_outside")
class MapOut(Entry):
    """`map_out`: inside endpoint to outside endpoint."""

    proto: Annotated[int, Exact(8)]
    inside_addr: Annotated[int, Exact(32, IPV4)]
    inside_id: Annotated[int, Exact(32)]
    outside_addr: Annotated[int, Param(32, IPV4)]
    outside_id: Annotated[int, Param(32)]


@table("map_in", size=p4.SIZE_MAPPING, action="set_inside")
class MapIn(Entry):
    """`map_in`: outside endpoint to inside endpoint, and who may use it."""

    proto: Annotated[int, Exact(8)]
    outside_addr: Annotated[int, Exact(32, IPV4)]
    outside_id: Annotated[int, Exact(32)]
    inside_addr: Annotated[int, Param(32, IPV4)]
    inside_id: Annotated[int, Param(32)]
    filter_mode: Annotated[FilterMode, Param(2)]


@table("ike_in", size=p4.SIZE_IKE, action="set_inside")
class IkeIn(Entry):
    """`ike_in`: whose exchange it is, of hosts that all keep port 500 of an outside address."""

    outside_addr: Annotated[int, Exact(32, IPV4)]
    initiator_spi: Annotated[int, Exact(64)]
    inside_addr: Annotated[int, Param(32, IPV4)]
    inside_id: Annotated[int, Param(32)]
    filter_mode: Annotated[FilterMode, Param(2)]


@table("addr_map_out", size=p4.SIZE_ADDR_MAP, action="set_outside_addr")
class AddrMapOut(Entry):
    """`addr_map_out`: a whole inside address to an outside address (1:1)."""

    inside_addr: Annotated[int, Exact(32, IPV4)]
    outside_addr: Annotated[int, Param(32, IPV4)]


@table("addr_map_in", size=p4.SIZE_ADDR_MAP, action="set_inside_addr")
class AddrMapIn(Entry):
    """`addr_map_in`: a whole outside address to an inside address (1:1)."""

    outside_addr: Annotated[int, Exact(32, IPV4)]
    inside_addr: Annotated[int, Param(32, IPV4)]
    filter_mode: Annotated[FilterMode, Param(2)]


@table("peer", size=p4.SIZE_PEER, action="peer_known")
class PeerEntry(Entry):
    """`peer`: a remote address an inside endpoint has sent to (address-dependent filtering)."""

    proto: Annotated[int, Exact(8)]
    inside_addr: Annotated[int, Exact(32, IPV4)]
    inside_id: Annotated[int, Exact(32)]
    remote_addr: Annotated[int, Exact(32, IPV4)]


@table("session", size=p4.SIZE_SESSION, action="allow")
class Session(Entry):
    """`session`: a flow allowed in both directions.

    A non-zero `alg_id` sends its payload-bearing packets (TCP: also SYN, FIN
    and RST) to the controller; with a `WATCH_` flag only UDP datagrams shorter
    than `watch_below` bytes (UDP header included).
    """

    flow: FlowKey
    alg_id: Annotated[int, Param(8)] = 0
    flags: Annotated[SessionFlags, Param(8)] = SessionFlags.NONE
    idle_timeout: Annotated[float, IDLE_TIMEOUT] = 0.0
    watch_below: Annotated[int, Param(16)] = 0


@table("pinhole", size=p4.SIZE_PINHOLE, action=Unless0("alg_id", "inspect", otherwise="permit"))
class PinholeEntry(Entry):
    """`pinhole`: flows that may begin without a session; hits are forwarded and reported.

    `remote_id` None is a wildcard. Higher `priority` wins. With an `alg_id` the
    first packet is not forwarded but given to the ALG, as a new flow's.
    """

    proto: Annotated[int, Ternary(8)]
    inside_addr: Annotated[int, Ternary(32, IPV4)]
    inside_id: Annotated[int, Ternary(32)]
    remote_addr: Annotated[int | None, Ternary(32, IPV4)]
    remote_id: Annotated[int | None, Ternary(32)]
    pinhole_id: Annotated[int, Param(32)]
    priority: Annotated[int, PRIORITY] = 10
    idle_timeout: Annotated[float, IDLE_TIMEOUT] = 0.0
    alg_id: Annotated[int, Param(8)] = 0


@dataclass(frozen=True, slots=True)
class Correction:
    """Sequence correction of one direction of a TCP connection.

    Bytes of the sender's sequence space at or after `position` are shifted by
    `after`, those before it by `before` (both signed).
    """

    position: Annotated[int, Param(32)]
    before: Annotated[int, Param(32, signed=True)]
    after: Annotated[int, Param(32, signed=True)]


@table("sequence", size=p4.SIZE_SEQUENCE, action="correct")
class Sequence(Entry):
    """`sequence`: corrections of a connection; `outbound` is inside to outside."""

    flow: FlowKey
    outbound: Annotated[Correction, Prefixed("out_")]
    inbound: Annotated[Correction, Prefixed("in_")]


@table("fragment", size=p4.SIZE_FRAGMENT, action="set_ids")
class Fragment(Entry):
    """`fragment`: the transport identifiers of a fragmented datagram (RFC 4787 REQ-14)."""

    src_addr: Annotated[int, Exact(32, IPV4)]
    dst_addr: Annotated[int, Exact(32, IPV4)]
    proto: Annotated[int, Exact(8)]
    ident: Annotated[int, Exact(16)]
    src_id: Annotated[int, Param(32)]
    dst_id: Annotated[int, Param(32)]
    idle_timeout: Annotated[float, IDLE_TIMEOUT] = 0.0


@table("alg_service", size=p4.SIZE_ALG_SERVICE, action="bind_alg")
class Service(Entry):
    """`alg_service`: new flows to this server port belong to an ALG; (value, mask) pairs."""

    proto: Annotated[int, Ternary(8)]
    server_id: Annotated[tuple[int, int], Ternary(32)]
    alg_id: Annotated[int, Param(8)]
    priority: Annotated[int, PRIORITY] = 10


@table("route", size=p4.SIZE_ROUTE, action="via")
class Route(Entry):
    """`route`: longest prefix to a next hop; `next_hop` 0 means not resolved yet (punted)."""

    addr: Annotated[int, Lpm(32, "prefix_len", IPV4)]
    prefix_len: Annotated[int, PREFIX_LENGTH]
    next_hop: Annotated[int, Param(32)]


@table("next_hop", size=p4.SIZE_NEXT_HOP, action="leave")
class NextHop(Entry):
    """`next_hop`: how packets leave; `mtu` in bytes of IP packet, `vlan_id` 0: untagged."""

    next_hop: Annotated[int, Exact(32)]
    port: Annotated[int, Param(9)]
    vlan_id: Annotated[int, Param(12)]
    src_mac: Annotated[int, Param(48, MAC)]
    dst_mac: Annotated[int, Param(48, MAC)]
    mtu: Annotated[int, Param(16)]


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
