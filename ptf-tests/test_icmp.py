"""ICMP errors: outer and embedded packet translated, every checksum right (RFC 5508 4)."""

from base import (
    CLIENT_IP,
    HOST,
    ICMP,
    INSIDE,
    IP,
    OUTSIDE,
    POOL_IP,
    ROUTER,
    SERVER,
    SERVER_IP,
    TCP,
    UDP,
    Drop,
    Ether,
    GatewayTest,
    fresh,
    inward,
    inward_translated,
    outward,
    outward_translated,
)
from plain import BASE, PlainTest, until_over

UNREACHABLE, TIME_EXCEEDED = {"type": 3, "code": 3}, {"type": 11, "code": 0}


def about(src, dst, l4, kind=None, **ip):
    """An ICMP error carrying a packet of `src` to `dst`."""
    return ICMP(**(kind or UNREACHABLE)) / bytes(IP(src=src, dst=dst, ttl=63, **ip) / l4)


class _Error(GatewayTest):
    def both_ways(self, sent, answered):
        """Errors from outside about what was sent, and from inside about the answers.

        `sent(id)` and `answered(id)` make the transport part with the client's
        identifier: 5000 inside, 40000 outside.
        """
        self.send(OUTSIDE, inward(about(POOL_IP, SERVER_IP, sent(40000))))
        self.expect(INSIDE, inward_translated(about(CLIENT_IP, SERVER_IP, sent(5000))))
        self.send(INSIDE, outward(about(SERVER_IP, CLIENT_IP, answered(5000))))
        self.expect(OUTSIDE, outward_translated(about(SERVER_IP, POOL_IP, answered(40000))))


class AboutUdp(_Error):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        self.both_ways(
            lambda n: UDP(sport=n, dport=53) / b"ask", lambda n: UDP(sport=53, dport=n) / b"tell"
        )


class AboutUdpWithoutChecksum(_Error):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        self.both_ways(
            lambda n: UDP(sport=n, dport=53, chksum=0), lambda n: UDP(sport=53, dport=n, chksum=0)
        )


class AboutTcpOfWhichEightBytesAreKnown(_Error):
    """Only what RFC 792 promises of the embedded packet: its TCP checksum is not there."""

    def runTest(self):
        self.add_mapping(6, 5000, 40000)
        self.add_session(6, 5000, 80)
        self.both_ways(
            lambda n: bytes(TCP(sport=n, dport=80, seq=7))[:8],
            lambda n: bytes(TCP(sport=80, dport=n, seq=7))[:8],
        )

    def both_ways(self, sent, answered):
        def cut(src, dst, l4):
            return about(src, dst, l4, proto=6)

        self.send(OUTSIDE, inward(cut(POOL_IP, SERVER_IP, sent(40000))))
        self.expect(INSIDE, inward_translated(cut(CLIENT_IP, SERVER_IP, sent(5000))))
        self.send(INSIDE, outward(cut(SERVER_IP, CLIENT_IP, answered(5000))))
        self.expect(OUTSIDE, outward_translated(cut(SERVER_IP, POOL_IP, answered(40000))))


class AboutAPing(_Error):
    def runTest(self):
        self.add_mapping(1, 5000, 40000)
        self.add_session(1, 5000, 0)
        self.both_ways(lambda n: ICMP(type=8, id=n) / b"ping", lambda n: ICMP(type=0, id=n) / b"p")


class AboutAPacketWithOptions(_Error):
    def runTest(self):
        from scapy.layers.inet import IPOption_Router_Alert

        options = [IPOption_Router_Alert()]
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        got = about(POOL_IP, SERVER_IP, UDP(sport=40000, dport=53), options=options)
        self.send(OUTSIDE, inward(got))
        told = about(CLIENT_IP, SERVER_IP, UDP(sport=5000, dport=53), options=options)
        self.expect(INSIDE, inward_translated(told))


class OfARouterOnTheWay(_Error):
    """Its address is shown if it is outside and hidden if it is inside (RFC 5508 REQ-4, REQ-5)."""

    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        far, near = "192.0.2.1", "10.9.9.9"
        error = about(POOL_IP, SERVER_IP, UDP(sport=40000, dport=53), TIME_EXCEEDED)
        told = about(CLIENT_IP, SERVER_IP, UDP(sport=5000, dport=53), TIME_EXCEEDED)
        self.send(OUTSIDE, fresh(Ether(src=SERVER, dst=ROUTER) / IP(src=far, dst=POOL_IP) / error))
        got = IP(src=far, dst=CLIENT_IP, ttl=63) / told
        self.expect(INSIDE, fresh(Ether(src=ROUTER, dst=HOST) / got))
        error = about(SERVER_IP, CLIENT_IP, UDP(sport=53, dport=5000), TIME_EXCEEDED)
        told = about(SERVER_IP, POOL_IP, UDP(sport=53, dport=40000), TIME_EXCEEDED)
        self.send(INSIDE, fresh(Ether(src=HOST, dst=ROUTER) / IP(src=near, dst=SERVER_IP) / error))
        got = IP(src=POOL_IP, dst=SERVER_IP, ttl=63) / told
        self.expect(OUTSIDE, fresh(Ether(src=ROUTER, dst=SERVER) / got))


