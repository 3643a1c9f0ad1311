"""Slots: the mappings that the switch makes itself, one register cell for each outside port."""

from ptf import testutils

from base import (
    ICMP,
    INSIDE,
    OUTSIDE,
    TCP,
    UDP,
    WAIT,
    Drop,
    FilterMode,
    Punt,
    inward,
    outward,
    outward_translated,
)
from cells import same_indices, slot_index, slot_tag
from plain import BASE, PlainTest, until_over
from program import GRACE_TICKS, Phase

PEERS = 60
"""As many flows as a burst has; fewer than the cells that they can be in."""


RESET = Phase.INSIDE_SYN | Phase.OUTSIDE_SYN | Phase.ESTABLISHED | Phase.RESET


class _Slot(PlainTest):
    def setUp(self):
        super().setUp()
        # Connections live long, and end at once when the client resets them.
        self.add_timer(1000, proto=6)
        self.add_timer(0, proto=6, phase=RESET, priority=2)

    def open_tcp(self, sport, outside_id, dport=80):
        """A connection whose ends have both spoken."""
        self.passes_out(TCP(sport=sport, dport=dport, flags="S"), outside_id)
        self.passes_in(TCP(sport=dport, dport=outside_id, flags="SA"), sport)
        self.passes_out(TCP(sport=sport, dport=dport, flags="A", ack=1), outside_id)

    def reset_tcp(self, sport, outside_id, dport=80):
        self.passes_out(TCP(sport=sport, dport=dport, flags="R"), outside_id)

    def fill(self):
        """Give the ports of all three ways of the client's first group to connections."""
        for way, sport in enumerate((5000, 5002, 5004)):
            self.open_tcp(sport, BASE + 2 * way)


class N4787_1_AnEndpointHasOneMappingWhoeverItTalksTo(_Slot):
    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.passes_out(UDP(sport=5000, dport=54), BASE)
        self.passes_out(UDP(sport=5000, dport=53), BASE, dst="198.51.100.10")
        for sport, src in ((53, "198.51.100.9"), (54, "198.51.100.9"), (53, "198.51.100.10")):
            self.passes_in(UDP(sport=sport, dport=BASE), 5000, src=src)


class N5382_1_TcpToo(_Slot):
    def runTest(self):
        self.open_tcp(5000, BASE, dport=80)
        self.open_tcp(5000, BASE, dport=443)
        for port in (80, 443):
            self.passes_in(TCP(sport=port, dport=BASE, flags="PA") / b"hello", 5000)


class N4787_1_ABurstOfANewEndpointGetsOneMapping(_Slot):
    """Packets to many peers are under way before the first has claimed a cell."""

    def runTest(self):
        peers = range(1000, 1000 + PEERS)
        self.send_at_once(INSIDE, [outward(UDP(sport=5000, dport=port)) for port in peers])
        flows = [UDP(sport=BASE, dport=port) for port in peers]
        self.expect_in_any_order(OUTSIDE, [outward_translated(flow) for flow in flows])
        for port in (1000, 1000 + PEERS - 1):
            self.passes_in(UDP(sport=port, dport=BASE), 5000)


class N4787_3_ABurstOfManyEndpointsSharesNoPort(_Slot):
    """Eight endpoints want the same three ports at once: three get one each, others none."""

    def runTest(self):
        before = self.punted(Punt.OVERFLOW)
        endpoints = range(5000, 5016, 2)
        flows = [UDP(sport=sport, dport=port) for sport in endpoints for port in (53, 54)]
        self.send_at_once(INSIDE, [outward(flow) for flow in flows])
        asked = {self.next_asked_for() for _ in range(10)}
        assert len(asked) == 5
        mapped = [sport for sport in endpoints if sport not in asked]
        # Which of them has which port is by chance where several workers run them.
        ids = [BASE + 2 * way for way in range(3)]
        flows = [UDP(sport=number, dport=port) for number in ids for port in (53, 54)]
        self.expect_in_any_order(OUTSIDE, [outward_translated(flow) for flow in flows])
        owners = [self.owner(number) for number in ids]
        assert sorted(owners) == mapped
        for number, sport in zip(ids, owners, strict=True):
            for port in (53, 54):
                self.passes_in(UDP(sport=port, dport=number), sport)
        assert self.punted(Punt.OVERFLOW) - before == 10

    def owner(self, outside_id):
        """The inside port that an outside one stands for."""
        self.send(OUTSIDE, inward(UDP(sport=53, dport=outside_id)))
        got = testutils.dp_poll(self, port_number=INSIDE, timeout=WAIT)
        assert isinstance(got, self.dataplane.PollSuccess)
        return int.from_bytes(got.packet[36:38], "big")

    def next_asked_for(self):
        """The source port of the next packet that the controller gets."""
        packet = self._message("packet", "packet-in").packet.payload
        return int.from_bytes(packet[34:36], "big")


