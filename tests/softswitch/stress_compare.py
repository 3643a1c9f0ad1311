"""Runs the test program `stress` on BMv2 and the embedded switch and reports what differs.

To be run as `bmv2_compare` is, in a namespace with its interfaces:
`python -m softswitch.stress_compare SEED COUNT`. Prints one JSON object.

Packets go in in batches, each by one port, and must come out the same by every port; only the order
may differ, since on BMv2 a packet that goes round is overtaken by those behind it. A batch is
so small that nothing is dropped by BMv2, whose queues are short.
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
    state_of,
    states_differ,
    write_both,
)
from .helpers import Bench, config, csum, ethernet, update

STRESS = 0x88B7
OPS = 23
BATCH = 16
ROUNDS = 20
"""The most sentinels of a batch. What goes round, or is cloned at egress, is overtaken by some."""


def frame(rng: random.Random) -> bytes:
    """A packet: most often as the program expects it, sometimes cut, damaged or too much."""
    roll = rng.random()
    payload = labels(rng) + options(rng) + request(rng)
    if roll < 0.1:
        payload = payload[: rng.randrange(len(payload))]
    elif roll < 0.15:
        changed = bytearray(payload)
        changed[rng.randrange(len(changed))] = rng.randrange(256)
        payload = bytes(changed)
    kind = 0x9000 if roll > 0.99 else STRESS
    return ethernet(payload, rng.getrandbits(47), rng.getrandbits(47), kind)


def labels(rng: random.Random) -> bytes:
    """Labels up to the bottom of the stack, now and then one of a bad kind, or too many."""
    number = rng.choice((1, 1, 2, 2, 3, 3, 4, 4, 4, 5))
    found = []
    for left in range(number, 0, -1):
        kind = 7 if rng.random() < 0.01 else rng.randrange(7)
        value = 0xABC if rng.random() < 0.1 else rng.randrange(64)
        found.append((left == 1) << 15 | kind << 12 | value)
    return struct.pack(f">{number}H", *found)


def options(rng: random.Random) -> bytes:
    """Options of any length, now and then one longer than its header, or one too many."""
    out = b""
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 2, 3, 3, 4))):
        if rng.random() < 0.5:
            length = rng.choice((0, 1, 7, 15, 16, 16, 17))
            out += bytes((rng.randrange(0xF0, 0xFF), length)) + rng.randbytes(length)
        else:
            out += bytes((rng.randrange(0xE0, 0xF0),)) + rng.randbytes(2)
    return out


def request(rng: random.Random) -> bytes:
    """The part that says what to do, and a payload."""
    # What is no operation looks up the ranges.
    op = rng.choice((rng.randrange(OPS), rng.randrange(OPS), OPS - 1))
    number = rng.choice((rng.getrandbits(32), rng.randrange(4000), rng.randrange(4000), 0))
    wide = rng.choice((rng.getrandbits(48), rng.randrange(300), (1 << 48) - 1))
    small = rng.getrandbits(7) << 17 | rng.choice((rng.getrandbits(17), 0x10000, 0xFFFF, 0))
    # 7 and 17 bits, then rounds, result and seen.
    rest = wide.to_bytes(6, "big") + small.to_bytes(3, "big") + bytes(6)
    head = struct.pack(">BB", op, rng.randrange(256))
    payload = rng.randbytes(rng.choice((0, 1, 2, 3, 4, 5, 11, 40, 101, 600)))
    check = 0
    if rng.random() < 0.8:
        check = csum(head + struct.pack(">I", number) + rest + payload)
        check ^= rng.random() < 0.1
    return head + struct.pack(">HI", check, number) + rest + payload


def entries(bench: Bench, rng: random.Random) -> list[Any]:
    """What both switches are set up with: groups, clone sessions, and ranges that overlap."""

    def group(number: int, copies: list[tuple[int, int]]) -> Any:
        entry = p4r.PacketReplicationEngineEntry()
        entry.multicast_group_entry.multicast_group_id = number
        for port, instance in copies:
            entry.multicast_group_entry.replicas.add(egress_port=port, instance=instance)
        return update("INSERT", packet_replication_engine_entry=entry)

    def session(number: int, ports: tuple[int, ...], length: int) -> Any:
        entry = p4r.PacketReplicationEngineEntry()
        entry.clone_session_entry.session_id = number
        entry.clone_session_entry.packet_length_bytes = length
        for port in ports:
            entry.clone_session_entry.replicas.add(egress_port=port, instance=1)
        return update("INSERT", packet_replication_engine_entry=entry)

    key = {1: ("exact", {"value": SENTINEL_MAC.to_bytes(6, "big")})}
    found = [
        group(9, [(port, 1) for port in (*PORTS, CPU)]),
        group(5, [(1, 1), (1, 2), (3, 7), (CPU, 9)]),
        session(11, (2,), 0),
        session(12, (3, CPU), 0),
        update("INSERT", table_entry=bench.table_entry("sentinel", "flood", (b"\x09",), match=key)),
    ]
    for number in range(40):
        # BMv2 tells of a range that was left out.
        odd = span(rng, 127, 1) if rng.random() < 0.3 else {"low": b"\0", "high": b"\x7e"}
        match: dict[int, Any] = {1: ("range", span(rng, 4000, 4)), 3: ("range", odd)}
        if rng.random() < 0.3:
            match[2] = ("ternary", {"value": b"\1", "mask": b"\1"})
        action = rng.choice(("span", "span", "span_exit"))
        args = (bytes((number + 1,)), bytes((rng.choice((*PORTS, 4)),)))
        made = bench.table_entry("spans", action, args, match=match, priority=number + 1)
        found.append(update("INSERT", table_entry=made))
    for number in range(40):
        match = {1: ("range", span(rng, rng.choice((300, 1 << 47)), 6))}
        value = (bytes((number + 1,)),)
        made = bench.table_entry("wides", "mark", value, match=match, priority=number + 1)
        found.append(update("INSERT", table_entry=made))
    return found


def span(rng: random.Random, most: int, size: int) -> dict[str, bytes]:
    """Any range below `most`, with numbers of `size` bytes."""
    low = rng.randrange(most)
    high = min(most - 1, low + rng.randrange(most // rng.choice((2, 8, 8))))
    return {"low": low.to_bytes(size, "big"), "high": high.to_bytes(size, "big")}


class Comparison:
    """Both switches, and what came out so far."""

    def __init__(self, bench: Bench, bmv2: Bmv2) -> None:
        self.bench, self.bmv2 = bench, bmv2
        self.sentinels = 0
        self.seen: Counter[str] = Counter()

    def differs(self, port: int, frames: list[bytes]) -> dict[str, Any] | None:
        """Send frames to both; what came out if it is not the same."""
        for one in frames:
            self.bmv2.sockets[port].send(one)
        ours = self._ours(port, frames)
        theirs: Outputs = {n: [] for n in (*PORTS, CPU)}
        for number in range(ROUNDS):
            self._settle(port, theirs)
            if number and all(sorted(ours[n]) == sorted(theirs[n]) for n in ours):
                self.seen.update({f"port {n}": len(ours[n]) for n in ours})
                return None
            time.sleep(0.01 * (number > 3))
        wrong: dict[str, Any] = {}
        for n in ours:
            mine, other = Counter(ours[n]), Counter(theirs[n])
            extra, missing = sorted((mine - other).elements()), sorted((other - mine).elements())
            if extra or missing:
                wrong[str(n)] = {"only ours": extra, "only theirs": missing}
        return {"in": [one.hex() for one in frames], **wrong}

    def _settle(self, port: int, theirs: Outputs) -> None:
        """Take what comes out of BMv2 up to a sentinel."""
        marker = MAGIC + struct.pack(">Q", self.sentinels)
        self.sentinels += 1
        whole = ethernet(marker + bytes(40), SENTINEL_MAC, 0x99, SENTINEL_TYPE)
        self.bmv2.sockets[port].send(whole)
        self._ours(port, [whole])
        for n, found in self.bmv2.collect(marker).items():
            theirs[n] += found

    def _ours(self, port: int, frames: list[bytes]) -> Outputs:
        executor = self.bench.switch.executor
        assert executor is not None
        ours: Outputs = {n: [] for n in (*PORTS, CPU)}
        for out, data in executor.process_batch(port, frames, self.bench.now):
            if out == CPU:
                ours[CPU].append(f"[] {data.hex()}")
            elif out in ours:
                ours[out].append(data.hex())
        return ours


def compare(seed: int, count: int, bench: Bench, bmv2: Bmv2) -> dict[str, Any]:
    rng = random.Random(seed)
    connect(bench, bmv2, config(name="stress"))
    refused, complaint = write_both(bench, bmv2, entries(bench, rng))
    if complaint or refused:
        return {"different": complaint or f"{refused} entries refused"}
    comparison = Comparison(bench, bmv2)
    for number in range(-(-count // BATCH)):
        frames = [frame(rng) for _ in range(BATCH)]
        different = comparison.differs(PORTS[number % len(PORTS)], frames)
        if different:
            return {"different": different, "batch": number}
    counters = [bench.id_of("counters", name) for name in ("ops", "by_port")]
    different = states_differ(bench, bmv2, counters)
    assert bench.switch.executor is not None
    state = bench.switch.executor.state
    hits = {n: sum(e.packets > 0 for e in t.entries()) for n, t in state.tables.items()}
    return {
        "different": different,
        "counters": len(state_of(bench.device.read, counters)),
        "seen": comparison.seen,
        "ops": state.counters["StressIngress.ops"].packets[:OPS],
        "hit": {name.split(".")[-1]: number for name, number in hits.items()},
        "parser_errors": bench.switch.executor.stats.parser_errors,
    }


if __name__ == "__main__":
    run(compare, Bench(load=False, message=config(name="stress")))
