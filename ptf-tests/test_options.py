"""Which IPv4 options cross: one that names no way for the packet, and nothing hidden behind it."""

from scapy.packet import Raw

from base import INSIDE, OUTSIDE, UDP, Drop, GatewayTest, outward, outward_translated

CROSS = (
    "94040000",  # router alert
    "07030400",  # record route without room, then the end
    "0107070400000000",  # as ping -R has it: a NOP first
    "440c0500" + "00" * 8,  # timestamps
    "440b05" + "00" * 8 + "01",  # and a NOP as padding
    "00000000",  # the end at once
    "07270400" + "00" * 36,  # all the room there is
)
DROPPED = (
    "83070400000000" + "00",  # loose source route
    "890704" + "c0000201" + "00",  # strict source route
    "01830704c0000201",  # behind a NOP
    "010183070400" + "0000",  # behind two
    "01010101",  # only NOPs
    "94040000" + "830704c000020100",  # behind a router alert
    "07030483" + "0704c00002010000",  # behind a short record route
    "44040500" + "89070400000000" + "00",  # behind a short timestamp
    "82040000",  # security (RFC 1108)
    "88040001",  # stream id
    "07290400" + "00" * 36,  # longer than the header
    "94ff0000",
)


def given(options: str, packet_of):
    """A packet with these options, as bytes that scapy does not look into."""
    packet = packet_of(UDP(sport=5000 if packet_of is outward else 40000, dport=53) / Raw(b"x"))
    data = bytes.fromhex(options)
    ip = packet.getlayer("IP")
    plain = bytes(ip)
    head = bytearray(plain[:20])
    head[0] = 0x40 | 5 + len(data) // 4
    head[2:4] = (len(plain) + len(data)).to_bytes(2, "big")
    head[10:12] = b"\0\0"
    whole = bytes(head) + data
    total = sum(int.from_bytes(whole[n : n + 2], "big") for n in range(0, len(whole), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    head[10:12] = (total ^ 0xFFFF).to_bytes(2, "big")
    ethernet = bytes(packet)[:14]
    return type(packet)(ethernet + bytes(head) + data + plain[20:])


class HarmlessOptionsCross(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        for options in CROSS:
            self.send(INSIDE, given(options, outward))
            self.expect(OUTSIDE, given(options, outward_translated))


class WhatMayNameAWayIsDropped(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        for options in DROPPED:
            self.expect_drop(Drop.OPTIONS, INSIDE, given(options, outward))