class N4787_4_ParityIsKept(_Slot):
    def runTest(self):
        for way, sport in enumerate((5001, 6001, 7001)):
            self.passes_out(UDP(sport=sport, dport=53), BASE + 1 + 2 * way)
        # All odd ports are taken; an even one has its own.
        self.passes_out(UDP(sport=5000, dport=53), BASE)


class N4787_3_EachProtocolHasItsOwnPorts(_Slot):
    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=80), BASE)
        self.passes_out(TCP(sport=6000, dport=80, flags="S"), BASE)
        self.passes_out(ICMP(type=8, id=7000), BASE)
        self.passes_in(UDP(sport=80, dport=BASE), 5000)
        self.passes_in(TCP(sport=80, dport=BASE, flags="SA"), 6000)
        self.passes_in(ICMP(type=0, id=BASE), 7000)


class N4787_11_WithoutAFreeCellTheControllerIsAskedAndNobodyEvicted(_Slot):
    def runTest(self):
        self.fill()
        packet = TCP(sport=5006, dport=80, flags="S")
        self.expect_overflow(packet)
        self.expect_overflow(packet)
        for way, sport in enumerate((5000, 5002, 5004)):
            self.passes_in(TCP(sport=80, dport=BASE + 2 * way, flags="A"), sport)
        # The last way is the controller's.
        packet = inward(TCP(sport=80, dport=BASE + 6, flags="A"))
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, packet)


class ATcpPortIsFreeWhenItsConnectionHasEnded(_Slot):
    def runTest(self):
        self.fill()
        self.open_tcp(5002, BASE + 2, dport=443)
        self.reset_tcp(5002, BASE + 2, dport=443)
        self.reset_tcp(5002, BASE + 2)
        until_over(0)
        self.passes_out(TCP(sport=5006, dport=80, flags="S"), BASE + 2)
        # What the earlier owner's peer sends now is for a session that is not there.
        packet = inward(TCP(sport=443, dport=BASE + 2, flags="A"))
        self.expect_drop(Drop.NO_SESSION, OUTSIDE, packet)


class N6888_8_AFreedPortRestsBeforeAnotherGetsIt(_Slot):
    def runTest(self):
        rest = 8
        self.set_gateway(rest=rest)
        self.fill()
        for way, sport in enumerate((5000, 5002, 5004)):
            self.reset_tcp(sport, BASE + 2 * way)
            until_over(0)
            self.expect_overflow(TCP(sport=5006 + sport, dport=80, flags="S"))
            until_over(rest)
            self.passes_out(TCP(sport=5006 + sport, dport=80, flags="S"), BASE + 2 * way)


class WhoHadARestingPortMayHaveItAgain(_Slot):
    """N6888-8: the same endpoint is no other; it restarts where it was."""

    def runTest(self):
        self.set_gateway(rest=1000)
        self.fill()
        self.reset_tcp(5002, BASE + 2)
        until_over(0)
        self.open_tcp(5002, BASE + 2)
        self.passes_in(TCP(sport=80, dport=BASE + 2, flags="PA") / b"again", 5002)


