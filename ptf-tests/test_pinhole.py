"""Pinholes: ternary, forwarded at once, in both directions of the flow."""

from base import (
    INSIDE,
    IP,
    OUTSIDE,
    TCP,
    UDP,
    Drop,
    GatewayTest,
    Punt,
    fresh,
    inward,
    inward_translated,
    new_number,
    outward,
)
from base import outward_translated as out
from program import PINHOLE_BITS


class _Pinhole(GatewayTest):
    def open(self, flows=1, **more):
        self.add_mapping(6, 5000, 40000)
        flow = self.flow(6, 5000, 0)
        match = {
            "proto": "6&&&0xff",
            "inside_addr": f"{flow['inside_addr']}&&&255.255.255.255",
            "inside_id": "5000&&&0xffffffff",
            "remote_addr": f"{flow['remote_addr']}&&&255.255.255.255",
            **more,
        }
        self.add("pinhole", match, "permit", priority=10, pinhole_id=new_number(), flows=flows)

    def passes(self, tcp):
        """A segment of the server comes to the port that listens."""
        self.send(OUTSIDE, inward(tcp))
        tcp = tcp.copy()
        tcp.dport = 5000
        self.expect(INSIDE, inward_translated(tcp))

    def expect_refused(self, packet):
        """A SYN that no pinhole is for is the controller's to answer."""
        self.send(OUTSIDE, packet)
        self.expect_punt(Punt.SYN, packet, port=OUTSIDE)
        self.expect_nothing()


class AnyRemotePortPasses(_Pinhole):
    def runTest(self):
        self.open()
        self.send(OUTSIDE, inward(TCP(sport=20, dport=40000, flags="S")))
        self.expect(INSIDE, inward_translated(TCP(sport=20, dport=5000, flags="S")))


class TheAnswerPassesToo(_Pinhole):
    def runTest(self):
        self.open()
        self.passes(TCP(sport=20, dport=40000, flags="S"))
        self.send(INSIDE, outward(TCP(sport=5000, dport=20, flags="SA")))
        self.expect(OUTSIDE, out(TCP(sport=40000, dport=20, flags="SA")))


class OneFlowIsOneFlowBeforeTheControllerKnows(_Pinhole):
    """The first flow that begins has the pinhole; its packets pass, and those of no other."""

    def runTest(self):
        self.open()
        self.passes(TCP(sport=20, dport=40000, flags="S"))
        for port in range(21, 30):
            packet = inward(TCP(sport=port, dport=40000, flags="S"))
            self.expect_refused(packet)
        self.passes(TCP(sport=20, dport=40000, flags="S"))
        self.passes(TCP(sport=20, dport=40000, flags="A"))


class ABurstThroughAPinholeIsOneFlow(_Pinhole):
    """Fifty flows at once, as fast as a wire: one gets through."""

    def runTest(self):
        self.open()
        before = self.punted(Punt.SYN)
        self.send_at_once(
            OUTSIDE,
            [inward(TCP(sport=100 + n, dport=40000, flags="S")) for n in range(50)],
        )
        self.expect(INSIDE, inward_translated(TCP(sport=100, dport=5000, flags="S")))
        self.expect_nothing()
        assert self.punted(Punt.SYN) - before == 49


class WhatBeginsNoConnectionClaimsNoPinhole(_Pinhole):
    """A forged ACK, RST, FIN or SYN+ACK neither passes nor uses the pinhole up."""

    def runTest(self):
        self.open()
        for flags in ("A", "R", "RA", "F", "PA", "SA", "SR"):
            packet = inward(TCP(sport=19, dport=40000, flags=flags))
            self.expect_drop(Drop.NO_SESSION, OUTSIDE, packet)
        self.passes(TCP(sport=20, dport=40000, flags="S"))


class AResetDoesNotGiveAPinholeBack(_Pinhole):
    def runTest(self):
        self.open()
        self.passes(TCP(sport=20, dport=40000, flags="S"))
        self.passes(TCP(sport=20, dport=40000, flags="R"))
        packet = inward(TCP(sport=21, dport=40000, flags="S"))
        self.expect_refused(packet)


