"""Organisations: tenants with the same inside addresses, and each with its own ALGs and rules.

The other tenant's host has the client's address, and is behind a VLAN of the inside port.
"""

from scapy.layers.l2 import Dot1Q

from base import (
    CLIENT_IP,
    HOST,
    INSIDE,
    IP,
    MTU,
    OUTSIDE,
    POOL_IP,
    ROUTER,
    SERVER_IP,
    TCP,
    UDP,
    Drop,
    Ether,
    Punt,
    Side,
    fresh,
    inward,
    new_number,
    outward,
    outward_translated,
)
from plain import BASE, PlainTest

TENANT, VLAN, ZONE = 5, 30, 7
THEIR_BASE = 4096
TENANTS_HOP = 50
ONLY_TENANT = f"{TENANT}&&&0xff"


class _Tenants(PlainTest):
    def setUp(self):
        super().setUp()
        self.add("port_zone", {"port": INSIDE, "vlan_id": VLAN}, "set_zone", zone=ZONE,
                 side=Side.INSIDE, mac=ROUTER, organisation=TENANT)  # fmt: skip
        self.add("source", {"zone": ZONE, "src_addr": "10.0.0.0/8"}, "accept_source")
        self.add("next_hop", {"next_hop": TENANTS_HOP}, "leave", port=INSIDE, vlan_id=VLAN,
                 src_mac=ROUTER, dst_mac=HOST, mtu=MTU)  # fmt: skip
        for addr, hop in (("10.0.0.0/8", TENANTS_HOP), ("198.51.100.0/24", 2)):
            self.add("route", {"addr": addr, "organisation": TENANT}, "via", next_hop=hop)

    def tenant_sends(self, l4, outside_id):
        """Send a packet of the tenant's host; it must leave from this outside port."""
        self.send(INSIDE, tagged(l4))
        l4 = l4.copy()
        l4.sport = outside_id
        self.expect(OUTSIDE, outward_translated(l4))

    def tenant_gets(self, l4, inside_id, **ip):
        """Send a packet of the server; it must reach this port of the tenant's host."""
        self.send(OUTSIDE, inward(l4, **ip))
        l4 = l4.copy()
        l4.dport = inside_id
        frame = Ether(src=ROUTER, dst=HOST) / Dot1Q(vlan=VLAN)
        self.expect(INSIDE, fresh(frame / IP(src=SERVER_IP, dst=CLIENT_IP, ttl=63, **ip) / l4))


def tagged(l4, **ip):
    """A packet of the tenant's host to the server."""
    frame = Ether(src=HOST, dst=ROUTER) / Dot1Q(vlan=VLAN)
    return fresh(frame / IP(**{"src": CLIENT_IP, "dst": SERVER_IP, **ip}) / l4)


class TwoHostsWithOneAddressHaveBlocksOfTheirOwn(_Tenants):
    def runTest(self):
        self.subscribe(organisation=TENANT, base=THEIR_BASE)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.tenant_sends(UDP(sport=5000, dport=53), THEIR_BASE)
        self.passes_in(UDP(sport=53, dport=BASE), 5000)
        self.tenant_gets(UDP(sport=53, dport=THEIR_BASE), 5000)


class ATenantsNewHostIsAskedForThoughItsAddressIsKnown(_Tenants):
    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.expect_asked(Punt.SUBSCRIBER, tagged(UDP(sport=5000, dport=53)))


class EachHasItsOwnAlgs(_Tenants):
    def runTest(self):
        self.subscribe(organisation=TENANT, base=THEIR_BASE)
        self.add("alg_service", {"proto": "6&&&0xff", "server_id": "21&&&0xffffffff",
                                 "organisation": ONLY_TENANT},
                 "bind_alg", priority=1, alg_id=3)  # fmt: skip
        self.add("alg_service", {"proto": "6&&&0xff", "server_id": "2121&&&0xffffffff",
                                 "organisation": "0&&&0xff"},
                 "bind_alg", priority=1, alg_id=4)  # fmt: skip
        ftp, other = TCP(sport=5000, dport=21, flags="S"), TCP(sport=5000, dport=2121, flags="S")
        self.expect_asked(Punt.NEW_FLOW, tagged(ftp), alg_id=3)
        self.expect_asked(Punt.NEW_FLOW, outward(other), alg_id=4)
        self.passes_out(ftp, BASE)
        self.tenant_sends(other, THEIR_BASE)


class EachHasItsOwnRules(_Tenants):
    def runTest(self):
        self.add("policy", {"dst_id": "53&&&0xffffffff", "organisation": ONLY_TENANT},
                 "deny", priority=1)  # fmt: skip
        self.expect_drop(Drop.POLICY, INSIDE, tagged(UDP(sport=5000, dport=53)))
        self.passes_out(UDP(sport=5000, dport=53), BASE)


