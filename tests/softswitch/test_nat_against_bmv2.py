"""The project's NAT program on the embedded switch against BMv2: all that can be seen is the same.

Packets by port, packet-ins with their metadata, digests, all direct counters, and the counters of
drops and packet-ins.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from p4alg.p4constants import Drop, Punt

from .helpers import Bench
from .namespaces import namespace, needs_namespaces
from .nat_compare import BATCH, Embedded, batch
from .nat_traffic import CPU, World, config

SEEDS = (1, 2, 3, 4)
PACKETS = 2000
OK, ALREADY_EXISTS = 0, 6
# Nothing ages here, no two packets are on their way at once, and of the meters one has no rate.
NOT_HERE = {
    *(Drop.NONE, Drop.EXPIRED, Drop.TAKEN),
    *(Drop.SOURCE_METER, Drop.PORT_METER, Drop.CLAIM_METER),
}
REASONS = set(Drop) - NOT_HERE
RARE = {Drop.NO_ROUTE}
"""Only ICMP errors are dropped for want of a route."""


@pytest.mark.lab
@pytest.mark.bmv2
@needs_namespaces
@pytest.mark.skipif(
    shutil.which("simple_switch_grpc") is None,
    reason="needs simple_switch_grpc on PATH",
)
@pytest.mark.parametrize(
    "seed", [*SEEDS[:2], *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[2:])]
)
def test_nat_packets_fare_as_on_bmv2(seed: int) -> None:
    pairs = [(f"sw{n}", f"host{n}") for n in (1, 2, 3, 4)]
    with namespace(f"nat-{seed}", pairs) as inside:
        done = subprocess.run(
            [*inside, sys.executable, "-m", "softswitch.nat_compare", str(seed), str(PACKETS)],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["different"] is None
    assert result["faults"] == 0
    assert result["packets"] >= PACKETS
    assert result["outputs"] > PACKETS / 10
    assert result["packet_ins"] > PACKETS / 8
    # A pinhole is reported only of the few flows that have claimed it.
    assert result["digests"] > PACKETS / 200


def test_generated_packets_reach_all_of_the_program() -> None:
    """The comparison is worth as much as its packets: they hit every table and every reason."""
    drops: Counter[int] = Counter()
    punts: Counter[int] = Counter()
    hits: Counter[str] = Counter()
    ports: Counter[int] = Counter()
    for seed in SEEDS:
        bench, world = Bench(message=config()), World(seed)
        # Nothing but an entry that occurs twice may be refused.
        assert set(bench.controller.write(*world.updates)) == {OK, ALREADY_EXISTS}
        embedded = Embedded(bench)
        for n in range(PACKETS // BATCH):
            for packet in batch(world, n):
                ports.update({port: len(f) for port, f in embedded.run(packet).items()})
        assert bench.switch.executor is not None
        state = bench.switch.executor.state
        drops += Counter(dict(enumerate(state.counters["drop_counter"].packets)))
        punts += Counter(dict(enumerate(state.counters["GatewayEgress.punt.punt_counter"].packets)))
        hits += Counter({n: sum(e.packets for e in t.entries()) for n, t in state.tables.items()})
    assert {r.name for r in REASONS - RARE if drops[r] < 10} == set()
    assert {r.name for r in RARE if drops[r] < 1} == set()
    assert {p.name for p in Punt if p and punts[p] < 10} == set()
    tables = {t.preamble.name for t in config().p4info.tables if t.match_fields}
    assert {t for t in tables if hits[t] < 10} == set()
    assert min(ports[n] for n in (1, 2, 3, CPU)) > PACKETS / 10
