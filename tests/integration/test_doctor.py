"""`p4alg doctor` in a lab: all is well, until something is broken on purpose."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from p4alg.cli import main
from p4alg.lab import plan, runner
from tests.integration.conftest import BMV2, Lab, up

SECONDS = 10.0

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        os.geteuid() != 0 or any(shutil.which(program) is None for program in ("ip", "ethtool")),
        reason="needs root, ip and ethtool on PATH",
    ),
]


class Said(NamedTuple):
    """What the command said: its exit status, and verdict and advice by what each is about."""

    status: int
    verdicts: dict[str, str]
    advice: dict[str, str]


@pytest.fixture(scope="module", params=["embedded", BMV2])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with up(request.param) as found:
        yield found


Doctor = Callable[[], Said]


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    def run() -> Said:
        capsys.readouterr()
        status = main(["doctor", "--json"])
        rows = json.loads(capsys.readouterr().out)
        return Said(
            status,
            {row["about"]: row["verdict"] for row in rows},
            {row["about"]: row["advice"] for row in rows},
        )

    return run


def do(command: str) -> None:
    """Do what an advice says. `p4alg` and `ip` are those of this process's PATH and lab."""
    words = command.split()
    if words[:3] == ["p4alg", "lab", "exec"]:
        words = plan.inside(runner.current().hosts[words[3]], *words[5:])
    subprocess.run(words, check=True, capture_output=True)


def at_the_switch(*command: str) -> None:
    subprocess.run(plan.inside(runner.current().hosts["switch"], *command), check=True)


def test_a_lab_that_is_up_has_nothing_wrong(lab: Lab, doctor: Doctor) -> None:
    said = doctor()
    gateway = ("configuration", "port 1", "port 2", "port 3", "port 4", "switch", "program")
    assert {about: said.verdicts[about] for about in (*gateway, "control")} == dict.fromkeys(
        (*gateway, "control"), "ok"
    )
    assert (said.status, "fail" in said.verdicts.values()) == (0, False)
    # Nothing of the kernel's was left behind by trying it, and nobody was displaced.
    listed = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True)
    assert "p4alg0" not in listed.stdout
    assert lab.show("algs")


@pytest.mark.parametrize(
    ("broken", "verdict"),
    [
        (("ip", "link", "set", "port1", "down"), "fail"),
        (("ethtool", "-K", "port1", "gro", "on"), "fail"),
        (("ip", "addr", "add", "192.0.2.1/24", "dev", "port1"), "warn"),
    ],
    ids=["down", "gro", "address"],
)
def test_a_port_that_is_broken_is_found_and_its_advice_mends_it(
    broken: tuple[str, ...], verdict: str, lab: Lab, doctor: Doctor
) -> None:
    at_the_switch(*broken)
    said = doctor()
    assert (said.status, said.verdicts["port 1"]) == (int(verdict == "fail"), verdict)
    assert said.verdicts["port 2"] == "ok"
    do(said.advice["port 1"])
    assert doctor().verdicts["port 1"] == "ok"


def test_a_controller_that_was_killed_leaves_its_socket(lab: Lab, doctor: Doctor) -> None:
    (controller,) = [p for p in runner.current().processes if p.name == runner.CONTROLLER]
    os.kill(controller.pid, signal.SIGKILL)
    until = time.monotonic() + SECONDS
    while controller.alive():
        assert time.monotonic() < until
        time.sleep(0.05)
    said = doctor()
    assert (said.verdicts["control"], said.verdicts["switch"]) == ("warn", "ok")
    assert said.advice["control"] == "p4alg lab restart controller"
    assert main(["lab", "restart", "controller"]) == 0
    assert doctor().verdicts["control"] == "ok"


def test_a_socket_that_others_may_use_is_found(lab: Lab, doctor: Doctor) -> None:
    socket = runner.control_socket()
    assert socket is not None
    socket.chmod(0o666)
    said = doctor()
    assert (said.status, said.verdicts["control"]) == (1, "fail")
    do(said.advice["control"])
    assert doctor().verdicts["control"] == "ok"


def test_a_switch_that_has_ended_is_told(lab: Lab, doctor: Doctor) -> None:
    runner.stop(runner.CONTROLLER)
    runner.stop("switch")
    said = doctor()
    assert (said.status, said.verdicts["switch"]) == (1, "fail")
    assert said.advice["switch"] == "p4alg lab restart switch"
    assert main(["lab", "restart", "switch"]) == 0
    assert doctor().verdicts["program"] == "ok"


def test_what_labs_need_and_is_not_on_PATH_is_found(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P4ALG_LAB_STATE", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    said = doctor()
    assert said.status == 1
    assert (said.verdicts["ip"], said.verdicts["ethtool"]) == ("fail", "fail")
    assert said.verdicts["p4c-bm2-ss"] == "ok"
