"""The gateway's own addresses: to the controller, unless a mapping uses them."""

from base import (
    CLIENT_IP,
    HOST,
    ICMP,
    INSIDE,
    IP,
    OUTSIDE,
    POOL_IP,
    ROUTER,
    UDP,
    Ether,
    GatewayTest,
    Punt,
    fresh,
    inward,
    inward_translated,
)


class _Local(GatewayTest):
    def setUp(self):
        super().setUp()
        self.own = self.add("local_addr", {"addr": POOL_IP}, "is_local")


class PingToTheGatewayIsPunted(_Local):
    def runTest(self):
        packet = inward(ICMP(type=8, id=1) / b"ping")
        self.send(OUTSIDE, packet)
        self.expect_punt(Punt.LOCAL, packet, port=OUTSIDE)
        assert self.hits(self.own) == 1


class FromInsideItIsPuntedToo(_Local):
    def runTest(self):
        packet = fresh(Ether(src=HOST, dst=ROUTER) / IP(src=CLIENT_IP, dst=POOL_IP) / UDP())
        self.send(INSIDE, packet)
        self.expect_punt(Punt.LOCAL, packet)


class AMappingOfTheAddressWins(_Local):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        self.send(OUTSIDE, inward(UDP(sport=53, dport=40000) / b"x"))
        self.expect(INSIDE, inward_translated(UDP(sport=53, dport=5000) / b"x"))


class AnExemptPacketIsPuntedToo(_Local):
    def runTest(self):
        self.add("policy", {"dst_addr": f"{POOL_IP}&&&255.255.255.255"}, "exempt", priority=1)
        packet = inward(UDP(sport=53, dport=9))
        self.send(OUTSIDE, packet)
        self.expect_punt(Punt.LOCAL, packet, port=OUTSIDE)
