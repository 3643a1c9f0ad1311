"""The embedded switch against BMv2: the same packets in, the same packets and counters out."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from .helpers import P4_DIR
from .namespaces import namespace, needs_namespaces

pytestmark = [
    pytest.mark.lab,
    pytest.mark.bmv2,
    needs_namespaces,
    pytest.mark.skipif(
        shutil.which("simple_switch_grpc") is None,
        reason="needs simple_switch_grpc on PATH",
    ),
]


@pytest.mark.parametrize("seed", [2, 3, 7])
def test_generated_packets_fare_as_on_bmv2(seed: int) -> None:
    pairs = [(f"sw{n}", f"host{n}") for n in (1, 2, 3, 4)]
    with namespace(f"bmv2-{seed}", pairs) as inside:
        done = subprocess.run(
            [*inside, sys.executable, "-m", "softswitch.bmv2_compare", str(seed), "150"],
            cwd=P4_DIR.parent.parent,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["different"] is None
    # The comparison is worth nothing if nothing came out.
    assert result["packets"] == 150
    assert result["outputs"] > 50
    assert result["entries_compared"] > 1024
