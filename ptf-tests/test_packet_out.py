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
    outward,
    outward_translated,
)


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
    def expect_refused(self, reason, packet):
        """Hand over a packet that cannot go on: it is dropped, not sent back to the controller."""
        before = self.dropped(reason)
        self.packet_out(packet)
        self.expect_nothing()
        assert self.dropped(reason) - before == 1


class WithoutSessionIsDropped(_Refused):
    def runTest(self):
        self.expect_refused(Drop.NO_SESSION, outward(UDP(sport=5000, dport=53)))


class WhoseTtlEndsIsDropped(_Refused):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        self.expect_refused(Drop.TTL, outward(UDP(sport=5000, dport=53), ttl=1))


class LaterFragmentWithoutEntryIsDropped(_Refused):
    def runTest(self):
        self.expect_refused(Drop.FRAGMENT, outward(b"tail", proto=17, id=4711, frag=3))
