"""ICMP (RFC 792): reading messages, and building those that the gateway itself sends."""

from __future__ import annotations

import struct
from typing import NamedTuple

from p4alg.packet.checksum import checksum
from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import Ipv4, build_ipv4
from p4alg.protocols import ICMP

ECHO_REPLY, UNREACHABLE, ECHO_REQUEST, TIME_EXCEEDED = 0, 3, 8, 11
_QUERIES = frozenset({0, 8, 13, 14, 15, 16, 17, 18})
_ERRORS = frozenset({3, 4, 5, 11, 12})
_HEAD = struct.Struct("!BBHHH")
_QUOTE = 548
"""Most bytes of the datagram at fault that an error quotes.

The error's own datagram then has at most 576 bytes (RFC 1812 section 4.3.2.3).
"""


class Icmp(NamedTuple):
    """The header of a message; `ident` and `sequence` have a meaning in queries only."""

    type: int
    code: int
    ident: int
    sequence: int


def parse_icmp(packet: Ipv4) -> Icmp:
    """Read a message's header; PacketError if it is truncated, a later fragment or not ICMP."""
    if packet.proto != ICMP or packet.offset or packet.end - packet.l4 < _HEAD.size:
        raise PacketError("not an ICMP message")
    kind, code, _, ident, sequence = _HEAD.unpack_from(packet.frame, packet.l4)
    return Icmp(kind, code, ident, sequence)


def is_query(kind: int) -> bool:
    """Whether a message type is a query or a reply to one (RFC 5508 section 1)."""
    return kind in _QUERIES


def echo_reply(packet: Ipv4) -> bytes:
    """The frame that answers an echo request."""
    body = bytearray(packet.payload)
    body[0], body[2], body[3] = ECHO_REPLY, 0, 0
    struct.pack_into("!H", body, 2, checksum(bytes(body)))
    return _back(packet, packet.dst, bytes(body))


def icmp_error(packet: Ipv4, *, src_addr: int, type_: int, code: int, mtu: int = 0) -> bytes | None:
    """The frame that reports an error about `packet` to its sender, from `src_addr`.

    `mtu`, in bytes, goes with "fragmentation needed" (RFC 1191). None if `packet` must not be
    answered (RFC 1812 section 4.3.2.7): an ICMP error, a fragment other than the first, a
    broadcast or multicast, or one whose source address is not that of a single host.
    """
    if packet.offset or packet.eth.dst >> 40 & 1 or packet.dst >> 28 >= 14:
        return None
    if packet.src >> 24 in (0, 127) or packet.src >> 28 >= 14:
        return None
    if packet.proto == ICMP and (packet.end == packet.l4 or packet.frame[packet.l4] in _ERRORS):
        return None
    quoted = packet.frame[packet.l3 : min(packet.end, packet.l3 + _QUOTE)]
    body = _HEAD.pack(type_, code, 0, 0, mtu) + quoted
    body = body[:2] + checksum(body).to_bytes(2, "big") + body[4:]
    return _back(packet, src_addr, body)


def _back(packet: Ipv4, src_addr: int, body: bytes) -> bytes:
    macs = (packet.eth.src, packet.eth.dst)
    return build_ipv4(macs, packet.eth.vlan_id, src_addr, packet.src, ICMP, body)
