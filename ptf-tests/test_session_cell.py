"""Sessions of plain flows: four cells in which one can be, with the whole key in each."""

import ipaddress
import itertools

from base import (
    INSIDE,
    OUTSIDE,
    SERVER_IP,
    TCP,
    UDP,
    Drop,
    FilterMode,
    Punt,
    inward,
    outward,
    outward_translated,
)
from cells import same_indices, session_indices, session_key
from plain import BASE, PlainTest, until_over

STRANGER_IP = "198.51.100.66"
REMOTE_BITS = 48
"""Address and port of the other end, above the rest of a session's key."""


class N4787_8_TheDefaultFilterAdmitsOnlyWhoWasSpokenTo(PlainTest):
    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.passes_in(UDP(sport=53, dport=BASE), 5000)
        self.expect_drop(Drop.FILTERED, OUTSIDE, inward(UDP(sport=54, dport=BASE)))
        packet = inward(UDP(sport=53, dport=BASE), src=STRANGER_IP)
        self.expect_drop(Drop.FILTERED, OUTSIDE, packet)


class N4787_8_TheAddressFilterAdmitsAnyPortOfAKnownAddress(PlainTest):
    def runTest(self):
        self.set_gateway(filter_mode=FilterMode.ADDRESS)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.passes_in(UDP(sport=54, dport=BASE), 5000)
        packet = inward(UDP(sport=53, dport=BASE), src=STRANGER_IP)
        self.expect_drop(Drop.FILTERED, OUTSIDE, packet)
        # What another endpoint has spoken to does not count.
        self.passes_out(UDP(sport=5001, dport=53), BASE + 1, dst=STRANGER_IP)
        self.expect_drop(Drop.FILTERED, OUTSIDE, packet)


class N4787_8_TheOpenFilterAdmitsAnyone(PlainTest):
    def runTest(self):
        self.set_gateway(filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.passes_in(UDP(sport=9, dport=BASE), 5000, src=STRANGER_IP)
        self.passes_out(UDP(sport=5000, dport=9), BASE, dst=STRANGER_IP)


class N5382_2_OnlyASynBeginsASession(PlainTest):
    """From either side, where the filter lets it."""

    def runTest(self):
        self.set_gateway(filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        for flags in ("A", "SA", "FA", "R", "SF", "SR", ""):
            packet = TCP(sport=81, dport=BASE, flags=flags)
            self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(packet))
        self.passes_out(TCP(sport=5000, dport=80, flags="S"), BASE)
        for flags in ("A", "SA", "FA", "R", "SF", "SR", ""):
            packet = TCP(sport=81, dport=BASE, flags=flags)
            self.expect_drop(Drop.NO_SESSION, OUTSIDE, inward(packet))
        self.passes_in(TCP(sport=81, dport=BASE, flags="S"), 5000)
        self.passes_out(TCP(sport=5000, dport=81, flags="SA"), BASE)


class N5382_3_TheDefaultFilterHoldsForTcp(PlainTest):
    def runTest(self):
        self.passes_out(TCP(sport=5000, dport=80, flags="S"), BASE)
        packet = inward(TCP(sport=81, dport=BASE, flags="S"))
        self.expect_asked(Punt.SYN, packet, port=OUTSIDE)
        self.passes_in(TCP(sport=80, dport=BASE, flags="SA"), 5000)


class WhatEndedIsFilteredUntilTheInsideHostSpeaks(PlainTest):
    def runTest(self):
        self.add_timer(2, proto=17)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.passes_in(UDP(sport=53, dport=BASE), 5000)
        until_over(2)
        self.expect_over(UDP(sport=53, dport=BASE))
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.passes_in(UDP(sport=53, dport=BASE), 5000)


class WhatTheFilterAdmitsBeginsAnEndedSessionAnew(PlainTest):
    def runTest(self):
        self.set_gateway(filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        self.add_timer(2, proto=17)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        until_over(2)
        self.passes_in(UDP(sport=53, dport=BASE), 5000)


class _Collision(PlainTest):
    """Flows of one endpoint that all have the same four cells."""

    def setUp(self):
        super().setUp()
        self.add("route", {}, "via", next_hop=2)
        first = session_key(17, self.block.number, 5000, SERVER_IP, 5300)
        below = 80 - REMOTE_BITS
        differences = same_indices(
            lambda key: _joined(key << below | self.block.number), range(REMOTE_BITS)
        )
        self.peers = [(SERVER_IP, 5300)]
        for a, b in itertools.combinations(differences, 2):
            key = first ^ (a ^ b) << below
            assert session_indices(key) == session_indices(first)
            address = ipaddress.IPv4Address(key >> 48)
            if address.is_global and not address.is_multicast and key >> 32 & 0xFFFF:
                self.peers.append((str(address), key >> 32 & 0xFFFF))

    def speak_to(self, peer):
        address, port = self.peers[peer]
        self.passes_out(UDP(sport=5000, dport=port), BASE, dst=address)

    def hear_from(self, peer):
        address, port = self.peers[peer]
        self.passes_in(UDP(sport=port, dport=BASE), 5000, src=address)


def _joined(key):
    """The indices of the four cells of a key as one number."""
    joined = 0
    for index in session_indices(key):
        joined = joined << 32 | index
    return joined


class AFlowWhoseFourCellsAreTakenIsTheControllers(_Collision):
    """N4787-11: collisions never evict and never join two flows."""

    def runTest(self):
        for peer in range(4):
            self.speak_to(peer)
        address, port = self.peers[4]
        # It has an outside port all the same, which the controller is told.
        self.expect_overflow(UDP(sport=5000, dport=port), mapped_id=BASE, dst=address)
        packet = inward(UDP(sport=port, dport=BASE), src=address)
        self.expect_drop(Drop.FILTERED, OUTSIDE, packet)
        for peer in range(4):
            self.hear_from(peer)


class TheCellOfAnEndedSessionIsTakenByTheNext(_Collision):
    def runTest(self):
        self.add_timer(1000, proto=17)
        self.add_timer(1, proto=17, server_id=self.peers[2][1], priority=2)
        for peer in range(4):
            self.speak_to(peer)
        until_over(1)
        self.speak_to(4)
        for peer in (0, 1, 3, 4):
            self.hear_from(peer)
        address, port = self.peers[2]
        packet = inward(UDP(sport=port, dport=BASE), src=address)
        self.expect_drop(Drop.FILTERED, OUTSIDE, packet)


class ABurstForTheSameCellsLosesNoFlow(_Collision):
    """All four are claimed by one of the first four flows each, whatever the order."""

    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=1), BASE)
        burst = [outward(UDP(sport=5000, dport=port), dst=addr) for addr, port in self.peers[:4]]
        self.send_at_once(INSIDE, [packet for packet in burst for _ in range(5)])
        for address, port in [peer for peer in self.peers[:4] for _ in range(5)]:
            self.expect(OUTSIDE, outward_translated(UDP(sport=BASE, dport=port), dst=address))
        for peer in range(4):
            self.hear_from(peer)
        address, port = self.peers[4]
        self.expect_overflow(UDP(sport=5000, dport=port), mapped_id=BASE, dst=address)
