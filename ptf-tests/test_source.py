"""The source table: which addresses may send from a zone (RFC 2827), before all else."""

from base import (
    CLIENT_IP,
    HOST,
    INSIDE,
    IP,
    OUTSIDE,
    POOL_IP,
    ROUTER,
    UDP,
    Drop,
    Ether,
    GatewayTest,
    Out,
    Punt,
    fresh,
    inward,
    outward,
    outward_translated,
)
from plain import PlainTest


class AForgedInsideAddressIsDroppedAndCounted(GatewayTest):
    def runTest(self):
        for forged in ("192.0.2.1", "11.0.0.2", "0.0.0.0", "127.0.0.1", "255.255.255.255"):
            packet = outward(UDP(sport=5000, dport=53), src=forged)
            self.expect_drop(Drop.SOURCE, INSIDE, packet)


class FromOutsideNobodyUsesAnInsideAddress(GatewayTest):
    def runTest(self):
        refused = self.add("source", {"zone": OUTSIDE, "src_addr": "10.0.0.0/8"}, "refuse_source")
        packet = inward(UDP(sport=53, dport=2048), src="10.0.0.77")
        self.expect_drop(Drop.SOURCE, OUTSIDE, packet)
        assert self.hits(refused) == 1
        # Any other address comes further.
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(UDP(sport=53, dport=2048)))


class FromOutsideNobodyUsesAnAddressOfOurs(GatewayTest):
    def runTest(self):
        self.add("source", {"zone": OUTSIDE, "src_addr": f"{POOL_IP}/32"}, "refuse_source")
        packet = inward(UDP(sport=2049, dport=2048), src=POOL_IP)
        self.expect_drop(Drop.SOURCE, OUTSIDE, packet)


class TheLongestPrefixDecides(GatewayTest):
    def runTest(self):
        self.add("source", {"zone": INSIDE, "src_addr": "10.0.0.0/24"}, "refuse_source")
        self.add("source", {"zone": INSIDE, "src_addr": f"{CLIENT_IP}/32"}, "accept_source")
        packet = outward(UDP(sport=5000, dport=53))
        self.send(INSIDE, packet)
        self.expect_punt(Punt.SUBSCRIBER, packet)
        self.expect_drop(Drop.SOURCE, INSIDE, outward(UDP(sport=5000, dport=53), src="10.0.0.3"))


class ARuleDoesNotLetAForgedSourcePass(GatewayTest):
    """Neither an exemption from translation nor an ALG is asked about it."""

    def runTest(self):
        self.add("policy", {"proto": "17&&&0xff"}, "exempt", priority=1)
        self.add("alg_service", {"proto": "17&&&0xff"}, "bind_alg", priority=1, alg_id=3)
        self.expect_drop(Drop.SOURCE, INSIDE, outward(UDP(sport=5000, dport=53), src="192.0.2.1"))


class WhatTheControllerSendsIsNotAsked(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        self.add("source", {"zone": INSIDE, "src_addr": f"{CLIENT_IP}/32"}, "refuse_source")
        packet = outward(UDP(sport=5000, dport=53) / b"x")
        self.expect_drop(Drop.SOURCE, INSIDE, packet)
        self.packet_out(packet, flags=Out.PIPELINE)
        self.expect(OUTSIDE, outward_translated(UDP(sport=40000, dport=53) / b"x"))


class AHairpinnedPacketHasBeenAskedBefore(PlainTest):
    """On its second round it comes from an address of ours, which nobody outside may use."""

    def runTest(self):
        self.add("source", {"zone": OUTSIDE, "src_addr": f"{POOL_IP}/32"}, "refuse_source")
        self.add("source", {"zone": INSIDE, "src_addr": f"{POOL_IP}/32"}, "refuse_source")
        self.add_mapping(17, 7000, 40000, managed=0, filter_mode=2)
        sent = IP(src=CLIENT_IP, dst=POOL_IP) / UDP(sport=5000, dport=40000) / b"x"
        got = IP(src=POOL_IP, dst=CLIENT_IP, ttl=63) / UDP(sport=2048, dport=7000) / b"x"
        self.send(INSIDE, fresh(Ether(src=HOST, dst=ROUTER) / sent))
        self.expect(INSIDE, fresh(Ether(src=ROUTER, dst=HOST) / got))