class AMappingLivesAsLongAsAnySessionOnIt(_Slot):
    def runTest(self):
        self.open_tcp(5000, BASE, dport=80)
        self.open_tcp(5000, BASE, dport=443)
        for way, sport in ((1, 5002), (2, 5004)):
            self.open_tcp(sport, BASE + 2 * way)
        self.reset_tcp(5000, BASE, dport=80)
        until_over(0)
        # One of two connections has ended: the port is not free.
        self.expect_overflow(TCP(sport=5006, dport=80, flags="S"))
        self.passes_in(TCP(sport=443, dport=BASE, flags="A"), 5000)
        self.reset_tcp(5000, BASE, dport=443)
        until_over(0)
        self.passes_out(TCP(sport=5006, dport=80, flags="S"), BASE)


class AConnectionThatLapsedIsNotCountedAsOpenAgain(_Slot):
    """The port of a mapping that lapsed, and came back, is free when its last one ends."""

    def runTest(self):
        for way, sport in enumerate((5000, 5002, 5004)):
            self.open_tcp(sport, BASE + 2 * way)
        self.reset_tcp(5000, BASE)
        until_over(0)
        short = self.add_timer(2, priority=3, proto=6, server_id=80)
        self.open_tcp(5000, BASE)
        until_over(2)
        self.remove(short)
        self.open_tcp(5000, BASE)
        self.reset_tcp(5000, BASE)
        until_over(0)
        self.passes_out(TCP(sport=5006, dport=80, flags="S"), BASE)


class TheLatestEndOfItsSessionsIsThatOfAMapping(_Slot):
    def runTest(self):
        self.add_timer(1, proto=17)
        self.add_timer(1000, proto=17, server_id=54, priority=2)
        for way, sport in enumerate((5000, 5002, 5004)):
            self.passes_out(UDP(sport=sport, dport=54 if way == 1 else 53), BASE + 2 * way)
        self.passes_out(UDP(sport=5002, dport=53), BASE + 2)
        until_over(GRACE_TICKS)
        for sport, outside in ((5006, BASE), (5008, BASE + 4)):
            self.passes_out(UDP(sport=sport, dport=53), outside)
        self.expect_overflow(UDP(sport=5010, dport=53))
        self.passes_in(UDP(sport=54, dport=BASE + 2), 5002)


class TwoSubscribersWhoseCellsCollideShareNothing(_Slot):
    """The cell of a port may be the cell of another's port: the second gets its next way."""

    other = "10.0.0.3"

    def runTest(self):
        tag = slot_tag(17, self.block.number, BASE)
        # Numbers above all that tests are given, and blocks as large as the client's.
        number_bits, base_bits = range(16 + 6, 16 + 13), range(6, 16)
        for difference in same_indices(slot_index, [*base_bits, *number_bits, 29]):
            other = tag ^ difference
            base, number = other & 0xFFFF, other >> 16 & 0x3FFF
            if number >= 8192 and base >= 1024:
                break
        assert slot_index(other) == slot_index(tag)
        block = self.subscribe(self.other, number=number, base=base)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.passes_out(UDP(sport=5000, dport=53), block.port(5000, way=1), src=self.other)
        self.passes_in(UDP(sport=53, dport=BASE), 5000)
        self.passes_in(UDP(sport=53, dport=base + 2), 5000, to=self.other)
        packet = inward(UDP(sport=53, dport=base))
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, packet)


class AMappingThatIsOverLetsNobodyIn(_Slot):
    def runTest(self):
        self.set_gateway(filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        self.open_tcp(5000, BASE)
        packet = inward(TCP(sport=81, dport=BASE, flags="S"))
        self.passes_in(TCP(sport=82, dport=BASE, flags="S"), 5000)
        self.reset_tcp(5000, BASE)
        until_over(0)
        self.expect_drop(Drop.EXPIRED, OUTSIDE, packet)
        # When the endpoint speaks again, it has its port, and anyone may come.
        self.passes_out(TCP(sport=5000, dport=80, flags="S"), BASE)
        self.passes_in(TCP(sport=81, dport=BASE, flags="S"), 5000)
