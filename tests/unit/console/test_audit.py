"""What is written down of who did what."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from p4alg.config.errors import UserError
from p4alg.console.audit import MAX_SHOWN, Audit


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
