"""Sequence correction after an ALG resized a payload."""

from base import (
    INSIDE,
    OUTSIDE,
    TCP,
    GatewayTest,
    inward,
    inward_translated,
    outward,
    outward_translated,
)

CORRECT_SEQUENCE = 2


class NumbersFollowTheResizedPayloadAcrossTheWrap(GatewayTest):
    def runTest(self):
        self.add_mapping(6, 5000, 40000)
        self.add_session(6, 5000, 21, flags=CORRECT_SEQUENCE)
        self.add("sequence", self.flow(6, 5000, 21), "correct", out_position=0xFFFFFFF8,
                 out_before=0, out_after=10, in_position=0, in_before=0, in_after=0)  # fmt: skip
        self.send(INSIDE, outward(TCP(sport=5000, dport=21, flags="A", seq=0xFFFFFFFA, ack=5)))
        self.expect(
            OUTSIDE, outward_translated(TCP(sport=40000, dport=21, flags="A", seq=4, ack=5))
        )
        self.send(INSIDE, outward(TCP(sport=5000, dport=21, flags="A", seq=0xFFFFFFF0, ack=5)))
        self.expect(
            OUTSIDE,
            outward_translated(TCP(sport=40000, dport=21, flags="A", seq=0xFFFFFFF0, ack=5)),
        )
        self.send(OUTSIDE, inward(TCP(sport=21, dport=40000, flags="A", seq=5, ack=4)))
        self.expect(
            INSIDE, inward_translated(TCP(sport=21, dport=5000, flags="A", seq=5, ack=0xFFFFFFFA))
        )
