"""Fragments: the switch learns a datagram's ports from its first fragment (RFC 4787 REQ-14)."""

import itertools

from scapy.layers.l2 import Dot1Q

from base import (
    CLIENT_IP,
    HOST,
    INSIDE,
    IP,
    OUTSIDE,
    ROUTER,
    SERVER_IP,
    TCP,
    UDP,
    Drop,
    Ether,
    Out,
    Punt,
    Side,
    fresh,
    inward,
    inward_translated,
    outward,
    outward_translated,
)
from cells import fragment_index, same_indices
from plain import BASE, PlainTest, until_over

_idents = itertools.count(4711)
HEAD = {"len": 40, "chksum": 0}
"""The length of UDP is that of the whole datagram; so is its checksum, which 0 leaves out."""
TAIL = b"tail of a datagram"


class _Fragments(PlainTest):
    """A datagram of two fragments; no test has the identification of another's."""

    def setUp(self):
        super().setUp()
        ident = next(_idents)
        self.first = {"proto": 17, "id": ident, "flags": "MF"}
        self.later = {"proto": 17, "id": ident, "frag": 3}

    def head_out(self):
        self.passes_out(UDP(sport=5000, dport=53, **HEAD) / bytes(16), BASE, **self.first)

    def tail_out(self):
        self.send(INSIDE, outward(TAIL, **self.later))
        self.expect(OUTSIDE, outward_translated(TAIL, **self.later))

    def tail_in(self):
        self.send(OUTSIDE, inward(TAIL, **self.later))
        self.expect(INSIDE, inward_translated(TAIL, **self.later))


class N4787_14_FragmentsFollowTheirDatagram(_Fragments):
    def runTest(self):
        before = self.punted(Punt.FRAGMENT)
        self.head_out()
        for _ in range(2):
            self.tail_out()
        assert self.punted(Punt.FRAGMENT) == before


class N4787_14_FragmentsFromOutsideToo(_Fragments):
    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.passes_in(UDP(sport=53, dport=BASE, **HEAD) / bytes(16), 5000, **self.first)
        self.tail_in()


class N4787_14_ALaterFragmentThatComesFirstIsTheControllersToHold(_Fragments):
    """It comes back as a packet-out when the first one has passed."""

    def runTest(self):
        packet = outward(TAIL, **self.later)
        self.expect_asked(Punt.FRAGMENT, packet)
        self.head_out()
        self.packet_out(packet)
        self.expect(OUTSIDE, outward_translated(TAIL, **self.later))


class N4787_14_FromOutsideOutOfOrder(_Fragments):
    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        packet = inward(TAIL, **self.later)
        self.expect_asked(Punt.FRAGMENT, packet, port=OUTSIDE)
        self.passes_in(UDP(sport=53, dport=BASE, **HEAD) / bytes(16), 5000, **self.first)
        self.packet_out(packet, port=OUTSIDE)
        self.expect(INSIDE, inward_translated(TAIL, **self.later))


class FragmentsOfTcpToo(_Fragments):
    def runTest(self):
        self.first["proto"] = self.later["proto"] = 6
        head = bytes(TCP(sport=5000, dport=80, flags="S", chksum=0))
        self.send(INSIDE, outward(head, **self.first))
        self.dataplane.poll(0, OUTSIDE, timeout=1)
        self.tail_out()


class AnotherDatagramsFragmentIsNotMistakenForIt(_Fragments):
    """Neither by its identification, nor by its protocol, nor by its other end."""

    def runTest(self):
        self.head_out()
        for other in ({"id": next(_idents)}, {"proto": 6}, {"dst": "198.51.100.10"}):
            self.expect_asked(Punt.FRAGMENT, outward(TAIL, **{**self.later, **other}))


class TheOthersOfADroppedFirstFragmentAreDroppedToo(_Fragments):
    """They are what the first one is: nobody is asked about them."""

    def runTest(self):
        head = UDP(sport=53, dport=BASE, **HEAD) / bytes(16)
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(head, **self.first))
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(TAIL, **self.later))


class WhatIsAskedForTheFirstFragmentIsNotAskedForTheOthers(_Fragments):
    """The controller gets its service's first fragment, and the others to hold."""

    def runTest(self):
        self.add("alg_service", {"proto": "17&&&0xff"}, "bind_alg", priority=1, alg_id=3)
        head = outward(UDP(sport=5000, dport=69, **HEAD) / bytes(16), **self.first)
        self.expect_asked(Punt.NEW_FLOW, head, alg_id=3)
        self.expect_asked(Punt.FRAGMENT, outward(TAIL, **self.later))


