"""Looks at processes and network namespaces of the machine, and ends them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from p4alg.config.errors import UserError
from p4alg.lab import state
from p4alg.lab.state import Process

STOP_SECONDS = 5.0
"""Seconds that a process may take to end before it is killed."""
POLL = 0.1
"""Seconds between two looks at something that is waited for."""
_UNIX = "unix:"
_LISTENING = {"tcp": "0A", "udp": "07"}
"""How the state of a socket that listens is written in /proc/net (proc(5)), by protocol."""


def do(command: list[str]) -> None:
    """Run a command that must succeed; `UserError` with what it says if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise UserError(f"'{' '.join(command)}' failed: {why}")


def existing() -> set[str]:
    """The named network namespaces of the machine."""
    done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False)
    return {line.split()[0] for line in done.stdout.splitlines() if line.strip()}


def inhabitants(space: str) -> list[Process]:
    """The processes in a network namespace, without this one."""
    done = subprocess.run(
        ["ip", "netns", "pids", space], capture_output=True, text=True, check=False
    )
    found: list[Process] = []
    for word in done.stdout.split():
        start = state.start_time(int(word))
        if start is not None and int(word) != os.getpid():
            found.append(Process(space, int(word), start))
    return found


def end(processes: Iterable[Process]) -> None:
    """End processes, and wait until they have ended. Those that do not are killed."""
    ended = [*processes]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in ended:
            if process.alive():
                try:
                    os.kill(process.pid, number)
                except ProcessLookupError:
                    continue
        until = time.monotonic() + STOP_SECONDS
        while any(p.alive() for p in ended) and time.monotonic() < until:
            time.sleep(POLL / 2)


def listens(pid: int, port: int, proto: str = "tcp") -> bool:
    """Whether a ``tcp`` or ``udp`` port is listened on in the network namespace of a process."""
    for name in (proto, f"{proto}6"):
        try:
            lines = Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING[proto] and int(fields[1].rpartition(":")[2], 16) == port:
                return True
    return False


def serves(pid: int, address: str) -> bool:
    """Whether a process serves ``HOST:PORT`` of its namespace, or ``unix:/PATH``."""
    if address.startswith(_UNIX):
        return _answers(address.removeprefix(_UNIX))
    return listens(pid, int(address.rpartition(":")[2]))


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def is_free(address: str) -> bool:
    """Whether a server can listen on ``HOST:PORT`` of this machine, or on ``unix:/PATH``."""
    if address.startswith(_UNIX):
        return not _answers(address.removeprefix(_UNIX))
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True


def free_ports(count: int) -> int:
    """The first of `count` TCP ports in a row on which nobody listens; `UserError` if none are."""
    for _ in range(100):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
        ports = range(first, first + count)
        if ports[-1] < 65536 and all(is_free(f"127.0.0.1:{port}") for port in ports):
            return first
    raise UserError("no free ports: end some of what listens on this machine")
