"""The lab's state survives a round trip, and never mistakes one process for another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from p4alg.config.errors import UserError
from p4alg.lab import state


def test_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = state.State("nat", "bmv2", {"a": "x-a"}, [state.Process("switch", 7, 9)])
    state.save(tmp_path / "new", saved)
    assert state.load(tmp_path / "new") == saved


def test_no_state_is_no_lab(tmp_path: Path) -> None:
    assert state.load(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"processes": 1}'])
def test_damaged_state_is_an_expected_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="is damaged"):
        state.load(tmp_path)


def test_a_reused_pid_is_not_the_recorded_process() -> None:
    mine = os.getpid()
    start = state.start_time(mine)
    assert start is not None
    assert state.Process("me", mine, start).alive()
    assert not state.Process("me", mine, start - 1).alive()