class OfAnAlgsFlowTheOthersWaitForTheFirst(_Fragments):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53, alg_id=2)
        head = outward(UDP(sport=5000, dport=53, **HEAD) / bytes(16), **self.first)
        tail = outward(TAIL, **self.later)
        self.expect_asked(Punt.ALG, head, alg_id=2)
        self.expect_asked(Punt.FRAGMENT, tail)
        self.packet_out(tail)
        self.expect(OUTSIDE, outward_translated(TAIL, **self.later))


class WhereTheNextHopIsAskedForTheOthersWaitToo(_Fragments):
    """Only the first fragment says for which host it is."""

    def runTest(self):
        self.add("route", {"addr": f"{SERVER_IP}/32"}, "via", next_hop=9)
        head = outward(UDP(sport=5000, dport=53, **HEAD) / bytes(16), **self.first)
        self.expect_asked(Punt.NEIGHBOUR, head)
        self.expect_asked(Punt.FRAGMENT, outward(TAIL, **self.later))


class N4787_14_TwoDatagramsMayShareTheirCellsAndTheNewestHasOne(_Fragments):
    """What is remembered is bounded, and a collision does not mix datagrams."""

    def runTest(self):
        first, second, third = self.colliding(3)
        for self.first["id"] in (first, second, third):
            self.head_out()
        for ident in (first, third):
            self.later["id"] = ident
            self.tail_out()
        self.expect_asked(Punt.FRAGMENT, outward(TAIL, **{**self.later, "id": second}))

    def colliding(self, count):
        """Identifications of datagrams to the server that have the same cells."""

        def index(ident):
            return fragment_index(CLIENT_IP, SERVER_IP, 17, ident)

        differences = same_indices(index, range(16))
        return [0x8000 ^ difference for difference in (0, *differences)][:count]


class AFragmentToNobodysAddressCostsNothing(_Fragments):
    """Nothing is held for a destination that is not ours."""

    def runTest(self):
        packet = inward(TAIL, **{**self.later, "dst": "203.0.113.77"})
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, packet)


class AFragmentThatARuleDeniesIsNotHeld(_Fragments):
    def runTest(self):
        self.add("policy", {"proto": "17&&&0xff"}, "deny", priority=1)
        self.expect_drop(Drop.POLICY, INSIDE, outward(TAIL, **self.later))


class ALaterFragmentBeginsWhatItsFirstOneBegan(_Fragments):
    """It may come to the end of the pipeline before the first one does."""

    def runTest(self):
        self.add_timer(2, proto=17)
        self.head_out()
        until_over(2)
        self.tail_out()
        self.passes_in(UDP(sport=53, dport=BASE) / b"answer", 5000)


class OfTcpItBeginsNothing(_Fragments):
    """Only a SYN begins a TCP flow (RFC 5382 REQ-2)."""

    def runTest(self):
        self.first["proto"] = self.later["proto"] = 6
        head = bytes(TCP(sport=5000, dport=80, flags="A", chksum=0))
        self.expect_drop(Drop.NO_SESSION, INSIDE, outward(head, **self.first))
        self.expect_drop(Drop.NO_SESSION, INSIDE, outward(TAIL, **self.later))


class FragmentsOfAControlledFlowFollowToo(_Fragments):
    """Datagrams of tables are learned like those of registers."""

    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53)
        self.passes_out(UDP(sport=5000, dport=53, **HEAD) / bytes(16), 40000, **self.first)
        self.tail_out()


class AFragmentOfAFirstPacketOfAFlowClaims(_Fragments):
    """A datagram may begin a flow though it is cut: its answer finds the way."""

    def runTest(self):
        self.head_out()
        self.tail_out()
        self.passes_in(UDP(sport=53, dport=BASE) / b"answer", 5000)


class TheControllersFragmentWithoutAFirstOneIsDropped(_Fragments):
    def runTest(self):
        for flags in (Out.PIPELINE, Out.PIPELINE | Out.BEGIN):
            before = self.dropped(Drop.FRAGMENT)
            self.packet_out(outward(TAIL, **self.later), flags=flags)
            self.wait_for_drop(Drop.FRAGMENT, before)


class FragmentsOfTwoTenantsAreKeptApart(_Fragments):
    """Hosts of two organisations may have one address, and choose one identification."""

    def runTest(self):
        self.add("port_zone", {"port": INSIDE, "vlan_id": 30}, "set_zone", zone=7,
                 side=Side.INSIDE, mac=ROUTER, organisation=5)  # fmt: skip
        self.add("source", {"zone": 7, "src_addr": "10.0.0.0/8"}, "accept_source")
        self.head_out()
        frame = Ether(src=HOST, dst=ROUTER) / Dot1Q(vlan=30)
        packet = fresh(frame / IP(src=CLIENT_IP, dst=SERVER_IP, **self.later) / TAIL)
        self.expect_asked(Punt.FRAGMENT, packet)
