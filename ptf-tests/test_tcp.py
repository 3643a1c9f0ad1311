"""TCP in the registers: phases by what both ends have proved, and nothing for a forged segment."""

import time

from base import INSIDE, OUTSIDE, TCP, Drop, FilterMode, outward, outward_translated
from plain import BASE, TICK, PlainTest, until_over
from program import Phase

INSIDE_SYN, OUTSIDE_SYN = Phase.INSIDE_SYN, Phase.OUTSIDE_SYN
ANSWERED = INSIDE_SYN | OUTSIDE_SYN
ESTABLISHED = ANSWERED | Phase.ESTABLISHED
IN_FIN, OUT_FIN, RESET = Phase.INSIDE_FIN, Phase.OUTSIDE_FIN, Phase.RESET
LONG = 1000


class _Tcp(PlainTest):
    """A connection of the client's port 5000 to the server's port 80, segment by segment."""

    def client(self, flags, **fields):
        self.passes_out(TCP(sport=5000, dport=80, flags=flags, **fields), BASE)

    def server(self, flags, **fields):
        self.passes_in(TCP(sport=80, dport=BASE, flags=flags, **fields), 5000)

    def handshake(self):
        """The client has acknowledged the server's number 9001 afterwards."""
        self.client("S", seq=1000)
        self.server("SA", seq=9000, ack=1001)
        self.client("A", seq=1001, ack=9001)

    def watch(self, *phases):
        """Count how often a segment leaves the session in each of these phases."""
        self.rows = {phase: self.add_timer(LONG, proto=6, phase=phase) for phase in phases}

    def expect_phases(self, *phases):
        """Require that the segments so far left the session in these phases, one each."""
        counted = {int(phase): self.hits(row) for phase, row in self.rows.items()}
        assert counted == {int(p): phases.count(p) for p in self.rows}, counted


class N5382_2_TheHandshakePhaseByPhase(_Tcp):
    def runTest(self):
        self.watch(INSIDE_SYN, ANSWERED, ESTABLISHED)
        self.client("S")
        self.expect_phases(INSIDE_SYN)
        self.server("SA")
        self.expect_phases(INSIDE_SYN, ANSWERED)
        self.client("A", ack=1)
        self.expect_phases(INSIDE_SYN, ANSWERED, ESTABLISHED)
        self.server("PA")
        self.client("PA", ack=2)
        self.expect_phases(INSIDE_SYN, ANSWERED, ESTABLISHED, ESTABLISHED, ESTABLISHED)


class N5382_2_SimultaneousOpen(_Tcp):
    """Both ends send a SYN, and acknowledge the other's with a SYN+ACK (RFC 9293 3.5)."""

    def runTest(self):
        self.watch(INSIDE_SYN, ANSWERED, ESTABLISHED)
        self.client("S")
        self.server("S")
        self.client("SA", ack=1)
        self.server("SA")
        # The SYN+ACKs prove nothing yet.
        self.expect_phases(INSIDE_SYN, ANSWERED, ANSWERED, ANSWERED)
        self.client("A", ack=1)
        self.expect_phases(INSIDE_SYN, ANSWERED, ANSWERED, ANSWERED, ESTABLISHED)


