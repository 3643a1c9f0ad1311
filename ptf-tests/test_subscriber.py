"""The subscriber table: the controller is asked once for each inside address."""

from base import (
    CLIENT_IP,
    INSIDE,
    OUTSIDE,
    TCP,
    UDP,
    FilterMode,
    GatewayTest,
    Punt,
    inward,
    outward,
    outward_translated,
)
from plain import PlainTest

OTHER_IP = "10.0.0.3"


class AnUnknownAddressIsAskedFor(GatewayTest):
    def runTest(self):
        for packet in (
            outward(UDP(sport=5000, dport=53)),
            outward(TCP(sport=5000, dport=80, flags="S")),
        ):
            self.send(INSIDE, packet)
            self.expect_punt(Punt.SUBSCRIBER, packet)


class NoPacketOfAPlainFlowVisitsTheController(PlainTest):
    """Not even the first one of a flow (rule 1)."""

    def runTest(self):
        before = [self.punted(reason) for reason in Punt]
        for port in (53, 123, 443):
            self.passes_out(UDP(sport=5000, dport=port) / b"ask", 2048)
            self.passes_in(UDP(sport=port, dport=2048) / b"answer", 5000)
        self.passes_out(TCP(sport=5001, dport=80, flags="S"), 2049)
        self.passes_in(TCP(sport=80, dport=2049, flags="SA"), 5001)
        self.passes_out(TCP(sport=5001, dport=80, flags="A"), 2049)
        assert [self.punted(reason) for reason in Punt] == before


class BothItsTablesCountItsTraffic(PlainTest):
    def runTest(self):
        for _ in range(2):
            self.passes_out(UDP(sport=5000, dport=53), 2048)
        self.passes_in(UDP(sport=53, dport=2048), 5000)
        assert (self.hits(self.subscriber_entry), self.hits(self.block_entry)) == (2, 1)


class N4787_2_AllFlowsOfASubscriberHaveOneOutsideAddress(PlainTest):
    def runTest(self):
        for sport, outside in ((5000, 2048), (5001, 2049), (5002, 2050)):
            self.passes_out(UDP(sport=sport, dport=53), outside)
            self.passes_out(TCP(sport=sport, dport=80, flags="S"), outside)


class TwoSubscribersNeverShareAPort(PlainTest):
    def runTest(self):
        self.subscribe(OTHER_IP, base=4096)
        self.passes_out(UDP(sport=5000, dport=53), 2048)
        self.passes_out(UDP(sport=5000, dport=53), 4096, src=OTHER_IP)
        self.passes_in(UDP(sport=53, dport=2048), 5000)
        self.passes_in(UDP(sport=53, dport=4096), 5000, to=OTHER_IP)


class WithoutABlockOnlyStaticMappingsPass(GatewayTest):
    """A host that has a static mapping gets its block when it needs one."""

    def runTest(self):
        self.add("subscriber", {"inside_addr": CLIENT_IP}, "no_block")
        self.add_mapping(17, 5000, 40000, managed=0, filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        self.send(INSIDE, outward(UDP(sport=5000, dport=53)))
        self.expect(OUTSIDE, outward_translated(UDP(sport=40000, dport=53)))
        packet = outward(UDP(sport=5001, dport=53))
        self.send(INSIDE, packet)
        self.expect_punt(Punt.SUBSCRIBER, packet)


class WhatCannotBeginAFlowAsksForNobody(GatewayTest):
    """RFC 5382 REQ-2, and no ICMP error: a stray packet costs no subscriber."""

    def runTest(self):
        before = self.punted(Punt.SUBSCRIBER)
        for flags in ("A", "SA", "FA", "R"):
            self.send(INSIDE, outward(TCP(sport=5000, dport=80, flags=flags)))
        self.send(OUTSIDE, inward(UDP(sport=53, dport=2048)))
        self.expect_nothing()
        assert self.punted(Punt.SUBSCRIBER) == before


class AnIdleSubscriberIsTold(PlainTest):
    def runTest(self):
        entry = self.subscriber_entry
        entry.idle_timeout_ns = 300_000_000
        entry.modify()
        self.expect_idle(entry)