class WithoutSessionIsDropped(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        error = about(POOL_IP, SERVER_IP, UDP(sport=40000, dport=53))
        self.expect_drop(Drop.NO_SESSION, OUTSIDE, inward(error))


class WithoutMappingIsDropped(GatewayTest):
    def runTest(self):
        error = about(POOL_IP, SERVER_IP, UDP(sport=40000, dport=53))
        self.expect_drop(Drop.NO_SESSION, OUTSIDE, inward(error))


class AboutALaterFragmentIsDropped(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        error = about(POOL_IP, SERVER_IP, b"no ports here", proto=17, frag=3)
        self.expect_drop(Drop.PROTOCOL, OUTSIDE, inward(error))


class N5508_1_APlainQueryAndItsAnswer(PlainTest):
    """By its identifier, which is kept by the switch as a port is."""

    def runTest(self):
        for kind, answer in ((8, 0), (13, 14)):
            self.passes_out(ICMP(type=kind, id=77, seq=1) / b"query", BASE + 1)
            self.passes_in(ICMP(type=answer, id=BASE + 1, seq=1) / b"query", 77)


class N5508_1_AnUnaskedQueryFromOutsideIsFiltered(PlainTest):
    def runTest(self):
        self.passes_out(ICMP(type=8, id=77), BASE + 1)
        stranger = inward(ICMP(type=8, id=BASE + 1), src="198.51.100.66")
        self.expect_drop(Drop.FILTERED, OUTSIDE, stranger)
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(ICMP(type=8, id=BASE + 3)))


class _PlainError(PlainTest, _Error):
    """Errors about flows that are in the registers only."""


class N5508_4_AboutPlainUdp(_PlainError):
    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=53) / b"ask", BASE)
        self.both_ways(
            lambda n: UDP(sport=BASE if n == 40000 else n, dport=53) / b"ask",
            lambda n: UDP(sport=53, dport=BASE if n == 40000 else n) / b"tell",
        )


class N5508_4_AboutPlainTcp(_PlainError):
    def runTest(self):
        self.passes_out(TCP(sport=5000, dport=80, flags="S"), BASE)

        def cut(src, dst, **ports):
            return about(src, dst, bytes(TCP(seq=7, **ports))[:8], proto=6)

        self.send(OUTSIDE, inward(cut(POOL_IP, SERVER_IP, sport=BASE, dport=80)))
        told = cut(CLIENT_IP, SERVER_IP, sport=5000, dport=80)
        self.expect(INSIDE, inward_translated(told))


class N5508_4_AboutAPlainPing(_PlainError):
    def runTest(self):
        self.passes_out(ICMP(type=8, id=5000) / b"ping", BASE)
        error = about(POOL_IP, SERVER_IP, ICMP(type=8, id=BASE) / b"ping")
        self.send(OUTSIDE, inward(error))
        told = about(CLIENT_IP, SERVER_IP, ICMP(type=8, id=5000) / b"ping")
        self.expect(INSIDE, inward_translated(told))


class N5508_4_AboutAPlainFlowThatIsNotThereIsDropped(PlainTest):
    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        for outside_id, dport in ((BASE, 54), (BASE + 2, 53)):
            error = about(POOL_IP, SERVER_IP, UDP(sport=outside_id, dport=dport))
            self.expect_drop(Drop.NO_SESSION, OUTSIDE, inward(error))


class N5508_6_AnErrorNeitherRefreshesNorEndsAFlow(PlainTest):
    """N7857-7 too: what ends in an error refreshes nothing."""

    def runTest(self):
        ticks = 6
        row = self.add_timer(ticks, proto=17)
        self.passes_out(UDP(sport=5000, dport=53) / b"ask", BASE)
        error = inward(about(POOL_IP, SERVER_IP, UDP(sport=BASE, dport=53) / b"ask"))
        told = inward_translated(about(CLIENT_IP, SERVER_IP, UDP(sport=5000, dport=53) / b"ask"))
        for _ in range(3):
            self.send(OUTSIDE, error)
            self.expect(INSIDE, told)
        self.passes_in(UDP(sport=53, dport=BASE), 5000)
        assert self.hits(row) == 2
        until_over(ticks // 2)
        self.send(OUTSIDE, error)
        self.expect(INSIDE, told)
        until_over(ticks // 2)
        self.expect_drop(Drop.NO_SESSION, OUTSIDE, error)
        self.expect_over(UDP(sport=53, dport=BASE))


class N5508_6_AnErrorOpensNoClosedConnectionAndClosesNoOpenOne(PlainTest):
    def runTest(self):
        self.passes_out(TCP(sport=5000, dport=80, flags="S"), BASE)
        part = bytes(TCP(sport=BASE, dport=80, flags="S"))[:8]
        self.send(OUTSIDE, inward(about(POOL_IP, SERVER_IP, part, proto=6)))
        part = bytes(TCP(sport=5000, dport=80, flags="S"))[:8]
        self.expect(INSIDE, inward_translated(about(CLIENT_IP, SERVER_IP, part, proto=6)))
        self.passes_in(TCP(sport=80, dport=BASE, flags="SA"), 5000)


class N5508_3_AnErrorWithAWrongChecksumIsDropped(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        about = IP(src=POOL_IP, dst=SERVER_IP, ttl=63) / UDP(sport=40000, dport=53) / b"data!"
        packet = inward(ICMP(type=3, code=3) / bytes(about))
        self.send(OUTSIDE, packet)
        inner = IP(src=CLIENT_IP, dst=SERVER_IP, ttl=63) / UDP(sport=5000, dport=53) / b"data!"
        self.expect(INSIDE, inward_translated(ICMP(type=3, code=3) / bytes(inner)))
        for at in (2, 3, 20, 30, len(bytes(packet[ICMP])) - 1):
            damaged = bytearray(bytes(packet))
            damaged[-len(bytes(packet[ICMP])) + at] ^= 1
            self.expect_drop(Drop.CHECKSUM, OUTSIDE, Ether(bytes(damaged)))
