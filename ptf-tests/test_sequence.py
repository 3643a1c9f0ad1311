"""Sequence correction after an ALG resized a payload."""

from base import (
    INSIDE,
    OUTSIDE,
    TCP,
    GatewayTest,
    SessionFlags,
    inward,
    inward_translated,
    outward,
    outward_translated,
)

NOTHING = {"out_position": 0, "out_before": 0, "out_after": 0,
           "in_position": 0, "in_before": 0, "in_after": 0}  # fmt: skip


class _Sequence(GatewayTest):
    def correct(self, flags=SessionFlags.CORRECT_SEQUENCE, **deltas):
        self.add_mapping(6, 5000, 40000)
        self.add_session(6, 5000, 21, flags=flags)
        self.add("sequence", self.flow(6, 5000, 21), "correct", **{**NOTHING, **deltas})

    def from_client(self, numbers, expected, flags="A"):
        seq, ack = numbers
        self.send(INSIDE, outward(TCP(sport=5000, dport=21, flags=flags, seq=seq, ack=ack)))
        seq, ack = expected
        tcp = TCP(sport=40000, dport=21, flags=flags, seq=seq, ack=ack)
        self.expect(OUTSIDE, outward_translated(tcp))

    def from_server(self, numbers, expected):
        seq, ack = numbers
        self.send(OUTSIDE, inward(TCP(sport=21, dport=40000, flags="A", seq=seq, ack=ack)))
        seq, ack = expected
        tcp = TCP(sport=21, dport=5000, flags="A", seq=seq, ack=ack)
        self.expect(INSIDE, inward_translated(tcp))


class NumbersFollowTheResizedPayloadAcrossTheWrap(_Sequence):
    def runTest(self):
        self.correct(out_position=0xFFFFFFF8, out_after=10)
        self.from_client((0xFFFFFFFA, 5), (4, 5))
        self.from_client((0xFFFFFFF0, 5), (0xFFFFFFF0, 5))
        self.from_server((5, 4), (5, 0xFFFFFFFA))


class AnswersResizedByTheOtherEnd(_Sequence):
    def runTest(self):
        self.correct(in_position=1000, in_before=3, in_after=0xFFFFFFFE)
        self.from_server((999, 7), (1002, 7))
        self.from_server((1000, 7), (998, 7))
        self.from_client((7, 998), (7, 1000))
        self.from_client((7, 990), (7, 987))


class WithoutTheFlagNothingIsCorrected(_Sequence):
    def runTest(self):
        self.correct(flags=0, out_after=10)
        self.from_client((100, 5), (100, 5))


class WithoutAckTheNumberMeansNothing(_Sequence):
    def runTest(self):
        self.correct(in_after=10)
        self.from_client((1, 0), (1, 0), flags="S")
