"""Packets of the controller: straight to a port, or through the pipeline."""

from base import (
    CLIENT_IP,
    HOST,
    INSIDE,
    IP,
    OUTSIDE,
    POOL_IP,
    ROUTER,
    TCP,
    UDP,
    Drop,
    Ether,
    FilterMode,
    GatewayTest,
    Out,
    Punt,
    SessionFlags,
    fresh,
    inward,
    outward,
    outward_translated,
)
from plain import BASE, PlainTest


class DirectLeavesAsItIs(GatewayTest):
    def runTest(self):
        packet = outward(UDP(sport=5000, dport=53) / b"x")
        self.packet_out(packet, port=OUTSIDE, flags=0)
        self.expect(OUTSIDE, packet)


class PipelineTranslates(GatewayTest):
    """A packet-out is translated; it does not go to the ALG again that it came from."""

    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53, alg_id=3)
        self.packet_out(outward(UDP(sport=5000, dport=53) / b"x"))
        self.expect(OUTSIDE, outward_translated(UDP(sport=40000, dport=53) / b"x"))


class _Resized(GatewayTest):
    def setUp(self):
        super().setUp()
        self.add_mapping(6, 5000, 40000)
        self.add_session(6, 5000, 21, alg_id=3, flags=SessionFlags.CORRECT_SEQUENCE)
        self.add("sequence", self.flow(6, 5000, 21), "correct", out_position=0, out_before=0,
                 out_after=10, in_position=0, in_before=0, in_after=0)  # fmt: skip
        self.packet = outward(TCP(sport=5000, dport=21, flags="PA", seq=100, ack=1) / b"NOOP\r\n")


class SequenceNumbersAreCorrected(_Resized):
    def runTest(self):
        self.packet_out(self.packet)
        tcp = TCP(sport=40000, dport=21, flags="PA", seq=110, ack=1)
        self.expect(OUTSIDE, outward_translated(tcp / b"NOOP\r\n"))


class FinalSequenceNumbersStay(_Resized):
    def runTest(self):
        self.packet_out(self.packet, flags=Out.PIPELINE | Out.SEQUENCE_FINAL)
        tcp = TCP(sport=40000, dport=21, flags="PA", seq=100, ack=1)
        self.expect(OUTSIDE, outward_translated(tcp / b"NOOP\r\n"))


