"""What may be restarted by which name, and where controllers take commands."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4alg.config.errors import UsageError, UserError
from p4alg.lab import names, plan, services, state
from p4alg.lab.state import Process, Served, State

SERVED = Served("127.0.0.1:9559", 1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(state.DIRECTORY_VARIABLE, str(tmp_path / "lab"))
    return tmp_path / "lab"


@pytest.fixture
def sleeper() -> Iterator[Process]:
    child = subprocess.Popen(["sleep", "60"])
    begun = state.start_time(child.pid)
    assert begun is not None
    yield Process("x", child.pid, begun)
    child.kill()
    child.wait()


def record(folder: Path, *switches: str, processes: tuple[str, ...] = ()) -> None:
    lab = State("t", "embedded", dict.fromkeys(switches, ""), builder=state.MININET)
    lab.switches = dict.fromkeys(switches, SERVED)
    lab.processes = [Process(name, 2**22 + 1, 1) for name in processes]
    state.save(folder, lab)


def test_the_only_controller_is_the_one_that_commands_reach(folder: Path) -> None:
    record(folder, "switch", processes=("switch",))
    assert names.control_socket() is None
    record(folder, "switch", processes=("switch", "controller"))
    assert names.control_socket() == folder / "control.sock"
    record(folder, "s1", processes=("s1", "s1-controller"))
    assert names.control_sockets() == {"s1": folder / "s1-controller.sock"}
    assert names.control_socket() == folder / "s1-controller.sock"


def test_with_several_controllers_one_has_to_be_named(folder: Path) -> None:
    record(folder, "a", "b", processes=("a-controller", "b-controller"))
    with pytest.raises(UsageError, match=r"give --socket .*/a-controller.sock or .*/b-con"):
        names.control_socket()


@pytest.mark.parametrize("what", ["switch", "controller", "nosuch", "x"])
def test_what_cannot_be_restarted_is_refused_with_what_can(
    folder: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    record(folder, "a", "b", processes=("a", "b", "a-controller", "b-controller", "x"))
    with pytest.raises(UsageError) as caught:
        services.restart(what)
    assert str(caught.value) == (
        f"no '{what}' to restart in the lab (there are: a, b, a-controller, b-controller)"
    )


def test_only_root_restarts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UserError, match="only root can restart what runs in a lab: use sudo"):
        services.restart("switch")


def test_a_port_in_use_is_told_before_a_switch_is_started(folder: Path) -> None:
    record(folder, "s1")
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        link.listen()
        grpc = f"127.0.0.1:{link.getsockname()[1]}"
        switch = plan.Switch("s1", "embedded", {}, grpc)
        with pytest.raises(UserError, match=f"{grpc} is in use: end what listens there, or give"):
            services.start_switch(switch, "python3", services.Options())
    lab = state.load(folder)
    assert lab is not None
    assert lab.processes == []


def test_a_second_controller_of_a_switch_is_refused(folder: Path, sleeper: Process) -> None:
    record(folder, "s1")
    lab = state.load(folder)
    assert lab is not None
    lab.processes = [Process("s1-controller", sleeper.pid, sleeper.start)]
    state.save(folder, lab)
    with pytest.raises(UserError, match="a s1-controller runs in the lab already"):
        services.start_controller(Path("c.yaml"))
