"""The gateway on switches that do less than the embedded one: what Stratum lacks, what TNA asks.

The demo runs on a switch without idle timeouts and registers. On such a switch runs a program too
that asks of the controller what the one for TNA does: next hops are in two tables, and no packet
leaves unless the controller tells the time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from p4alg.lab import plan, runner
from peers import ftp
from tests.integration.conftest import CONFIG, FEWER, PREFIX, Lab, up
from tests.integration.marks import needs_lab
from tests.split_program import build

PROGRAMS = ("ip", "ethtool", "ping", "vsftpd", "curl")
ROOT = Path(__file__).resolve().parents[2]
SIZE = 300_000
OUTSIDE = "198.51.100.11"

pytestmark = needs_lab(*PROGRAMS)


def test_everything_that_the_demo_does_works_without_idle_timeouts_and_registers() -> None:
    own = {"P4ALG_LAB_STATE": f"/run/p4alg/test-{os.getpid()}-demo", "P4ALG_LAB_PREFIX": PREFIX}
    environment = {**os.environ, **own}
    environment.pop("P4ALG_SOCKET", None)
    told = subprocess.run(
        [sys.executable, str(ROOT / "demo" / "run.py"), "--without", "idle-timeouts,registers"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    if "not on PATH" in told.stderr:
        pytest.skip(told.stderr.strip())
    assert (told.returncode, told.stderr) == (0, ""), told.stdout
    assert "all of it held" in told.stdout


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab whose configuration names this program instead of one that is shipped."""
    if shutil.which("p4c-bm2-ss") is None:
        pytest.skip("needs p4c-bm2-ss on PATH")
    folder = tmp_path_factory.mktemp("split")
    build(folder)
    raw = yaml.safe_load(CONFIG.read_text())
    raw["switch"]["program"] = str(folder / "v1model")
    config = folder / "split.config.yaml"
    config.write_text(yaml.safe_dump(raw))
    with up(FEWER, config) as made:
        yield made


def test_plain_flows_pass_and_the_time_goes_on(lab: Lab) -> None:
    space = runner.current().hosts["inside1"]
    pinged = subprocess.run(
        plan.inside(space, "ping", "-c", "3", "-i", "0.3", "-W", "2", OUTSIDE), capture_output=True
    )
    assert pinged.returncode == 0, pinged.stdout
    tables = lab.show("switch")["tables"]
    assert tables["neighbour"]["entries"] == tables["next_hop"]["entries"] > 0
    assert "clock" in tables


@pytest.fixture(scope="module")
def server(lab: Lab) -> ftp.Server:
    return ftp.serve("outside1", SIZE)


@pytest.mark.parametrize("mode", ftp.MODES)
def test_ftp_transfers_both_ways(server: ftp.Server, mode: str) -> None:
    for move in (ftp.fetch, ftp.send):
        result = move("curl", "inside1", server, f"ftp://{OUTSIDE}", mode, 20.0)
        assert result.intact, f"{mode} {move.__name__}: {result.said}"


def test_the_controller_says_at_the_start_what_the_switch_does_without(lab: Lab) -> None:
    lacks = lab.show("switch")["lacks"]
    assert [line.split(";")[0] for line in lacks] == [
        "this switch does not report idle entries",
        "this switch does not let registers be read",
    ]
    said = runner.logs()["controller"]
    assert all(line in said for line in lacks)
