"""IPv4 (RFC 791): reading datagrams, replacing their payload, fragmenting them."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from p4alg.packet.checksum import checksum
from p4alg.packet.errors import PacketError
from p4alg.packet.ethernet import ETH_IPV4, Ethernet, build_ethernet, parse_ethernet

_HEAD = struct.Struct("!BBHHHBBHII")
_MORE, _DONT = 0x2000, 0x4000
_MIN_MTU = 68
_COPIED = 0x80


@dataclass(frozen=True, slots=True)
class Ipv4:
    """An Ethernet frame that carries an IPv4 datagram, or a fragment of one.

    `l3`, `l4` and `end` say where in `frame` the IP header begins, the payload begins, and the
    datagram ends; padding may follow. `offset` is the fragment offset in bytes. Whether the
    header checksum is right was not looked at.
    """

    frame: bytes
    eth: Ethernet
    l3: int
    l4: int
    end: int
    src: int
    dst: int
    proto: int
    ttl: int
    ident: int
    offset: int
    more_fragments: bool
    dont_fragment: bool

    @property
    def payload(self) -> bytes:
        """What the datagram carries."""
        return self.frame[self.l4 : self.end]

    @property
    def is_fragment(self) -> bool:
        """Whether this is not a whole datagram."""
        return self.more_fragments or self.offset != 0


def parse_ipv4(frame: bytes) -> Ipv4:
    """Read a frame; PacketError unless it carries IPv4 and is as long as its header says."""
    eth = parse_ethernet(frame)
    l3 = eth.payload_offset
    if eth.ether_type != ETH_IPV4 or len(frame) < l3 + _HEAD.size:
        raise PacketError("not an IPv4 packet")
    first, _, length, ident, fragment, ttl, proto, _, src, dst = _HEAD.unpack_from(frame, l3)
    header = (first & 15) << 2
    if first >> 4 != 4 or header < _HEAD.size:
        raise PacketError("not an IPv4 header")
    if length < header or l3 + length > len(frame):
        raise PacketError("IPv4 length does not fit the frame")
    return Ipv4(
        frame,
        eth,
        l3,
        l3 + header,
        l3 + length,
        src,
        dst,
        proto,
        ttl,
        ident,
        (fragment & 0x1FFF) << 3,
        bool(fragment & _MORE),
        bool(fragment & _DONT),
    )


def replace_ipv4(packet: Ipv4, payload: bytes) -> bytes:
    """The frame with another payload. The IP header keeps its options and all else."""
    head = bytearray(packet.frame[: packet.l4])
    _finish(head, packet.l3, len(payload))
    return bytes(head) + payload


def build_ipv4(
    macs: tuple[int, int],
    vlan_id: int,
    src: int,
    dst: int,
    proto: int,
    payload: bytes,
    ttl: int = 64,
) -> bytes:
    """A new frame, untagged if `vlan_id` is 0; `macs` are its destination and its source.

    Routers may not fragment the datagram.
    """
    head = bytearray(_HEAD.pack(0x45, 0, 0, 0, _DONT, ttl, proto, 0, src, dst))
    _finish(head, 0, len(payload))
    return build_ethernet(*macs, vlan_id, ETH_IPV4, bytes(head) + payload)


def allow_fragments(packet: Ipv4) -> bytes:
    """The frame without the "don't fragment" flag.

    A sender that sets this flag may give all its datagrams the identification 0 (RFC 6864
    section 4.1). Their fragments would be mixed up, so 0 is replaced by a number that
    depends on the payload.
    """
    out = bytearray(packet.frame[: packet.l4])
    ident = packet.ident or zlib.crc32(packet.payload) & 0xFFFF
    (word,) = struct.unpack_from("!H", out, packet.l3 + 6)
    struct.pack_into("!HH", out, packet.l3 + 4, ident, word & ~_DONT)
    _finish(out, packet.l3, packet.end - packet.l4)
    return bytes(out) + packet.frame[packet.l4 :]


def fragment_ipv4(packet: Ipv4, mtu: int) -> list[bytes]:
    """The datagram in fragments of at most `mtu` bytes, as frames (RFC 791 section 3.2).

    PacketError if its sender forbids that, or if `mtu` is below 68.
    """
    if packet.dont_fragment or mtu < _MIN_MTU:
        raise PacketError("may not be fragmented")
    head = packet.frame[packet.l3 : packet.l4]
    later = head[: _HEAD.size] + _copied_options(head[_HEAD.size :])
    pieces: list[bytes] = []
    payload, at = packet.payload, 0
    while True:
        own = head if at == 0 else later
        room = (mtu - len(own)) // 8 * 8
        part = payload[at : at + room]
        more = packet.more_fragments or at + len(part) < len(payload)
        out = bytearray(packet.frame[: packet.l3] + own)
        start = packet.offset + at >> 3
        struct.pack_into("!H", out, packet.l3 + 6, start | (_MORE if more else 0))
        out[packet.l3] = 0x40 | len(own) >> 2
        _finish(out, packet.l3, len(part))
        pieces.append(bytes(out) + part)
        at += room
        if at >= len(payload):
            return pieces


def _finish(head: bytearray, l3: int, payload: int) -> None:
    """Set the length and the checksum in the IP header, which `head` has from `l3` to its end.

    `payload` is how many bytes will follow.
    """
    struct.pack_into("!H", head, l3 + 2, len(head) - l3 + payload)
    struct.pack_into("!H", head, l3 + 10, 0)
    struct.pack_into("!H", head, l3 + 10, checksum(bytes(head[l3:])))


def _copied_options(options: bytes) -> bytes:
    """Of a header's options those that every fragment has (the copied flag is set), padded."""
    kept = bytearray()
    at = 0
    while at < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if size < 2 or at + size > len(options):
            break
        if options[at] & _COPIED:
            kept += options[at : at + size]
        at += size
    return bytes(kept + bytes(-len(kept) % 4))
