"""Exit statuses and one-line errors of the command."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from p4alg.cli import main

EXAMPLE = Path(__file__).parents[3] / "topologies" / "nat.config.yaml"


def test_check_accepts_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(EXAMPLE)]) == 0
    assert "ok, 2 zones" in capsys.readouterr().out


def test_check_names_file_line_and_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("zones: {}\nnat: {pools: []}\nwhat: 1\n", encoding="utf-8")
    assert main(["check", str(bad)]) == 2
    assert capsys.readouterr().err.startswith(f"p4alg: {bad}:3: unknown key 'what'")


def test_the_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((EXAMPLE.parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"p4alg {project['version']}\n"


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nosuch"],
        ["check"],
        ["check", "/nonexistent"],
        ["lab"],
        ["lab", "up", "nosuch"],
        ["lab", "up", "--target", "x"],
        ["switch", "-i", "nonsense"],
    ],
)
def test_wrong_usage_exits_2_with_one_line(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_no_lab_exits_1_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("P4ALG_LAB_STATE", str(tmp_path / "lab"))
    assert main(["lab", "status"]) == 1
    assert capsys.readouterr().err == "p4alg: no lab is up: run 'p4alg lab up'\n"
