"""`p4alg run` is the controller in the foreground."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from p4alg.cli import main
from p4softswitch.server import Server, Settings
from tests.unit.cli.signalling import run_until
from tests.unit.daemon.peers import EXAMPLE, in_thread


def configuration(folder: Path, port: int) -> Path:
    path = folder / "nat.yaml"
    text = EXAMPLE.read_text(encoding="utf-8")
    assert "unix:/run/p4alg/p4runtime.sock" in text
    path.write_text(
        text.replace("unix:/run/p4alg/p4runtime.sock", f"127.0.0.1:{port}"), encoding="utf-8"
    )
    return path


def test_it_serves_a_switch_until_it_is_told_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    socket = tmp_path / "control.sock"
    monkeypatch.setenv("P4ALG_SOCKET", str(socket))
    monkeypatch.setenv("P4ALG_STATE", str(tmp_path / "state.json"))
    ports: list[int] = []

    async def body(ready: Callable[[], None], stop: asyncio.Event) -> None:
        switch = Server(Settings([], "127.0.0.1:0"))
        await switch.start()
        ports.append(switch.grpc_port)
        ready()
        await stop.wait()
        await switch.stop()

    with in_thread(body):
        path = configuration(tmp_path, 1)
        messages = tmp_path / "messages.txt"
        # What is given here wins over what the file says.
        where = ["--grpc", f"127.0.0.1:{ports[0]}", "--device-id", "1"]
        command = ["run", "-c", str(path), *where, "--p4runtime-log", str(messages)]
        assert run_until(command, socket.exists) == 0
    said = capfd.readouterr()
    assert f"p4alg: ready: switch 127.0.0.1:{ports[0]}, 2 zones, ALGs on: ftp" in said.out
    assert said.out.endswith("p4alg: stopped; the switch goes on forwarding\n")
    assert not socket.exists()
    assert "SetForwardingPipelineConfigRequest" in messages.read_text(encoding="utf-8")


def test_without_a_switch_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("P4ALG_STATE", str(tmp_path / "state.json"))
    # Nobody listens on port 1.
    assert main(["run", "-c", str(configuration(tmp_path, 1))]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("p4alg: 127.0.0.1:1: ")
    assert "start it" in line
    assert not (tmp_path / "control.sock").exists()


@pytest.mark.parametrize(
    "option",
    [["--grpc", "nowhere"], ["--grpc", "h:0"], ["--device-id", "0"], ["--device-id", "x"]],
    ids=" ".join,
)
def test_a_wrong_place_of_the_switch_is_wrong_usage(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "-c", str(configuration(tmp_path, 1)), *option]) == 2
    assert f"argument {option[0]}: '{option[1]}' is not" in capsys.readouterr().err


def test_a_log_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(configuration(tmp_path, 1))
    assert main(["run", "-c", config, "--p4runtime-log", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"p4alg: cannot write {tmp_path}: Is a directory\n"
