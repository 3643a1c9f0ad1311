"""Exit statuses and one-line errors of the command."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from p4alg.cli import main

EXAMPLE = Path(__file__).parents[3] / "topologies" / "nat.config.yaml"


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


def test_an_interrupt_is_told_by_the_exit_status_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("p4alg.lab.runner.logs", interrupted)
    assert main(["lab", "logs"]) == 130
    assert capsys.readouterr() == ("", "")
