"""Fragments: punted without an entry, translated with one (RFC 4787 REQ-14)."""

from base import (
    CLIENT_IP,
    INSIDE,
    OUTSIDE,
    POOL_IP,
    SERVER_IP,
    UDP,
    GatewayTest,
    Punt,
    inward,
    inward_translated,
    outward,
    outward_translated,
)

FIRST = {"proto": 17, "id": 4711, "flags": "MF"}
LATER = {"proto": 17, "id": 4711, "frag": 3}
HEAD = {"len": 40}
"""The length and so the checksum of UDP are those of the whole datagram."""


class FirstFragmentWithoutEntryIsPunted(GatewayTest):
    def runTest(self):
        packet = outward(UDP(sport=5000, dport=53, **HEAD) / bytes(16), **FIRST)
        self.send(INSIDE, packet)
        self.expect_punt(Punt.FRAGMENT, packet)


class LaterFragmentWithoutEntryIsPunted(GatewayTest):
    def runTest(self):
        packet = outward(b"tail of a datagram", **LATER)
        self.send(INSIDE, packet)
        self.expect_punt(Punt.FRAGMENT, packet)


class FragmentsFollowTheirDatagram(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        key = {"src_addr": CLIENT_IP, "dst_addr": SERVER_IP, "proto": 17, "ident": 4711}
        entry = self.add("fragment", key, "set_ids", src_id=5000, dst_id=53)
        # The checksum covers bytes of the other fragments too, so it is only updated for the
        # addresses and ports. Without one (0) it is simplest to expect.
        self.send(INSIDE, outward(UDP(sport=5000, dport=53, chksum=0, **HEAD) / bytes(16), **FIRST))
        head = UDP(sport=40000, dport=53, chksum=0, **HEAD) / bytes(16)
        self.expect(OUTSIDE, outward_translated(head, **FIRST))
        self.send(INSIDE, outward(b"tail of a datagram", **LATER))
        self.expect(OUTSIDE, outward_translated(b"tail of a datagram", **LATER))
        assert self.hits(entry) == 2


class FragmentsFromOutsideToo(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        key = {"src_addr": SERVER_IP, "dst_addr": POOL_IP, "proto": 17, "ident": 4711}
        self.add("fragment", key, "set_ids", src_id=53, dst_id=40000)
        self.send(OUTSIDE, inward(b"tail of a datagram", **LATER))
        self.expect(INSIDE, inward_translated(b"tail of a datagram", **LATER))
