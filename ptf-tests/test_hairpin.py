"""Hairpinning: the source translated, then back in from outside (RFC 4787 REQ-9)."""

from base import (
    CLIENT_IP,
    HOST,
    ICMP,
    INSIDE,
    IP,
    POOL_IP,
    ROUTER,
    TCP,
    UDP,
    Drop,
    Ether,
    FilterMode,
    GatewayTest,
    Punt,
    fresh,
)
from plain import BASE, PlainTest

NEIGHBOUR_IP, NEIGHBOUR_BASE = "10.0.0.3", 4096


class PacketToTheOwnPoolComesBackTranslatedTwice(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_mapping(17, 6000, 41000)
        self.add("pool", {"addr": f"{POOL_IP}/32"}, "in_pool")
        for own, other in ((5000, 41000), (6000, 40000)):
            key = {**self.flow(17, own, other), "remote_addr": POOL_IP}
            self.add("session", key, "allow", alg_id=0, flags=0, watch_below=0)
        sent = IP(src=CLIENT_IP, dst=POOL_IP) / UDP(sport=5000, dport=41000) / b"x"
        got = IP(src=POOL_IP, dst=CLIENT_IP, ttl=63) / UDP(sport=40000, dport=6000) / b"x"
        self.send(INSIDE, fresh(Ether(src=HOST, dst=ROUTER) / sent))
        self.expect(INSIDE, fresh(Ether(src=ROUTER, dst=HOST) / got))


class _Hairpin(PlainTest):
    """The client and its neighbour, both known by their outside endpoints only."""

    filter_mode = FilterMode.ENDPOINT_INDEPENDENT

    def setUp(self):
        super().setUp()
        self.set_gateway(filter_mode=self.filter_mode)
        self.subscribe(NEIGHBOUR_IP, base=NEIGHBOUR_BASE)
        self.passes_out(UDP(sport=6000, dport=53), NEIGHBOUR_BASE, src=NEIGHBOUR_IP)
        self.passes_out(TCP(sport=6000, dport=80, flags="S"), NEIGHBOUR_BASE, src=NEIGHBOUR_IP)

    def turns_round(self, src, sent, dst, got):
        """Send a packet of one host to the pool; the other must get it, seen from the pool."""
        self.send(INSIDE, fresh(Ether(src=HOST, dst=ROUTER) / IP(src=src, dst=POOL_IP) / sent))
        packet = IP(src=POOL_IP, dst=dst, ttl=63) / got
        self.expect(INSIDE, fresh(Ether(src=ROUTER, dst=HOST) / packet))


class N4787_9_TwoPlainUdpHosts(_Hairpin):
    """Each sees the other's outside address and port; both mappings are the switch's."""

    def runTest(self):
        before = [self.punted(reason) for reason in Punt]
        self.turns_round(CLIENT_IP, UDP(sport=5000, dport=NEIGHBOUR_BASE) / b"ask",
                         NEIGHBOUR_IP, UDP(sport=BASE, dport=6000) / b"ask")  # fmt: skip
        self.turns_round(NEIGHBOUR_IP, UDP(sport=6000, dport=BASE) / b"answer",
                         CLIENT_IP, UDP(sport=NEIGHBOUR_BASE, dport=5000) / b"answer")  # fmt: skip
        assert [self.punted(reason) for reason in Punt] == before


class N5382_8_TwoPlainTcpHosts(_Hairpin):
    def runTest(self):
        out = {"sport": 5000, "dport": NEIGHBOUR_BASE}
        seen = {"sport": BASE, "dport": 6000}
        back = {"sport": 6000, "dport": BASE}
        seen_back = {"sport": NEIGHBOUR_BASE, "dport": 5000}
        for flags in ("S", "A", "PA"):
            self.turns_round(CLIENT_IP, TCP(**out, flags=flags, ack=1),
                             NEIGHBOUR_IP, TCP(**seen, flags=flags, ack=1))  # fmt: skip
            if flags == "S":
                self.turns_round(NEIGHBOUR_IP, TCP(**back, flags="SA", ack=1),
                                 CLIENT_IP, TCP(**seen_back, flags="SA", ack=1))  # fmt: skip


class N5508_7_AnErrorAboutAHairpinnedPacketTurnsRoundToo(_Hairpin):
    def runTest(self):
        self.turns_round(CLIENT_IP, UDP(sport=5000, dport=NEIGHBOUR_BASE) / b"ask",
                         NEIGHBOUR_IP, UDP(sport=BASE, dport=6000) / b"ask")  # fmt: skip
        seen = IP(src=POOL_IP, dst=NEIGHBOUR_IP, ttl=63) / UDP(sport=BASE, dport=6000) / b"ask"
        sent = IP(src=CLIENT_IP, dst=POOL_IP, ttl=63)
        sent = sent / UDP(sport=5000, dport=NEIGHBOUR_BASE) / b"ask"
        unreachable = ICMP(type=3, code=3)
        self.turns_round(NEIGHBOUR_IP, unreachable / bytes(seen),
                         CLIENT_IP, unreachable / bytes(sent))  # fmt: skip


class TheFilterHoldsForAHairpinnedPacket(_Hairpin):
    filter_mode = FilterMode.ADDRESS_AND_PORT

    def runTest(self):
        sent = IP(src=CLIENT_IP, dst=POOL_IP) / UDP(sport=5000, dport=NEIGHBOUR_BASE)
        packet = fresh(Ether(src=HOST, dst=ROUTER) / sent)
        self.expect_drop(Drop.FILTERED, INSIDE, packet)
        # Now the neighbour sends to the client's outside port.
        self.turns_round(NEIGHBOUR_IP, UDP(sport=6000, dport=BASE),
                         CLIENT_IP, UDP(sport=NEIGHBOUR_BASE, dport=5000))  # fmt: skip
        self.turns_round(CLIENT_IP, UDP(sport=5000, dport=NEIGHBOUR_BASE),
                         NEIGHBOUR_IP, UDP(sport=BASE, dport=6000))  # fmt: skip


class AHostReachesAForwardOfItsOwnByTheOutsideAddress(_Hairpin):
    def runTest(self):
        self.add_mapping(6, 80, 8080, filter_mode=FilterMode.ENDPOINT_INDEPENDENT, managed=0)
        self.turns_round(CLIENT_IP, TCP(sport=5000, dport=8080, flags="S"),
                         CLIENT_IP, TCP(sport=BASE, dport=80, flags="S"))  # fmt: skip
        self.turns_round(CLIENT_IP, TCP(sport=80, dport=BASE, flags="SA"),
                         CLIENT_IP, TCP(sport=8080, dport=5000, flags="SA"))  # fmt: skip


class ToAPortOfThePoolThatNobodyHasNothingComesBack(_Hairpin):
    def runTest(self):
        sent = IP(src=CLIENT_IP, dst=POOL_IP) / UDP(sport=5000, dport=NEIGHBOUR_BASE + 2)
        packet = fresh(Ether(src=HOST, dst=ROUTER) / sent)
        self.expect_drop(Drop.NO_MAPPING, INSIDE, packet)


class AnOverflowBeforeTheTurnIsTheSendersOwn(_Hairpin):
    """The packet that came goes to the controller, not the one that was to come back."""

    def runTest(self):
        for way, sport in enumerate((5000, 5002, 5004)):
            self.passes_out(UDP(sport=sport, dport=53), BASE + 2 * way)
        sent = IP(src=CLIENT_IP, dst=POOL_IP) / UDP(sport=5006, dport=NEIGHBOUR_BASE)
        self.expect_asked(Punt.OVERFLOW, fresh(Ether(src=HOST, dst=ROUTER) / sent))
        self.passes_in(UDP(sport=9, dport=BASE), 5000)
