"""What the architecture allows, on the embedded switch against BMv2: packets and counters."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
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
@pytest.mark.parametrize(
    ("seed", "packets"), [(1, 3200), pytest.param(2, 1_000_000, marks=pytest.mark.slow)]
)
def test_whatever_a_program_does_packets_fare_as_on_bmv2(seed: int, packets: int) -> None:
    pairs = [(f"sw{n}", f"host{n}") for n in (1, 2, 3, 4)]
    with namespace(f"stress-{seed}", pairs) as inside:
        done = subprocess.run(
            [*inside, sys.executable, "-m", "softswitch.stress_compare", str(seed), str(packets)],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            timeout=60 + packets // 500,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["different"] is None
    # The comparison is worth as much as its packets: each operation, most of the entries, each
    # port, and errors of the parser.
    assert min(result["ops"]) > packets / 100, result["ops"]
    assert result["hit"]["spans"] > 8
    assert result["hit"]["wides"] > 8
    assert min(result["seen"].values()) > packets / 50, result["seen"]
    assert result["parser_errors"] > packets / 20
