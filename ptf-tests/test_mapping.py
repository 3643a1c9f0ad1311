"""NAPT both ways; expected checksums are computed from scratch, not by delta."""

from scapy.layers.inet import IPOption_Router_Alert

from base import (
    ICMP,
    INSIDE,
    OUTSIDE,
    TCP,
    UDP,
    GatewayTest,
    inward,
    inward_translated,
    outward,
    outward_translated,
)


class UdpBothWays(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        self.send(INSIDE, outward(UDP(sport=5000, dport=53) / b"ask"))
        self.expect(OUTSIDE, outward_translated(UDP(sport=40000, dport=53) / b"ask"))
        self.send(OUTSIDE, inward(UDP(sport=53, dport=40000) / b"answer"))
        self.expect(INSIDE, inward_translated(UDP(sport=53, dport=5000) / b"answer"))


class UdpChecksumZeroStaysZero(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        self.send(INSIDE, outward(UDP(sport=5000, dport=53, chksum=0) / b"x"))
        self.expect(OUTSIDE, outward_translated(UDP(sport=40000, dport=53, chksum=0) / b"x"))


class TcpBothWays(GatewayTest):
    def runTest(self):
        self.add_mapping(6, 5000, 40000)
        self.add_session(6, 5000, 80)
        self.send(INSIDE, outward(TCP(sport=5000, dport=80, flags="PA", seq=7, ack=9) / b"hi"))
        self.expect(
            OUTSIDE,
            outward_translated(TCP(sport=40000, dport=80, flags="PA", seq=7, ack=9) / b"hi"),
        )
        self.send(OUTSIDE, inward(TCP(sport=80, dport=40000, flags="A", seq=9, ack=9)))
        self.expect(INSIDE, inward_translated(TCP(sport=80, dport=5000, flags="A", seq=9, ack=9)))


class PingBothWays(GatewayTest):
    def runTest(self):
        self.add_mapping(1, 77, 1077)
        self.add_session(1, 77, 0)
        self.send(INSIDE, outward(ICMP(type=8, id=77, seq=1) / b"ping"))
        self.expect(OUTSIDE, outward_translated(ICMP(type=8, id=1077, seq=1) / b"ping"))
        self.send(OUTSIDE, inward(ICMP(type=0, id=1077, seq=1) / b"ping"))
        self.expect(INSIDE, inward_translated(ICMP(type=0, id=77, seq=1) / b"ping"))


class Ipv4OptionsSurvive(GatewayTest):
    def runTest(self):
        options = [IPOption_Router_Alert()]
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        self.send(INSIDE, outward(UDP(sport=5000, dport=53) / b"x", options=options))
        self.expect(OUTSIDE, outward_translated(UDP(sport=40000, dport=53) / b"x", options=options))
