"""Meters: no host, no port and no kind of packet can crowd out the others (rule 7).

Each meter that a test fills allows one packet a second; the test sends many at once.
"""

import struct
import zlib
from ipaddress import IPv4Address

import p4runtime_sh.shell as sh

from base import (
    CLIENT_IP,
    HOST,
    INSIDE,
    OUTSIDE,
    SERVER_IP,
    TCP,
    UDP,
    Drop,
    Ether,
    GatewayTest,
    Punt,
    Side,
    inward,
    outward,
)
from plain import BASE, PlainTest
from program import CLAIM_METER_BITS, PUNT_CLASSES, SOURCE_METER_BITS

MANY = 20
OTHER_IP = "10.0.0.3"
ARP_REQUEST = Ether(src=HOST, dst="ff:ff:ff:ff:ff:ff", type=0x0806) / bytes(46)


class _Meter(GatewayTest):
    def limit(self, name, index):
        """Let a cell of a meter pass one packet a second."""
        meter = sh.MeterEntry(name)
        meter.index = index
        meter.cir, meter.cburst = 1, 1
        meter.pir, meter.pburst = 1, 1
        meter.modify()
        self.addCleanup(self.lift, meter)

    def lift(self, meter):
        """Let a cell of a meter pass everything again."""
        meter.config = None
        meter.modify()

    def flood(self, reason, drop, packets, port=INSIDE):
        """Send packets of one class; the controller gets a few, the others are counted."""
        dropped, punted = self.dropped(drop), self.punted(reason)
        for packet in packets:
            self.send(port, packet)
        self.expect_nothing()
        dropped = self.dropped(drop) - dropped
        assert dropped >= len(packets) // 2, dropped
        assert dropped + self.punted(reason) - punted == len(packets)
        self._drain()

    def expect_asked(self, reason, packet, port=INSIDE):
        """Send a packet; the controller must get it."""
        self.send(port, packet)
        self.expect_punt(reason, packet, port=port)


def new_flows(src=CLIENT_IP):
    """Packets of a host that nobody knows yet."""
    return [outward(UDP(sport=5000 + n, dport=53), src=src) for n in range(MANY)]


class AFullClassIsDroppedAndCounted(_Meter):
    def runTest(self):
        self.limit("punt_meter", Side.INSIDE * PUNT_CLASSES + Punt.SUBSCRIBER)
        self.flood(Punt.SUBSCRIBER, Drop.METER, new_flows())
        # Another class is not touched.
        self.expect_asked(Punt.ARP, ARP_REQUEST)


class EachSideHasItsOwnMeter(_Meter):
    def runTest(self):
        self.limit("punt_meter", Side.OUTSIDE * PUNT_CLASSES + Punt.ARP)
        self.flood(Punt.ARP, Drop.METER, [ARP_REQUEST] * MANY, port=OUTSIDE)
        for _ in range(3):
            self.expect_asked(Punt.ARP, ARP_REQUEST)


class ASourceThatFloodsIsStoppedAlone(_Meter):
    def runTest(self):
        self.limit("source_meter", source_cell(INSIDE, CLIENT_IP))
        self.flood(Punt.SUBSCRIBER, Drop.SOURCE_METER, new_flows())
        for packet in new_flows(OTHER_IP)[:3]:
            self.expect_asked(Punt.SUBSCRIBER, packet)
        # The same address behind another port is another source.
        assert source_cell(INSIDE, CLIENT_IP) != source_cell(OUTSIDE, CLIENT_IP)


class AFloodDoesNotStopTheControlMessagesOfItsOwnSource(_Meter):
    """Messages for ALGs have a meter of their own."""

    def runTest(self):
        self.limit("source_meter", source_cell(INSIDE, CLIENT_IP))
        self.add_mapping(6, 5000, 40000)
        self.add_session(6, 5000, 21, alg_id=3)
        self.flood(Punt.SUBSCRIBER, Drop.SOURCE_METER, new_flows())
        packet = outward(TCP(sport=5000, dport=21, flags="PA") / b"PASV\r\n")
        for _ in range(3):
            self.send(INSIDE, packet)
            self.expect_punt(Punt.ALG, packet, alg_id=3)


