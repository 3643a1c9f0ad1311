"""Runs the test program `stateful` on BMv2 and the embedded switch and reports what differs.

To be run as `bmv2_compare` is, in a namespace with its interfaces:
`python -m softswitch.stateful_compare SEED COUNT`. Prints one JSON object.

Requests go in in batches, each by one port, so that their order is the same on both switches, and
come back by that port with their answers. BMv2 takes its time from the machine's clock. What is
sent between two pauses happens at once, as far as the lifetimes of flows are concerned, and a flow
that does not live for ever is over after a pause.
"""

from __future__ import annotations

import random
import struct
import time
from collections import Counter
from typing import Any

from p4softswitch.p4rt.proto import p4r

from .bmv2_compare import (
    CPU,
    MAGIC,
    PORTS,
    SENTINEL_MAC,
    SENTINEL_TYPE,
    Bmv2,
    Outputs,
    connect,
    run,
    write_both,
)
from .helpers import SECOND, Bench, config, ethernet, update

REQUEST = 0x88B6
CLAIM, SESSION, PEEK, POKE, HASH, LOOKUP, METER, ROUND = range(1, 9)
NAMES = {1: "claim", 2: "session", 3: "peek", 4: "poke", 5: "hash", 6: "lookup", 7: "meter"}
NAMES[ROUND] = "round"
BATCH = 24
PAUSE = 6 * SECOND // 5
AT_ONCE = 0.2
"""The most seconds between two pauses, but for the last batch; the shortest life is 0.5 s."""
# In ticks of 2**17 us: what ends within a pause, and what does not in the whole run.
SHORT, LONG = range(4, 6), 10000
REST = 2
Packet = tuple[int, bytes]


def request(
    op: int,
    *,
    tag: int = 0,
    index: int = 0,
    number: int = 0,
    wide: int = 0,
    state: int = 0,
    crc16: int = 0,
    bits: int = 0,
) -> bytes:
    """A request as a frame."""
    body = struct.pack(">BBIIH", op, 0, tag, index, number)
    body += wide.to_bytes(10, "big") + state.to_bytes(9, "big") + bytes(6)
    body += struct.pack(">IHIHB", 0, crc16, 0, 0, bits)
    return ethernet(body, 2, 1, REQUEST)


def answer(frame: bytes) -> dict[str, int]:
    """The fields of a request that came back."""
    names = ("op", "result", "tag", "index", "number")
    fields = dict(zip(names, struct.unpack_from(">BBIIH", frame, 14), strict=True))
    at = 26
    for name, size in (
        *(("wide", 10), ("state", 9), ("cell", 6), ("crc32", 4), ("crc16", 2)),
        *(("range32", 4), ("range16", 2), ("bits", 1)),
    ):
        fields[name] = int.from_bytes(frame[at : at + size], "big")
        at += size
    return fields


def entries(bench: Bench) -> list[Any]:
    """What both switches are set up with."""
    group = p4r.PacketReplicationEngineEntry()
    group.multicast_group_entry.multicast_group_id = 9
    for port in (*PORTS, CPU):
        group.multicast_group_entry.replicas.add(egress_port=port, instance=1)
    key = {1: ("exact", {"value": SENTINEL_MAC.to_bytes(6, "big")})}
    flood = bench.table_entry("sentinel", "flood", (b"\x09",), match=key)
    rest = bench.table_entry("settings", "set_rest", (bytes([REST]),), is_default_action=True)
    updates = [
        update("INSERT", packet_replication_engine_entry=group),
        update("INSERT", table_entry=flood),
        update("MODIFY", table_entry=rest),
    ]
    for number, (length, bits) in enumerate([(0, 1), (8, 1), (16, 1), (32, 1), (12, 2), (0, 3)]):
        value = 0x0A0B0C0D >> (32 - length) << (32 - length)
        match: dict[int, Any] = {2: ("exact", {"value": bytes([bits])})}
        if length:
            match[1] = ("lpm", {"value": value.to_bytes(4, "big"), "prefix_len": length})
        entry = bench.table_entry("prefix", "found", (bytes([number]),), match=match)
        updates.append(update("INSERT", table_entry=entry))
    # Two packets, then none for a long time: both switches agree whatever time has passed.
    meter = p4r.MeterEntry(meter_id=bench.id_of("meters", "request_meter"))
    for index in (1, 5):
        meter.index.index = index
        meter.config.cir, meter.config.cburst, meter.config.pir, meter.config.pburst = 0, 1, 0, 2
        updates.append(update("MODIFY", meter_entry=meter))
    return updates


