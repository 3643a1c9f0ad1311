"""TCP segments (RFC 9293): reading them, and replacing numbers, payload and options."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from p4alg.packet.checksum import transport_checksum
from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import Ipv4, replace_ipv4
from p4alg.protocols import TCP

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
_HEAD = struct.Struct("!HHIIBBHHH")
_MAX_SCALE = 14
_END, _NOP, _MSS, _WINDOW_SCALE = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Tcp:
    """A segment. `header_len` is in bytes and counts options; `window` is as in the header.

    `urgent` is the urgent pointer, in bytes from `seq`; 0 if the URG flag is not set.
    """

    src_port: int
    dst_port: int
    seq: int
    ack: int
    flags: int
    window: int
    urgent: int
    header_len: int
    payload: bytes


def parse_tcp(packet: Ipv4) -> Tcp:
    """Read the segment in a whole datagram; PacketError if there is none or it is malformed."""
    body = packet.payload
    if packet.proto != TCP or packet.is_fragment or len(body) < _HEAD.size:
        raise PacketError("not a TCP segment")
    src, dst, seq, ack, offset, flags, window, _, urgent = _HEAD.unpack_from(body)
    header = offset >> 4 << 2
    if not _HEAD.size <= header <= len(body):
        raise PacketError("TCP data offset does not fit the segment")
    urgent = urgent if flags & URG else 0
    return Tcp(src, dst, seq, ack, flags & 0x3F, window, urgent, header, body[header:])


def is_intact(packet: Ipv4) -> bool:
    """Whether the checksum of a segment is right; every segment has one."""
    body = packet.payload
    bare = body[:16] + b"\0\0" + body[18:]
    return transport_checksum(packet.src, packet.dst, TCP, bare) == int.from_bytes(body[16:18])


def replace_tcp(
    packet: Ipv4, *, seq: int, ack: int, flags: int, payload: bytes, urgent: int = 0
) -> bytes:
    """The frame with other numbers, flags and payload, and without TCP options.

    The URG flag is set if the urgent pointer `urgent` is not 0.
    """
    tcp = parse_tcp(packet)
    flags = flags & ~URG | (URG if urgent else 0)
    ack = ack if flags & ACK else 0
    head = _HEAD.pack(tcp.src_port, tcp.dst_port, seq, ack, 5 << 4, flags, tcp.window, 0, urgent)
    return _with_checksum(packet, head + payload)


def tcp_model(packet: Ipv4) -> Ipv4:
    """The packet's headers alone, without TCP options and data: for `replace_tcp` later.

    Its lengths and checksums are not set right, since `replace_tcp` computes them anyway.
    """
    end = packet.l4 + _HEAD.size
    head = packet.frame[:end]
    if head[packet.l4 + 12] >> 4 != 5:
        head = head[: packet.l4 + 12] + bytes([5 << 4]) + head[packet.l4 + 13 :]
    return Ipv4(
        head,
        packet.eth,
        packet.l3,
        packet.l4,
        end,
        packet.src,
        packet.dst,
        packet.proto,
        packet.ttl,
        packet.ident,
        packet.offset,
        packet.more_fragments,
        packet.dont_fragment,
    )


def sanitised_syn(packet: Ipv4) -> bytes:
    """The frame of a SYN without data, and with two options only: segment size and window scale.

    All other options are overwritten by NOPs. SACK would name sequence numbers that the other
    end does not know, as an ALG shifts them. Timestamps would be missing in the segments that
    the gateway itself sends. Fast open and multipath would bring data past the ALG. The sender
    repeats the data, since nobody acknowledges it.
    """
    tcp = parse_tcp(packet)
    body = bytearray(packet.payload[: tcp.header_len])
    _clean(body)
    body[16:18] = b"\0\0"
    return _with_checksum(packet, bytes(body))


def mss_option(packet: Ipv4) -> int | None:
    """The maximum segment size that a SYN announces, in bytes; None if it announces none."""
    tcp = parse_tcp(packet)
    for at, kind, size in _options(packet.payload[: tcp.header_len]):
        if kind == _MSS and size == 4:
            (value,) = struct.unpack_from("!H", packet.payload, at + 2)
            return int(value)
    return None


def window_scale(packet: Ipv4) -> int | None:
    """By how many bits windows of a SYN's sender are shifted (RFC 7323); None if it names none."""
    tcp = parse_tcp(packet)
    for at, kind, size in _options(packet.payload[: tcp.header_len]):
        if kind == _WINDOW_SCALE and size == 3:
            return min(packet.payload[at + 2], _MAX_SCALE)
    return None


def _clean(body: bytearray) -> None:
    clean = bytearray([_NOP]) * (len(body) - _HEAD.size)
    for at, kind, size in _options(bytes(body)):
        if (kind, size) in ((_MSS, 4), (_WINDOW_SCALE, 3)):
            clean[at - _HEAD.size : at - _HEAD.size + size] = body[at : at + size]
    body[_HEAD.size :] = clean


def _options(header: bytes) -> list[tuple[int, int, int]]:
    """Offset, kind and length of each option but NOPs, up to the first that is malformed."""
    found = []
    at = _HEAD.size
    while at < len(header) and header[at] != _END:
        if header[at] == _NOP:
            at += 1
            continue
        size = header[at + 1] if at + 1 < len(header) else 0
        if size < 2 or at + size > len(header):
            break
        found.append((at, header[at], size))
        at += size
    return found


def _with_checksum(packet: Ipv4, segment: bytes) -> bytes:
    out = bytearray(segment)
    struct.pack_into("!H", out, 16, transport_checksum(packet.src, packet.dst, TCP, segment))
    return replace_ipv4(packet, bytes(out))
