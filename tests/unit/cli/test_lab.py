"""`p4alg lab` on a recorded lab; building one is shown in tests/integration."""

from __future__ import annotations

import json
import os
import sys
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
        "builder": "namespaces",
        "folder": str(tmp_path),
        "hosts": {"inside1": "x-inside1"},
        "switches": {},
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
    wanted = [f"p4alg: {wrong}:1:1: 'nat' is missing", f"p4alg: {wrong}:1:8: no zone is inside"]
    assert told.splitlines() == wanted
    assert not (tmp_path / "lab").exists()


def test_lab_up_takes_configurations_by_switch_where_there_are_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(capsys, 2, "lab", "up", "two-nats", "-c", "some.yaml")
    assert told == "p4alg: -c some.yaml: give SWITCH=FILE (switches: home, carrier)\n"
    missing = tmp_path / "nosuch.yaml"
    told = refusal(capsys, 2, "lab", "up", "two-nats", "-c", f"home={missing}")
    assert told.startswith(f"p4alg: {missing}: cannot read it")


def test_lab_up_is_told_one_of_a_configuration_and_no_controller(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = refusal(capsys, 2, "lab", "up", "-c", "x.yaml", "--no-controller")
    assert "-c and --no-controller contradict each other" in told


def test_lab_exec_names_a_program_that_there_is_not(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    told = refusal(capsys, 1, "lab", "exec", "inside1", "--", "no-such-program")
    assert told == "p4alg: 'no-such-program' is not on PATH: install it, or give its path\n"


def test_lab_restart_says_what_there_is(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    told = refusal(capsys, 2, "lab", "restart", "router")
    assert told.startswith("p4alg: no 'router' to restart in the lab (there are: ")


@pytest.mark.parametrize("port", ["x", "-1", "70000"])
def test_lab_mininet_wants_a_port(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not a port" in refusal(capsys, 2, "lab", "mininet", f"--grpc-port={port}")


def test_lab_mininet_says_how_to_install_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [n for n in sys.modules if n.startswith("p4alg.mininet")]:
        monkeypatch.delitem(sys.modules, name)
    # None stands for a module that cannot be imported.
    monkeypatch.setitem(sys.modules, "mininet", None)
    told = refusal(capsys, 1, "lab", "mininet")
    assert told == (
        "p4alg: Mininet is not installed for this Python: run 'make setup', or install mininet\n"
    )


@pytest.mark.parametrize("action", ["up", "mininet"])
def test_only_root_builds_a_lab(
    action: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if action == "mininet":
        pytest.importorskip("mininet", reason="needs Mininet (make setup)")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    told = refusal(capsys, 1, "lab", action)
    assert told == "p4alg: only root can make network namespaces: use sudo\n"
