"""Protocols without ports: enhanced GRE by call id (RFC 2637), ESP by SPI (RFC 4303).

Only the receiver's identifier is in the packet, so that the flow's key has 0
at the other end.
"""

from base import (
    CLIENT_IP,
    INSIDE,
    OUTSIDE,
    POOL_IP,
    Drop,
    GatewayTest,
    Punt,
    inward,
    inward_translated,
    outward,
    outward_translated,
)
from program import CALL_FLAG

GRE, ESP, AH, SCTP = 47, 50, 51, 132
PPP = 0x880B
"""In a key, what tells a call id (which may be 0) from none."""


def call(call_id, payload=b"ppp frame"):
    """An enhanced GRE packet with a sequence number, for a call."""
    words = (0x3001, PPP, len(payload), call_id)
    return b"".join(word.to_bytes(2, "big") for word in words) + b"\0\0\0\1" + payload


def sealed(spi):
    """An ESP packet of a security association."""
    return spi.to_bytes(4, "big") + b"\0\0\0\1" + b"sealed payload.."


class _Tunnel(GatewayTest):
    def open(self, proto, own_id, outside_id, peer_id):
        """Add a session for each direction: a packet names only its receiver's identifier."""
        self.add_mapping(proto, own_id, outside_id)
        self.add_session(proto, own_id, 0)
        self.add("map_out", {"proto": proto, "inside_addr": CLIENT_IP, "inside_id": 0},
                 "set_outside", outside_addr=POOL_IP, outside_id=0, managed=1)  # fmt: skip
        self.add_session(proto, 0, peer_id)


class GreCallsAreTranslatedForTheirReceiver(_Tunnel):
    def runTest(self):
        self.open(GRE, CALL_FLAG | 7, CALL_FLAG | 1007, CALL_FLAG | 99)
        self.send(INSIDE, outward(call(99), proto=GRE))
        self.expect(OUTSIDE, outward_translated(call(99), proto=GRE))
        self.send(OUTSIDE, inward(call(1007), proto=GRE))
        self.expect(INSIDE, inward_translated(call(7), proto=GRE))


class AnotherGreCallIsNotOurs(_Tunnel):
    def runTest(self):
        self.open(GRE, CALL_FLAG | 7, CALL_FLAG | 1007, CALL_FLAG | 99)
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(call(1008), proto=GRE))


class PlainGreIsNotMistakenForCallZero(_Tunnel):
    def runTest(self):
        self.open(GRE, CALL_FLAG, CALL_FLAG, CALL_FLAG)
        self.send(INSIDE, outward(call(0), proto=GRE))
        self.expect(OUTSIDE, outward_translated(call(0), proto=GRE))
        self.send(OUTSIDE, inward(call(0), proto=GRE))
        self.expect(INSIDE, inward_translated(call(0), proto=GRE))
        plain = b"\0\0\x08\0" + b"version 0"
        self.expect_drop(Drop.PROTOCOL, INSIDE, outward(plain, proto=GRE))
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(plain, proto=GRE))


class GreWithoutACallNeverVisitsTheController(GatewayTest):
    def runTest(self):
        self.expect_drop(Drop.PROTOCOL, INSIDE, outward(call(99), proto=GRE))


class EspWithoutItsAlgNeverVisitsTheController(GatewayTest):
    def runTest(self):
        self.expect_drop(Drop.PROTOCOL, INSIDE, outward(sealed(0x55556666), proto=ESP))


class PlainGreHasNoIdentifier(GatewayTest):
    def runTest(self):
        plain = b"\0\0\x08\0" + b"version 0"
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(plain, proto=GRE))
        self.add("addr_map_out", {"inside_addr": CLIENT_IP}, "set_outside_addr",
                 outside_addr=POOL_IP)  # fmt: skip
        self.add("session", self.flow(GRE, 0, 0), "allow", alg_id=0, flags=0, watch_below=0)
        self.send(INSIDE, outward(plain, proto=GRE))
        self.expect(OUTSIDE, outward_translated(plain, proto=GRE))


class EspIsTranslatedForItsReceiver(_Tunnel):
    def runTest(self):
        self.open(ESP, 0x11112222, 0x33334444, 0x55556666)
        self.send(INSIDE, outward(sealed(0x55556666), proto=ESP))
        self.expect(OUTSIDE, outward_translated(sealed(0x55556666), proto=ESP))
        self.send(OUTSIDE, inward(sealed(0x33334444), proto=ESP))
        self.expect(INSIDE, inward_translated(sealed(0x11112222), proto=ESP))


class EspWithAnotherSpiIsNotOurs(_Tunnel):
    def runTest(self):
        self.open(ESP, 0x11112222, 0x33334444, 0x55556666)
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(sealed(0x33334445), proto=ESP))


class AnUnknownSpiIsAskedForWhereAnAlgWantsIt(GatewayTest):
    """SPIs are announced under encryption only: its ALG learns from the packet whose it is."""

    def runTest(self):
        packet = inward(sealed(0x33334444), proto=ESP)
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, packet)
        self.add("alg_service", {"proto": "50&&&0xff"}, "bind_alg", priority=1, alg_id=6)
        self.send(OUTSIDE, packet)
        self.expect_punt(Punt.ESP, packet, port=OUTSIDE, alg_id=6)
        packet = outward(sealed(0x55556666), proto=ESP)
        self.send(INSIDE, packet)
        self.expect_punt(Punt.NEW_FLOW, packet, alg_id=6)
        # Only for ESP: packets of other protocols without a mapping are dropped.
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(call(7), proto=GRE))


class OtherProtocolsCannotCross(GatewayTest):
    """AH signs the addresses (RFC 4302): no NAT can let it pass."""

    def runTest(self):
        for proto in (AH, SCTP):
            self.expect_drop(Drop.PROTOCOL, INSIDE, outward(bytes(12), proto=proto))
            self.expect_drop(Drop.PROTOCOL, OUTSIDE, inward(bytes(12), proto=proto))
