"""Which controller a command talks to: the one that is named, the lab's, the machine's."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from p4alg.cli.connection import add_socket, client, find
from p4alg.config import places
from p4alg.config.errors import UserError
from p4alg.lab import runner, state


def arguments(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_socket(parser)
    return parser.parse_args(argv)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab with a controller; gives where its state is."""
    monkeypatch.delenv(places.SOCKET_VARIABLE)
    folder = state.directory()
    controller = state.Process(runner.CONTROLLER, os.getpid(), 1)
    state.save(folder, state.State("nat", "embedded", {}, [controller]))
    return folder


def test_the_option_wins_over_all_else(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(places.SOCKET_VARIABLE, "/env.sock")
    assert find(arguments("--socket", "/option.sock")) == Path("/option.sock")


def test_the_environment_wins_over_the_lab(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(places.SOCKET_VARIABLE, "/env.sock")
    assert find(arguments()) == Path("/env.sock")


def test_the_lab_that_is_up_wins_over_the_machine(lab: Path) -> None:
    assert find(arguments()) == lab / "control.sock"
    state.save(lab, state.State("nat", "embedded", {}, []))
    assert find(arguments()) == Path("/run/p4alg/control.sock")


def test_a_client_names_the_socket_it_does_not_find(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"no controller at {tmp_path / 'x'}"):
        client(arguments("--socket", str(tmp_path / "x"))).call("show")
