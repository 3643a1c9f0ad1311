"""The Internet checksum (RFC 1071)."""

from __future__ import annotations

import struct

from p4alg.protocols import UDP


def total(data: bytes) -> int:
    """The one's complement sum of the 16-bit words of `data`, to which a 0 is added if it is odd.

    0xFFFF if `data` holds its own right checksum.
    """
    if len(data) & 1:
        data += b"\0"
    # As 2**16 is 1 modulo 0xFFFF, the words of the number add up to its remainder; a sum that is
    # not 0 is never folded to 0.
    number = int.from_bytes(data, "big")
    return number % 0xFFFF or (0xFFFF if number else 0)


def checksum(data: bytes) -> int:
    """The checksum of `data`, whose checksum field must be 0."""
    return ~total(data) & 0xFFFF


def transport_checksum(src: int, dst: int, proto: int, data: bytes) -> int:
    """The checksum of a TCP segment or UDP datagram, whose checksum field must be 0.

    It covers a pseudo header with the addresses, too (RFC 9293 section 3.1, RFC 768).
    """
    value = checksum(struct.pack("!IIHH", src, dst, proto, len(data)) + data)
    # In UDP, 0 means that there is no checksum. A computed 0 is sent as 0xFFFF, which is the
    # same number in one's complement (RFC 768).
    return value or 0xFFFF if proto == UDP else value
