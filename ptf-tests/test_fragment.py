"""Fragments: punted without an entry, translated with one (RFC 4787 REQ-14)."""

from base import CLIENT_IP, INSIDE, OUTSIDE, SERVER_IP, GatewayTest, outward, outward_translated

LATER = {"proto": 17, "id": 4711, "frag": 3}
PUNT_FRAGMENT = 4


class LaterFragmentWithoutEntryIsPunted(GatewayTest):
    def runTest(self):
        packet = outward(b"tail of a datagram", **LATER)
        self.send(INSIDE, packet)
        self.expect_punt(PUNT_FRAGMENT, packet)


class LaterFragmentFollowsItsDatagram(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        key = {"src_addr": CLIENT_IP, "dst_addr": SERVER_IP, "proto": 17, "ident": 4711}
        self.add("fragment", key, "set_ids", src_id=5000, dst_id=53)
        self.send(INSIDE, outward(b"tail of a datagram", **LATER))
        self.expect(OUTSIDE, outward_translated(b"tail of a datagram", **LATER))
