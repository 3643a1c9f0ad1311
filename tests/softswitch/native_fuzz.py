"""Feeds broken packets and random writes to the native part of the switch.

To be run with the sanitizers compiled in, which end the process with a report:
`python -m softswitch.native_fuzz SEED COUNT`. Prints one JSON object.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from typing import Any

from p4softswitch.p4rt.proto import p4r

from . import bmv2_compare, nat_traffic, stateful_compare, stress_compare
from .helpers import Bench, config, update

CPU = 510
LARGEST = 65535 + 18
OK, REFUSED = 0, {3, 5, 6, 7, 8, 11, 12}


def damaged(rng: random.Random, frame: bytes) -> bytes:
    """A frame cut off, lengthened, or with some bits changed; or as it was."""
    roll = rng.random()
    if roll < 0.3:
        return frame[: rng.randrange(len(frame) + 1)]
    if roll < 0.35:
        return frame + rng.randbytes(rng.choice([1, 100, 9000, LARGEST - len(frame)]))
    data = bytearray(frame)
    if roll < 0.8 and data:
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(min(len(data), 80))] ^= 1 << rng.randrange(8)
    return bytes(data)


def toggled(bench: Bench, rng: random.Random, pool: list[Any]) -> list[int]:
    """Insert, modify or delete entries of `pool` at random; codes of what was refused."""
    chosen = rng.sample(pool, min(len(pool), 20))
    kinds = [rng.choice(["INSERT", "INSERT", "MODIFY", "DELETE"]) for _ in chosen]
    return bench.controller.write(
        *(update(k, table_entry=u.entity.table_entry) for k, u in zip(kinds, chosen, strict=True))
    )


def written_register(bench: Bench, rng: random.Random) -> Any:
    """A write to a cell of a random register, now and then one that does not exist."""
    info = rng.choice(list(bench.p4info.registers))
    entry = p4r.RegisterEntry(register_id=info.preamble.id)
    entry.index.index = rng.randrange(info.size + 1)
    entry.data.bitstring = rng.randbytes((info.type_spec.bitstring.bit.bitwidth + 7) // 8)
    return update("MODIFY", register_entry=entry)


def session(bench: Bench, rng: random.Random) -> Any:
    """A clone session with random copies, ports that do not exist among them."""
    entry = p4r.PacketReplicationEngineEntry()
    entry.clone_session_entry.session_id = 7
    entry.clone_session_entry.packet_length_bytes = rng.choice([0, 0, 1, 20, 100])
    for n in range(rng.randrange(5)):
        entry.clone_session_entry.replicas.add(egress_port=rng.randrange(512), instance=n)
    kind = rng.choice(["INSERT", "MODIFY", "DELETE"])
    return update(kind, packet_replication_engine_entry=entry)


def run(bench: Bench, rng: random.Random, pool: list[Any], make: Callable[[], bytes],
        count: int) -> dict[str, int]:  # fmt: skip
    """Send `count` damaged packets, with writes in between; what came of them."""
    sent = refused = 0
    for n in range(count):
        if n % 50 == 0:
            codes = toggled(bench, rng, pool) + bench.controller.write(session(bench, rng))
            if bench.p4info.registers:
                codes += bench.controller.write(written_register(bench, rng))
            assert set(codes) <= {OK, *REFUSED}, codes
            refused += sum(code != OK for code in codes)
            bench.now += rng.choice([0, 1000, 10**9])
            bench.switch.sweep_idle(bench.now)
        port = rng.choice([1, 2, 3, CPU, 511])
        sent += len(bench.receive(port, damaged(rng, make())))
    bench.controller.read(p4r.Entity(table_entry=p4r.TableEntry()))
    return {"sent": sent, "refused": refused, "faults": bench.switch.faults}


def main(seed: int, count: int) -> dict[str, dict[str, int]]:
    """Run all programs."""
    rng = random.Random(seed)
    results = {}
    bench = Bench()
    pool = [u for _ in range(3) for u in bmv2_compare.entries(bench, rng)]
    tables = [u for u in pool if u.entity.WhichOneof("entity") == "table_entry"]
    results["l2switch"] = run(bench, rng, tables, lambda: bmv2_compare.frame(rng), count)
    bench = Bench(message=config(name="stateful"))
    pool = [
        u for u in stateful_compare.entries(bench) if u.entity.WhichOneof("entity") == "table_entry"
    ]
    results["stateful"] = run(bench, rng, pool, lambda: stateful_compare.random_request(rng), count)
    bench = Bench(message=config(name="stress"))
    pool = [u for _ in range(3) for u in stress_compare.entries(bench, rng)]
    bench.controller.write(*pool)
    tables = [u for u in pool if u.entity.WhichOneof("entity") == "table_entry"]
    results["stress"] = run(bench, rng, tables, lambda: stress_compare.frame(rng), count)
    bench, world = Bench(message=nat_traffic.config()), nat_traffic.World(seed)
    bench.controller.write(*world.updates)
    pool = [u for u in world.updates if u.entity.WhichOneof("entity") == "table_entry"]
    pool = [u for u in pool if not u.entity.table_entry.is_default_action]
    results["nat"] = run(bench, rng, pool, lambda: world.frame(rng.choice([1, 2, 3])), count)
    return results


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
