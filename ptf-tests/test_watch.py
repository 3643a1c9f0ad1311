"""Watched sessions: the ALG sees short datagrams of one side, the switch forwards the rest."""

from base import (
    INSIDE,
    OUTSIDE,
    UDP,
    GatewayTest,
    Punt,
    SessionFlags,
    inward,
    inward_translated,
    outward,
)
from base import outward_translated as out

UDP_HEADER = 8
FULL = bytes(100)


class _Watch(GatewayTest):
    def watch(self, flags):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 4711, alg_id=5, flags=flags,
                         watch_below=UDP_HEADER + len(FULL))  # fmt: skip


class AShortDatagramFromOutsideIsPunted(_Watch):
    def runTest(self):
        self.watch(SessionFlags.WATCH_OUTSIDE)
        self.send(OUTSIDE, inward(UDP(sport=4711, dport=40000) / FULL))
        self.expect(INSIDE, inward_translated(UDP(sport=4711, dport=5000) / FULL))
        self.send(INSIDE, outward(UDP(sport=5000, dport=4711) / b"ack"))
        self.expect(OUTSIDE, out(UDP(sport=40000, dport=4711) / b"ack"))
        packet = inward(UDP(sport=4711, dport=40000) / FULL[:-1])
        self.send(OUTSIDE, packet)
        self.expect_punt(Punt.ALG, packet, port=OUTSIDE, alg_id=5)


class AShortDatagramFromInsideIsPunted(_Watch):
    def runTest(self):
        self.watch(SessionFlags.WATCH_INSIDE)
        self.send(INSIDE, outward(UDP(sport=5000, dport=4711) / FULL))
        self.expect(OUTSIDE, out(UDP(sport=40000, dport=4711) / FULL))
        self.send(OUTSIDE, inward(UDP(sport=4711, dport=40000) / b"ack"))
        self.expect(INSIDE, inward_translated(UDP(sport=4711, dport=5000) / b"ack"))
        packet = outward(UDP(sport=5000, dport=4711) / b"")
        self.send(INSIDE, packet)
        self.expect_punt(Punt.ALG, packet, alg_id=5)


class WhatTheAlgHandsBackPasses(_Watch):
    def runTest(self):
        self.watch(SessionFlags.WATCH_OUTSIDE)
        self.packet_out(inward(UDP(sport=4711, dport=40000) / b"end"), port=OUTSIDE)
        self.expect(INSIDE, inward_translated(UDP(sport=4711, dport=5000) / b"end"))
