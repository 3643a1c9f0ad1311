"""Every shipped topology, built either way, shows what it is for: `demo/tours.py` tells it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from p4alg.lab.plan import TARGETS
from peers import sip
from tests.integration.conftest import BMV2, NEEDS_MININET

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("ip", "ethtool", "vsftpd", "curl", "openssl", "in.tftpd")
OFTEN = {
    ("cgnat", "namespaces", "embedded"),
    ("office", "mininet", "embedded"),
    ("two-nats", "namespaces", "embedded"),
    ("tenants", "mininet", "embedded"),
}
"""What is shown every time; the rest is slow."""

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
    pytest.mark.skipif(
        any(shutil.which(program) is None for program in PROGRAMS) or bool(sip.missing()),
        reason=f"needs {', '.join(PROGRAMS)}, sipp and kamailio (make setup)",
    ),
]


def kinds() -> list[object]:
    """Every topology but the demo's own, each builder and target, with the marks of each."""
    found: list[object] = []
    for name in ("cgnat", "office", "two-nats", "tenants"):
        for builder in ("namespaces", "mininet"):
            for target in TARGETS:
                marks = [
                    *([] if (name, builder, target) in OFTEN else [pytest.mark.slow]),
                    *([NEEDS_MININET] if builder == "mininet" else []),
                    *(BMV2.marks if target == "bmv2" else []),
                ]
                found.append(pytest.param(name, builder, target, marks=marks))
    return found


@pytest.mark.parametrize(("name", "builder", "target"), kinds())
def test_a_topology_shows_what_it_is_for(name: str, builder: str, target: str) -> None:
    options = ["--mininet"] if builder == "mininet" else []
    demo = [sys.executable, str(ROOT / "demo" / "run.py")]
    told = subprocess.run(
        [*demo, "--topology", name, "--target", target, *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.splitlines()[-1].startswith("all of it held, ")
    assert "FAILED" not in told.stdout
