"""`p4alg lab` on a recorded lab; building one is shown in tests/integration."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from p4alg.cli import main
from p4alg.lab import state
from tests.unit.cli.conftest import Command


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Where the state of a lab is kept, whose switch is this process."""
    begun = state.start_time(os.getpid())
    assert begun is not None
    me = state.Process("switch", os.getpid(), begun)
    folder = tmp_path / "lab"
    state.save(folder, state.State("nat", "embedded", {"inside1": "x-inside1"}, [me]))
    return folder


def refusal(capsys: pytest.CaptureFixture[str], status: int, *argv: str) -> str:
    assert main(argv) == status
    return capsys.readouterr().err


def test_lab_status_is_json_and_exits_1_when_a_process_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(state.DIRECTORY_VARIABLE, str(tmp_path))
    gone = state.Process("switch", 2**22 + 1, 1)
    state.save(tmp_path, state.State("nat", "embedded", {"inside1": "x-inside1"}, [gone]))
    assert main(["lab", "status", "--json"]) == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {
        "topology": "nat",
        "target": "embedded",
        "hosts": {"inside1": "x-inside1"},
        "processes": [{"name": "switch", "pid": 2**22 + 1, "running": False}],
    }
    assert shown.err == (
        "p4alg: the switch has ended: see 'p4alg lab logs', then 'p4alg lab down'\n"
    )


def test_lab_status_says_what_is_up(lab: Path, command: Command) -> None:
    assert command("lab", "status").splitlines() == [
        "lab 'nat', embedded switch",
        "  inside1      namespace x-inside1",
        f"  switch       running, pid {os.getpid()}",
    ]


def test_lab_logs_are_lines_with_the_name_of_their_process(lab: Path, command: Command) -> None:
    (lab / "switch.log").write_bytes(b"one\ntwo \xff\n")
    assert command("lab", "logs") == "switch: one\nswitch: two \ufffd\n"
    (lab / "switch.log").unlink()
    assert "cannot read" in command("lab", "logs")


def test_lab_exec_needs_a_command_and_a_host_that_there_is(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for argv in ([], ["--"]):
        assert "give a command" in refusal(capsys, 2, "lab", "exec", "inside1", *argv)
    told = refusal(capsys, 2, "lab", "exec", "nosuch", "--", "true")
    assert told == "p4alg: no host 'nosuch' in the lab (hosts: inside1)\n"


def test_lab_down_without_a_lab_is_done_already(command: Command) -> None:
    assert command("lab", "down") == "no lab is up\n"


@pytest.mark.parametrize("action", [["status"], ["logs"], ["exec", "a", "--", "true"]])
def test_without_a_lab_one_is_told_how_to_make_one(
    action: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(capsys, 1, "lab", *action) == "p4alg: no lab is up: run 'p4alg lab up'\n"


def test_lab_up_refuses_a_wrong_configuration_before_it_makes_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("zones: {}\n", encoding="utf-8")
    told = refusal(capsys, 2, "lab", "up", "nat", "-c", str(wrong))
    assert told == f"p4alg: {wrong}:1: 'nat' is missing\n"
    assert not (tmp_path / "lab").exists()