def random_request(rng: random.Random) -> bytes:
    """Any request, most often one for flow state."""
    op = rng.choice([CLAIM] * 6 + [SESSION] * 5 + [PEEK, POKE, HASH, METER] + [LOOKUP] * 3)
    lifetime = rng.choice([*SHORT, LONG])
    match op:
        case 1:  # CLAIM
            tag, number = rng.randrange(1, 30), rng.randrange(1, 3)
            return request(CLAIM, tag=tag, number=number, index=lifetime)
        case 2:  # SESSION
            phase = rng.choice([0, 1, 2, 4, 8, 16, 32, 0x80, 0xFF])
            wide = rng.choice([0, rng.randrange(1, 3) << 70 | 3, rng.randrange(4)])
            index = rng.randrange(16)
            return request(SESSION, index=index, number=lifetime, wide=wide, bits=phase, tag=9)
        case 6:  # LOOKUP
            index = rng.choice([0x0A0B0C0D, 0x0A0B0000, 0x0A000000, 0x0A0B0C0E, 0, 0xFFFFFFFF])
            return request(LOOKUP, index=index, bits=rng.randrange(4))
        case 5:  # HASH; number is the size of a range, and may be 0
            wide, state = rng.getrandbits(80), rng.getrandbits(72)
            number = rng.choice([0, 1, rng.randrange(65536)])
            tag, bits = rng.getrandbits(32), rng.getrandbits(8)
            return request(HASH, tag=tag, number=number, wide=wide, state=state, bits=bits)
    return poke(rng, op)


def poke(rng: random.Random, op: int) -> bytes:
    """A request that reads and writes all kinds of registers, also beyond their ends."""
    number, crc16 = rng.getrandbits(16), rng.getrandbits(16)
    wide, index = rng.getrandbits(80), rng.randrange(24 if op != METER else 6)
    return request(op, index=index, number=number, crc16=crc16, wide=wide, bits=rng.getrandbits(8))


class Comparison:
    """Both switches; what they answered so far is counted."""

    def __init__(self, bench: Bench, bmv2: Bmv2) -> None:
        self.bench, self.bmv2 = bench, bmv2
        self.rounds = 0
        self.seen: Counter[str] = Counter()

    def differs(self, packets: list[Packet]) -> dict[str, Any] | None:
        """Send packets to both; the first difference, port by port."""
        ours: Outputs = {n: [] for n in (*PORTS, CPU)}
        for port, frame in packets:
            for out, data in self.bench.receive(port, frame):
                ours[out].append(data.hex())
            self.bmv2.sockets[port].send(frame)
        theirs = self._settle(packets[0][0])
        for port in PORTS:
            for mine, other in zip(ours[port], theirs[port], strict=False):
                if mine != other:
                    one, two = (answer(bytes.fromhex(x)) for x in (mine, other))
                    wrong = {k: (one[k], two[k]) for k in one if one[k] != two[k]}
                    return {"in": [(p, f.hex()) for p, f in packets], "differs": wrong, "at": one}
                found = answer(bytes.fromhex(mine))
                self.seen[f"{NAMES[found['op']]} {min(found['result'], 16)}"] += 1
        if ours != theirs:
            return {"ours": ours, "theirs": theirs}
        return None

    def _settle(self, port: int) -> Outputs:
        """What came out of BMv2 up to sentinels, the last of which follow packets that went round
        four times."""
        theirs: Outputs = {n: [] for n in (*PORTS, CPU)}
        for _ in range(4):
            marker = MAGIC + struct.pack(">Q", self.rounds)
            self.rounds += 1
            sentinel = ethernet(marker + bytes(40), SENTINEL_MAC, 0x99, SENTINEL_TYPE)
            self.bmv2.sockets[port].send(sentinel)
            for n, found in self.bmv2.collect(marker).items():
                theirs[n] += found
        return theirs

    def pause(self) -> None:
        """Let as much time pass on both."""
        time.sleep(PAUSE / SECOND)
        self.bench.now += PAUSE


def compare(seed: int, count: int, bench: Bench, bmv2: Bmv2) -> dict[str, Any]:
    rng = random.Random(seed)
    connect(bench, bmv2, config(name="stateful"))
    _, complaint = write_both(bench, bmv2, entries(bench))
    if complaint:
        return {"different": complaint}
    # A switch begins at tick 0, when a cell that was never used has not expired yet.
    bench.receive(1, request(0))
    comparison = Comparison(bench, bmv2)
    comparison.pause()
    paused = time.monotonic()
    for number in range(count // BATCH):
        port = PORTS[number % len(PORTS)]
        different = comparison.differs([(port, random_request(rng)) for _ in range(BATCH)])
        # What goes round is overtaken on BMv2 by what comes after it, so it goes alone.
        different = different or comparison.differs([(port, poke(rng, ROUND))])
        if different:
            return {"different": different, "batch": number}
        if number % 4 == 3 or time.monotonic() - paused > AT_ONCE:
            comparison.pause()
            paused = time.monotonic()
    for index in range(16):
        different = comparison.differs([(1, request(PEEK, index=index))])
        if different:
            return {"different": different}
    return {"different": None, "faults": bench.switch.faults, "seen": comparison.seen}


if __name__ == "__main__":
    run(compare, Bench(load=False, message=config(name="stateful")))
