"""Filtering of what comes from outside to a mapping (RFC 4787 section 5)."""

from base import CLIENT_IP, OUTSIDE, SERVER_IP, UDP, Drop, FilterMode, GatewayTest, Punt, inward


class AddressFilterRefusesAStranger(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000, filter_mode=FilterMode.ADDRESS)
        packet = inward(UDP(sport=53, dport=40000))
        self.expect_drop(Drop.FILTERED, OUTSIDE, packet)


class AddressFilterAsksForAKnownPeer(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000, filter_mode=FilterMode.ADDRESS)
        key = {"proto": 17, "inside_addr": CLIENT_IP, "inside_id": 5000, "remote_addr": SERVER_IP}
        peer = self.add("peer", key, "peer_known")
        packet = inward(UDP(sport=9999, dport=40000))
        self.send(OUTSIDE, packet)
        self.expect_punt(Punt.OVERFLOW, packet, port=OUTSIDE)
        assert self.hits(peer) == 1


class PeerOfAnotherEndpointDoesNotCount(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000, filter_mode=FilterMode.ADDRESS)
        key = {"proto": 17, "inside_addr": CLIENT_IP, "inside_id": 5001, "remote_addr": SERVER_IP}
        self.add("peer", key, "peer_known")
        self.expect_drop(Drop.FILTERED, OUTSIDE, inward(UDP(sport=53, dport=40000)))
