"""Which Python runs switches, and what a lab of Mininet records and refuses."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mininet", reason="needs Mininet (make setup)")

from p4alg.config.errors import UserError
from p4alg.lab import runner, state
from p4alg.mininet import recorder


class Machine:
    """A switch in the namespace of the machine."""

    name, pid, inNamespace = "s1", os.getpid(), False


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(state.DIRECTORY_VARIABLE, str(tmp_path / "lab"))
    monkeypatch.setenv(state.PREFIX_VARIABLE, f"none{os.getpid()}-")
    return tmp_path / "lab"


def test_the_interpreter_is_the_one_that_has_p4alg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(recorder.PYTHON_VARIABLE, raising=False)
    assert recorder.interpreter() == sys.executable
    # As with the system's Python, which lacks the library that speaks P4Runtime.
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(recorder, "_CHECKOUT", tmp_path / "python")
    with pytest.raises(UserError, match="run 'make setup', or set P4ALG_PYTHON"):
        recorder.interpreter()
    (tmp_path / "python").touch()
    assert recorder.interpreter() == str(tmp_path / "python")
    monkeypatch.setenv(recorder.PYTHON_VARIABLE, "/my/python")
    assert recorder.interpreter() == "/my/python"


def test_a_lab_of_this_process_is_recorded_once_and_taken_away(folder: Path) -> None:
    recorder.begin("nat", "embedded", None)
    recorder.begin("other", "bmv2", None)
    recorder.add_switch(Machine())
    lab = state.load(folder)
    assert lab is not None
    assert (lab.topology, lab.builder, lab.hosts) == ("nat", state.MININET, {"s1": ""})
    assert lab.owner is not None
    assert lab.owner.pid == os.getpid()
    recorder.end()
    assert not folder.exists()
    recorder.end()


def test_logs_that_are_to_stay_do(folder: Path, tmp_path: Path) -> None:
    recorder.begin("nat", "embedded", tmp_path / "kept")
    recorder.end()
    assert (tmp_path / "kept").is_dir()


def test_a_lab_of_another_process_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "require", lambda _: None)
    begun = state.start_time(os.getppid())
    assert begun is not None
    other = state.Process("mininet", os.getppid(), begun)
    state.save(folder, state.State("nat", "embedded", {}, builder=state.MININET, owner=other))
    with pytest.raises(UserError, match="a lab is up already"):
        recorder.begin("nat", "embedded", None)
    recorder.end()
    recorder.forget_switch("s1")
    assert state.load(folder) is not None


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "require", lambda _: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="'mnexec' is not on PATH: install mininet"):
        recorder.check("embedded")


def test_only_what_Mininet_marks_is_one_of_its_shells() -> None:
    marked = ["sh", "-c", "echo; read x", "mininet:h1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(marked, stdin=pipe, stdout=pipe) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        assert recorder._is_shell(shell.pid)
        assert not recorder._is_shell(os.getpid())
        shell.kill()
    assert not recorder._is_shell(2**22 + 1)
