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
    outward,
    outward_translated,
)

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
