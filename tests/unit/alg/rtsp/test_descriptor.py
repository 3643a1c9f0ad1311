"""The descriptor of RTSP: off unless it is switched on, and made with its option."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4alg.alg.descriptor import Context, objection
from p4alg.alg.registry import algs
from p4alg.alg.rtsp import ALG
from p4alg.alg.rtsp.alg import RtspAlg
from p4alg.config import loader
from tests.unit.alg.rtsp.harness import TOLD, Wire

CONFIG = Path(__file__).resolve().parents[4] / "topologies" / "nat.config.yaml"


def test_G1_it_is_there_and_off_by_default() -> None:
    assert objection(ALG) == ""
    assert algs()["rtsp"] is ALG
    (settings,) = [a for a in loader.read(CONFIG).settings.algs if a.name == "rtsp"]
    assert not settings.enabled
    assert settings.services == ("rtsp",)


@pytest.mark.parametrize(("chosen", "sender"), [(False, "198.51.100.11"), (True, "198.51.100.12")])
def test_R2_a_machine_is_made_with_what_is_configured(chosen: bool, sender: str) -> None:
    wire = Wire()
    machine = ALG.make(wire.facts, Context(options={**ALG.defaults, "follow_source": chosen}))
    assert isinstance(machine, RtspAlg)
    wire.alg = machine
    wire.greet()
    wire.set_up(told=TOLD + b";source=198.51.100.12")
    assert {line.partition(":")[0] for line in wire.gate.opened()} == {sender}
