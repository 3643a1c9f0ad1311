"""Routing: longest prefix, unresolved neighbours, MTU and TTL."""

from base import (
    CLIENT_IP,
    HOST,
    ICMP,
    INSIDE,
    IP,
    MTU,
    OUTSIDE,
    POOL_IP,
    ROUTER,
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

IP_AND_UDP = 28
"""Bytes of the two headers."""


class _Route(GatewayTest):
    def setUp(self):
        super().setUp()
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)


class TheLongestPrefixWins(_Route):
    def runTest(self):
        near = "02:00:00:00:00:77"
        self.add("next_hop", {"next_hop": 3}, "leave", port=OUTSIDE, vlan_id=0,
                 src_mac=ROUTER, dst_mac=near, mtu=MTU)  # fmt: skip
        self.add("route", {"addr": f"{SERVER_IP}/32"}, "via", next_hop=3)
        self.send(INSIDE, outward(UDP(sport=5000, dport=53)))
        expected = outward_translated(UDP(sport=40000, dport=53))
        expected[Ether].dst = near
        self.expect(OUTSIDE, expected)


class APacketWithoutARouteIsTheControllersToAnswer(_Route):
    def runTest(self):
        flow = {**self.flow(17, 5000, 53), "remote_addr": "192.0.2.1"}
        self.add("session", flow, "allow", alg_id=0, flags=0, watch_below=0)
        packet = Ether(src=HOST, dst=ROUTER) / IP(src=CLIENT_IP, dst="192.0.2.1")
        packet = fresh(packet / UDP(sport=5000, dport=53))
        self.send(INSIDE, packet)
        self.expect_punt(Punt.NO_ROUTE, packet)


class AnErrorWithoutARouteIsDropped(_Route):
    def runTest(self):
        flow = {**self.flow(17, 5000, 53), "remote_addr": "192.0.2.1"}
        self.add("session", flow, "allow", alg_id=0, flags=0, watch_below=0)
        about = IP(src="192.0.2.1", dst=CLIENT_IP) / UDP(sport=53, dport=5000)
        packet = Ether(src=HOST, dst=ROUTER) / IP(src=CLIENT_IP, dst="192.0.2.1")
        packet = fresh(packet / ICMP(type=3, code=3) / bytes(about))
        self.expect_drop(Drop.NO_ROUTE, INSIDE, packet)


class AnUnresolvedNeighbourIsPunted(_Route):
    def runTest(self):
        self.add("route", {"addr": f"{SERVER_IP}/32"}, "via", next_hop=9)
        packet = outward(UDP(sport=5000, dport=53))
        self.send(INSIDE, packet)
        self.expect_punt(Punt.NEIGHBOUR, packet)


class TheMtuIsTheLastThatPasses(_Route):
    def runTest(self):
        full = bytes(MTU - IP_AND_UDP - 200)
        self.add("next_hop", {"next_hop": 3}, "leave", port=OUTSIDE, vlan_id=0, src_mac=ROUTER,
                 dst_mac="02:00:00:00:00:02", mtu=MTU - 200)  # fmt: skip
        self.add("route", {"addr": f"{SERVER_IP}/32"}, "via", next_hop=3)
        self.send(INSIDE, outward(UDP(sport=5000, dport=53) / full))
        self.expect(OUTSIDE, outward_translated(UDP(sport=40000, dport=53) / full))
        packet = outward(UDP(sport=5000, dport=53) / (full + b"!"))
        self.send(INSIDE, packet)
        self.expect_punt(Punt.MTU, packet)


class TtlTwoPassesAsOne(_Route):
    def runTest(self):
        self.send(INSIDE, outward(UDP(sport=5000, dport=53), ttl=2))
        self.expect(OUTSIDE, outward_translated(UDP(sport=40000, dport=53), ttl=2))


class AnErrorWhoseTtlEndsIsDropped(_Route):
    def runTest(self):
        about = IP(src=POOL_IP, dst=SERVER_IP, ttl=63) / UDP(sport=40000, dport=53)
        error = inward(ICMP(type=3, code=3) / bytes(about), ttl=1)
        self.expect_drop(Drop.TTL, OUTSIDE, error)