class HairpinEntersFromOutside(GatewayTest):
    """A packet whose source is translated already enters again, as one from outside."""

    def setUp(self):
        super().setUp()
        self.add_mapping(17, 6000, 41000, filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        frame = Ether(src=HOST, dst=ROUTER) / IP(src=POOL_IP, dst=POOL_IP)
        self.packet = fresh(frame / UDP(sport=40000, dport=41000) / b"x")

    def runTest(self):
        key = {**self.flow(17, 6000, 40000), "remote_addr": POOL_IP}
        self.add("session", key, "allow", alg_id=0, flags=0, watch_below=0)
        self.packet_out(self.packet, flags=Out.PIPELINE | Out.HAIRPIN)
        got = IP(src=POOL_IP, dst=CLIENT_IP, ttl=63) / UDP(sport=40000, dport=6000) / b"x"
        self.expect(INSIDE, fresh(Ether(src=ROUTER, dst=HOST) / got))


class ANewFlowRoundTheHairpinSaysSo(HairpinEntersFromOutside):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add("pool", {"addr": f"{POOL_IP}/32"}, "in_pool")
        key = {**self.flow(17, 5000, 41000), "remote_addr": POOL_IP}
        self.add("session", key, "allow", alg_id=0, flags=0, watch_below=0)
        sent = IP(src=CLIENT_IP, dst=POOL_IP) / UDP(sport=5000, dport=41000) / b"x"
        self.send(INSIDE, fresh(Ether(src=HOST, dst=ROUTER) / sent))
        self.expect_punt(Punt.OVERFLOW, self.packet, hairpin=1)


class _Refused(GatewayTest):
    def expect_refused(self, reason, packet, **how):
        """Hand over a packet that cannot go on: it is dropped, not sent back to the controller."""
        before = self.dropped(reason)
        self.packet_out(packet, **how)
        self.wait_for_drop(reason, before)


class WithoutSessionIsDropped(_Refused):
    def runTest(self):
        self.expect_refused(Drop.NO_SESSION, outward(UDP(sport=5000, dport=53)))


class WhoseTtlEndsIsDropped(_Refused):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        self.expect_refused(Drop.TTL, outward(UDP(sport=5000, dport=53), ttl=1))


class TheFirstPacketOfANewSubscriberBeginsItsFlow(PlainTest):
    """It is punted, its block is written, and it is sent on with leave to begin."""

    def runTest(self):
        self.unsubscribe()
        packet = outward(UDP(sport=5000, dport=53) / b"ask")
        self.expect_asked(Punt.SUBSCRIBER, packet)
        self.subscribe()
        self.packet_out(packet, flags=Out.PIPELINE | Out.BEGIN)
        self.expect(OUTSIDE, outward_translated(UDP(sport=BASE, dport=53) / b"ask"))
        self.passes_in(UDP(sport=53, dport=BASE) / b"answer", 5000)


class OfTcpToo(PlainTest):
    def runTest(self):
        packet = outward(TCP(sport=5000, dport=80, flags="S"))
        self.packet_out(packet, flags=Out.PIPELINE | Out.BEGIN)
        self.expect(OUTSIDE, outward_translated(TCP(sport=BASE, dport=80, flags="S")))
        self.passes_in(TCP(sport=80, dport=BASE, flags="SA"), 5000)


class WithoutLeaveToBeginNoPlainFlowBegins(PlainTest, _Refused):
    def runTest(self):
        self.expect_refused(Drop.NO_SESSION, outward(UDP(sport=5000, dport=53)))
        # The way that it would have had is free.
        self.passes_out(UDP(sport=5002, dport=53), BASE)


class LeaveToBeginAsksNobodyAgain(_Refused):
    """Without a block it is dropped: it does not go round between switch and controller."""

    def runTest(self):
        packet = outward(UDP(sport=5000, dport=53))
        self.expect_refused(Drop.NO_SESSION, packet, flags=Out.PIPELINE | Out.BEGIN)


class LeaveToBeginIsNoneForAMappingOfTheControllers(PlainTest, _Refused):
    """It writes the session first: with `managed` nothing begins by the registers."""

    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        packet = outward(UDP(sport=5000, dport=53))
        self.expect_refused(Drop.NO_SESSION, packet, flags=Out.PIPELINE | Out.BEGIN)


class LeaveToBeginIsNoneForAStraySegment(PlainTest, _Refused):
    def runTest(self):
        packet = outward(TCP(sport=5000, dport=80, flags="A"))
        self.expect_refused(Drop.NO_SESSION, packet, flags=Out.PIPELINE | Out.BEGIN)


class LeaveToBeginFromOutsideHeedsTheFilter(PlainTest, _Refused):
    def runTest(self):
        self.add_mapping(17, 80, 8080, managed=0)
        packet = inward(UDP(sport=6000, dport=8080))
        flags = Out.PIPELINE | Out.BEGIN
        self.expect_refused(Drop.FILTERED, packet, flags=flags, port=OUTSIDE)


class WhatTheControllerSendsOnAPlainFlowPasses(PlainTest):
    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.packet_out(outward(UDP(sport=5000, dport=53) / b"x"))
        self.expect(OUTSIDE, outward_translated(UDP(sport=BASE, dport=53) / b"x"))


class AnAlgsServiceMayBeginAPlainFlowThatTheControllerLetsGo(PlainTest):
    """It has decided: the packet does not come back for its ALG."""

    def runTest(self):
        self.add("alg_service", {"proto": "17&&&0xff"}, "bind_alg", priority=1, alg_id=3)
        packet = outward(UDP(sport=5000, dport=53))
        self.expect_asked(Punt.NEW_FLOW, packet, alg_id=3)
        self.packet_out(packet, flags=Out.PIPELINE | Out.BEGIN)
        self.expect(OUTSIDE, outward_translated(UDP(sport=BASE, dport=53)))


class AFirstPacketThatOverflowsComesBackToTheController(PlainTest):
    """With its own port: the controller maps it by tables then."""

    def runTest(self):
        for way, sport in enumerate((5000, 5002, 5004)):
            self.passes_out(UDP(sport=sport, dport=53), BASE + 2 * way)
        packet = outward(UDP(sport=5006, dport=53))
        self.packet_out(packet, flags=Out.PIPELINE | Out.BEGIN)
        self.expect_punt(Punt.OVERFLOW, packet)
