"""What holds after any input, in words and in code.

1. No fault: no part of the program has raised what it did not expect (counters `*fault*`).
2. Own address only: a pinhole leads to the host that spoke, to a port from 1024 up, for a
   limited time.
3. Tables and engine agree: the switch has a session and a pinhole where the engine shows one.
   `Bench` itself asserts that no entry is inserted twice, and none changed that is not there.
4. What is sent can be sent: each frame is a packet; TCP has the right checksum.
5. It can be shown: every view is made, and is plain data that JSON takes.
6. Bounded: no more pinholes and reservations than the limits of the sender.
"""

from __future__ import annotations

import json

from p4alg.engine import tables as t
from p4alg.engine.settings import Limits
from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.packet.tcp import is_intact
from p4alg.protocols import ESP, GRE, TCP
from tests.unit.engine.harness import INSIDE, Bench

VIEWS = ("algs", "sessions", "bindings", "pinholes", "counters", "subscribers")
_LOWEST = 1024


def check(bench: Bench, speakers: frozenset[int] = frozenset({INSIDE})) -> None:
    """Raise AssertionError if one of 1, 2, 3, 5 and 6 does not hold."""
    shown = {view: bench.show(view) for view in VIEWS}
    json.dumps(shown)
    faults = {name: n for name, n in shown["counters"].items() if "fault" in name}
    assert not faults, (faults, [log.text for log in bench.logs if "fault" in log.text])
    holes = bench.of(t.PinholeEntry)
    for hole in holes:
        assert hole.inside_addr in speakers, hole
        ported = hole.proto not in (GRE, ESP) and hole.inside_id is not None
        assert not ported or (hole.inside_id or 0) >= _LOWEST, hole
    assert len(shown["pinholes"]) == len(holes)
    assert all(row["expires_in"] >= 0 for row in shown["pinholes"])
    assert len(holes) <= Limits().pinholes_per_subscriber * len(speakers)
    assert len(shown["sessions"]) == len(bench.of(t.Session))


def check_frame(frame: bytes) -> None:
    """Raise AssertionError if 4 does not hold for a frame that is sent."""
    try:
        packet = parse_ipv4(frame)
    except PacketError:
        # ARP, which `parse_ipv4` does not take.
        assert frame[12:14] == b"\x08\x06" or frame[12:14] == b"\x81\x00", frame
        return
    if packet.proto == TCP and not packet.is_fragment:
        assert is_intact(packet), frame
