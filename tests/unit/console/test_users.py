"""Who may log in: the file of users."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from p4alg.config.errors import UsageError, UserError
from p4alg.console.users import LEAST_PASSWORD, MOST_PASSWORD, Users, make

PASSWORD = "correct horse battery"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "console" / "users.json"


@pytest.fixture
def users(path: Path) -> Users:
    found = Users(path)
    found.put("ada", make("admin", PASSWORD))
    return found


def test_a_user_is_who_has_the_password(users: Users) -> None:
    assert users.check("ada", PASSWORD) == users.get("ada")
    for name, password in (("ada", PASSWORD + "x"), ("ada", ""), ("otto", PASSWORD), ("", "")):
        assert users.check(name, password) is None


def test_the_file_is_its_owners_and_has_no_password(users: Users, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert PASSWORD not in path.read_text()
    assert [file.name for file in path.parent.iterdir()] == ["users.json"]


def test_the_same_password_is_never_the_same_hash() -> None:
    assert make("admin", PASSWORD) != make("admin", PASSWORD)


def test_a_change_by_another_process_is_seen_at_once(users: Users, path: Path) -> None:
    other = Users(path)
    assert other.get("ada") is not None
    users.remove("ada")
    assert other.all() == {}
    users.put("otto", make("read-only", PASSWORD))
    assert list(other.all()) == ["otto"]


def test_nobody_is_there_where_no_file_is(tmp_path: Path) -> None:
    assert Users(tmp_path / "users.json").all() == {}


@pytest.mark.parametrize("length", [0, LEAST_PASSWORD - 1, MOST_PASSWORD + 1])
def test_a_password_that_is_too_short_or_too_long_is_refused(length: int) -> None:
    with pytest.raises(UsageError, match="a password has 12 to 256 characters"):
        make("admin", "x" * length)


def test_a_role_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="no role 'root'"):
        make("root", PASSWORD)


@pytest.mark.parametrize("name", ["", "Ada", "a b", "../x", "<b>", "a" * 33, "-a", "a\n"])
def test_a_name_that_cannot_be_one_is_refused(users: Users, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a user's name"):
        users.put(name, make("admin", PASSWORD))
    assert list(users.all()) == ["ada"]


def test_who_is_not_there_cannot_be_removed(users: Users) -> None:
    with pytest.raises(UsageError, match=r"no user 'otto' \(known: ada\)"):
        users.remove("otto")


def test_a_file_that_others_can_read_is_not_believed(users: Users, path: Path) -> None:
    path.chmod(0o640)
    with pytest.raises(UserError, match="chmod 600"):
        users.all()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"users": []}',
        '{"users": {"ada": {"role": "root", "salt": "", "digest": ""}}}',
        '{"users": {"ada": {"role": "admin", "salt": "xx", "digest": ""}}}',
        '{"users": {"ada": null}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_file_is_one_clear_error(path: Path, users: Users, text: str) -> None:
    path.write_text(text)
    with pytest.raises(UserError, match="is damaged"):
        users.all()


def test_a_file_that_cannot_be_written_stays_as_it_was(users: Users, path: Path) -> None:
    before = path.read_bytes()
    (path.parent / f"users.json.{os.getpid()}").mkdir()
    with pytest.raises(UserError, match="cannot write"):
        users.put("otto", make("admin", PASSWORD))
    assert path.read_bytes() == before
    assert json.loads(before)
