"""1:1 translation of addresses: identifiers stay, and a mapping of an endpoint comes first."""

from base import (
    CLIENT_IP,
    INSIDE,
    OUTSIDE,
    POOL_IP,
    UDP,
    Drop,
    FilterMode,
    GatewayTest,
    inward,
    inward_translated,
    outward,
    outward_translated,
)

GRE = 47
GRE_PACKET = b"\x00\x00\x08\x00" + b"E" + bytes(19)


class _AddressMap(GatewayTest):
    def map_address(self, filter_mode=FilterMode.ADDRESS_AND_PORT):
        out = self.add("addr_map_out", {"inside_addr": CLIENT_IP}, "set_outside_addr",
                       outside_addr=POOL_IP)  # fmt: skip
        into = self.add("addr_map_in", {"outside_addr": POOL_IP}, "set_inside_addr",
                        inside_addr=CLIENT_IP, filter_mode=filter_mode)  # fmt: skip
        return out, into


class IdentifiersStay(_AddressMap):
    def runTest(self):
        out, into = self.map_address()
        self.add_session(17, 5000, 53)
        self.send(INSIDE, outward(UDP(sport=5000, dport=53) / b"ask"))
        self.expect(OUTSIDE, outward_translated(UDP(sport=5000, dport=53) / b"ask"))
        self.send(OUTSIDE, inward(UDP(sport=53, dport=5000) / b"answer"))
        self.expect(INSIDE, inward_translated(UDP(sport=53, dport=5000) / b"answer"))
        assert (self.hits(out), self.hits(into)) == (1, 1)


class AnEndpointsOwnMappingComesFirst(_AddressMap):
    def runTest(self):
        out, into = self.map_address()
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        self.send(INSIDE, outward(UDP(sport=5000, dport=53) / b"ask"))
        self.expect(OUTSIDE, outward_translated(UDP(sport=40000, dport=53) / b"ask"))
        self.send(OUTSIDE, inward(UDP(sport=53, dport=40000) / b"answer"))
        self.expect(INSIDE, inward_translated(UDP(sport=53, dport=5000) / b"answer"))
        assert (self.hits(out), self.hits(into)) == (0, 0)


class ItsFilterIsKept(_AddressMap):
    def runTest(self):
        self.map_address(filter_mode=FilterMode.ADDRESS_AND_PORT)
        self.expect_drop(Drop.FILTERED, OUTSIDE, inward(UDP(sport=53, dport=5000)))


class AnOpenOneLetsAnyoneIn(_AddressMap):
    def runTest(self):
        self.map_address(filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        self.send(OUTSIDE, inward(UDP(sport=53, dport=5000) / b"ask"))
        self.expect(INSIDE, inward_translated(UDP(sport=53, dport=5000) / b"ask"))
        self.send(INSIDE, outward(UDP(sport=5000, dport=53) / b"answer"))
        self.expect(OUTSIDE, outward_translated(UDP(sport=5000, dport=53) / b"answer"))


class PlainGreCrosses(_AddressMap):
    """A tunnel without call ids: only a mapping of a whole address says whose it is."""

    def runTest(self):
        self.map_address(filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        for later in ({"frag": 0}, {"frag": 100}):
            self.send(OUTSIDE, inward(GRE_PACKET, proto=GRE, **later))
            self.expect(INSIDE, inward_translated(GRE_PACKET, proto=GRE, **later))
            self.send(INSIDE, outward(GRE_PACKET, proto=GRE, **later))
            self.expect(OUTSIDE, outward_translated(GRE_PACKET, proto=GRE, **later))


class PlainGreKeepsToTheFilter(_AddressMap):
    def runTest(self):
        self.map_address(filter_mode=FilterMode.ADDRESS_AND_PORT)
        packet = inward(GRE_PACKET, proto=GRE)
        self.expect_drop(Drop.FILTERED, OUTSIDE, packet)