class ControlMessagesOfASourceAreLimitedToo(_Meter):
    def runTest(self):
        self.limit("source_meter", 1 << SOURCE_METER_BITS | source_cell(INSIDE, CLIENT_IP))
        self.add_mapping(6, 5000, 40000)
        self.add_session(6, 5000, 21, alg_id=3)
        packet = outward(TCP(sport=5000, dport=21, flags="PA") / b"PASV\r\n")
        self.flood(Punt.ALG, Drop.SOURCE_METER, [packet] * MANY)
        for packet in new_flows()[:3]:
            self.expect_asked(Punt.SUBSCRIBER, packet)


class ForgedSourcesOfAPortFillTheMeterOfThePort(_Meter):
    """So many sources that the meter of each is empty; the class of the port is full."""

    def runTest(self):
        self.limit("port_meter", INSIDE * PUNT_CLASSES + Punt.SUBSCRIBER)
        forged = [outward(UDP(sport=5000, dport=53), src=f"10.9.0.{n}") for n in range(MANY)]
        self.flood(Punt.SUBSCRIBER, Drop.PORT_METER, forged)
        self.expect_asked(Punt.ARP, ARP_REQUEST)


class APortsMeterIsOfThatPort(_Meter):
    def runTest(self):
        self.limit("port_meter", OUTSIDE * PUNT_CLASSES + Punt.ARP)
        self.flood(Punt.ARP, Drop.PORT_METER, [ARP_REQUEST] * MANY, port=OUTSIDE)
        for _ in range(3):
            self.expect_asked(Punt.ARP, ARP_REQUEST)


class ASubscriberThatBeginsTooManyFlowsIsLimitedAlone(PlainTest, _Meter):
    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=1), BASE)
        self.passes_in(UDP(sport=1, dport=BASE), 5000)
        self.subscribe(OTHER_IP, base=4096)
        self.limit("claim_meter", self.block.number & ((1 << CLAIM_METER_BITS) - 1))
        before = self.dropped(Drop.CLAIM_METER)
        for port in range(1000, 1000 + MANY):
            self.send(INSIDE, outward(UDP(sport=5000, dport=port)))
        for port in range(1000, 1000 + MANY):
            self.passes_out(UDP(sport=5000, dport=port), 4096, src=OTHER_IP)
        dropped = self.dropped(Drop.CLAIM_METER) - before
        assert MANY // 2 <= dropped < MANY, dropped
        # What is there goes on.
        self.dataplane.flush()
        for _ in range(3):
            self.passes_out(UDP(sport=5000, dport=1), BASE)
            self.passes_in(UDP(sport=1, dport=BASE), 5000)


class WhatComesFromOutsideCountsForItsSubscriber(PlainTest, _Meter):
    def runTest(self):
        self.set_gateway(filter_mode=2)
        self.passes_out(UDP(sport=5000, dport=1), BASE)
        self.limit("claim_meter", self.block.number & ((1 << CLAIM_METER_BITS) - 1))
        before = self.dropped(Drop.CLAIM_METER)
        for port in range(1000, 1000 + MANY):
            self.send(OUTSIDE, inward(UDP(sport=port, dport=BASE), src=SERVER_IP))
        self.passes_in(UDP(sport=1, dport=BASE), 5000)
        dropped = self.dropped(Drop.CLAIM_METER) - before
        assert MANY // 2 <= dropped < MANY, dropped


def source_cell(port, address):
    """The cell of `source_meter` for packets of a source that are not an ALG's."""
    packed = struct.pack(">HI", port, int(IPv4Address(address)))
    return zlib.crc32(packed) & ((1 << SOURCE_METER_BITS) - 1)
