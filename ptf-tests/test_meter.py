"""Punt meters: one class of packets cannot crowd out another."""

import p4runtime_sh.shell as sh

from base import HOST, INSIDE, UDP, Drop, Ether, GatewayTest, Punt, outward


class AFullClassIsDroppedAndCounted(GatewayTest):
    def setUp(self):
        super().setUp()
        self.meter = sh.MeterEntry("punt_meter")
        self.meter.index = int(Punt.SUBSCRIBER)
        # One packet a second is allowed; several come at once.
        self.meter.cir, self.meter.cburst = 1, 1
        self.meter.pir, self.meter.pburst = 1, 1
        self.meter.modify()

    def tearDown(self):
        self.meter.config = None
        self.meter.modify()
        super().tearDown()

    def runTest(self):
        packets = [outward(UDP(sport=5000 + n, dport=53)) for n in range(20)]
        before = self.dropped(Drop.METER)
        punted = self.punted(Punt.SUBSCRIBER)
        for packet in packets:
            self.send(INSIDE, packet)
        self.expect_punt(Punt.SUBSCRIBER, packets[0])
        # Another class is not touched.
        request = Ether(src=HOST, dst="ff:ff:ff:ff:ff:ff", type=0x0806) / bytes(46)
        self.send(INSIDE, request)
        self.expect_punt_among(Punt.ARP, request)
        dropped = self.dropped(Drop.METER) - before
        assert dropped >= len(packets) // 2
        assert dropped + self.punted(Punt.SUBSCRIBER) - punted == len(packets)

    def expect_punt_among(self, reason, packet):
        """Require a packet-in, behind at most a few others."""
        for _ in range(20):
            message = self._message("packet", f"packet-in of reason {reason}")
            if message.packet.payload[: len(packet)] == bytes(packet):
                return
        self.fail(f"no packet-in of reason {reason}")
