"""What commands changed survives a restart, and a damaged file is never guessed at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from p4alg.config import loader
from p4alg.config.errors import UserError
from p4alg.daemon import store
from p4alg.engine.settings import Settings

EXAMPLE = Path(__file__).parents[3] / "topologies" / "nat.config.yaml"


@pytest.fixture
def settings() -> Settings:
    return loader.read(EXAMPLE).settings


def load(path: Path, settings: Settings) -> Settings:
    (loaded,) = store.load(path, [settings])
    return loaded


def save(path: Path, algs: store.Saved) -> None:
    store.save(path, {"default": algs})


def ftp(settings: Settings) -> tuple[bool, tuple[str, ...]]:
    (alg,) = [alg for alg in settings.algs if alg.name == "ftp"]
    return alg.enabled, alg.services


def test_without_a_file_the_configuration_holds(tmp_path: Path, settings: Settings) -> None:
    assert load(tmp_path / "nosuch" / "state.json", settings) is settings


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("services", [("ftp",), ("ftp-alt", "ftp"), ()])
def test_changes_come_back_as_they_were_saved(
    tmp_path: Path, settings: Settings, enabled: bool, services: tuple[str, ...]
) -> None:
    path = tmp_path / "new" / "folder" / "state.json"
    save(path, [("ftp", enabled, services)])
    assert ftp(load(path, settings)) == (enabled, services)


def test_nothing_but_the_algs_is_changed(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "state.json"
    save(path, [("ftp", False, ["ftp"])])
    loaded = load(path, settings)
    for name in ("zones", "pools", "forwards", "rules", "timers", "limits", "services"):
        assert getattr(loaded, name) == getattr(settings, name)


def test_what_the_configuration_no_longer_has_is_left_out(
    tmp_path: Path, settings: Settings
) -> None:
    path = tmp_path / "state.json"
    save(path, [("sip", True, ["sip"]), ("ftp", False, ["ftp", "gone"])])
    assert ftp(load(path, settings)) == (False, ("ftp", "ftp-alt"))


def test_what_was_not_changed_may_be_null(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "state.json"
    algs = {"ftp": {"enabled": None, "services": None}}
    path.write_text(json.dumps({"version": 1, "algs": algs}), encoding="utf-8")
    assert ftp(load(path, settings)) == (True, ("ftp", "ftp-alt"))


def test_saving_replaces_the_file_and_leaves_no_other(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "state.json"
    for enabled in (True, False):
        save(path, [("ftp", enabled, ["ftp"])])
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]
    assert ftp(load(path, settings)) == (False, ("ftp",))


def test_a_save_that_fails_keeps_the_file(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "state.json"
    save(path, [("ftp", False, ["ftp"])])
    before = path.read_bytes()
    (tmp_path / "state.json.part").mkdir()
    with pytest.raises(UserError, match="cannot write") as caught:
        save(path, [("ftp", True, ["ftp"])])
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_a_save_that_was_cut_off_does_no_harm(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "state.json"
    save(path, [("ftp", False, ["ftp"])])
    (tmp_path / "state.json.part").write_text('{"version": 1, "al', encoding="utf-8")
    assert ftp(load(path, settings)) == (False, ("ftp",))
    save(path, [("ftp", True, ["ftp"])])
    assert ftp(load(path, settings)) == (True, ("ftp",))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b"\xff\xfe",
        b"{}",
        b'{"version": 0, "algs": {}}',
        b'{"version": 2, "algs": {}}',
        b'{"version": "1", "algs": {}}',
        b'{"version": 1}',
        b'{"version": 1, "algs": []}',
        b'{"version": 1, "algs": {"ftp": null}}',
        b'{"version": 1, "algs": {"ftp": {"enabled": true}}}',
        b'{"version": 1, "algs": {"ftp": {"services": []}}}',
        b'{"version": 1, "algs": {"ftp": {"enabled": true, "services": 1}}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_an_expected_error_and_kept(
    tmp_path: Path, settings: Settings, content: bytes
) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load(path, settings)
    assert str(caught.value) == f"{path} is damaged: remove it to start from the configuration"
    assert caught.value.status == 1
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(UserError, match=f"cannot read {folder}"):
        load(folder, settings)
    with pytest.raises(UserError, match=f"cannot write {folder}"):
        save(folder, [])
    file = tmp_path / "file"
    file.write_bytes(b"precious")
    with pytest.raises(UserError, match="cannot read"):
        load(file / "state.json", settings)
    with pytest.raises(UserError, match="cannot write"):
        save(file / "state.json", [])
    assert file.read_bytes() == b"precious"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_the_changes_of_each_organisation_come_back_to_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    organisations = loader.read(EXAMPLE.with_name("tenants.config.yaml")).organisations
    store.save(path, {"red": [("ftp", False, ["ftp"])], "blue": [("ftp", True, ["ftp"])]})
    red, blue = store.load(path, organisations)
    assert (ftp(red), ftp(blue)) == ((False, ("ftp",)), (True, ("ftp",)))
    # What was saved when there was only one is that of the one called default.
    save(path, [("ftp", False, ["ftp"])])
    assert store.load(path, organisations) == organisations


@pytest.mark.parametrize("content", ["[]", "1", '{"red": 1}', '{"red": {"ftp": {}}}'])
def test_damaged_changes_of_an_organisation_are_refused_as_well(
    tmp_path: Path, settings: Settings, content: str
) -> None:
    path = tmp_path / "state.json"
    path.write_text(f'{{"version": 1, "algs": {{}}, "organisations": {content}}}')
    with pytest.raises(UserError, match="is damaged"):
        load(path, settings)
