"""Random faults: afterwards tables, allocator and sessions agree, and nothing is left."""

from __future__ import annotations

import random

import pytest

from p4alg.engine import events as ev
from p4alg.engine import tables as t
from tests.fuzz import faults
from tests.unit.engine.harness import INSIDE, REMOTE, datagram

QUICK, MANY = 60, 3000


def script(seed: int) -> bytes:
    source = random.Random(seed)
    return source.randbytes(source.randrange(5, 120))


@pytest.mark.parametrize("seed", range(QUICK))
def test_nothing_leaks_whatever_goes_wrong(seed: int) -> None:
    faults.play(script(seed), random.Random(seed))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(30))
def test_nothing_leaks_in_the_long_run(part: int) -> None:
    for seed in range(QUICK + part, QUICK + MANY, 30):
        try:
            faults.play(script(seed), random.Random(seed))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def test_a_script_does_what_it_says() -> None:
    """Without this a script of bytes could do nothing, and every run would pass."""
    wanted = {"Session": 0, "Block": 0, "PinholeEntry": 0, "Sequence": 0}
    restarts = refused = 0
    for seed in range(QUICK):
        played = faults.Script(script(seed), random.Random(seed))
        played.play()
        for kind in wanted:
            wanted[kind] += len(played.bench.of(getattr(t, kind)))
        counters = played.bench.show("counters")
        refused += counters.get("subscribers.failed", 0) + counters.get("flows.failed", 0)
        refused += sum(n for name, n in counters.items() if name.endswith(".tables"))
        restarts += any(log.text.startswith("adopted") for log in played.bench.logs)
    assert all(wanted.values()), wanted
    assert restarts > QUICK / 10


def test_a_block_that_the_switch_refuses_comes_back_with_the_last_binding_of_its_host() -> None:
    bench = faults.Faulty(random.Random(1))
    bench.refuses = lambda update: isinstance(update.entry, t.Block)
    frame = datagram(INSIDE, 40000, REMOTE, 69, b"\0\1boot\0octet\0")
    bench.punt(ev.Reason.NEW_FLOW, frame, alg_id=3)
    (host,) = [r for r in bench.show("subscribers") if r["address"] == "10.0.0.11"]
    assert len(host["blocks"]) == 1, "its bindings are in the block"
    for key in list(bench.sessions()):
        bench.event(ev.SessionIdle(key))
    for hole in bench.of(t.PinholeEntry):
        bench.event(ev.PinholeIdle(hole.pinhole_id))
    bench.tick(1000.0)
    (host,) = [r for r in bench.show("subscribers") if r["address"] == "10.0.0.11"]
    assert host["blocks"] == []
