"""What is tried on the gateway's own machine, and what remains when its parts fail."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from attacks import wire
from attacks.table import Attack, Vacuous, World
from attacks.wire import ADDRESSES
from p4alg.lab import runner

_NOBODY = 65534
_PYTHON = "/usr/bin/python3"
_CONNECTIONS = 600
_MOST_BYTES = 100 << 20
_STOP_SECONDS = 25.0


def other_user(world: World) -> list[str]:
    """User nobody connects to the switch's P4Runtime and to the controller's socket."""
    lab, control = runner.current(), runner.control_socket()
    places = {"P4Runtime": lab.switches["switch"].grpc.removeprefix("unix:"), "control": control}
    through: list[str] = []
    for name, place in places.items():
        script = f"import socket; socket.socket(socket.AF_UNIX).connect({str(place)!r})"
        if subprocess.run([_PYTHON, "-c", script], check=False).returncode != 0:
            raise Vacuous(f"not even root connects to {place}")
        done = subprocess.run(
            [_PYTHON, "-c", script], user=_NOBODY, group=_NOBODY, extra_groups=[],
            cwd="/", capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            through.append(f"nobody is connected to {name} at {place}")
        elif "PermissionError" not in done.stderr:
            raise Vacuous(f"nobody failed for another reason: {done.stderr.splitlines()[-1:]}")
    return through


def many_sessions(world: World) -> list[str]:
    """Six hundred FTP connections of one host that stay open and say nothing."""
    (pid,) = [p.pid for p in runner.current().processes if p.name == runner.CONTROLLER]
    before = _resident(pid)
    made = 0
    with ExitStack() as stack:
        waiting = stack.enter_context(wire.listening("outside1", 21))
        waiting.listen(1024)
        for _ in range(_CONNECTIONS):
            link = stack.enter_context(wire.tcp("inside2", 0.5))
            try:
                link.connect((ADDRESSES["outside1"], 21))
            except OSError:
                continue
            made += 1
        grown = _resident(pid) - before
        followed = next(row for row in world.show("algs") if row["name"] == "ftp")["sessions"]
    if made == 0:
        raise Vacuous("not one connection was made")
    assert isinstance(followed, int)
    if grown > _MOST_BYTES:
        return [f"{made} connections, {followed} of them followed, took {grown >> 20} MB"]
    return []


def stuck_switch(world: World) -> list[str]:
    """The switch takes writes and never answers; the controller is told to stop."""
    processes = {p.name: p for p in runner.current().processes}
    switch, controller = processes["switch"], processes[runner.CONTROLLER]
    os.kill(switch.pid, signal.SIGSTOP)
    try:
        os.kill(controller.pid, signal.SIGTERM)
        until = time.monotonic() + _STOP_SECONDS
        while controller.alive() and time.monotonic() < until:
            time.sleep(0.1)
        stuck = controller.alive()
    finally:
        os.kill(switch.pid, signal.SIGCONT)
        runner.restart("switch")
    return [f"the controller runs {_STOP_SECONDS:g} s later"] if stuck else []


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


ATTACKS = [
    Attack(10, "another user as controller", "local user", other_user),
    Attack(9, "sessions that stay", "inside host", many_sessions),
    Attack(9, "a switch that does not answer", "(a fault)", stuck_switch),
]
