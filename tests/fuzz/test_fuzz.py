"""The corpus of each target, a fixed number of new inputs, and the fuzzer's own command."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.fuzz.run import NAMES, main, seeds
from tests.fuzz.targets import TARGETS

RUNS = 150
needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="needs atheris (no wheel for this Python)"
)


def test_every_target_has_a_name() -> None:
    assert tuple(TARGETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_breaks_nothing(name: str) -> None:
    kept = list(seeds(name))
    assert kept
    for data in kept:
        TARGETS[name](data)


@needs_atheris
@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[:-1]), NAMES[-1]]
)
def test_new_inputs_break_nothing(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--runs", str(RUNS), "--work", str(tmp_path)]) == 0, capfd.readouterr().out
    assert "branches reached: nothing broke" in capfd.readouterr().out


def test_a_target_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nosuch"]) == 2
    assert "no target 'nosuch'" in capsys.readouterr().err


def test_an_input_can_be_given_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_bytes(b"\0\2PORT 10,0,0,11,200,10\r\n")
    assert main(["ftp", "--again", str(tmp_path / "x")]) == 0
    assert capsys.readouterr().out == "nothing broke\n"
