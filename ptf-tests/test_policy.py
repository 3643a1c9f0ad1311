"""The operator's rules, looked at for every packet."""

from base import (
    CLIENT_IP,
    HOST,
    INSIDE,
    IP,
    OUTSIDE,
    ROUTER,
    SERVER,
    SERVER_IP,
    UDP,
    Drop,
    Ether,
    GatewayTest,
    Punt,
    fresh,
    inward,
    outward,
    outward_translated,
)
from plain import BASE, PlainTest

SERVER_PORT = {"dst_id": "53&&&0xffffffff"}


class DenyDropsAnEstablishedFlow(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        rule = self.add("policy", SERVER_PORT, "deny", priority=1)
        self.expect_drop(Drop.POLICY, INSIDE, outward(UDP(sport=5000, dport=53)))
        assert self.hits(rule) == 1


class ExemptIsRoutedAsItIs(GatewayTest):
    def runTest(self):
        self.add("policy", {"src_addr": f"{CLIENT_IP}&&&255.255.255.255"}, "exempt", priority=1)
        self.send(INSIDE, outward(UDP(sport=5000, dport=53) / b"x"))
        packet = IP(src=CLIENT_IP, dst=SERVER_IP, ttl=63) / UDP(sport=5000, dport=53) / b"x"
        self.expect(OUTSIDE, fresh(Ether(src=ROUTER, dst=SERVER) / packet))


class ExemptFromOutsideToo(GatewayTest):
    def runTest(self):
        self.add("policy", {"side": "1&&&1", "dst_addr": f"{CLIENT_IP}&&&255.255.255.255"},
                 "exempt", priority=1)  # fmt: skip
        packet = IP(src=SERVER_IP, dst=CLIENT_IP) / UDP(sport=53, dport=5000) / b"x"
        self.send(OUTSIDE, fresh(Ether(src=SERVER, dst=ROUTER) / packet))
        packet[IP].ttl = 63
        self.expect(INSIDE, fresh(Ether(src=ROUTER, dst=HOST) / packet))


class TheHigherPriorityDecides(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        self.add("policy", {"proto": "17&&&0xff"}, "deny", priority=1)
        self.add("policy", SERVER_PORT, "translate", priority=2)
        self.send(INSIDE, outward(UDP(sport=5000, dport=53)))
        self.expect(OUTSIDE, outward_translated(UDP(sport=40000, dport=53)))
        self.expect_drop(Drop.POLICY, INSIDE, outward(UDP(sport=5000, dport=54)))


class TheSideOfARuleCounts(GatewayTest):
    def runTest(self):
        self.add("policy", {"side": "1&&&1"}, "deny", priority=1)
        packet = outward(UDP(sport=5000, dport=53))
        self.send(INSIDE, packet)
        self.expect_punt(Punt.SUBSCRIBER, packet)


class _Denied(GatewayTest):
    """A rule is looked at before the controller is asked anything, and before a cell is claimed."""

    def denied(self, port, packet, **match):
        rule = self.add("policy", match, "deny", priority=1)
        before = [self.punted(reason) for reason in Punt]
        self.expect_drop(Drop.POLICY, port, packet)
        assert [self.punted(reason) for reason in Punt] == before
        assert self.hits(rule) == 1


class ADeniedHostIsNotAskedFor(_Denied):
    def runTest(self):
        self.denied(INSIDE, outward(UDP(sport=5000, dport=53)), **SERVER_PORT)


class ADeniedServiceDoesNotReachItsAlg(_Denied):
    def runTest(self):
        self.add("alg_service", {"proto": "17&&&0xff"}, "bind_alg", priority=1, alg_id=3)
        self.denied(INSIDE, outward(UDP(sport=5000, dport=53)), **SERVER_PORT)


class ADeniedPacketDoesNotReachTheGatewayItself(_Denied):
    def runTest(self):
        self.add("local_addr", {"addr": "203.0.113.1"}, "is_local")
        self.denied(OUTSIDE, inward(UDP(sport=53, dport=9)), side="1&&&1")


class ADeniedFlowGetsNoCell(PlainTest):
    def runTest(self):
        rule = self.add("policy", SERVER_PORT, "deny", priority=1)
        self.expect_drop(Drop.POLICY, INSIDE, outward(UDP(sport=5000, dport=53)))
        self.remove(rule)
        # The first way is free: another endpoint gets it.
        self.passes_out(UDP(sport=5002, dport=53), BASE)


class ADeniedPlainFlowStopsAtOnceAndGoesOnWithTheRuleGone(PlainTest):
    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.passes_in(UDP(sport=53, dport=BASE), 5000)
        rule = self.add("policy", SERVER_PORT, "deny", priority=1)
        self.expect_drop(Drop.POLICY, INSIDE, outward(UDP(sport=5000, dport=53)))
        self.remove(rule)
        self.passes_out(UDP(sport=5000, dport=53), BASE)


class N6888_6_AnExemptPacketClaimsNothing(PlainTest):
    def runTest(self):
        self.add("policy", SERVER_PORT, "exempt", priority=1)
        self.send(INSIDE, outward(UDP(sport=5000, dport=53) / b"x"))
        packet = IP(src=CLIENT_IP, dst=SERVER_IP, ttl=63) / UDP(sport=5000, dport=53) / b"x"
        self.expect(OUTSIDE, fresh(Ether(src=ROUTER, dst=SERVER) / packet))
        self.passes_out(UDP(sport=5002, dport=54), BASE)
