"""Hairpinning: the source translated, then back in from outside (RFC 4787 REQ-9)."""

from base import CLIENT_IP, HOST, INSIDE, IP, POOL_IP, ROUTER, UDP, Ether, GatewayTest, fresh


class PacketToTheOwnPoolComesBackTranslatedTwice(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_mapping(17, 6000, 41000)
        self.add("pool", {"addr": f"{POOL_IP}/32"}, "in_pool")
        for own, other in ((5000, 41000), (6000, 40000)):
            key = {**self.flow(17, own, other), "remote_addr": POOL_IP}
            self.add("session", key, "allow", alg_id=0, flags=0, watch_below=0)
        sent = IP(src=CLIENT_IP, dst=POOL_IP) / UDP(sport=5000, dport=41000) / b"x"
        got = IP(src=POOL_IP, dst=CLIENT_IP, ttl=63) / UDP(sport=40000, dport=6000) / b"x"
        self.send(INSIDE, fresh(Ether(src=HOST, dst=ROUTER) / sent))
        self.expect(INSIDE, fresh(Ether(src=ROUTER, dst=HOST) / got))
