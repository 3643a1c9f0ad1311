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
    outward,
)
from base import outward_translated as out


class _Pinhole(GatewayTest):
    def open(self, **more):
        self.add_mapping(6, 5000, 40000)
        flow = self.flow(6, 5000, 0)
        match = {
            "proto": "6&&&0xff",
            "inside_addr": f"{flow['inside_addr']}&&&255.255.255.255",
            "inside_id": "5000&&&0xffffffff",
            "remote_addr": f"{flow['remote_addr']}&&&255.255.255.255",
            **more,
        }
        self.add("pinhole", match, "permit", priority=10, pinhole_id=7)


class AnyRemotePortPasses(_Pinhole):
    def runTest(self):
        self.open()
        self.send(OUTSIDE, inward(TCP(sport=20, dport=40000, flags="S")))
        self.expect(INSIDE, inward_translated(TCP(sport=20, dport=5000, flags="S")))


class TheAnswerPassesToo(_Pinhole):
    def runTest(self):
        self.open()
        self.send(INSIDE, outward(TCP(sport=5000, dport=20, flags="SA")))
        self.expect(OUTSIDE, out(TCP(sport=40000, dport=20, flags="SA")))


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
        self.expect_drop(Drop.FILTERED, OUTSIDE, packet)


class AnAwaitedFlowFromInsideIsAskedForWithoutAMappingToo(GatewayTest):
    """A host that opens what its server announced may do it from any port."""

    def runTest(self):
        match = {"proto": "6&&&0xff", "remote_id": "20&&&0xffffffff"}
        self.add("pinhole", match, "inspect", priority=10, pinhole_id=9, alg_id=5)
        packet = outward(TCP(sport=5000, dport=20, flags="S"))
        self.send(INSIDE, packet)
        self.expect_punt(Punt.NEW_FLOW, packet, alg_id=5)
