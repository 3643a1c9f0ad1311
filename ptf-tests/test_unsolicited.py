"""SYNs from outside that nobody waits for (RFC 5382 REQ-4): the controller answers them later."""

from base import OUTSIDE, TCP, UDP, Drop, FilterMode, GatewayTest, Out, Punt, inward
from plain import BASE, PlainTest

HELD = Out.PIPELINE | Out.LATE


class _Unsolicited(PlainTest):
    def expect_told(self, packet):
        """The controller gets the SYN, as it came; nobody else does."""
        self.expect_punt(Punt.SYN, packet, port=OUTSIDE)
        self.expect_nothing()


class N5382_4_ASynToNoMappingIsTheControllersToAnswer(_Unsolicited):
    def runTest(self):
        packet = inward(TCP(sport=80, dport=BASE, flags="S"))
        self.send(OUTSIDE, packet)
        self.expect_told(packet)


class N5382_4_ASynThatTheFilterRefusesToo(_Unsolicited):
    def runTest(self):
        self.passes_out(TCP(sport=5000, dport=80, flags="S"), BASE)
        packet = inward(TCP(sport=81, dport=BASE, flags="S"))
        self.send(OUTSIDE, packet)
        self.expect_told(packet)
        self.add_mapping(6, 6000, 40000)
        packet = inward(TCP(sport=81, dport=40000, flags="S"))
        self.send(OUTSIDE, packet)
        self.expect_told(packet)


class N5382_4_WhatIsNoSynIsDroppedAtOnce(_Unsolicited):
    def runTest(self):
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(TCP(sport=80, dport=BASE, flags="SA")))
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(UDP(sport=80, dport=BASE)))


class N5382_4_AHeldSynOfNobodyComesBack(_Unsolicited):
    def runTest(self):
        packet = inward(TCP(sport=80, dport=BASE, flags="S"))
        self.packet_out(packet, port=OUTSIDE, flags=HELD)
        self.expect_told(packet)


class N5382_4_AHeldSynIsDroppedIfTheInsideHostHasOpenedTheConnection(_Unsolicited):
    def runTest(self):
        self.passes_out(TCP(sport=5000, dport=80, flags="S"), BASE)
        before = self.dropped(Drop.ANSWERED)
        self.packet_out(inward(TCP(sport=80, dport=BASE, flags="S")), port=OUTSIDE, flags=HELD)
        self.wait_for_drop(Drop.ANSWERED, before)


class N5382_4_AHeldSynBeginsNothing(GatewayTest):
    """Neither an open filter nor a session of the table lets it in."""

    def runTest(self):
        self.add_mapping(6, 5000, 40000, filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        self.is_dropped()
        self.add_session(6, 5000, 80)
        self.is_dropped()

    def is_dropped(self):
        before = self.dropped(Drop.ANSWERED)
        packet = inward(TCP(sport=80, dport=40000, flags="S"))
        self.packet_out(packet, port=OUTSIDE, flags=HELD)
        self.wait_for_drop(Drop.ANSWERED, before)
