"""Plain flows of the program against a plain NAT in Python, with arrays so small that cells
collide, overflow and age all the time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.p4constants import Drop, FilterMode, Punt

from ..conftest import examples
from ..softswitch.namespaces import namespace, needs_namespaces
from .gateway import PROTO, InProcess
from .reference import In, Out, Segment, Timers
from .world import (
    FLAGS,
    HIGH,
    HOSTS,
    LOW,
    NUMBERS,
    PORTS,
    REMOTE_PORTS,
    REMOTES,
    Event,
    World,
    happen,
    step,
)

ROOT = Path(__file__).resolve().parents[2]


@cache
def gateway(mode: FilterMode) -> InProcess:
    """The program with tiny arrays; one for all tests of a mode, as loading it takes long."""
    return InProcess("v1model-tiny", Timers(), mode, LOW, HIGH)


def begin(mode: FilterMode, seed: int) -> World:
    """A world in which nothing has happened."""
    gateway(mode).forget()
    return World(gateway(mode), Timers(), mode, seed)


events = st.builds(
    Event,
    st.sampled_from(["out"] * 8 + ["in"] * 6 + ["pass"] * 2 + ["stray", "replace"]),
    st.integers(0, HOSTS - 1),
    st.sampled_from(list(PROTO)),
    st.integers(0, len(PORTS) - 1),
    st.sampled_from(REMOTES),
    st.sampled_from(REMOTE_PORTS),
    st.builds(Segment, st.sampled_from(FLAGS), st.sampled_from(NUMBERS), st.sampled_from(NUMBERS)),
    st.sampled_from([1, 5, 13, 45, 70, 450]),
)


@pytest.mark.parametrize("mode", list(FilterMode))
@examples(300)
@given(happening=st.lists(events, max_size=150), seed=st.integers(0, 1 << 16))
def test_plain_flows_are_those_of_a_plain_nat(
    mode: FilterMode, happening: list[Event], seed: int
) -> None:
    world = begin(mode, seed)
    for event in happening:
        happen(world, event)


@pytest.mark.parametrize("mode", list(FilterMode))
def test_a_long_walk_meets_every_verdict_many_times(mode: FilterMode) -> None:
    world = begin(mode, 5)
    for _ in range(20_000):
        step(world, (1, 5, 13, 45, 70))
    met = {Out, In, Punt.OVERFLOW, Drop.NO_MAPPING, Drop.NO_SESSION}
    open_to_all = mode is FilterMode.ENDPOINT_INDEPENDENT
    met.add(Drop.EXPIRED if open_to_all else Drop.FILTERED)
    assert {v: world.seen[v] for v in met if world.seen[v] < 50} == {}


@pytest.mark.lab
@pytest.mark.bmv2
@needs_namespaces
@pytest.mark.skipif(
    shutil.which("simple_switch_grpc") is None, reason="needs simple_switch_grpc on PATH"
)
@pytest.mark.parametrize(
    ("mode", "bursts"),
    [
        (FilterMode.ADDRESS_AND_PORT, 6),
        *(pytest.param(mode, 100, marks=pytest.mark.slow) for mode in FilterMode),
    ],
)
def test_plain_flows_on_bmv2_are_those_of_a_plain_nat(mode: FilterMode, bursts: int) -> None:
    walk = [sys.executable, "-m", "tests.dataplane.bmv2_walk", str(mode.value), str(bursts)]
    pairs = [(f"sw{n}", f"host{n}") for n in (1, 2, 3, 4)]
    with namespace(f"flows-{mode.value}", pairs) as inside:
        done = subprocess.run(
            [*inside, *walk],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60 + 10 * bursts,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["aged"] >= 10 * bursts
    assert seen["OVERFLOW"] >= 2 * bursts
