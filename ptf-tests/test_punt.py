"""What goes to the controller, and why."""

from scapy.layers.l2 import ARP

from base import (
    HOST,
    INSIDE,
    OUTSIDE,
    TCP,
    UDP,
    Drop,
    Ether,
    FilterMode,
    GatewayTest,
    Punt,
    inward,
    outward,
    outward_translated,
)


class NewFlowCarriesItsAlg(GatewayTest):
    def runTest(self):
        self.add("alg_service", {"proto": "6&&&0xff", "server_id": "21&&&0xffffffff"},
                 "bind_alg", priority=1, alg_id=3)  # fmt: skip
        packet = outward(TCP(sport=5000, dport=21, flags="S"))
        self.send(INSIDE, packet)
        self.expect_punt(Punt.NEW_FLOW, packet, alg_id=3)


class AlgPayloadIsPunted(GatewayTest):
    def runTest(self):
        self.add_mapping(6, 5000, 40000)
        self.add_session(6, 5000, 21, alg_id=3)
        packet = outward(TCP(sport=5000, dport=21, flags="PA") / b"PASV\r\n")
        self.send(INSIDE, packet)
        self.expect_punt(Punt.ALG, packet, alg_id=3)


class ArpIsPunted(GatewayTest):
    def runTest(self):
        packet = Ether(src=HOST, dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="10.0.0.1", hwsrc=HOST)
        self.send(INSIDE, packet)
        self.expect_punt(Punt.ARP, packet)


class TtlOneIsPunted(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        packet = outward(UDP(sport=5000, dport=53), ttl=1)
        self.send(INSIDE, packet)
        self.expect_punt(Punt.TTL, packet)


class FromOutsideToNoMappingIsDropped(GatewayTest):
    def runTest(self):
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(UDP(sport=53, dport=4)))


class AddressAndPortFilterRefuses(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000, filter_mode=FilterMode.ADDRESS_AND_PORT)
        self.expect_drop(Drop.FILTERED, OUTSIDE, inward(UDP(sport=53, dport=40000)))


class EndpointIndependentFilterAsks(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000, filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        packet = inward(UDP(sport=53, dport=40000))
        self.send(OUTSIDE, packet)
        self.expect_punt(Punt.OVERFLOW, packet, port=OUTSIDE)


class OnlyASynBegins(GatewayTest):
    """RFC 5382 REQ-2: nothing else of TCP makes a flow."""

    def runTest(self):
        for flags in ("A", "SA", "FA", "R", "SF", "SR", ""):
            packet = outward(TCP(sport=5000, dport=80, flags=flags))
            self.expect_drop(Drop.NO_SESSION, INSIDE, packet)


class PureAcksOfAControlConnectionStay(GatewayTest):
    def runTest(self):
        self.add_mapping(6, 5000, 40000)
        self.add_session(6, 5000, 21, alg_id=3)
        self.send(INSIDE, outward(TCP(sport=5000, dport=21, flags="A")))
        self.expect(OUTSIDE, outward_translated(TCP(sport=40000, dport=21, flags="A")))


class BeginAndEndOfAControlConnectionArePunted(GatewayTest):
    def runTest(self):
        self.add_mapping(6, 5000, 40000)
        self.add_session(6, 5000, 21, alg_id=3)
        for flags in ("S", "FA", "R"):
            packet = outward(TCP(sport=5000, dport=21, flags=flags))
            self.send(INSIDE, packet)
            self.expect_punt(Punt.ALG, packet, alg_id=3)
            packet = inward(TCP(sport=21, dport=40000, flags=flags))
            self.send(OUTSIDE, packet)
            self.expect_punt(Punt.ALG, packet, port=OUTSIDE, alg_id=3)
