"""Registers, hashes and conditions in actions on the embedded switch against BMv2."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from .namespaces import namespace, needs_namespaces


@pytest.mark.lab
@pytest.mark.bmv2
@needs_namespaces
@pytest.mark.skipif(
    shutil.which("simple_switch_grpc") is None,
    reason="needs simple_switch_grpc on PATH",
)
@pytest.mark.parametrize("seed", [1, 2])
def test_flow_state_fares_as_on_bmv2(seed: int) -> None:
    pairs = [(f"sw{n}", f"host{n}") for n in (1, 2, 3, 4)]
    with namespace(f"state-{seed}", pairs) as inside:
        done = subprocess.run(
            [*inside, sys.executable, "-m", "softswitch.stateful_compare", str(seed), "720"],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["different"] is None
    assert result["faults"] == 0
    seen = Counter(result["seen"])
    # A claim finds its cell, another's, or none; a session lives, expired, is new, or has no room.
    for outcome in ("claim 0", "claim 1", "claim 2", "claim 3"):
        assert seen[outcome] >= 5, seen
    for outcome in ("session 0", "session 1", "session 2", "session 3"):
        assert seen[outcome] >= 5, seen
    for outcome in ("lookup 0", "lookup 3", "lookup 16", "meter 0", "meter 1", "meter 2"):
        assert seen[outcome] >= 1, seen
