"""Commands that are run in this process, on a controller in a thread of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p4alg.cli import main
from tests.unit.daemon.peers import TENANTS, controller

Command = Callable[..., str]


@pytest.fixture(scope="package")
def no_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What commands find without --socket. A controller reads it with its configuration."""
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("nowhere") / "control.sock"
        patch.setenv("P4ALG_SOCKET", str(path))
        yield path


@pytest.fixture(autouse=True)
def nowhere(no_socket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No lab and no controller of the machine is ever talked to."""
    monkeypatch.setenv("P4ALG_LAB_STATE", str(tmp_path / "lab"))


@pytest.fixture(scope="package")
def socket(no_socket: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a controller on the embedded switch, with the example's configuration."""
    with controller(tmp_path_factory.mktemp("controller")) as path:
        yield path


@pytest.fixture(scope="package")
def tenants(no_socket: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a controller with two organisations."""
    with controller(tmp_path_factory.mktemp("tenants"), TENANTS) as path:
        yield path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command that succeeds without a warning; gives what it prints."""

    def run(*argv: str) -> str:
        assert main(argv) == 0
        shown = capsys.readouterr()
        # The log of the controller, which runs in this process too.
        assert [line for line in shown.err.splitlines() if " info: " not in line] == []
        return shown.out

    return run
