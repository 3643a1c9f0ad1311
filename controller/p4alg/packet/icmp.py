"""ICMP (RFC 792): what the gateway answers and reports itself."""

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
"""Bytes of the offending datagram in an error, which then has at most 576 (RFC 1812 4.3.2.3)."""


class Icmp(NamedTuple):
    """The header; `ident` and `sequence` mean something in queries only."""

    type: int
    code: int
    ident: int
    sequence: int


def parse_icmp(packet: Ipv4) -> Icmp:
    """Read the header of an ICMP message; PacketError if it is truncated."""
    if packet.proto != ICMP or packet.offset or packet.end - packet.l4 < _HEAD.size:
        raise PacketError("not an ICMP message")
    kind, code, _, ident, sequence = _HEAD.unpack_from(packet.frame, packet.l4)
    return Icmp(kind, code, ident, sequence)


def is_query(kind: int) -> bool:
    """Whether a message type carries an identifier (RFC 5508 section 1)."""
    return kind in _QUERIES


def echo_reply(packet: Ipv4) -> bytes:
    """The answer to an echo request, to its sender."""
    body = bytearray(packet.payload)
    body[0], body[2], body[3] = ECHO_REPLY, 0, 0
    struct.pack_into("!H", body, 2, checksum(bytes(body)))
    return _back(packet, packet.dst, bytes(body))


def icmp_error(packet: Ipv4, *, src_addr: int, type_: int, code: int, mtu: int = 0) -> bytes | None:
    """An error about `packet` from `src_addr` to its sender; None where none may be sent.

    That is about ICMP errors, fragments other than the first, broadcasts and
    multicasts, and senders that are not one host (RFC 1812 section 4.3.2.7).
    `mtu` is told with "fragmentation needed" (RFC 1191).
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
