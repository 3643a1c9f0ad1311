"""VLANs: the tag selects the zone, and the next hop says with which tag a packet leaves."""

from scapy.layers.l2 import ARP, Dot1Q

from base import (
    CLIENT_IP,
    HOST,
    INSIDE,
    IP,
    MTU,
    OUTSIDE,
    POOL_IP,
    ROUTER,
    SERVER,
    SERVER_IP,
    UDP,
    Ether,
    GatewayTest,
    Punt,
    Side,
    fresh,
    outward,
)

VLAN, OTHER_VLAN = 30, 40


class _Vlan(GatewayTest):
    def setUp(self):
        super().setUp()
        self.add("port_zone", {"port": INSIDE, "vlan_id": VLAN}, "set_zone", zone=3,
                 side=Side.INSIDE, mac=ROUTER)  # fmt: skip
        self.add("source", {"zone": 3, "src_addr": "10.0.0.0/8"}, "accept_source")
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)

    def tag_the_server(self, vlan):
        """Send what goes to the server with a tag."""
        self.add("next_hop", {"next_hop": 3}, "leave", port=OUTSIDE, vlan_id=vlan,
                 src_mac=ROUTER, dst_mac=SERVER, mtu=MTU)  # fmt: skip
        self.add("route", {"addr": f"{SERVER_IP}/32"}, "via", next_hop=3)


def sent(*tag):
    """The client's datagram, with an optional tag."""
    frame = Ether(src=HOST, dst=ROUTER)
    for header in tag:
        frame = frame / header
    return fresh(frame / IP(src=CLIENT_IP, dst=SERVER_IP) / UDP(sport=5000, dport=53) / b"x")


def left(*tag):
    """The same as it leaves for the server, with an optional tag."""
    frame = Ether(src=ROUTER, dst=SERVER)
    for header in tag:
        frame = frame / header
    packet = IP(src=POOL_IP, dst=SERVER_IP, ttl=63) / UDP(sport=40000, dport=53) / b"x"
    return fresh(frame / packet)


class TaggedInUntaggedOut(_Vlan):
    def runTest(self):
        self.send(INSIDE, sent(Dot1Q(vlan=VLAN, prio=5)))
        self.expect(OUTSIDE, left())


class UntaggedInTaggedOut(_Vlan):
    def runTest(self):
        self.tag_the_server(OTHER_VLAN)
        self.send(INSIDE, sent())
        self.expect(OUTSIDE, left(Dot1Q(vlan=OTHER_VLAN)))


class AnotherTagKeepsThePriority(_Vlan):
    def runTest(self):
        self.tag_the_server(OTHER_VLAN)
        self.send(INSIDE, sent(Dot1Q(vlan=VLAN, prio=5)))
        self.expect(OUTSIDE, left(Dot1Q(vlan=OTHER_VLAN, prio=5)))


class ArpInAVlanIsPuntedWithItsTag(_Vlan):
    def runTest(self):
        request = ARP(pdst="10.0.0.1", hwsrc=HOST)
        packet = fresh(Ether(src=HOST, dst="ff:ff:ff:ff:ff:ff") / Dot1Q(vlan=VLAN) / request)
        self.send(INSIDE, packet)
        self.expect_punt(Punt.ARP, packet)


class ANewSubscriberInAVlanIsPuntedWithItsTag(_Vlan):
    def runTest(self):
        packet = outward(UDP(sport=6000, dport=53))
        tagged = fresh(Ether(src=HOST, dst=ROUTER) / Dot1Q(vlan=VLAN) / packet[IP])
        self.send(INSIDE, tagged)
        self.expect_punt(Punt.SUBSCRIBER, tagged)
