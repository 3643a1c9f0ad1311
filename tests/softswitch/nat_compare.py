"""Runs the project's NAT program on BMv2 and the embedded switch and reports what differs.

To be run as `bmv2_compare` is, in a namespace with its interfaces:
`python -m softswitch.nat_compare SEED COUNT`. Prints one JSON object.

A packet may depend on what the one before it left in the registers, and BMv2 begins a packet before
it is done with the last. So packets are sent one by one, and what comes out of either switch is
compared port by port. The embedded switch's clock keeps step with the real one.
"""

from __future__ import annotations

import struct
import time
from typing import Any

from p4softswitch.p4rt.proto import p4r

from .bmv2_compare import (
    CPU,
    MAGIC,
    PORTS,
    Bmv2,
    Outputs,
    connect,
    describe,
    run,
    states_differ,
    write_both,
)
from .helpers import Bench
from .nat_traffic import PIPELINE, World, config, named, router_mac, sentinels

# How many packets in a row go in by one port.
BATCH = 20
Packet = tuple[int, Any]  # in-port and frame, or CPU and PacketOut


def packet_out(port: int, flags: int, payload: bytes) -> Any:
    message = p4r.PacketOut(payload=payload)
    message.metadata.add(metadata_id=1, value=struct.pack(">H", port).lstrip(b"\0") or b"\0")
    message.metadata.add(metadata_id=2, value=bytes([flags]))
    return message


def batch(world: World, number: int) -> list[Packet]:
    """Packets that go in by one port; every fourth batch is the controller's."""
    if number % 4 == 3:
        return [(CPU, packet_out(*world.packet_out())) for _ in range(BATCH)]
    port = PORTS[number % 4]
    return [(port, world.frame(port)) for _ in range(BATCH)]


def written(packet: Packet) -> str:
    port, data = packet
    if port != CPU:
        return f"port {port}: {data.hex()}"
    metadata = {m.metadata_id: m.value.hex() for m in data.metadata}
    return f"packet-out {metadata}: {data.payload.hex()}"


class Embedded:
    """The embedded switch: what a packet leads to, port by port."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.digests: set[str] = set()

    def run(self, packet: Packet) -> Outputs:
        port, data = packet
        bench = self.bench
        if port == CPU:
            bench.sent.clear()
            bench.controller.send(packet=data)
            sent = bench.sent
        else:
            sent = bench.receive(port, data)
        found: Outputs = {n: [d.hex() for p, d in sent if p == n] for n in PORTS}
        found[CPU] = [describe(p) for p in bench.controller.take("packet")]
        self.digests |= {report(d) for d in bench.controller.take("digest")}
        return found


class Comparison:
    """Both switches and what was sent to them so far."""

    def __init__(self, bench: Bench, bmv2: Bmv2) -> None:
        self.embedded = Embedded(bench)
        self.bmv2 = bmv2
        self.rounds = 0
        self.began = bench.now - time.monotonic_ns()
        self.totals = {"packets": 0, "outputs": 0, "packet_ins": 0}

    def differs(self, packet: Packet) -> dict[str, Any] | None:
        """Send a packet to both; what came out by any port if it is not the same."""
        self.embedded.bench.now = self.began + time.monotonic_ns()
        ours = self.embedded.run(packet)
        self._send(packet)
        theirs: Outputs = {n: [] for n in (*PORTS, CPU)}
        # A packet that goes round does so once more behind the first sentinels.
        for _ in range(2):
            for n, found in self._settle(packet[0]).items():
                theirs[n] += found
        for n in ours:
            if sorted(ours[n]) != sorted(theirs[n]):
                return {"in": written(packet), "ours": ours, "theirs": theirs}
        self.totals["packets"] += 1
        self.totals["outputs"] += sum(len(ours[n]) for n in PORTS)
        self.totals["packet_ins"] += len(ours[CPU])
        return None

    def _send(self, packet: Packet) -> None:
        port, data = packet
        if port == CPU:
            self.bmv2.requests.put(p4r.StreamMessageRequest(packet=data))
        else:
            self.bmv2.sockets[port].send(data)

    def _settle(self, port: int) -> Outputs:
        """What comes out of BMv2 up to sentinels that follow the packets by the same port."""
        marker = MAGIC + struct.pack(">Q", self.rounds)
        self.rounds += 1
        for frame in sentinels(marker, router_mac(port)):
            packet = (port, frame) if port != CPU else (CPU, packet_out(1, PIPELINE, frame))
            self._send(packet)
            self.embedded.run(packet)
        return self.bmv2.collect(marker)


def report(digest: Any) -> str:
    return f"{digest.digest_id} {[str(d) for d in digest.data]}"


def reports_differ(comparison: Comparison) -> dict[str, Any] | None:
    """Digests take their own way through BMv2, and equal ones may be sent once only."""
    ours = comparison.embedded.digests
    theirs: set[str] = set()
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline and theirs != ours:
        time.sleep(0.01)
        while not comparison.bmv2.digests.empty():
            theirs.add(report(comparison.bmv2.digests.get()))
    if ours == theirs:
        return None
    return {"only ours": sorted(ours - theirs)[:3], "only theirs": sorted(theirs - ours)[:3]}


def compare(seed: int, count: int, bench: Bench, bmv2: Bmv2) -> dict[str, Any]:
    world = World(seed)
    connect(bench, bmv2, config())
    refused, complaint = write_both(bench, bmv2, world.updates)
    comparison = Comparison(bench, bmv2)
    result: dict[str, Any] = {"different": complaint, "refused": refused}
    batches = -(-count // BATCH)
    for number in range(batches):
        if complaint:
            return result
        for packet in batch(world, number):
            found = comparison.differs(packet)
            if found:
                return {**result, "different": found}
        if number == batches // 2:
            refused, complaint = write_both(bench, bmv2, world.changes())
            result = {"different": complaint, "refused": result["refused"] + refused}
    counters = [named("counters", n).preamble.id for n in ("drop_counter", "punt_counter")]
    result["different"] = states_differ(bench, bmv2, counters) or reports_differ(comparison)
    return {
        **result,
        **comparison.totals,
        "digests": len(comparison.embedded.digests),
        "faults": bench.switch.faults,
    }


if __name__ == "__main__":
    run(compare, Bench(load=False, message=config()))
