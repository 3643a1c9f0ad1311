"""`p4alg log level`: which lines the controller logs, at once and until it starts again."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4alg.cli import main

from .conftest import Command


def test_levels_are_listed_and_set(
    command: Command, socket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--socket", str(socket))
    shown = dict(line.split() for line in command("log", "level", *at).splitlines()[1:])
    assert set(shown.values()) == {"info"}
    try:
        changed = command("log", "level", "audit", "warning", *at)
        assert dict(line.split() for line in changed.splitlines())["audit"] == "warning"
        before = command("show", "events", *at)
        command("log", "level", "nat", "error", *at)
        assert command("show", "events", *at) == before, "the change itself is an audit line"
    finally:
        assert main(["log", "level", "all", "info", *at]) == 0
    assert "set the log level of all to info" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("alg",), ("sip", "info"), ("alg", "loud")])
def test_wrong_words_are_refused(
    words: tuple[str, ...], socket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["log", "level", *words, "--socket", str(socket)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
