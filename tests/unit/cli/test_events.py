"""`p4alg events`: lines for people, objects for programs, and only what was asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from p4alg.cli import events, main
from p4alg.daemon.protocol import encode, success
from tests.unit.daemon.peers import answering

SESSION: dict[str, Any] = {
    "time": "2026-11-25T13:14:02.123+00:00",
    **{"kind": "session", "event": "ended", "reason": "idle", "proto": "tcp"},
    **{"inside": "10.0.0.11:52733", "outside": "203.0.113.5:26789"},
    **{"remote": "198.51.100.11:20", "alg": "ftp", "label": "ftp PORT", "text": ""},
    "organisation": "default",
}
BLOCK = SESSION | {
    **{"kind": "block", "event": "taken", "reason": "", "proto": "", "inside": "10.0.0.12"},
    **{"outside": "203.0.113.5", "remote": "", "alg": "", "label": "", "text": "ports 1-2"},
}
AUDIT = SESSION | {
    **{"kind": "audit", "event": "done", "reason": "", "proto": "", "inside": "", "outside": ""},
    **{"remote": "", "alg": "", "label": "", "text": "disabled ALG ftp", "organisation": "red"},
}
ROWS = [SESSION, BLOCK, AUDIT]


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (
            SESSION,
            "13:14:02.123 session ended tcp 10.0.0.11:52733 as 203.0.113.5:26789"
            " with 198.51.100.11:20 ftp PORT (idle)",
        ),
        (BLOCK, "13:14:02.123 block taken 10.0.0.12 as 203.0.113.5: ports 1-2"),
        (AUDIT, "13:14:02.123 red audit done disabled ALG ftp"),
    ],
)
def test_an_event_is_a_line(row: dict[str, Any], line: str) -> None:
    assert events.lines(row) == [line]


def test_what_was_missed_is_told() -> None:
    assert events.lines(BLOCK | {"missed": 3})[1] == "  (3 events before this one were not shown)"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ROWS),
        (["--limit", "1"], [AUDIT]),
        (["--limit", "0"], []),
        (["--kind", "block"], [BLOCK]),
        (["--inside", "10.0.0.11"], [SESSION]),
        (["--address", "203.0.113.5"], [SESSION, BLOCK]),
        (["--alg", "ftp"], [SESSION]),
        (["--organisation", "red"], [AUDIT]),
    ],
)
def test_the_kept_ones_are_selected(
    options: list[str],
    expected: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "c"
    with answering(path, encode(success(ROWS))):
        assert main(["events", "--json", *options, "--socket", str(path)]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == expected


def test_the_coming_ones_are_selected_and_none_that_tells_of_missed_ones_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c"
    rows = [SESSION, BLOCK, AUDIT | {"missed": 2}]
    with answering(path, b"".join(encode(row) for row in rows)):
        options = ["--follow", "--json", "--kind", "block", "--socket", str(path)]
        assert main(["events", *options]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rows[1:]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--follow", "--limit", "3"], "leave out --follow"),
        (["--limit", "-1"], "--limit N is how many"),
        (["--inside", "nowhere"], "'nowhere' is not ADDRESS"),
        (["--kind", "nosuch"], "invalid choice"),
    ],
)
def test_wrong_usage_is_one_line(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["events", *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
