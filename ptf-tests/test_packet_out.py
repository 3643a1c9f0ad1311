"""Packets of the controller: straight to a port, or through the pipeline."""

import p4runtime_sh.shell as sh

from base import OUTSIDE, UDP, GatewayTest, outward, outward_translated

PIPELINE = 1


class DirectLeavesAsItIs(GatewayTest):
    def runTest(self):
        packet = outward(UDP(sport=5000, dport=53) / b"x")
        sh.PacketOut(bytes(packet), port="2", flags="0").send()
        self.expect(OUTSIDE, packet)


class PipelineTranslates(GatewayTest):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        self.add_session(17, 5000, 53, alg_id=3)
        packet = outward(UDP(sport=5000, dport=53) / b"x")
        sh.PacketOut(bytes(packet), port="1", flags=str(PIPELINE)).send()
        self.expect(OUTSIDE, outward_translated(UDP(sport=40000, dport=53) / b"x"))
