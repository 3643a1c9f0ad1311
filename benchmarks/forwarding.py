"""How fast the embedded switch forwards, without interfaces: ``python forwarding.py [SECONDS]``.

A controller in the same process sets the switch up, over P4Runtime, and answers what is punted;
then the switch is given 64-byte frames of known flows, by function calls and from a pcap file to
another. Prints one JSON object: packets a second for one flow and for a thousand, best of three.
Unlike the figures of `make bench` it does not depend on the kernel, so that a change of the
executor shows.
"""

from __future__ import annotations

import asyncio
import json
import random
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from p4alg.artifacts import shipped
from p4alg.config import loader
from p4alg.driver.gauges import meters
from p4alg.driver.p4runtime.connection import connect
from p4alg.driver.shell import Shell
from p4alg.engine.organisations import Organisations
from p4alg.packet.arp import arp_reply, parse_arp
from p4alg.packet.ipv4 import build_ipv4
from p4softswitch.io.pcap import PcapWriter, Replay
from p4softswitch.server import Server, Settings

CONFIG = Path(__file__).resolve().parents[1] / "topologies" / "nat.config.yaml"
INSIDE, OUTSIDE = 1, 3
HOST, HOST_MAC = 0x0A00000B, 0x020000000011
SERVER, SERVER_MAC = 0xC633640B, 0x020000000033
GATEWAY_MAC = 0x020000010001
SMALL = 60
"""Bytes of a 64-byte frame without its checksum."""
ARP = b"\x08\x06"
ROUND = 500
IN_FILE = 500_000
AT_ONCE = 4096
FLOWS = 1000


def frame(flow: int) -> bytes:
    """A datagram of an inside host."""
    body = struct.pack("!HHHH", 20000 + flow, 9000, 26, 0) + bytes(18)
    return build_ipv4((GATEWAY_MAC, HOST_MAC), 0, HOST, SERVER, 17, body).ljust(SMALL, b"\0")


class Bench:
    """A switch whose ports end here."""

    def __init__(self) -> None:
        self.server = Server(Settings([], "127.0.0.1:0"))
        self.forwarded = 0
        self.server.switch.add_port(INSIDE, lambda data: None)
        self.server.switch.add_port(OUTSIDE, self._sent)
        self._replies: list[bytes] = []

    def _sent(self, data: bytes) -> None:
        if data[12:14] == ARP:
            self._replies.append(arp_reply(parse_arp(data), SERVER_MAC))
        else:
            self.forwarded += 1

    def receive(self, data: bytes, port: int = INSIDE) -> None:
        """Let a frame come in."""
        self.server.switch.receive(port, data, self.server.clock())

    async def until_forwarded(self, data: bytes) -> None:
        """Send a frame until the switch forwards it by itself."""
        for _ in range(500):
            await asyncio.sleep(0.01)
            while self._replies:
                self.receive(self._replies.pop(), OUTSIDE)
            before = self.forwarded
            self.receive(data)
            if self.forwarded > before:
                return
        raise SystemExit("the switch does not forward")

    def rate(self, next_frame: Callable[[int], bytes], seconds: float) -> float:
        """Packets a second; the best of three."""
        best = 0.0
        for _ in range(3):
            begin, count, before = time.perf_counter(), 0, self.forwarded
            while time.perf_counter() - begin < seconds / 3:
                for n in range(count, count + ROUND):
                    self.receive(next_frame(n))
                count += ROUND
            best = max(best, count / (time.perf_counter() - begin))
            if self.forwarded - before != count:
                raise SystemExit(f"{self.forwarded - before} of {count} packets were forwarded")
        return best

    def file_rate(self, frames: list[bytes], folder: Path) -> float:
        """Packets a second from a pcap file to another, reading and writing included; the best of
        three."""
        executor = self.server.switch.executor
        assert executor is not None
        source, sink = folder / "in.pcap", folder / "out.pcap"
        writer = PcapWriter(source)
        for n in range(IN_FILE):
            writer.write(frames[n % len(frames)], 0)
        writer.close()
        best = 0.0
        for _ in range(3):
            begin = time.perf_counter()
            writer = PcapWriter(sink)
            replay = Replay()
            replay.add_port(INSIDE, source, None)
            written = replay.add_port(OUTSIDE, None, writer)
            while replay.run(executor, AT_ONCE, self.server.clock()) is not None:
                pass
            writer.close()
            best = max(best, IN_FILE / (time.perf_counter() - begin))
            if written.stats.tx_packets != IN_FILE:
                raise SystemExit(f"{written.stats.tx_packets} of {IN_FILE} packets were forwarded")
        return best


async def measure(seconds: float) -> dict[str, float]:
    """Set up, measure, and take down."""
    bench = Bench()
    await bench.server.start()
    organisations = loader.read(CONFIG).organisations
    engine = Organisations(organisations, random.Random(1))
    try:
        where = (f"127.0.0.1:{bench.server.grpc_port}", 1, shipped(), meters(organisations))
        async with connect(*where) as target:
            shell = Shell(engine, target, time.monotonic, lambda record: None)
            shell.perform(engine.start(await target.read_entries(), time.monotonic()))
            await shell.drain()
            serving = asyncio.create_task(shell.run(target.events()))
            frames = [frame(flow) for flow in range(FLOWS)]
            for data in frames:
                await bench.until_forwarded(data)
            values = {
                "one_flow": bench.rate(lambda n: frames[0], seconds),
                "thousand_flows": bench.rate(lambda n: frames[n % FLOWS], seconds),
            }
            with tempfile.TemporaryDirectory() as folder:
                values["file_one_flow"] = bench.file_rate(frames[:1], Path(folder))
                values["file_thousand_flows"] = bench.file_rate(frames, Path(folder))
            shell.stop()
            await serving
            return values
    finally:
        await bench.server.stop()


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 6.0
    print(json.dumps(asyncio.run(measure(seconds))))


if __name__ == "__main__":
    main()
