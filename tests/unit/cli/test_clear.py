"""`p4alg clear` tells how many, and wants to be told which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from p4alg.cli import clear, main
from p4alg.daemon.protocol import encode, success
from tests.unit.cli.conftest import Command
from tests.unit.daemon.peers import answering


def test_our_views_and_those_of_algs_that_can_be_ended_are_offered() -> None:
    assert clear.clearable() == ["sessions", "bindings", "pinholes", "counters", "calls"]


@pytest.mark.parametrize("what", clear.clearable())
def test_everything_that_is_offered_is_done(what: str, socket: Path, command: Command) -> None:
    told = command("clear", what, "--all", "--dry-run", "--socket", str(socket))
    assert told.startswith("0 ") or what in ("counters", "bindings")
    assert "would be cleared" in told
    result = json.loads(
        command("clear", what, "--all", "--dry-run", "--json", "--socket", str(socket))
    )
    assert {"cleared", "kept", "in_switch"} == set(result)
    assert main(["clear", what, "--all", "--socket", str(socket)]) == 0


@pytest.mark.parametrize(
    ("count", "kept", "dry_run", "line"),
    [
        (1, 0, False, "1 binding cleared"),
        (0, 0, True, "0 bindings would be cleared"),
        (2, 3, False, "2 bindings cleared; 3 of the configuration stay"),
    ],
)
def test_a_line_tells_how_many(count: int, kept: int, dry_run: bool, line: str) -> None:
    assert clear.told("bindings", {"cleared": count, "kept": kept}, dry_run=dry_run) == line


def test_without_a_filter_nothing_is_done(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clear", "sessions", "--socket", str(socket)]) == 2
    expected = "p4alg: say which sessions: by an option such as --address, or --all\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("option", ["--sort", "--limit"])
def test_what_only_orders_is_no_option(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clear", "sessions", "--all", option, "1"]) == 2
    assert "unrecognized arguments" in capsys.readouterr().err


def test_what_could_not_be_cleared_is_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "control.sock"
    result = {"cleared": 1, "kept": 0, "in_switch": None, "note": "plain flows are not cleared: x"}
    with answering(path, encode(success(result))):
        assert main(["clear", "sessions", "--all", "--socket", str(path)]) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (
        "1 session cleared\n",
        "p4alg: plain flows are not cleared: x\n",
    )
