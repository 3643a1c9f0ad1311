"""What is said about ports of the machine, and what is done to processes."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from p4alg.config.errors import UserError
from p4alg.lab import processes, state


def test_a_port_is_free_until_somebody_listens_there() -> None:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        link.listen()
        port = link.getsockname()[1]
        assert not processes.is_free(f"127.0.0.1:{port}")
    assert processes.is_free(f"127.0.0.1:{port}")


def test_free_ports_are_free_and_in_a_row() -> None:
    first = processes.free_ports(3)
    assert all(processes.is_free(f"127.0.0.1:{first + n}") for n in range(3))


def test_a_command_that_fails_is_told_with_its_last_line() -> None:
    with pytest.raises(UserError, match="'sh -c echo one >&2; echo two >&2; exit 3' failed: two"):
        processes.do(["sh", "-c", "echo one >&2; echo two >&2; exit 3"])
    with pytest.raises(UserError, match="failed: exit status 1"):
        processes.do(["false"])


def test_one_that_does_not_listen_to_SIGTERM_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.2)
    command = ["sh", "-c", "trap '' TERM; echo; while :; do sleep 1; done"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    processes.end([state.Process("x", child.pid, state.start_time(child.pid) or 0)])
    assert child.wait(5) == -9
    child.stdout.close()


def test_this_process_is_never_among_those_to_be_ended() -> None:
    assert os.getpid() not in {p.pid for p in processes.inhabitants("nosuch")}