class AsManyFlowsPassAsThePinholeIsFor(_Pinhole):
    def runTest(self):
        self.open(flows=3)
        for port in (20, 21, 22):
            self.passes(TCP(sport=port, dport=40000, flags="S"))
        packet = inward(TCP(sport=23, dport=40000, flags="S"))
        self.expect_refused(packet)
        for port in (22, 20, 21):
            self.passes(TCP(sport=port, dport=40000, flags="A"))


class APinholeInTheCellsOfAnotherIsUnused(_Pinhole):
    """The controller gives the cells of a pinhole that has closed to one of another number."""

    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        match = {"proto": "17&&&0xff", "inside_id": "5000&&&0xffffffff"}
        number = new_number()
        for at in (number, number + (1 << PINHOLE_BITS)):
            entry = self.add("pinhole", match, "permit", priority=10, pinhole_id=at)
            packet = UDP(sport=4711 + at % 7, dport=40000)
            self.send(OUTSIDE, inward(packet))
            packet.dport = 5000
            self.expect(INSIDE, inward_translated(packet))
            self.remove(entry)


class AFlowOfDatagramsFromInsideHasThePinholeToo(_Pinhole):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        match = {"proto": "17&&&0xff", "inside_id": "5000&&&0xffffffff"}
        self.add("pinhole", match, "permit", priority=10, pinhole_id=new_number())
        self.send(INSIDE, outward(UDP(sport=5000, dport=7078)))
        self.expect(OUTSIDE, out(UDP(sport=40000, dport=7078)))
        self.send(OUTSIDE, inward(UDP(sport=7078, dport=40000)))
        self.expect(INSIDE, inward_translated(UDP(sport=7078, dport=5000)))
        packet = inward(UDP(sport=7079, dport=40000))
        self.expect_drop(Drop.FILTERED, OUTSIDE, packet)


class APinholeToInspectAsksFirst(_Pinhole):
    """An ALG that has to read how a flow begins gets the packet; nothing passes yet."""

    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        match = {
            "proto": "17&&&0xff",
            "inside_addr": f"{self.flow(17, 0, 0)['inside_addr']}&&&255.255.255.255",
            "inside_id": "5000&&&0xffffffff",
        }
        entry = self.add("pinhole", match, "inspect", priority=10, pinhole_id=9, alg_id=5)
        packet = inward(UDP(sport=4711, dport=40000) / b"\0\3\0\1data")
        self.send(OUTSIDE, packet)
        self.expect_punt(Punt.NEW_FLOW, packet, port=OUTSIDE, alg_id=5)
        self.expect_nothing()
        assert self.hits(entry) == 1


class AThirdHostIsFilteredWhateverItsPort(_Pinhole):
    """A TFTP server's answer comes from any of its ports, but from nobody else."""

    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        flow = self.flow(17, 5000, 0)
        match = {
            "proto": "17&&&0xff",
            "inside_addr": f"{flow['inside_addr']}&&&255.255.255.255",
            "inside_id": "5000&&&0xffffffff",
            "remote_addr": f"{flow['remote_addr']}&&&255.255.255.255",
        }
        self.add("pinhole", match, "inspect", priority=10, pinhole_id=9, alg_id=5)
        packet = inward(UDP(sport=4711, dport=40000) / b"\0\3\0\1data")
        self.send(OUTSIDE, packet)
        self.expect_punt(Punt.NEW_FLOW, packet, port=OUTSIDE, alg_id=5)
        packet[IP].src = "198.51.100.66"
        del packet[IP].chksum
        del packet[UDP].chksum
        self.expect_drop(Drop.FILTERED, OUTSIDE, fresh(packet))


class AnotherRemotePortIsFilteredWhenNamed(_Pinhole):
    def runTest(self):
        self.open(remote_id="20&&&0xffffffff")
        packet = inward(TCP(sport=21, dport=40000, flags="S"))
        self.expect_refused(packet)


class AnAwaitedFlowFromInsideIsAskedForWithoutAMappingToo(GatewayTest):
    """A host that opens what its server announced may do it from any port."""

    def runTest(self):
        match = {"proto": "6&&&0xff", "remote_id": "20&&&0xffffffff"}
        self.add("pinhole", match, "inspect", priority=10, pinhole_id=9, alg_id=5)
        packet = outward(TCP(sport=5000, dport=20, flags="S"))
        self.send(INSIDE, packet)
        self.expect_punt(Punt.NEW_FLOW, packet, alg_id=5)
