"""What a lab's commands do to what is recorded; labs themselves: tests/integration/test_lab.py."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4alg.config.errors import UsageError, UserError
from p4alg.lab import runner, state, topology

NAT = topology.read(topology.find("nat"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the state of labs is kept here; no namespace has their prefix."""
    monkeypatch.setenv(state.DIRECTORY_VARIABLE, str(tmp_path / "lab"))
    monkeypatch.setenv(state.PREFIX_VARIABLE, f"none{os.getpid()}-")
    return tmp_path / "lab"


@pytest.fixture
def sleeper() -> Iterator[state.Process]:
    """A process that a lab might have started."""
    child = subprocess.Popen(["sleep", "60"])
    begun = state.start_time(child.pid)
    assert begun is not None
    yield state.Process("switch", child.pid, begun)
    child.kill()
    child.wait()


def record(folder: Path, *processes: state.Process) -> None:
    state.save(folder, state.State("nat", "embedded", {"inside1": "x-inside1"}, [*processes]))


def test_without_a_lab_there_is_nothing_to_do_or_to_ask() -> None:
    assert not runner.down()
    assert runner.control_socket() is None
    for ask in (runner.current, runner.logs, lambda: runner.execute("inside1", ["true"])):
        with pytest.raises(UserError, match="no lab is up: run 'p4alg lab up'"):
            ask()


def test_only_root_makes_enters_and_removes_labs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UserError, match="only root can make network namespaces: use sudo"):
        runner.up(NAT, "embedded")
    assert state.load(folder) is None
    record(folder)
    with pytest.raises(UserError, match="only root can enter a namespace: use sudo"):
        runner.execute("inside1", ["true"])
    with pytest.raises(UserError, match="only root can remove network namespaces: use sudo"):
        runner.down()
    assert state.load(folder) is not None


@pytest.mark.parametrize("lacks", ["ip", "ethtool", "simple_switch_grpc"])
def test_what_a_lab_needs_is_named_with_its_package(
    lacks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in {"ip", "ethtool", "simple_switch_grpc"} - {lacks}:
        (tmp_path / program).write_bytes(b"#!/bin/false")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(UserError, match=f"'{lacks}' is not on PATH: install "):
        runner.up(NAT, "bmv2")


def test_a_second_lab_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(folder)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(runner, "require", lambda target: None)
    with pytest.raises(UserError, match="a lab is up already: run 'p4alg lab down' first"):
        runner.up(NAT, "embedded")


def test_a_host_that_there_is_not_is_wrong_usage(folder: Path) -> None:
    record(folder)
    with pytest.raises(UsageError, match=r"no host 'nosuch' in the lab \(hosts: inside1\)"):
        runner.execute("nosuch", ["true"])


def test_a_second_controller_is_refused(folder: Path, sleeper: state.Process) -> None:
    record(folder, state.Process(runner.CONTROLLER, sleeper.pid, sleeper.start))
    with pytest.raises(UserError, match="a controller runs in the lab already"):
        runner.start_controller(Path("c.yaml"))


def test_the_socket_of_the_lab_is_there_with_its_controller(folder: Path) -> None:
    record(folder)
    assert runner.control_socket() is None
    record(folder, state.Process(runner.CONTROLLER, 1, 1))
    assert runner.control_socket() == folder / "control.sock"


def test_a_command_for_another_controllers_switch_runs_here(folder: Path) -> None:
    record(folder, state.Process(runner.CONTROLLER, 1, 1))
    assert runner.call_at_switch(["sh", "-c", "exit 3"], Path("/run/other.sock")) == 3


def test_the_logs_are_those_of_every_process(folder: Path) -> None:
    record(folder, state.Process("switch", 1, 1), state.Process("controller", 1, 1))
    (folder / "switch.log").write_bytes(b"ready\n\xff")
    texts = runner.logs()
    assert texts["switch"] == "ready\n\ufffd"
    assert texts["controller"].startswith(f"(cannot read {folder / 'controller.log'}: ")


def test_a_process_is_stopped_by_its_name(folder: Path, sleeper: state.Process) -> None:
    other = state.Process("other", os.getpid(), state.start_time(os.getpid()) or 0)
    record(folder, sleeper, other)
    begun = time.monotonic()
    runner.stop("switch")
    assert not sleeper.alive()
    assert time.monotonic() - begun < runner.STOP_SECONDS
    runner.stop("nosuch")


def test_a_process_that_has_the_pid_of_one_of_ours_is_let_alone(
    folder: Path, sleeper: state.Process
) -> None:
    record(folder, state.Process("switch", sleeper.pid, sleeper.start - 1))
    runner.stop("switch")
    assert sleeper.alive()


@pytest.mark.parametrize(
    ("proto", "kind", "family"),
    [
        ("tcp", socket.SOCK_STREAM, socket.AF_INET),
        ("tcp", socket.SOCK_STREAM, socket.AF_INET6),
        ("udp", socket.SOCK_DGRAM, socket.AF_INET),
    ],
)
def test_whether_a_port_is_listened_on_is_seen_from_outside(
    proto: str, kind: int, family: int
) -> None:
    with socket.socket(family, kind) as link:
        link.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        port = link.getsockname()[1]
        if kind == socket.SOCK_STREAM:
            assert not runner.listens(os.getpid(), port, proto)
            link.listen()
        assert runner.listens(os.getpid(), port, proto)
    assert not runner.listens(2**22 + 1, port, proto)