class EachHasItsOwnRoutes(_Tenants):
    def runTest(self):
        self.add("route", {"addr": "192.0.2.0/24"}, "via", next_hop=2)
        self.subscribe(organisation=TENANT, base=THEIR_BASE)
        self.passes_out(UDP(sport=5000, dport=53), BASE, dst="192.0.2.1")
        packet = tagged(UDP(sport=5000, dport=53), dst="192.0.2.1")
        self.send(INSIDE, packet)
        self.expect_punt(Punt.NO_ROUTE, packet)


class EachHasItsOwnMappingsAndSessionsOfTables(_Tenants):
    def runTest(self):
        for organisation, outside in ((0, 40000), (TENANT, 41000)):
            self.add("map_out", {"proto": 17, "inside_addr": CLIENT_IP, "inside_id": 5000,
                                 "organisation": organisation},
                     "set_outside", outside_addr=POOL_IP, outside_id=outside,
                     managed=1)  # fmt: skip
            self.add("map_in", {"proto": 17, "outside_addr": POOL_IP, "outside_id": outside},
                     "set_inside", inside_addr=CLIENT_IP, inside_id=5000, filter_mode=0,
                     managed=1, organisation=organisation)  # fmt: skip
        key = {**self.flow(17, 5000, 53), "organisation": TENANT}
        entry = self.add("session", key, "allow", alg_id=0, flags=0, watch_below=0)
        self.tenant_sends(UDP(sport=5000, dport=53), 41000)
        self.tenant_gets(UDP(sport=53, dport=41000), 5000)
        self.expect_overflow(UDP(sport=5000, dport=53))
        assert self.hits(entry) == 2


class APinholeIsOpenForItsOwnOnly(_Tenants):
    def runTest(self):
        for organisation, outside in ((0, 40000), (TENANT, 41000)):
            self.add("map_in", {"proto": 17, "outside_addr": POOL_IP, "outside_id": outside},
                     "set_inside", inside_addr=CLIENT_IP, inside_id=5000, filter_mode=0,
                     managed=1, organisation=organisation)  # fmt: skip
        match = {"proto": "17&&&0xff", "inside_id": "5000&&&0xffffffff",
                 "organisation": ONLY_TENANT}  # fmt: skip
        number = new_number()
        self.add("pinhole", match, "permit", priority=1, pinhole_id=number)
        self.tenant_gets(UDP(sport=9, dport=41000), 5000)
        self.expect_digest(17, CLIENT_IP, 5000, SERVER_IP, 9, number, TENANT)
        self.expect_drop(Drop.FILTERED, OUTSIDE, inward(UDP(sport=9, dport=40000)))


class AConnectionsEndIsToldWithItsOrganisation(_Tenants):
    def runTest(self):
        self.add("map_in", {"proto": 6, "outside_addr": POOL_IP, "outside_id": 41000},
                 "set_inside", inside_addr=CLIENT_IP, inside_id=5000, filter_mode=0,
                 managed=1, organisation=TENANT)  # fmt: skip
        key = {**self.flow(6, 5000, 80), "organisation": TENANT}
        self.add("session", key, "allow", alg_id=0, flags=0, watch_below=0)
        self.tenant_gets(TCP(sport=80, dport=41000, flags="FA"), 5000)
        self.expect_digest(6, CLIENT_IP, 5000, SERVER_IP, 80, 0x11, 0, 0, TENANT)


class FragmentsFromOutsideFollowToTheirTenant(_Tenants):
    """The switch learns them in the realm that they come from, not in that they lead to."""

    def runTest(self):
        self.subscribe(organisation=TENANT, base=THEIR_BASE)
        self.tenant_sends(UDP(sport=5000, dport=53), THEIR_BASE)
        head = UDP(sport=53, dport=THEIR_BASE, len=40, chksum=0) / bytes(16)
        self.tenant_gets(head, 5000, id=50000, flags="MF", proto=17)
        later = {"id": 50000, "frag": 3, "proto": 17}
        self.send(OUTSIDE, inward(b"tail of a datagram", **later))
        frame = Ether(src=ROUTER, dst=HOST) / Dot1Q(vlan=VLAN)
        packet = IP(src=SERVER_IP, dst=CLIENT_IP, ttl=63, **later) / b"tail of a datagram"
        self.expect(INSIDE, fresh(frame / packet))


class TwoOneToOneAddressesForOneInsideAddress(_Tenants):
    def runTest(self):
        theirs = "203.0.113.2"
        self.add("pool", {"addr": f"{theirs}/32"}, "in_pool")
        number = self.subscribe(organisation=TENANT, base=THEIR_BASE).number
        self.add("addr_map_out", {"inside_addr": CLIENT_IP, "organisation": TENANT},
                 "set_outside_addr", outside_addr=theirs, subscriber=number)  # fmt: skip
        self.send(INSIDE, tagged(UDP(sport=5000, dport=53)))
        self.expect(OUTSIDE, outward_translated(UDP(sport=5000, dport=53), src=theirs))
        self.passes_out(UDP(sport=5000, dport=53), BASE)
