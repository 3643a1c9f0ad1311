"""The lab's state survives a round trip, and never mistakes one process for another."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from p4alg.config.errors import UsageError, UserError
from p4alg.lab import state


def test_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    switch = state.Process("switch", 7, 9, "switch", ("run", "it"), {"A": "b"})
    saved = state.State(
        topology="nat",
        target="bmv2",
        hosts={"switch": "", "a": "x-a"},
        processes=[switch],
        switches={"switch": state.Served("127.0.0.1:9559", 1)},
        builder=state.MININET,
        owner=state.Process("mininet", 8, 9),
        folder="/tmp/logs",
    )
    state.save(tmp_path / "new", saved)
    assert state.load(tmp_path / "new") == saved


def test_no_state_is_no_lab(tmp_path: Path) -> None:
    assert state.load(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"processes": 1}'])
def test_damaged_state_is_an_expected_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="is damaged"):
        state.load(tmp_path)


def test_state_of_another_user_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root runs and ends what it names, and others may write to the folder around it."""
    theirs, stranger = tmp_path / "lab", 4711
    state.save(theirs, state.State("nat", "embedded", {}))
    if os.geteuid() == 0:
        os.chown(theirs, stranger, stranger)
    else:
        stranger = os.getuid()
        monkeypatch.setattr(os, "geteuid", lambda: stranger + 1)
    wanted = f"belongs to user {stranger}, who could give orders by it: remove it"
    with pytest.raises(UserError, match=wanted):
        state.load(theirs)
    with pytest.raises(UserError, match=wanted):
        state.save(theirs, state.State("nat", "embedded", {}))


def test_a_reused_pid_is_not_the_recorded_process() -> None:
    mine = os.getpid()
    start = state.start_time(mine)
    assert start is not None
    assert state.Process("me", mine, start).alive()
    assert not state.Process("me", mine, start - 1).alive()


def test_a_process_that_ended_has_no_start_time() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert state.start_time(child.pid) is None


def test_a_zombie_is_no_process() -> None:
    child = subprocess.Popen(["true"])
    # It has ended, and nobody has asked for its status.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert state.start_time(child.pid) is None
    child.wait()


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"precious")
    with pytest.raises(UserError, match=f"cannot read {file}"):
        state.load(file)
    with pytest.raises(UserError, match=f"cannot write {file}"):
        state.save(file, state.State("nat", "embedded", {}))
    assert file.read_bytes() == b"precious"


def test_where_the_state_is_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (state.DIRECTORY_VARIABLE, state.PREFIX_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    assert (state.directory(), state.prefix()) == (Path("/run/p4alg/lab"), "p4alg-")
    monkeypatch.setenv(state.DIRECTORY_VARIABLE, "/tmp/lab")
    monkeypatch.setenv(state.PREFIX_VARIABLE, "mine-")
    assert (state.directory(), state.prefix()) == (Path("/tmp/lab"), "mine-")


def test_a_named_lab_has_a_directory_and_namespaces_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (state.DIRECTORY_VARIABLE, state.PREFIX_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(state.NAME_VARIABLE, "two")
    assert (state.directory(), state.prefix()) == (Path("/run/p4alg/lab-two"), "p4alg-two-")
    for wrong in ("../x", "UP", "thirteen-long", "a b"):
        monkeypatch.setenv(state.NAME_VARIABLE, wrong)
        with pytest.raises(UsageError, match="use up to 12 of a-z"):
            state.directory()
