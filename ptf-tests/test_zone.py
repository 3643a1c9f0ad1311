"""What the gateway refuses before it looks at a flow."""

from base import HOST, INSIDE, IP, ROUTER, SERVER, UDP, Ether, GatewayTest, outward

DROP_CHECKSUM, DROP_NO_ZONE, DROP_NOT_FOR_US, DROP_ETHERTYPE = 2, 3, 4, 5


class OtherMacIsNotForUs(GatewayTest):
    def runTest(self):
        packet = outward(UDP(sport=1, dport=2))
        packet[Ether].dst = SERVER
        self.expect_drop(DROP_NOT_FOR_US, INSIDE, packet)


class UnknownVlanHasNoZone(GatewayTest):
    def runTest(self):
        from scapy.layers.l2 import Dot1Q

        packet = Ether(src=HOST, dst=ROUTER) / Dot1Q(vlan=9) / outward(UDP(sport=1, dport=2))[IP]
        self.expect_drop(DROP_NO_ZONE, INSIDE, packet)


class WrongHeaderChecksumIsDropped(GatewayTest):
    def runTest(self):
        packet = outward(UDP(sport=1, dport=2))
        packet[IP].chksum ^= 1
        self.expect_drop(DROP_CHECKSUM, INSIDE, packet)


class OtherEtherTypeIsDropped(GatewayTest):
    def runTest(self):
        packet = Ether(src=HOST, dst=ROUTER, type=0x88B5) / bytes(46)
        self.expect_drop(DROP_ETHERTYPE, INSIDE, packet)
