"""The operator's rules, looked at for every packet."""

from base import INSIDE, UDP, GatewayTest, outward

DROP_POLICY = 6


class DenyDropsAnEstablishedFlow(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        self.add("policy", {"dst_id": "53&&&0xffffffff"}, "deny", priority=1)
        self.expect_drop(DROP_POLICY, INSIDE, outward(UDP(sport=5000, dport=53)))
