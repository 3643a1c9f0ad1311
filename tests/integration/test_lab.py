"""A lab is built, used and removed with the real commands, in namespaces of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4alg.lab.state import start_time

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
    pytest.mark.skipif(
        shutil.which("ip") is None or shutil.which("ethtool") is None,
        reason="needs ip (iproute2) and ethtool",
    ),
]

PREFIX = f"p4algt{os.getpid()}-"


class Cli:
    """The `p4alg` command with a state directory and namespaces of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        variables = {"P4ALG_LAB_STATE": str(folder), "P4ALG_LAB_PREFIX": PREFIX}
        self.environment = {**os.environ, **variables}

    def __call__(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "p4alg", "lab", *args],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def left_behind() -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if line.startswith(PREFIX)]


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    lab = Cli(tmp_path / "lab")
    yield lab
    lab("down")
    assert left_behind() == []


TARGETS = [
    "embedded",
    pytest.param(
        "bmv2",
        marks=[
            pytest.mark.bmv2,
            pytest.mark.skipif(
                shutil.which("simple_switch_grpc") is None,
                reason="needs simple_switch_grpc on PATH",
            ),
        ],
    ),
]


@pytest.mark.parametrize("target", TARGETS)
def test_a_lab_comes_up_and_goes_down_without_a_trace(cli: Cli, target: str) -> None:
    up = cli("up", "--target", target)
    assert (up.returncode, up.stderr) == (0, "")
    status = json.loads(cli("status", "--json").stdout)
    assert list(status["hosts"]) == ["switch", "inside1", "inside2", "outside1", "outside2"]
    assert [(p["name"], p["running"]) for p in status["processes"]] == [("switch", True)]
    shown = json.loads(cli("exec", "outside1", "--", "ip", "-j", "addr", "show", "eth0").stdout)
    assert [a["local"] for a in shown[0]["addr_info"]] == ["198.51.100.11"]
    assert "LOWER_UP" in shown[0]["flags"]
    routes = cli("exec", "outside1", "--", "ip", "route").stdout
    assert "203.0.113.0/28 via 198.51.100.1" in routes
    assert "default" not in routes
    assert cli("down").returncode == 0
    assert left_behind() == []
    assert not cli.folder.exists()
    assert start_time(status["processes"][0]["pid"]) is None


def test_exec_passes_the_exit_status_of_the_command_on(cli: Cli) -> None:
    assert cli("up").returncode == 0
    assert cli("exec", "inside1", "--", "sh", "-c", "exit 7").returncode == 7
    unknown = cli("exec", "nobody", "--", "true")
    assert unknown.returncode == 2
    assert "no host 'nobody'" in unknown.stderr
    again = cli("up")
    assert again.returncode == 1
    assert "a lab is up already" in again.stderr


def test_down_removes_a_lab_whose_switch_was_killed_and_whose_hosts_are_busy(cli: Cli) -> None:
    assert cli("up").returncode == 0
    switch = json.loads(cli("status", "--json").stdout)["processes"][0]["pid"]
    os.kill(switch, 9)
    sleeper = subprocess.Popen(["ip", "netns", "exec", f"{PREFIX}inside1", "sleep", "300"])
    try:
        status = cli("status")
        assert status.returncode == 1
        assert "the switch has ended" in status.stderr
        assert cli("down").returncode == 0
        assert sleeper.wait(timeout=10) != 0
    finally:
        if sleeper.poll() is None:
            sleeper.kill()
    assert left_behind() == []


def test_a_failing_up_undoes_itself(cli: Cli, tmp_path: Path) -> None:
    # 10.0.0.0/24 is on the link already, so the kernel refuses the route.
    topology = tmp_path / "bad.yaml"
    topology.write_text(
        "name: bad\nhosts:\n  a:\n    port: 1\n    address: 10.0.0.2/24\n    gateway: 10.0.0.1\n"
        "    routes:\n      - {to: 0.0.0.0/0, via: 10.0.0.3}\n",
        encoding="utf-8",
    )
    up = cli("up", str(topology))
    assert up.returncode == 1
    assert len(up.stderr.splitlines()) == 1
    assert left_behind() == []
    assert not cli.folder.exists()
    status = cli("status")
    assert (status.returncode, status.stderr) == (1, "p4alg: no lab is up: run 'p4alg lab up'\n")
