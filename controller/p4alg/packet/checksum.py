"""The Internet checksum (RFC 1071)."""

from __future__ import annotations

import struct

from p4alg.protocols import UDP


def total(data: bytes) -> int:
    """The one's complement sum of 16-bit words, folded to 16 bits; odd data is padded with 0."""
    if len(data) & 1:
        data += b"\0"
    value: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while value >> 16:
        value = (value & 0xFFFF) + (value >> 16)
    return value


def checksum(data: bytes) -> int:
    """The checksum of `data`, in which the checksum field is 0."""
    return ~total(data) & 0xFFFF


def transport_checksum(src: int, dst: int, proto: int, data: bytes) -> int:
    """The checksum of a TCP or UDP segment with its pseudo header (RFC 9293 3.1, RFC 768)."""
    value = checksum(struct.pack("!IIHH", src, dst, proto, len(data)) + data)
    # UDP says "none" with 0, so a computed 0 is sent as its equal (RFC 768).
    return value or 0xFFFF if proto == UDP else value
