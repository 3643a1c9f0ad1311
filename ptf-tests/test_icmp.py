"""ICMP errors: outer and embedded packet translated, every checksum right (RFC 5508 4)."""

from base import (
    CLIENT_IP,
    ICMP,
    INSIDE,
    IP,
    OUTSIDE,
    POOL_IP,
    SERVER_IP,
    UDP,
    GatewayTest,
    inward,
    inward_translated,
)


def error_about(src, sport):
    """An ICMP port-unreachable carrying the datagram `src`:`sport` sent to the server."""
    return ICMP(type=3, code=3) / bytes(
        IP(src=src, dst=SERVER_IP, ttl=63) / UDP(sport=sport, dport=53) / b"ask"
    )


class ErrorFromOutsideReachesTheClient(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        self.send(OUTSIDE, inward(error_about(POOL_IP, 40000)))
        self.expect(INSIDE, inward_translated(error_about(CLIENT_IP, 5000)))


class ErrorWithoutSessionIsDropped(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.expect_drop(9, OUTSIDE, inward(error_about(POOL_IP, 40000)))
