"""The tables of the switch, as the engine sees them.

Each class here declares one table; an object of the class is one entry of that table.

These classes are the interface between the engine and the data plane. They are the only place
that says what a table holds: key, parameters, widths, action, priority and ageing.
`declaration.py` explains the annotations, and docs/targets.md says how to add a table. Fields
have the names that they have in the P4 program (p4src/).

Addresses are IPv4 addresses as integers. An id is a 32-bit identifier of the flow key: a port,
an ICMP query id, a GRE call id, or an SPI. Timeouts are in seconds; an entry with timeout 0 does
not age.

An organisation is an address realm of its own: inside addresses of different organisations may be
the same. 0 is the default one. A subscriber is an inside host, by the number it has in the switch
(1..16383; 0: none). Ticks are the switch's unit of time (`ticks`).
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
    """A flow, named by its inside and its remote end; both directions have the same key."""

    proto: Annotated[int, Exact(8)]
    inside_addr: Annotated[int, Exact(32, IPV4)]
    inside_id: Annotated[int, Exact(32)]
    remote_addr: Annotated[int, Exact(32, IPV4)]
    remote_id: Annotated[int, Exact(32)]
    organisation: Annotated[int, Exact(8)] = 0


@table("port_zone", size=p4.SIZE_PORT_ZONE, action="set_zone")
class Port(Entry):
    """`port_zone`: the zone of a switch port and VLAN (0: untagged), and our MAC address there."""

    port: Annotated[int, Exact(16)]
    vlan_id: Annotated[int, Exact(12)]
    zone: Annotated[int, Param(8)]
    side: Annotated[Side, Param(1)]
    mac: Annotated[int, Param(48, MAC)]
    organisation: Annotated[int, Param(8)] = 0


class SourceAction(Enum):
    """Whether packets with a source address are let in."""

    ACCEPT = "accept_source"
    REFUSE = "refuse_source"


@table("source", size=p4.SIZE_SOURCE)
class Source(Entry):
    """`source`: whether a source address may come from a zone; the longest prefix that matches
    decides (RFC 2827). What matches no prefix is refused.
    """

    zone: Annotated[int, Exact(8)]
    src_addr: Annotated[int, Lpm(32, "prefix_len", IPV4)]
    prefix_len: Annotated[int, PREFIX_LENGTH]
    action: Annotated[SourceAction, ACTION] = SourceAction.ACCEPT


@table("local_addr", size=p4.SIZE_LOCAL_ADDR, action="is_local")
class Local(Entry):
    """`local_addr`: an address of the gateway itself. Packets to it are punted."""

    addr: Annotated[int, Exact(32, IPV4)]


@table("pool", size=p4.SIZE_POOL, action="in_pool")
class PoolPrefix(Entry):
    """`pool`: a prefix of the gateway's outside addresses.

    A packet from inside to such an address is for another inside host (hairpinning).
    """

    addr: Annotated[int, Lpm(32, "prefix_len", IPV4)]
    prefix_len: Annotated[int, PREFIX_LENGTH]


class PolicyAction(Enum):
    """What a policy rule does with a packet."""

    TRANSLATE = "translate"
    EXEMPT = "exempt"
    DENY = "deny"


@table("policy", size=p4.SIZE_POLICY)
class Policy(Entry):
    """`policy`: a rule. Each match field is (value, mask); mask 0 matches everything."""

    priority: Annotated[int, PRIORITY]
    action: Annotated[PolicyAction, ACTION]
    side: Annotated[tuple[int, int], Ternary(1)] = (0, 0)
    proto: Annotated[tuple[int, int], Ternary(8)] = (0, 0)
    src_addr: Annotated[tuple[int, int], Ternary(32, IPV4)] = (0, 0)
    dst_addr: Annotated[tuple[int, int], Ternary(32, IPV4)] = (0, 0)
    dst_id: Annotated[tuple[int, int], Ternary(32)] = (0, 0)
    organisation: Annotated[tuple[int, int], Ternary(8)] = (0, 0)


@table(
    "subscriber",
    size=p4.SIZE_SUBSCRIBER,
    action=Unless0(
        "port_mask", "own_block", "no_block", also=("outside_addr", "port_base", "salt")
    ),
)
class Subscriber(Entry):
    """`subscriber`: an inside host, and the block in which the switch makes its mappings.

    The block are the ports from `port_base` to `port_base` + `port_mask`. With `port_mask` 0 the
    host has none: there are only static mappings to it. `salt` is a random number.
    """

    inside_addr: Annotated[int, Exact(32, IPV4)]
    subscriber: Annotated[int, Param(16)]
    outside_addr: Annotated[int, Param(32, IPV4)] = 0
    port_base: Annotated[int, Param(16)] = 0
    port_mask: Annotated[int, Param(16)] = 0
    salt: Annotated[int, Param(16)] = 0
    idle_timeout: Annotated[float, IDLE_TIMEOUT] = 0.0
    organisation: Annotated[int, Exact(8)] = 0


@table("block", size=p4.SIZE_BLOCK, action="held_by")
class Block(Entry):
    """`block`: whose a block of outside ports is; ports are given as a prefix of 32 bits."""

    outside_addr: Annotated[int, Exact(32, IPV4)]
    outside_id: Annotated[int, Lpm(32, "prefix_len")]
    prefix_len: Annotated[int, PREFIX_LENGTH]
    subscriber: Annotated[int, Param(16)]
    inside_addr: Annotated[int, Param(32, IPV4)]
    organisation: Annotated[int, Param(8)] = 0
    idle_timeout: Annotated[float, IDLE_TIMEOUT] = 0.0


@table("scramble_low", size=p4.SIZE_SCRAMBLE, action="scramble")
class ScrambleLow(Entry):
    """`scramble_low`: the random number of a value of the low byte of an inside port.

    With `scramble_high` it is the secret by which outside ports are chosen (RFC 6056).
    """

    byte: Annotated[int, Exact(8)]
    value: Annotated[int, Param(16)]


@table("scramble_high", size=p4.SIZE_SCRAMBLE, action="scramble")
class ScrambleHigh(Entry):
    """`scramble_high`: the random number of a value of the high byte of an inside port."""

    byte: Annotated[int, Exact(8)]
    value: Annotated[int, Param(16)]


class TimerAction(Enum):
    """What a packet does to the time that its flow has left."""

    SET = "set_ttl"
    CUT = "cut_ttl"
    """It only ever shortens that time."""


@table("timer", size=p4.SIZE_TIMER)
class Timer(Entry):
    """`timer`: how long a plain flow lives on after a packet; the highest priority wins.

    `phase` says what has been seen of the flow, as (value, mask). A packet that no entry matches
    leaves the time as it is.
    """

    proto: Annotated[int, Ternary(8)]
    phase: Annotated[tuple[int, int], Ternary(8)]
    server_id: Annotated[int | None, Ternary(32)]
    outbound: Annotated[int | None, Ternary(1)]
    ticks: Annotated[int, Param(32)]
    priority: Annotated[int, PRIORITY]
    action: Annotated[TimerAction, ACTION] = TimerAction.SET


@table("gateway", size=1, action="set_gateway")
class Gateway(Entry):
    """`gateway`: what holds for all mappings of the switch. It has no key."""

    rest: Annotated[int, Param(32)]
    """How long a freed outside port rests, in ticks."""
    filter_mode: Annotated[FilterMode, Param(2)]


@table("map_out", size=p4.SIZE_MAPPING, action="set_outside")
class MapOut(Entry):
    """`map_out`: the outside endpoint that replaces an inside one in packets from inside."""

    proto: Annotated[int, Exact(8)]
    inside_addr: Annotated[int, Exact(32, IPV4)]
    inside_id: Annotated[int, Exact(32)]
    outside_addr: Annotated[int, Param(32, IPV4)]
    outside_id: Annotated[int, Param(32)]
    subscriber: Annotated[int, Param(16)] = 0
    managed: Annotated[int, Param(1)] = 0
    """1: new flows of the mapping are the controller's to set up, not the switch's."""
    organisation: Annotated[int, Exact(8)] = 0


@table("map_in", size=p4.SIZE_MAPPING, action="set_inside")
class MapIn(Entry):
    """`map_in`: the inside endpoint behind an outside one, and which remote ends may open flows."""

    proto: Annotated[int, Exact(8)]
    outside_addr: Annotated[int, Exact(32, IPV4)]
    outside_id: Annotated[int, Exact(32)]
    inside_addr: Annotated[int, Param(32, IPV4)]
    inside_id: Annotated[int, Param(32)]
    filter_mode: Annotated[FilterMode, Param(2)]
    subscriber: Annotated[int, Param(16)] = 0
    organisation: Annotated[int, Param(8)] = 0
    managed: Annotated[int, Param(1)] = 0
    """As in `MapOut`."""


@table("ike_in", size=p4.SIZE_IKE, action="set_inside")
class IkeIn(Entry):
    """`ike_in`: the inside host of an IKE exchange, found by the initiator's SPI.

    It is needed where several hosts keep port 500 at the same outside address.
    """

    outside_addr: Annotated[int, Exact(32, IPV4)]
    initiator_spi: Annotated[int, Exact(64)]
    inside_addr: Annotated[int, Param(32, IPV4)]
    inside_id: Annotated[int, Param(32)]
    filter_mode: Annotated[FilterMode, Param(2)]
    subscriber: Annotated[int, Param(16)] = 0
    organisation: Annotated[int, Param(8)] = 0
    managed: Annotated[int, Param(1)] = 1


@table("addr_map_out", size=p4.SIZE_ADDR_MAP, action="set_outside_addr")
class AddrMapOut(Entry):
    """`addr_map_out`: the outside address that stands for a whole inside address (1:1)."""

    inside_addr: Annotated[int, Exact(32, IPV4)]
    outside_addr: Annotated[int, Param(32, IPV4)]
    subscriber: Annotated[int, Param(16)] = 0
    organisation: Annotated[int, Exact(8)] = 0


@table("addr_map_in", size=p4.SIZE_ADDR_MAP, action="set_inside_addr")
class AddrMapIn(Entry):
    """`addr_map_in`: the inside address behind a whole outside address (1:1)."""

    outside_addr: Annotated[int, Exact(32, IPV4)]
    inside_addr: Annotated[int, Param(32, IPV4)]
    filter_mode: Annotated[FilterMode, Param(2)]
    subscriber: Annotated[int, Param(16)] = 0
    organisation: Annotated[int, Param(8)] = 0


@table("peer", size=p4.SIZE_PEER, action="peer_known")
class PeerEntry(Entry):
    """`peer`: a remote address an inside endpoint has sent to (address-dependent filtering)."""

    proto: Annotated[int, Exact(8)]
    inside_addr: Annotated[int, Exact(32, IPV4)]
    inside_id: Annotated[int, Exact(32)]
    remote_addr: Annotated[int, Exact(32, IPV4)]
    organisation: Annotated[int, Exact(8)] = 0


@table("session", size=p4.SIZE_SESSION, action="allow")
class Session(Entry):
    """`session`: a flow that is allowed in both directions.

    If `alg_id` is not 0, the switch gives the controller every packet of the flow that has a
    payload, and with TCP every SYN, FIN and RST too. With a `WATCH_` flag it gives the
    controller only UDP datagrams that are shorter than `watch_below` bytes, UDP header included.
    """

    flow: FlowKey
    alg_id: Annotated[int, Param(8)] = 0
    flags: Annotated[SessionFlags, Param(8)] = SessionFlags.NONE
    idle_timeout: Annotated[float, IDLE_TIMEOUT] = 0.0
    watch_below: Annotated[int, Param(16)] = 0


@table("pinhole", size=p4.SIZE_PINHOLE, action=Unless0("alg_id", "inspect", otherwise="permit"))
class PinholeEntry(Entry):
    """`pinhole`: flows from outside that may begin although there is no session for them yet.

    The switch forwards a packet that matches and reports it, but only of as many flows as `flows`
    says, at most `p4constants.WAYS_PINHOLE`. If `alg_id` is not 0, it punts the
    packet instead, as it does with the first packet of any new flow, and the ALG reads it; such a
    packet may come from inside too. None for an id or `remote_addr` matches everything. The
    highest `priority` wins.
    """

    proto: Annotated[int, Ternary(8)]
    inside_addr: Annotated[int, Ternary(32, IPV4)]
    inside_id: Annotated[int | None, Ternary(32)]
    remote_addr: Annotated[int | None, Ternary(32, IPV4)]
    remote_id: Annotated[int | None, Ternary(32)]
    pinhole_id: Annotated[int, Param(32)]
    priority: Annotated[int, PRIORITY] = 10
    idle_timeout: Annotated[float, IDLE_TIMEOUT] = 0.0
    alg_id: Annotated[int, Param(8)] = 0
    flows: Annotated[int, Param(8)] = 1
    organisation: Annotated[int | None, Ternary(8)] = 0


@dataclass(frozen=True, slots=True)
class Correction:
    """The correction of sequence numbers in one direction of a TCP connection.

    `position` is a sequence number as the sender uses it. The switch adds `before` to the
    sequence numbers below it, and `after` to all others. Both may be negative.
    """

    position: Annotated[int, Param(32)]
    before: Annotated[int, Param(32, signed=True)]
    after: Annotated[int, Param(32, signed=True)]


@table("sequence", size=p4.SIZE_SEQUENCE, action="correct")
class Sequence(Entry):
    """`sequence`: the corrections of a TCP connection; `outbound` is from inside to outside."""

    flow: FlowKey
    outbound: Annotated[Correction, Prefixed("out_")]
    inbound: Annotated[Correction, Prefixed("in_")]


@table("alg_service", size=p4.SIZE_ALG_SERVICE, action="bind_alg")
class Service(Entry):
    """`alg_service`: an ALG reads new flows to these server ports, given as (value, mask)."""

    proto: Annotated[int, Ternary(8)]
    server_id: Annotated[tuple[int, int], Ternary(32)]
    alg_id: Annotated[int, Param(8)]
    priority: Annotated[int, PRIORITY] = 10
    organisation: Annotated[int | None, Ternary(8)] = None


@table("route", size=p4.SIZE_ROUTE, action="via")
class Route(Entry):
    """`route`: the next hop of a prefix; the longest prefix that matches wins.

    Packets to outside are looked up in the organisation that they come from, and packets to
    inside in that which they go to.
    With `next_hop` 0 the switch punts the packet, for the neighbour has to be resolved first.
    """

    addr: Annotated[int, Lpm(32, "prefix_len", IPV4)]
    prefix_len: Annotated[int, PREFIX_LENGTH]
    next_hop: Annotated[int, Param(32)]
    organisation: Annotated[int, Exact(8)] = 0


@table("next_hop", size=p4.SIZE_NEXT_HOP, action="leave")
class NextHop(Entry):
    """`next_hop`: how packets leave. `mtu` is in bytes of IP packet; `vlan_id` 0 is untagged."""

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
    """One table write. For a DELETE only the key fields of the entry have to be right."""

    op: Op
    entry: Entry
