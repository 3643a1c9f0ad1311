"""Which ALG a new flow gets: by its protocol, and the server's port as the server has it."""

from base import INSIDE, OUTSIDE, TCP, UDP, FilterMode, GatewayTest, Punt, inward, outward

FTP, OTHER = 3, 4


class _Service(GatewayTest):
    def bind(self, match, alg_id, priority):
        return self.add("alg_service", match, "bind_alg", priority=priority, alg_id=alg_id)

    def ask(self, packet, alg_id, port=INSIDE):
        """Send what begins; without an ALG it is asked for its subscriber only."""
        self.send(port, packet)
        reason = Punt.NEW_FLOW if alg_id else Punt.SUBSCRIBER
        self.expect_punt(reason, packet, port=port, alg_id=alg_id)


class ARangeOfPorts(_Service):
    def runTest(self):
        # 2120-2123 is one prefix.
        entry = self.bind({"proto": "6&&&0xff", "server_id": "2120&&&0xfffffffc"}, FTP, 1)
        for port, alg_id in ((2119, 0), (2120, FTP), (2123, FTP), (2124, 0)):
            self.ask(outward(TCP(sport=5000, dport=port, flags="S")), alg_id)
        assert self.hits(entry) == 2


class ThePriorityDecides(_Service):
    def runTest(self):
        self.bind({"proto": "6&&&0xff"}, OTHER, 1)
        self.bind({"proto": "6&&&0xff", "server_id": "21&&&0xffffffff"}, FTP, 2)
        self.ask(outward(TCP(sport=5000, dport=21, flags="S")), FTP)
        self.ask(outward(TCP(sport=5000, dport=22, flags="S")), OTHER)


class TheProtocolCounts(_Service):
    def runTest(self):
        self.bind({"proto": "6&&&0xff", "server_id": "21&&&0xffffffff"}, FTP, 1)
        self.ask(outward(UDP(sport=5000, dport=21)), 0)


class AServerInsideIsKnownByItsInsidePort(_Service):
    def runTest(self):
        self.bind({"proto": "6&&&0xff", "server_id": "21&&&0xffffffff"}, FTP, 1)
        self.add_mapping(6, 21, 2121, filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        self.ask(inward(TCP(sport=6000, dport=2121, flags="S")), FTP, port=OUTSIDE)


class TheClientsPortDoesNotCount(_Service):
    def runTest(self):
        self.bind({"proto": "6&&&0xff", "server_id": "21&&&0xffffffff"}, FTP, 1)
        self.ask(outward(TCP(sport=21, dport=6000, flags="S")), 0)
