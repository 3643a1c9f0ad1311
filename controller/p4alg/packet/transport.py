"""The identifiers that, with the addresses, tell a packet's flow."""

from __future__ import annotations

import struct

from p4alg import p4constants
from p4alg.packet.icmp import is_query
from p4alg.packet.ipv4 import Ipv4
from p4alg.protocols import ESP, GRE, ICMP, TCP, UDP

_CALL = struct.Struct("!HHHH")
CALL_FLAG = p4constants.CALL_FLAG
"""Is set in the identifier of every GRE call, whose call id may be 0; 0 alone means none."""
_VERSION, _ENHANCED, _PPP = 0x2007, 0x2001, 0x880B


def transport_ids(packet: Ipv4) -> tuple[int, int] | None:
    """The identifiers of a packet's sender and of its receiver.

    In TCP and UDP they are the ports. An ICMP query has one identifier, which is returned twice.
    Enhanced GRE and ESP name the receiver only, by a call id (with `CALL_FLAG`) or an SPI, so
    the sender's is 0. None for other packets, fragments but the first, and truncated ones.
    """
    if packet.offset:
        return None
    size = packet.end - packet.l4
    if packet.proto in (TCP, UDP) and size >= 4:
        source, target = struct.unpack_from("!HH", packet.frame, packet.l4)
        return source, target
    if packet.proto == ICMP and size >= 8 and is_query(packet.frame[packet.l4]):
        (ident,) = struct.unpack_from("!H", packet.frame, packet.l4 + 4)
        return ident, ident
    if packet.proto == GRE and size >= _CALL.size:
        flags, proto, _, call_id = _CALL.unpack_from(packet.frame, packet.l4)
        return (0, CALL_FLAG | call_id) if (flags & _VERSION, proto) == (_ENHANCED, _PPP) else None
    if packet.proto == ESP and size >= 8:
        (spi,) = struct.unpack_from("!I", packet.frame, packet.l4)
        return 0, spi
    return None
