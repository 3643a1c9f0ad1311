"""What goes to the controller, and why."""

from scapy.layers.l2 import ARP

from base import (
    HOST,
    INSIDE,
    OUTSIDE,
    TCP,
    UDP,
    Ether,
    GatewayTest,
    inward,
    outward,
)

NEW_FLOW, ALG, ARP_REQUEST, TTL = 1, 2, 3, 6
DROP_NO_MAPPING, DROP_FILTERED, DROP_NO_SESSION = 7, 8, 9


class NewFlowCarriesItsAlg(GatewayTest):
    def runTest(self):
        self.add("alg_service", {"proto": "6&&&0xff", "server_id": "21&&&0xffffffff"},
                 "bind_alg", priority=1, alg_id=3)  # fmt: skip
        packet = outward(TCP(sport=5000, dport=21, flags="S"))
        self.send(INSIDE, packet)
        self.expect_punt(NEW_FLOW, packet, alg_id=3)


class AlgPayloadIsPunted(GatewayTest):
    def runTest(self):
        self.add_mapping(6, 5000, 40000)
        self.add_session(6, 5000, 21, alg_id=3)
        packet = outward(TCP(sport=5000, dport=21, flags="PA") / b"PASV\r\n")
        self.send(INSIDE, packet)
        self.expect_punt(ALG, packet, alg_id=3)


class ArpIsPunted(GatewayTest):
    def runTest(self):
        packet = Ether(src=HOST, dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="10.0.0.1", hwsrc=HOST)
        self.send(INSIDE, packet)
        self.expect_punt(ARP_REQUEST, packet)


class TtlOneIsPunted(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        packet = outward(UDP(sport=5000, dport=53), ttl=1)
        self.send(INSIDE, packet)
        self.expect_punt(TTL, packet)


class FromOutsideToNoMappingIsDropped(GatewayTest):
    def runTest(self):
        self.expect_drop(DROP_NO_MAPPING, OUTSIDE, inward(UDP(sport=53, dport=4)))


class AddressAndPortFilterRefuses(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000, filter_mode=0)
        self.expect_drop(DROP_FILTERED, OUTSIDE, inward(UDP(sport=53, dport=40000)))


class EndpointIndependentFilterAsks(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000, filter_mode=2)
        packet = inward(UDP(sport=53, dport=40000))
        self.send(OUTSIDE, packet)
        self.expect_punt(NEW_FLOW, packet, port=OUTSIDE)


class TcpWithoutSynIsDropped(GatewayTest):
    def runTest(self):
        packet = outward(TCP(sport=5000, dport=80, flags="A"))
        self.expect_drop(DROP_NO_SESSION, INSIDE, packet)
