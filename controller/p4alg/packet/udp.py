"""UDP datagrams (RFC 768)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from p4alg.packet.checksum import transport_checksum
from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import Ipv4, build_ipv4, replace_ipv4
from p4alg.protocols import UDP

HEADER = 8
"""Bytes of a UDP header."""
_HEAD = struct.Struct("!HHHH")
_LONGEST = 0xFFFF - 20
"""Bytes of a datagram behind an IPv4 header without options."""


@dataclass(frozen=True, slots=True)
class Udp:
    """A datagram; `has_checksum` is False if its sender did not compute a checksum."""

    src_port: int
    dst_port: int
    payload: bytes
    has_checksum: bool


def parse_udp(packet: Ipv4) -> Udp:
    """Read the datagram in a packet; PacketError for a fragment, or if the lengths do not fit."""
    body = packet.payload
    if packet.proto != UDP or packet.is_fragment or len(body) < HEADER:
        raise PacketError("not a whole UDP datagram")
    source, target, length, check = _HEAD.unpack_from(body)
    if not HEADER <= length <= len(body):
        raise PacketError("UDP length does not fit the packet")
    return Udp(source, target, body[HEADER:length], check != 0)


def replace_udp(packet: Ipv4, payload: bytes) -> bytes:
    """The frame with another payload; PacketError if it is too long for a datagram.

    If the datagram has a checksum, a new one is computed. So it must be intact (`is_intact`):
    otherwise damage would get a right checksum.
    """
    udp = parse_udp(packet)
    size = HEADER + len(payload)
    if packet.l4 - packet.l3 + size > 0xFFFF:
        raise PacketError("too long for a datagram")
    body = bytearray(_HEAD.pack(udp.src_port, udp.dst_port, size, 0) + payload)
    if udp.has_checksum:
        check = transport_checksum(packet.src, packet.dst, UDP, bytes(body))
        struct.pack_into("!H", body, 6, check)
    return replace_ipv4(packet, bytes(body))


def answer_udp(packet: Ipv4, payload: bytes) -> bytes:
    """A datagram from the receiver of `packet` to its sender, on the same network.

    PacketError if it is too long.
    """
    udp = parse_udp(packet)
    size = HEADER + len(payload)
    if size > _LONGEST:
        raise PacketError("too long for a datagram")
    body = bytearray(_HEAD.pack(udp.dst_port, udp.src_port, size, 0) + payload)
    check = transport_checksum(packet.dst, packet.src, UDP, bytes(body))
    struct.pack_into("!H", body, 6, check)
    macs = (packet.eth.src, packet.eth.dst)
    return build_ipv4(macs, packet.eth.vlan_id, packet.dst, packet.src, UDP, bytes(body))


def is_intact(packet: Ipv4) -> bool:
    """Whether a datagram's checksum is right, or its sender did not compute one."""
    udp = parse_udp(packet)
    if not udp.has_checksum:
        return True
    body = packet.payload[: HEADER + len(udp.payload)]
    # The sum over everything, its own checksum included, of an intact datagram is 0xFFFF.
    return transport_checksum(packet.src, packet.dst, UDP, body) == 0xFFFF
