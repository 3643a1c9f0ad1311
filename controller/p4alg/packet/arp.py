"""ARP for IPv4 on Ethernet (RFC 826)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from p4alg.packet.errors import PacketError
from p4alg.packet.ethernet import BROADCAST, ETH_ARP, build_ethernet, parse_ethernet

_HEAD = struct.Struct("!HHBBH")
_SIZE = 28
_REQUEST, _REPLY = 1, 2


@dataclass(frozen=True, slots=True)
class Arp:
    """An ARP request or reply; `vlan_id` and `src_mac` are from the frame around it."""

    is_request: bool
    sender_mac: int
    sender_addr: int
    target_mac: int
    target_addr: int
    vlan_id: int
    src_mac: int


def parse_arp(frame: bytes) -> Arp:
    """Read a frame; PacketError unless it carries an ARP request or reply for IPv4."""
    eth = parse_ethernet(frame)
    body = frame[eth.payload_offset : eth.payload_offset + _SIZE]
    if eth.ether_type != ETH_ARP or len(body) < _SIZE:
        raise PacketError("not an ARP packet")
    hardware, protocol, hlen, plen, operation = _HEAD.unpack_from(body)
    if (hardware, protocol, hlen, plen) != (1, 0x0800, 6, 4):
        raise PacketError("ARP for something else than IPv4 on Ethernet")
    if operation not in (_REQUEST, _REPLY):
        raise PacketError(f"ARP operation {operation}")
    return Arp(
        operation == _REQUEST,
        int.from_bytes(body[8:14], "big"),
        int.from_bytes(body[14:18], "big"),
        int.from_bytes(body[18:24], "big"),
        int.from_bytes(body[24:28], "big"),
        eth.vlan_id,
        eth.src,
    )


def arp_request(src_mac: int, vlan_id: int, sender_addr: int, target_addr: int) -> bytes:
    """A broadcast frame that asks who has `target_addr`."""
    body = _body(_REQUEST, src_mac, sender_addr, 0, target_addr)
    return build_ethernet(BROADCAST, src_mac, vlan_id, ETH_ARP, body)


def arp_reply(request: Arp, mac: int) -> bytes:
    """The answer to `request`: its target address is at `mac`."""
    body = _body(_REPLY, mac, request.target_addr, request.sender_mac, request.sender_addr)
    return build_ethernet(request.src_mac, mac, request.vlan_id, ETH_ARP, body)


def _body(operation: int, mac: int, addr: int, target_mac: int, target_addr: int) -> bytes:
    return (
        _HEAD.pack(1, 0x0800, 6, 4, operation)
        + mac.to_bytes(6, "big")
        + addr.to_bytes(4, "big")
        + target_mac.to_bytes(6, "big")
        + target_addr.to_bytes(4, "big")
    )
