"""Revisions are kept with who, when and why; what cannot be written changes nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from p4alg.config.errors import UserError
from p4alg.daemon import revisions
from p4alg.daemon.revisions import Revision, Revisions

NEW = Revision(0, "anna", "2026-01-02T03:04:05+00:00", "because", ("ALG ftp: off",))


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_what_was_added_comes_back_with_the_next_number(tmp_path: Path) -> None:
    kept = Revisions(tmp_path / "new" / "folder")
    assert kept.all() == []
    assert kept.add(NEW, "a: 1\n").revision == 1
    assert kept.add(NEW, "a: 2\n").revision == 2
    again = Revisions(tmp_path / "new" / "folder")
    assert [one.revision for one in again.all()] == [1, 2]
    assert (again.all()[0].who, again.all()[0].changes) == ("anna", ("ALG ftp: off",))
    assert (again.text(1), again.text(2)) == ("a: 1\n", "a: 2\n")
    with pytest.raises(UserError, match="no revision 3: see"):
        again.text(3)


def test_the_file_gets_the_text_and_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_text("old")
    real.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(real)
    Revisions(tmp_path / "kept").add(NEW, "new", link)
    assert link.is_symlink()
    assert (real.read_text(), real.stat().st_mode & 0o777) == ("new", 0o640)
    assert sorted(files(tmp_path)) == ["link.yaml", "real.yaml"]


def test_the_oldest_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "MAX_KEPT", 3)
    kept = Revisions(tmp_path)
    for number in range(5):
        kept.add(NEW, f"{number}")
    assert [one.revision for one in kept.all()] == [3, 4, 5]
    assert sorted(files(tmp_path)) == ["000003.yaml", "000004.yaml", "000005.yaml", "journal.jsonl"]


@pytest.mark.parametrize("blocked", [".000002.yaml.part", ".journal.jsonl.part", ".c.yaml.part"])
def test_what_cannot_be_written_changes_nothing(tmp_path: Path, blocked: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("old")
    kept = Revisions(tmp_path)
    kept.add(NEW, "old", file)
    before = files(tmp_path)
    (tmp_path / blocked).mkdir()
    with pytest.raises(UserError, match=r"cannot write .*; nothing was changed"):
        kept.add(NEW, "new", file)
    assert files(tmp_path) == before


@pytest.mark.parametrize("failing", range(3))
def test_a_renaming_that_fails_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("old")
    kept = Revisions(tmp_path)
    kept.add(NEW, "old", file)
    before, rename, calls = files(tmp_path), Path.replace, []

    def broken(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            calls.append(target)
            if len(calls) == failing + 1:
                raise OSError(28, os.strerror(28), str(self))
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", broken)
        with pytest.raises(UserError, match="No space left on device; nothing was changed"):
            kept.add(NEW, "new", file)
    assert {name: text for name, text in files(tmp_path).items() if name[0] != "."} == before
    assert kept.add(NEW, "new", file).revision == 2


@pytest.mark.parametrize("line", ["", "{", "[]", '{"revision": 1}', '{"revision": "x"}', "\x00"])
def test_a_damaged_journal_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    kept = Revisions(tmp_path)
    kept.add(NEW, "a")
    path = tmp_path / "journal.jsonl"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError, match=f"{path}:2: this line is damaged: correct or remove"):
        kept.all()


def test_the_journal_has_one_object_a_line(tmp_path: Path) -> None:
    kept = Revisions(tmp_path)
    kept.add(NEW, "a")
    kept.add(NEW, "b")
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line)["revision"] for line in lines] == [1, 2]
    assert set(json.loads(lines[0])) == {"revision", "who", "when", "why", "changes"}


def test_a_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "state.json"
    wrong.write_text("{}")
    for use in (lambda: Revisions(wrong).all(), lambda: Revisions(wrong).add(NEW, "a")):
        with pytest.raises(UserError, match=f"{wrong}"):
            use()