class AConnectionFromOutsideIsEstablishedByTheServerInside(_Tcp):
    """The opener's ACK may be forged: the host inside has to acknowledge something after it."""

    def runTest(self):
        self.set_gateway(filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        self.passes_out(TCP(sport=5000, dport=443, flags="S"), BASE)
        self.watch(OUTSIDE_SYN, ANSWERED, ESTABLISHED)
        self.server("S")
        self.client("SA", ack=1)
        self.server("A")
        self.server("PA")
        self.expect_phases(OUTSIDE_SYN, ANSWERED, ANSWERED, ANSWERED)
        self.client("A", ack=2)
        self.expect_phases(OUTSIDE_SYN, ANSWERED, ANSWERED, ANSWERED, ESTABLISHED)


class ClosingTakesTheFinOfBothEnds(_Tcp):
    def runTest(self):
        both = ESTABLISHED | IN_FIN | OUT_FIN
        self.handshake()
        self.watch(ESTABLISHED | IN_FIN, both)
        self.client("FA", ack=9001)
        self.server("A")
        self.server("PA")
        self.expect_phases(*[ESTABLISHED | IN_FIN] * 3)
        self.server("FA")
        self.client("A", ack=9002)
        self.expect_phases(*[ESTABLISHED | IN_FIN] * 3, both, both)


class TheOtherEndMayCloseFirst(_Tcp):
    def runTest(self):
        self.handshake()
        self.watch(ESTABLISHED | OUT_FIN, ESTABLISHED | IN_FIN | OUT_FIN)
        self.server("FA")
        self.client("PA", ack=9002)
        self.client("FA", ack=9002)
        half = ESTABLISHED | OUT_FIN
        self.expect_phases(half, half, ESTABLISHED | IN_FIN | OUT_FIN)


class AResetFromInsideCounts(_Tcp):
    def runTest(self):
        self.handshake()
        self.watch(ESTABLISHED | RESET)
        self.client("R")
        self.expect_phases(ESTABLISHED | RESET)


class N7857_2_AResetFromOutsideCountsByItsExactNumberOnly(_Tcp):
    """What the inside host acknowledged last, and nothing beside it (RFC 5961)."""

    def runTest(self):
        self.handshake()
        self.watch(ESTABLISHED, ESTABLISHED | RESET)
        for forged in (9000, 9002, 0, 1001):
            self.server("R", seq=forged)
        self.expect_phases(*[ESTABLISHED] * 4)
        self.client("A", ack=9500)
        self.server("R", seq=9001)
        self.expect_phases(*[ESTABLISHED] * 6)
        self.server("RA", seq=9500)
        self.expect_phases(*[ESTABLISHED] * 6, ESTABLISHED | RESET)


class N7857_2_AResetOfAnOpenerOutsideIsNoneBeforeItsAnswer(_Tcp):
    """Nobody has acknowledged anything: 0 is nothing that the inside host has said."""

    def runTest(self):
        self.set_gateway(filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        self.passes_out(TCP(sport=5000, dport=443, flags="S"), BASE)
        self.watch(OUTSIDE_SYN, OUTSIDE_SYN | RESET)
        self.server("S")
        self.server("R", seq=0)
        self.expect_phases(OUTSIDE_SYN, OUTSIDE_SYN)


class N7857_2_OnlyASegmentWithAckAcknowledges(_Tcp):
    """The field is in every header, and means nothing without the flag (RFC 9293 3.1)."""

    def runTest(self):
        self.handshake()
        self.watch(ESTABLISHED, ESTABLISHED | RESET)
        self.client("S", ack=77)
        self.server("R", seq=77)
        self.server("R", seq=9001)
        self.expect_phases(ESTABLISHED, ESTABLISHED, ESTABLISHED | RESET)


class N7857_2_WhoGoesOnAfterAResetWasNotReset(_Tcp):
    def runTest(self):
        self.handshake()
        self.watch(ESTABLISHED, ESTABLISHED | RESET)
        self.server("R", seq=9001)
        self.server("A")
        self.expect_phases(*[ESTABLISHED | RESET] * 2)
        self.client("A", ack=9001)
        self.server("A")
        self.expect_phases(ESTABLISHED, ESTABLISHED, *[ESTABLISHED | RESET] * 2)


class ARefusedConnectionIsResetByTheNumberThatAnswersASyn(_Tcp):
    """0: who has sent only a SYN has acknowledged nothing (RFC 9293 3.10.7.1)."""

    def runTest(self):
        self.watch(INSIDE_SYN, INSIDE_SYN | RESET)
        self.client("S", seq=1000)
        self.server("RA", seq=77)
        self.expect_phases(INSIDE_SYN, INSIDE_SYN)
        self.server("RA", seq=0, ack=1001)
        self.expect_phases(INSIDE_SYN, INSIDE_SYN, INSIDE_SYN | RESET)


class ASynBeginsAnewOnlyWhatIsOver(_Tcp):
    def runTest(self):
        self.handshake()
        self.watch(INSIDE_SYN, ANSWERED, ESTABLISHED, ESTABLISHED | RESET)
        self.client("S")
        self.server("S")
        self.expect_phases(ESTABLISHED, ESTABLISHED)
        self.client("R")
        self.client("S")
        self.server("R", seq=9001)
        self.server("SA")
        self.client("A", ack=1)
        # The number of the connection before counts for nothing.
        self.server("R", seq=9001)
        seen = (ESTABLISHED, ESTABLISHED, ESTABLISHED | RESET)
        self.expect_phases(*seen, INSIDE_SYN, INSIDE_SYN, ANSWERED, ESTABLISHED, ESTABLISHED)


class FromOutsideASynBeginsNothingAnewThatTheFilterRefuses(_Tcp):
    def runTest(self):
        closed = ESTABLISHED | IN_FIN | OUT_FIN
        self.handshake()
        self.client("FA", ack=9001)
        self.server("FA")
        self.watch(closed, OUTSIDE_SYN)
        self.server("S")
        self.expect_phases(closed)
        self.set_gateway(filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        self.server("S")
        self.expect_phases(closed, OUTSIDE_SYN)


class AClosedConnectionIsBegunAnewByASyn(_Tcp):
    def runTest(self):
        self.handshake()
        self.client("FA", ack=9001)
        self.server("FA")
        self.watch(INSIDE_SYN, ANSWERED, ESTABLISHED)
        self.client("S")
        self.server("SA")
        self.expect_phases(INSIDE_SYN, ANSWERED)


class _Timed(_Tcp):
    """Established connections live for `established` ticks, others for `transitory`."""

    established, transitory = 200, 3

    def setUp(self):
        super().setUp()
        self.add_timer(self.transitory, proto=6, outbound=1)
        for phase in (ESTABLISHED, ESTABLISHED | IN_FIN, ESTABLISHED | OUT_FIN):
            self.add_timer(self.established, proto=6, phase=phase, outbound=1, priority=2)
        for reset in (ESTABLISHED | RESET, ANSWERED | RESET, INSIDE_SYN | RESET):
            self.add_timer(self.transitory, proto=6, phase=reset, priority=3, cut=True)

    def expect_over(self, flags="A"):
        super().expect_over(TCP(sport=80, dport=BASE, flags=flags))


class N5382_5_OnlyAnEstablishedConnectionLivesLong(_Timed):
    def runTest(self):
        self.handshake()
        until_over(self.transitory)
        self.server("A")
        self.client("A", ack=9001)


class N5382_5_AHalfOpenConnectionIsSoonOver(_Timed):
    """A SYN+ACK from outside, even a forged one, prolongs nothing."""

    def runTest(self):
        self.client("S")
        time.sleep(2 * TICK)
        self.server("SA")
        time.sleep(2.1 * TICK)
        self.expect_over("SA")


class N7857_2_NothingFromOutsideProlongs(_Timed):
    """Neither bare ACKs, nor data, SYN+ACKs, FINs or resets of wrong numbers."""

    transitory = 6

    def runTest(self):
        self.client("S")
        self.server("SA", seq=9000)
        for flags in ("A", "PA", "SA", "FA", "R"):
            time.sleep(TICK)
            self.server(flags, seq=5)
        time.sleep(2.1 * TICK)
        self.expect_over()


class N7857_2_NothingForgedEndsAConnection(_Timed):
    """FIN, reset with a wrong number, SYN, SYN+ACK: both ends go on long after."""

    def runTest(self):
        self.handshake()
        for flags in ("FA", "R", "RA", "S", "SA", "A"):
            self.server(flags, seq=5)
        until_over(self.transitory)
        self.server("PA")
        self.client("PA", ack=9001)
        until_over(self.transitory)
        self.server("PA")


class N7857_2_ATrueResetSoonEnds(_Timed):
    def runTest(self):
        self.handshake()
        self.server("R", seq=9001)
        until_over(self.transitory)
        self.expect_over()


class N7857_2_TrafficOfTheInsideHostRestoresWhatAResetCut(_Timed):
    def runTest(self):
        self.handshake()
        self.server("R", seq=9001)
        self.client("A", ack=9001)
        until_over(self.transitory)
        self.server("PA")


class AConnectionThatBothClosedIsSoonOver(_Timed):
    def runTest(self):
        self.handshake()
        self.client("FA", ack=9001)
        self.server("FA")
        self.client("A", ack=9002)
        until_over(self.transitory)
        self.expect_over()
        # An acknowledgement alone does not bring it back, from inside neither.
        packet = outward(TCP(sport=5000, dport=80, flags="A", ack=9002))
        self.expect_drop(Drop.NO_SESSION, INSIDE, packet)


class AHalfClosedConnectionLivesOn(_Timed):
    def runTest(self):
        self.handshake()
        self.client("FA", ack=9001)
        until_over(self.transitory)
        self.server("PA")
        self.client("A", ack=9100)


class ANewConnectionOnTheSamePortsAfterItsEnd(_Timed):
    def runTest(self):
        self.handshake()
        self.client("R")
        until_over(self.transitory)
        self.handshake()
        until_over(self.transitory)
        self.server("A")


class AFirstSegmentThatIsSentAgainIsNoNewFlow(_Tcp):
    def runTest(self):
        self.send_at_once(INSIDE, [outward(TCP(sport=5000, dport=80, flags="S"))] * 3)
        for _ in range(3):
            self.expect(OUTSIDE, outward_translated(TCP(sport=BASE, dport=80, flags="S")))
        self.server("SA")
