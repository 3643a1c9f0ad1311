"""Digests: the switch reports what changes the state of a session, and forwards the packet."""

from base import (
    CLIENT_IP,
    INSIDE,
    OUTSIDE,
    SERVER_IP,
    TCP,
    GatewayTest,
    SessionFlags,
    inward,
    inward_translated,
    new_number,
    outward,
    outward_translated,
)

FIN, RST, ACK = 0x01, 0x04, 0x10
OUTBOUND, INBOUND = 1, 0
ORGANISATION = 0


class _Digest(GatewayTest):
    flags = 0
    key = (6, CLIENT_IP, 5000, SERVER_IP, 80)

    def setUp(self):
        super().setUp()
        self.add_mapping(6, 5000, 40000)
        self.add_session(6, 5000, 80, flags=self.flags)

    def from_client(self, flags):
        self.send(INSIDE, outward(TCP(sport=5000, dport=80, flags=flags, seq=1, ack=1)))
        expected = TCP(sport=40000, dport=80, flags=flags, seq=1, ack=1)
        self.expect(OUTSIDE, outward_translated(expected))

    def from_server(self, flags):
        self.send(OUTSIDE, inward(TCP(sport=80, dport=40000, flags=flags, seq=1, ack=1)))
        expected = TCP(sport=80, dport=5000, flags=flags, seq=1, ack=1)
        self.expect(INSIDE, inward_translated(expected))


class FinIsToldWithItsDirection(_Digest):
    def runTest(self):
        self.from_client("FA")
        self.expect_digest(*self.key, FIN | ACK, OUTBOUND, 0, ORGANISATION)
        self.from_server("FA")
        self.expect_digest(*self.key, FIN | ACK, INBOUND, 0, ORGANISATION)


class RstIsTold(_Digest):
    def runTest(self):
        self.from_server("R")
        self.expect_digest(*self.key, RST, INBOUND, 0, ORGANISATION)


class TheEndOfTheHandshakeIsToldOnRequest(_Digest):
    flags = SessionFlags.NOTIFY_ESTABLISHED

    def runTest(self):
        self.from_client("S")
        self.from_server("SA")
        self.from_client("A")
        self.expect_digest(*self.key, ACK, OUTBOUND, 1, ORGANISATION)


class DataOfASessionIsNotTold(_Digest):
    def runTest(self):
        self.from_client("A")
        self.from_client("FA")
        # The first digest is that of the FIN: the ACK before it made none.
        self.expect_digest(*self.key, FIN | ACK, OUTBOUND, 0, ORGANISATION)


class APinholesHitIsTold(_Digest):
    def runTest(self):
        match = {"proto": "6&&&0xff", "inside_addr": f"{CLIENT_IP}&&&255.255.255.255"}
        number = new_number()
        pinhole = self.add("pinhole", match, "permit", priority=1, pinhole_id=number)
        self.send(OUTSIDE, inward(TCP(sport=20, dport=40000, flags="S")))
        self.expect(INSIDE, inward_translated(TCP(sport=20, dport=5000, flags="S")))
        self.expect_digest(6, CLIENT_IP, 5000, SERVER_IP, 20, number, ORGANISATION)
        assert self.hits(pinhole) == 1
