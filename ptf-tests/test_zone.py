"""What the gateway refuses before it looks at a flow."""

from scapy.layers.l2 import ARP, Dot1Q

from base import (
    CLIENT_IP,
    HOST,
    ICMP,
    INSIDE,
    IP,
    OUTSIDE,
    ROUTER,
    SERVER,
    SERVER_IP,
    TCP,
    UDP,
    Drop,
    Ether,
    GatewayTest,
    Punt,
    fresh,
    outward,
    outward_translated,
)


class OtherMacIsNotForUs(GatewayTest):
    def runTest(self):
        packet = outward(UDP(sport=1, dport=2))
        packet[Ether].dst = SERVER
        self.expect_drop(Drop.NOT_FOR_US, INSIDE, packet)


class OnlyArpComesByBroadcast(GatewayTest):
    def runTest(self):
        everybody = "ff:ff:ff:ff:ff:ff"
        asked = Ether(src=HOST, dst=everybody) / ARP(op=1, psrc=CLIENT_IP, pdst="10.0.0.1")
        self.send(INSIDE, asked)
        self.expect_punt(Punt.ARP, asked)
        packet = outward(UDP(sport=1, dport=2))
        packet[Ether].dst = everybody
        self.expect_drop(Drop.NOT_FOR_US, INSIDE, packet)


class UnknownVlanHasNoZone(GatewayTest):
    def runTest(self):
        packet = Ether(src=HOST, dst=ROUTER) / Dot1Q(vlan=9) / outward(UDP(sport=1, dport=2))[IP]
        self.expect_drop(Drop.NO_ZONE, INSIDE, packet)


class WrongHeaderChecksumIsDropped(GatewayTest):
    def runTest(self):
        packet = outward(UDP(sport=1, dport=2))
        packet[IP].chksum ^= 1
        self.expect_drop(Drop.CHECKSUM, INSIDE, packet)


class OtherEtherTypeIsDropped(GatewayTest):
    def runTest(self):
        packet = Ether(src=HOST, dst=ROUTER, type=0x88B5) / bytes(46)
        self.expect_drop(Drop.ETHERTYPE, INSIDE, packet)


class MalformedHeadersAreDropped(GatewayTest):
    def runTest(self):
        frame, udp = Ether(src=HOST, dst=ROUTER), UDP(sport=1, dport=2)
        addresses = {"src": CLIENT_IP, "dst": SERVER_IP}
        six = Ether(src=HOST, dst=ROUTER, type=0x0800) / IP(**addresses, version=6) / udp
        short = frame / IP(**addresses, ihl=4) / udp
        offset = frame / IP(**addresses) / TCP(dataofs=4)
        error = frame / IP(**addresses) / ICMP(type=3) / bytes([0x41, 0, 0, 20] + [0] * 24)
        for packet in (six, short, offset, error):
            self.expect_drop(Drop.PARSE, INSIDE, fresh(packet))


class TruncatedHeadersAreDropped(GatewayTest):
    def runTest(self):
        whole = bytes(outward(TCP(sport=1, dport=2)))
        for size in (20, 33, 34 + 19):
            self.expect_drop(Drop.PARSE, INSIDE, whole[:size])


class DamageStaysVisible(GatewayTest):
    """A transport checksum that arrives wrong leaves wrong by the same amount (RFC 1624)."""

    def runTest(self):
        for proto, header in ((17, UDP), (6, TCP)):
            self.add_mapping(proto, 5000, 40000)
            self.add_session(proto, 5000, 80)
            packet = outward(header(sport=5000, dport=80) / b"x")
            expected = outward_translated(header(sport=40000, dport=80) / b"x")
            for one in (packet, expected):
                # In ones' complement: wrong by the same amount on both sides.
                one[header].chksum = (one[header].chksum + 0x1234) % 0xFFFF
            self.send(INSIDE, packet)
            self.expect(OUTSIDE, expected)
