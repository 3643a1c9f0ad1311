"""Frames for the tests of this package, with checksums of the tests' own."""

import struct

from p4alg.packet.ipv4 import Ipv4, build_ipv4, parse_ipv4
from p4alg.packet.tcp import ACK

MACS = (0x020000000001, 0x020000000002)
"""Destination and source."""
SRC, DST = 0x0A00000B, 0xC6336401
ICMP, TCP, UDP, GRE, ESP = 1, 6, 17, 47, 50


def internet_sum(data: bytes) -> int:
    """The one's complement sum, word by word as RFC 1071 section 1 puts it."""
    found = 0
    for at in range(0, len(data), 2):
        found += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        found = (found & 0xFFFF) + (found >> 16)
    return found


def ip(proto: int, body: bytes, vlan: int = 0) -> Ipv4:
    """A datagram."""
    return parse_ipv4(build_ipv4(MACS, vlan, SRC, DST, proto, body))


def tcp_segment(
    options: bytes = b"", payload: bytes = b"", flags: int = ACK, seq: int = 1, urgent: int = 0
) -> Ipv4:
    """A segment from port 40000 to port 21 that acknowledges 2."""
    head = struct.pack(
        "!HHIIBBHHH", 40000, 21, seq, 2, (20 + len(options)) << 2, flags, 501, 0, urgent
    )
    return ip(TCP, with_checksum(head + options + payload, 16, TCP))


def udp_datagram(payload: bytes, check: bytes = b"\0\0") -> bytes:
    """The frame of a datagram from port 5000 to port 69; without a checksum unless given."""
    size = (8 + len(payload)).to_bytes(2, "big")
    return build_ipv4(MACS, 0, SRC, DST, UDP, b"\x13\x88\x00\x45" + size + check + payload)


def icmp_query(kind: int = 8, ident: int = 77) -> Ipv4:
    """An echo request, or another ICMP message."""
    body = struct.pack("!BBHHH", kind, 0, 0, ident, 5) + b"data"
    check = 0xFFFF ^ internet_sum(body)
    return ip(ICMP, body[:2] + check.to_bytes(2, "big") + body[4:])


def with_checksum(body: bytes, at: int, proto: int) -> bytes:
    """A transport body with its checksum set at offset `at`."""
    check = 0xFFFF ^ internet_sum(pseudo_header(SRC, DST, proto, len(body)) + body)
    return body[:at] + check.to_bytes(2, "big") + body[at + 2 :]


def pseudo_header(src: int, dst: int, proto: int, size: int) -> bytes:
    return struct.pack("!IIBBH", src, dst, 0, proto, size)


def ip_header_is_right(packet: Ipv4) -> bool:
    """Whether the checksum of the IP header is right."""
    return internet_sum(packet.frame[packet.l3 : packet.l4]) == 0xFFFF


def transport_is_right(packet: Ipv4) -> bool:
    """Whether the checksum of a TCP segment or UDP datagram is right."""
    pseudo = pseudo_header(packet.src, packet.dst, packet.proto, len(packet.payload))
    return internet_sum(pseudo + packet.payload) == 0xFFFF
