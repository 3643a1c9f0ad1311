"""How much memory an engine with N mappings takes: run as ``python memory.py N``.

Makes N flows of N endpoints, with the packets and acknowledgements a switch would
send, and prints resident bytes before and after.
"""

from __future__ import annotations

import json
import random
import struct
import sys
from pathlib import Path

from p4alg.config import loader
from p4alg.daemon import app as _app
from p4alg.engine import events as ev
from p4alg.engine.actions import Transaction
from p4alg.engine.engine import Engine
from p4alg.packet.ipv4 import build_ipv4

CONFIG = Path(__file__).resolve().parents[1] / "topologies" / "nat.config.yaml"


def resident() -> int:
    """Resident bytes of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Measure and print."""
    assert _app  # Loaded so that the baseline is that of the whole controller.
    count = int(sys.argv[1])
    settings = loader.read(CONFIG).settings
    engine = Engine(settings, random.Random(1))
    engine.start([], 0.0)
    before = resident()
    for n in range(count):
        body = struct.pack("!HHHH", 1024 + n % 20000, 9000, 8, 0)
        source = 0x0A000014 + n // 20000
        frame = build_ipv4((0x020000010001, 2), 0, source, 0xC633640B, 17, body)
        actions = engine.handle(ev.PacketIn(1, ev.Reason.NEW_FLOW, 0, False, frame), 1.0)
        for action in actions:
            if isinstance(action, Transaction):
                engine.handle(ev.TransactionDone(action.transaction_id), 1.0)
    shown = len(engine.show("sessions", 1.0))
    if shown != count:
        raise SystemExit(f"only {shown} of {count} flows were made")
    print(json.dumps({"before": before, "after": resident()}))


if __name__ == "__main__":
    main()
