"""Static mappings: entries of the tables whose plain flows the switch sets up itself."""

from base import (
    CLIENT_IP,
    ICMP,
    OUTSIDE,
    POOL_IP,
    TCP,
    UDP,
    Drop,
    FilterMode,
    Punt,
    inward,
    outward,
)
from plain import BASE, PlainTest, until_over

WEB = 80


class _Static(PlainTest):
    def forward(self, proto=6, filter_mode=FilterMode.ENDPOINT_INDEPENDENT, **more):
        """Forward port 8080 outside to port 80 of the client."""
        self.add_mapping(proto, WEB, 8080, filter_mode=filter_mode, managed=0, **more)


class APortForwardIsOpenedFromOutsideByTheSwitch(_Static):
    """Its inside port may be a low one: it is no port of a block."""

    def runTest(self):
        self.forward()
        before = self.punted(Punt.OVERFLOW), self.punted(Punt.NEW_FLOW)
        self.passes_in(TCP(sport=6000, dport=8080, flags="S"), WEB)
        self.passes_out(TCP(sport=WEB, dport=6000, flags="SA", ack=1), 8080)
        self.passes_in(TCP(sport=6000, dport=8080, flags="A"), WEB)
        self.passes_in(TCP(sport=6001, dport=8080, flags="S"), WEB)
        assert (self.punted(Punt.OVERFLOW), self.punted(Punt.NEW_FLOW)) == before


class AUdpForwardToo(_Static):
    def runTest(self):
        self.forward(17)
        self.passes_in(UDP(sport=6000, dport=8080) / b"ask", WEB)
        self.passes_out(UDP(sport=WEB, dport=6000) / b"answer", 8080)


class AForwardWithAFilterAdmitsWhomTheHostSpokeTo(_Static):
    def runTest(self):
        self.forward(17, FilterMode.ADDRESS_AND_PORT)
        self.expect_drop(Drop.FILTERED, OUTSIDE, inward(UDP(sport=6000, dport=8080)))
        self.passes_out(UDP(sport=WEB, dport=6000), 8080)
        self.passes_in(UDP(sport=6000, dport=8080), WEB)
        self.expect_drop(Drop.FILTERED, OUTSIDE, inward(UDP(sport=6001, dport=8080)))


class AForwardOnlyLetsASynBegin(_Static):
    def runTest(self):
        self.forward()
        for flags in ("A", "SA", "FA", "R"):
            packet = inward(TCP(sport=6000, dport=8080, flags=flags))
            self.expect_drop(Drop.NO_SESSION, OUTSIDE, packet)


class ASessionOfAForwardEndsAndBeginsAnew(_Static):
    def runTest(self):
        self.add_timer(1, proto=17)
        self.forward(17)
        self.passes_in(UDP(sport=6000, dport=8080), WEB)
        until_over(1)
        self.passes_in(UDP(sport=6000, dport=8080), WEB)
        self.passes_out(UDP(sport=WEB, dport=6000), 8080)


class AnAnswerOnAForwardIsNoFlowOfABlock(_Static):
    """Other ports of the host have theirs from the block, beside the forward."""

    def runTest(self):
        self.forward()
        self.passes_in(TCP(sport=6000, dport=8080, flags="S"), WEB)
        self.passes_out(TCP(sport=5000, dport=6000, flags="S"), BASE)
        self.passes_out(TCP(sport=WEB, dport=6000, flags="SA"), 8080)


class OfAServiceThatAnAlgServesTheControllerIsAsked(_Static):
    def runTest(self):
        self.add("alg_service", {"proto": "6&&&0xff", "server_id": f"{WEB}&&&0xffffffff"},
                 "bind_alg", priority=1, alg_id=4)  # fmt: skip
        self.forward()
        packet = inward(TCP(sport=6000, dport=8080, flags="S"))
        self.expect_asked(Punt.NEW_FLOW, packet, port=OUTSIDE, alg_id=4)


class AMappingOfTheControllersIsItsToSetUp(_Static):
    """`managed` 1: from both sides."""

    def runTest(self):
        self.add_mapping(17, 5000, 8080, filter_mode=FilterMode.ENDPOINT_INDEPENDENT, managed=1)
        self.expect_asked(Punt.OVERFLOW, inward(UDP(sport=6000, dport=8080)), port=OUTSIDE)
        self.expect_asked(Punt.OVERFLOW, outward(UDP(sport=5000, dport=53)))


class WithoutANumberTheControllerIsAsked(_Static):
    """A mapping of a host that nobody has given a number has no room in the registers."""

    def runTest(self):
        self.forward(17, subscriber=0)
        self.expect_asked(Punt.OVERFLOW, inward(UDP(sport=6000, dport=8080)), port=OUTSIDE)


class AOneToOneAddressPassesQueriesAndPorts(_Static):
    def runTest(self):
        self.add("addr_map_out", {"inside_addr": CLIENT_IP}, "set_outside_addr",
                 outside_addr=POOL_IP)  # fmt: skip
        self.add("addr_map_in", {"outside_addr": POOL_IP}, "set_inside_addr",
                 inside_addr=CLIENT_IP, filter_mode=FilterMode.ENDPOINT_INDEPENDENT)  # fmt: skip
        self.passes_in(ICMP(type=8, id=77), 77)
        self.passes_out(ICMP(type=0, id=77), 77)
        self.passes_in(UDP(sport=6000, dport=500) / bytes(28), 500)
        self.passes_out(UDP(sport=22, dport=6000), 22)
        self.passes_out(TCP(sport=9, dport=6000, flags="S"), 9)


class N4787_8_TheAddressFilterOfAForward(_Static):
    """The key of a cell leaves the remote port out then, for static mappings too."""

    def runTest(self):
        self.set_gateway(filter_mode=FilterMode.ADDRESS)
        self.forward(17, FilterMode.ADDRESS)
        self.expect_drop(Drop.FILTERED, OUTSIDE, inward(UDP(sport=6000, dport=8080)))
        self.passes_out(UDP(sport=WEB, dport=6000), 8080)
        self.passes_in(UDP(sport=6001, dport=8080), WEB)
