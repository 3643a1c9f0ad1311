"""Ethernet II frames, untagged or with one 802.1Q tag. MAC addresses are integers."""

from __future__ import annotations

import struct
from typing import NamedTuple

from p4alg.packet.errors import PacketError

ETH_IPV4 = 0x0800
ETH_ARP = 0x0806
ETH_VLAN = 0x8100
BROADCAST = 0xFFFFFFFFFFFF
_TAGGED = 18
_UNTAGGED = 14


class Ethernet(NamedTuple):
    """A frame's header; `vlan_id` is 0 for an untagged one."""

    dst: int
    src: int
    vlan_id: int
    ether_type: int
    payload_offset: int


def parse_ethernet(frame: bytes) -> Ethernet:
    """Read the header; PacketError if it is truncated."""
    if len(frame) < _UNTAGGED:
        raise PacketError("frame shorter than an Ethernet header")
    dst, src = int.from_bytes(frame[:6], "big"), int.from_bytes(frame[6:12], "big")
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind != ETH_VLAN:
        return Ethernet(dst, src, 0, kind, _UNTAGGED)
    if len(frame) < _TAGGED:
        raise PacketError("frame shorter than its VLAN tag")
    tag, kind = struct.unpack_from("!HH", frame, 14)
    return Ethernet(dst, src, tag & 0xFFF, kind, _TAGGED)


def build_ethernet(dst: int, src: int, vlan_id: int, ether_type: int, payload: bytes) -> bytes:
    """A frame; tagged unless `vlan_id` is 0. Not padded."""
    head = dst.to_bytes(6, "big") + src.to_bytes(6, "big")
    if vlan_id:
        head += struct.pack("!HH", ETH_VLAN, vlan_id)
    return head + struct.pack("!H", ether_type) + payload
