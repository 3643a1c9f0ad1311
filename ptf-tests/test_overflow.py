"""What registers cannot hold goes to the controller, which maps it by tables."""

from base import (
    ICMP,
    OUTSIDE,
    TCP,
    UDP,
    FilterMode,
    Punt,
    inward,
)
from plain import BASE, PlainTest


class N4787_3_LowInsidePortsAreTheControllers(PlainTest):
    def runTest(self):
        self.expect_overflow(UDP(sport=1023, dport=53))
        self.expect_overflow(TCP(sport=22, dport=80, flags="S"))
        self.passes_out(UDP(sport=1024, dport=53), BASE)


class AQueryIdIsNoPort(PlainTest):
    """Identifiers of ICMP queries have no low range."""

    def runTest(self):
        self.passes_out(ICMP(type=8, id=6), BASE)


class WhatTheControllerThenMapsPasses(PlainTest):
    def runTest(self):
        self.expect_overflow(UDP(sport=1023, dport=53))
        self.add_mapping(17, 1023, 1021)
        self.add_session(17, 1023, 53)
        self.passes_out(UDP(sport=1023, dport=53), 1021)
        self.passes_in(UDP(sport=53, dport=1021), 1023)


class AnotherFlowOnAMappingOfTheControllerIsItsToo(PlainTest):
    """Outbound, and inbound where the filter lets it in."""

    def runTest(self):
        self.add_mapping(17, 5000, 40000, filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        self.add_session(17, 5000, 53)
        self.passes_out(UDP(sport=5000, dport=53), 40000)
        self.expect_overflow(UDP(sport=5000, dport=54))
        packet = inward(UDP(sport=55, dport=40000))
        self.expect_asked(Punt.OVERFLOW, packet, port=OUTSIDE)


class AnOverflowingPacketComesAsItCame(PlainTest):
    """It has been round the pipeline; nothing of it is changed, and it is counted once."""

    def runTest(self):
        for way, sport in enumerate((5000, 5002, 5004)):
            self.passes_out(UDP(sport=sport, dport=53), BASE + 2 * way)
        before = self.punted(Punt.OVERFLOW)
        self.expect_overflow(UDP(sport=5006, dport=53) / b"data", ttl=9, tos=0x2E, id=77)
        assert self.punted(Punt.OVERFLOW) - before == 1
