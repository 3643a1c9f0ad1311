"""Which log lines are new, and what is written down of who did what."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from p4alg.config.errors import UserError
from p4alg.console.audit import MAX_SHOWN, Audit
from p4alg.console.watch import new_ones


def events(*texts: str) -> list[dict[str, Any]]:
    return [{"time": text[0], "text": text} for text in texts]


@pytest.mark.parametrize(
    ("seen", "now", "new"),
    [
        (None, ["1 a", "2 b"], []),
        ([], ["1 a"], ["1 a"]),
        (["1 a"], ["1 a"], []),
        (["1 a"], ["1 a", "2 b", "3 c"], ["2 b", "3 c"]),
        # The oldest ones are forgotten.
        (["1 a", "2 b"], ["2 b", "3 c"], ["3 c"]),
        # The controller was started again.
        (["8 a", "9 b"], ["1 x"], ["1 x"]),
        (["8 a", "9 b"], [], []),
        # The same line twice at one time.
        (["1 a", "1 a"], ["1 a", "1 a", "1 a"], []),
    ],
)
def test_new_events_are_those_behind_the_last_that_was_seen(
    seen: list[str] | None, now: list[str], new: list[str]
) -> None:
    before = None if seen is None else events(*seen)
    assert new_ones(before, events(*now)) == events(*new)


def test_records_outlive_the_console_and_are_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "console" / "audit.jsonl"
    Audit(path).write({"who": "ada", "what": "ftp: off\n{}"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = Audit(path)
    again.write({"who": "otto", "what": "logged in"})
    assert [record["who"] for record in Audit(path).records] == ["ada", "otto"]
    assert len(path.read_text().splitlines()) == 2


def test_the_last_records_are_shown_and_a_line_that_was_cut_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    for n in range(MAX_SHOWN + 5):
        audit.write({"n": str(n)})
    with path.open("a") as file:
        file.write('{"n": "cu\n[1]\n')
    shown = Audit(path).records
    assert len(shown) == MAX_SHOWN
    assert shown[-1]["n"] == str(MAX_SHOWN + 4)


def test_without_a_place_for_records_nothing_is_begun(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot use"):
        Audit(tmp_path / "file" / "audit.jsonl")
    audit = Audit(tmp_path / "audit.jsonl")
    (tmp_path / "audit.jsonl").unlink()
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(UserError, match="nothing is changed without a record"):
        audit.write({"who": "ada"})
