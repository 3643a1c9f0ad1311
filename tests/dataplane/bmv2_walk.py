"""Plain flows on BMv2 against the reference: `python -m tests.dataplane.bmv2_walk MODE BURSTS`.

To be run in a namespace of its own with the interfaces of `softswitch.bmv2_compare`. Prints how
often each verdict was met, and how many cells aged, as a JSON object.

BMv2 has no clock but the real one. So packets come in bursts, at times that are a multiple of
`PERIOD` apart, and every lifetime is such that no cell ends while a burst is under way or within
two ticks of it: what the reference thinks of the time may be a tick off.
"""

from __future__ import annotations

import ast
import json
import struct
import sys
import time
from typing import Any

import grpc

from p4alg.p4constants import GRACE_TICKS, LEND_TICKS, FilterMode, Punt
from p4softswitch.p4rt.proto import p4r

from ..softswitch.bmv2_compare import CPU, ELECTION, MAGIC, PORTS, Bmv2, Outputs
from ..softswitch.nat_traffic import SENTINEL_NET, entry, route, sentinels
from .gateway import ROUTER, TICK, Gateway, program
from .reference import Timers
from .world import HIGH, LOW, World, step

PERIOD, WIDTH = 19, 3
"""Ticks from one burst to the next, and the most that one may last."""
PACKETS = 40
TIMERS = Timers(udp=26, icmp=8, transitory=29, established=67, rest=19)


def is_apart(lifetime: int) -> bool:
    """Whether what has this lifetime ends between two bursts, a tick or more away from them."""
    return WIDTH + 1 < lifetime % PERIOD < PERIOD - WIDTH - 2


def _reason(told: str) -> Punt:
    """The reason in a packet-in, which `describe` has made a text."""
    metadata = dict(ast.literal_eval(told[: told.index("]") + 1]))
    return Punt(int(metadata[2], 16))


class OnBmv2(Gateway):
    """The program on BMv2."""

    def __init__(self, variant: str, *rest: Any) -> None:
        self.bmv2 = Bmv2()
        self._rounds = 0
        hello = p4r.StreamMessageRequest()
        hello.arbitration.device_id = hello.arbitration.election_id.low = 1
        self.bmv2.requests.put(hello)
        push = p4r.SetForwardingPipelineConfigRequest(
            device_id=1,
            election_id=ELECTION,
            action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            config=program(variant),
        )
        for attempt in range(50):  # the answer to the arbitration is not waited for
            try:
                self.bmv2.stub.SetForwardingPipelineConfig(push)
                break
            except grpc.RpcError:
                if attempt == 49:
                    raise
                time.sleep(0.1)
        self._start = time.monotonic_ns() - 1000 * TICK
        dst = {"dst_addr": (SENTINEL_NET, 0xFFFFFF00)}
        self._write(entry("policy", dst, "exempt", priority=10000))
        source = {"zone": 1, "src_addr": (SENTINEL_NET, 24)}
        self._write(entry("source", source, "accept_source"))
        for port in PORTS:
            self._write(route(SENTINEL_NET + port, 32, 100 + port))
            hop = entry("next_hop", {"next_hop": 100 + port}, "leave", port, 0, 1, 2, 1500)
            self._write(hop)
        super().__init__(*rest)

    @property
    def tick(self) -> int:
        """The time as the program sees it, or a tick off."""
        return (time.monotonic_ns() - self._start) // TICK

    def pass_ticks(self, ticks: int) -> None:
        """Let time pass."""
        time.sleep(ticks * TICK / 1e9)

    def _write(self, *updates: Any) -> None:
        self.bmv2.stub.Write(
            p4r.WriteRequest(device_id=1, election_id=ELECTION, updates=updates), timeout=20
        )

    def _read(self, entity: Any) -> list[Any]:
        request = p4r.ReadRequest(device_id=1, entities=[entity])
        return [e for answer in self.bmv2.stub.Read(request) for e in answer.entities]

    def _deliver(self, side: int, sent: bytes) -> tuple[list[tuple[int, bytes]], list[Punt]]:
        self.bmv2.sockets[side].send(sent)
        found: Outputs = {n: [] for n in (*PORTS, CPU)}
        # A packet that goes round does so once more behind the first sentinels.
        for _ in range(2):
            marker = MAGIC + struct.pack(">Q", self._rounds)
            self._rounds += 1
            for sentinel in sentinels(marker, ROUTER):
                self.bmv2.sockets[side].send(sentinel)
            for n, frames in self.bmv2.collect(marker).items():
                found[n] += frames
        out = [(n, bytes.fromhex(f)) for n in PORTS for f in found[n]]
        return out, [_reason(told) for told in found[CPU]]


def main(mode: FilterMode, bursts: int) -> dict[str, int]:
    """Walk; returns what was met."""
    lifetimes = [TIMERS.udp, TIMERS.icmp, TIMERS.transitory, TIMERS.established, GRACE_TICKS]
    for lifetime in (*lifetimes, *(t + TIMERS.rest for t in lifetimes), LEND_TICKS):
        assert is_apart(lifetime), lifetime
    gateway = OnBmv2("v1model-tiny", TIMERS, mode, LOW, HIGH)
    try:
        world = World(gateway, TIMERS, mode, 7)
        begun = time.monotonic()
        aged = 0
        for number in range(bursts):
            due = begun + number * PERIOD * TICK / 1e9
            time.sleep(max(0.0, due - time.monotonic()))
            ended = sum(m.end < gateway.tick for m in world.nat.mappings.values())
            ended += sum(s.end < gateway.tick for s in world.nat.sessions.values())
            aged += ended
            until = due + WIDTH * TICK / 1e9
            for _ in range(PACKETS):
                if time.monotonic() > until - 0.02:
                    break
                step(world, ())
        return {
            "aged": aged,
            **{getattr(v, "name", getattr(v, "__name__", "")): n for v, n in world.seen.items()},
        }
    finally:
        gateway.bmv2.close()


if __name__ == "__main__":
    print(json.dumps(main(FilterMode(int(sys.argv[1])), int(sys.argv[2]))))
