"""`p4alg shell` runs p4runtime-shell on the switch of the controller, for reading only."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4alg.cli import main, shell


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python that shows its arguments, and exits with 3."""
    path = tmp_path / "python"
    path.write_text('#!/bin/sh\necho "$@"\nexit 3\n', encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv(shell.PYTHON_VARIABLE, str(path))
    return path


def test_it_is_told_the_switch_and_an_election_id_below_the_controllers(
    python: Path, socket: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["shell", "--socket", str(socket)]) == 3
    words = capfd.readouterr().out.split()
    assert words[:2] == ["-m", "p4runtime_sh"]
    options = dict(zip(words[2::2], words[3::2], strict=True))
    assert options["--grpc-addr"].startswith("127.0.0.1:")
    assert options["--device-id"] == "1"
    assert options["--election-id"] == "0,1"


def test_where_the_controller_uses_TLS_it_gets_the_same_files() -> None:
    assert shell.tls({}) == []
    assert shell.tls({"ca": "/a"}) == ["--ssl", "--cacert", "/a"]
    mutual = shell.tls({"ca": "/a", "cert": "/c", "key": "/k"})
    assert mutual == ["--ssl", "--cacert", "/a", "--cert", "/c", "--private-key", "/k"]


def test_without_p4runtime_shell_it_says_how_to_get_it(
    socket: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(shell.PYTHON_VARIABLE, "/nosuch/python")
    assert main(["shell", "--socket", str(socket)]) == 1
    assert "p4runtime-shell is not set up: run 'make setup'" in capfd.readouterr().err


def test_what_cannot_be_run_is_told(
    python: Path, socket: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    python.chmod(0o644)
    assert main(["shell", "--socket", str(socket)]) == 1
    assert f"cannot run {python} (Permission denied)" in capfd.readouterr().err
