"""Builds and removes labs: runs the commands of `plan` and keeps the `state`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from p4alg.config.errors import UsageError, UserError
from p4alg.config.loader import SOCKET_VARIABLE, STATE_VARIABLE
from p4alg.lab import plan, state
from p4alg.lab.state import Process, State
from p4alg.lab.topology import SWITCH, Topology

START_SECONDS = 20.0
"""Seconds that a switch may take until it serves P4Runtime."""
STOP_SECONDS = 5.0
"""Seconds that a process may take to end before it is killed."""
CONTROLLER = "controller"
_SOCKET = "control.sock"
_POLL = 0.1
_LISTENING = {"tcp": "0A", "udp": "07"}
"""How the state of a socket that listens is written in /proc/net (proc(5)), by protocol."""


def up(
    topology: Topology, target: str, config: Path | None = None, python: str = sys.executable
) -> State:
    """Build a lab and start its switch, and a controller on it if `config` is given.

    Both run with the interpreter `python`, which may have another p4alg installed than this one.
    If a step fails, everything is removed again and `UserError` is raised.
    """
    folder, prefix = state.directory(), state.prefix()
    _require(target)
    if state.load(folder) is not None:
        raise UserError("a lab is up already: run 'p4alg lab down' first")
    names = [SWITCH, *(host.name for host in topology.hosts)]
    lab = State(topology.name, target, {n: plan.namespace(prefix, n) for n in names})
    taken = sorted(set(lab.hosts.values()) & _existing())
    if taken:
        raise UserError(f"namespace {taken[0]} exists and is not this lab's: remove it first")
    state.save(folder, lab)
    try:
        for command in plan.build(prefix, topology):
            _do(command)
        switch = start(SWITCH, SWITCH, plan.switch_command(target, topology, python))
        _wait_until_served(folder, switch)
        if config is not None:
            start_controller(config, python)
    except BaseException:
        down()
        raise
    return lab


def down() -> bool:
    """Remove the lab, whatever state it is in. False if there is none."""
    folder = state.directory()
    lab = state.load(folder)
    if lab is None:
        return False
    if os.geteuid() != 0:
        raise UserError("only root can remove network namespaces: use sudo")
    _end(lab.processes)
    spaces = _existing() & set(lab.hosts.values())
    # Other processes may run in the namespaces of the lab: those that `lab exec` started, and
    # those that were not recorded because of a crash. All of them belong to the lab.
    _end([p for space in spaces for p in _inhabitants(space)])
    for space in spaces:
        _do(["ip", "netns", "del", space])
    shutil.rmtree(folder, ignore_errors=True)
    return True


def start_controller(config: Path, python: str = sys.executable) -> Process:
    """Run a controller on the switch of the lab that is up, and wait until it serves.

    It keeps what commands change in the directory of the lab. So the changes survive a restart of
    the controller, and are gone with the lab.
    """
    folder, lab = state.directory(), current()
    if any(p.name == CONTROLLER and p.alive() for p in lab.processes):
        raise UserError("a controller runs in the lab already: 'p4alg lab down' ends it")
    lab.processes = [p for p in lab.processes if p.name != CONTROLLER]
    environment = {
        **os.environ,
        SOCKET_VARIABLE: str(folder / _SOCKET),
        STATE_VARIABLE: str(folder / "algs.json"),
    }
    command = plan.controller_command(config.resolve(), python)
    state.save(folder, lab)
    controller = start(CONTROLLER, SWITCH, command, environment)
    until = time.monotonic() + START_SECONDS
    while "p4alg: ready" not in _log(folder, CONTROLLER).read_text(errors="replace"):
        if not controller.alive():
            why = _last_line(folder, CONTROLLER).removeprefix("p4alg: ")
            raise UserError(f"the controller ended: {why}")
        if time.monotonic() > until:
            raise UserError("the controller does not become ready: see 'p4alg lab logs'")
        time.sleep(_POLL)
    return controller


def start(
    name: str, host: str, command: list[str], environment: dict[str, str] | None = None
) -> Process:
    """Start a command in a host of the lab; it runs until the lab is removed.

    Its output goes to the logs of the lab. Raises `UserError` if it ends at once.
    """
    folder, lab = state.directory(), current()
    with _log(folder, name).open("wb") as log:
        child = subprocess.Popen(
            plan.inside(lab.hosts[host], *command),
            stdin=subprocess.DEVNULL,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    begun = state.start_time(child.pid)
    if begun is None:
        raise UserError(f"the {name} ended at once: {_last_line(folder, name)}")
    process = Process(name, child.pid, begun)
    lab.processes.append(process)
    state.save(folder, lab)
    return process


def sweep() -> None:
    """Remove the lab and all namespaces with its prefix, with the processes in them.

    It cleans up after a run that was killed before it could record what it made.
    """
    down()
    spaces = [space for space in _existing() if space.startswith(state.prefix())]
    _end([process for space in spaces for process in _inhabitants(space)])
    for space in spaces:
        _do(["ip", "netns", "del", space])


def stop(name: str) -> None:
    """End the process `name` of the lab, and wait until it has ended."""
    _end([process for process in current().processes if process.name == name])


def control_socket() -> Path | None:
    """The control socket of the lab's controller; None if no lab with a controller is up."""
    lab = state.load(state.directory())
    if lab is None or not any(p.name == CONTROLLER for p in lab.processes):
        return None
    return state.directory() / _SOCKET


def call_at_switch(command: list[str], socket: Path) -> int:
    """Run a command where it reaches the switch of the controller that serves `socket`.

    For the controller of the lab that is the namespace of the switch. Returns the exit status.
    """
    if socket != control_socket():
        return subprocess.call(command)
    return execute(SWITCH, command)


def current() -> State:
    """The lab that is up; `UserError` if none is."""
    lab = state.load(state.directory())
    if lab is None:
        raise UserError("no lab is up: run 'p4alg lab up'")
    return lab


def execute(host: str, command: list[str]) -> int:
    """Run a command in a host, with the standard streams of this process. Returns its status."""
    lab = current()
    if host not in lab.hosts:
        raise UsageError(f"no host '{host}' in the lab (hosts: {', '.join(lab.hosts)})")
    if os.geteuid() != 0:
        raise UserError("only root can enter a namespace: use sudo")
    status = subprocess.call(plan.inside(lab.hosts[host], *command))
    return 128 - status if status < 0 else status


def logs() -> dict[str, str]:
    """The output of each process of the lab so far, by the name of the process."""
    lab = current()
    texts: dict[str, str] = {}
    for process in lab.processes:
        path = _log(state.directory(), process.name)
        try:
            texts[process.name] = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            texts[process.name] = f"(cannot read {path}: {error.strerror})"
    return texts


def _require(target: str) -> None:
    if os.geteuid() != 0:
        raise UserError("only root can make network namespaces: use sudo")
    packages = {"ip": "iproute2", "ethtool": "ethtool"}
    if target == "bmv2":
        packages["simple_switch_grpc"] = "behavioral-model"
    for program, package in packages.items():
        if shutil.which(program) is None:
            raise UserError(f"'{program}' is not on PATH: install {package}")


def _existing() -> set[str]:
    done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False)
    return {line.split()[0] for line in done.stdout.splitlines() if line.strip()}


def _do(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise UserError(f"'{' '.join(command)}' failed: {why}")


def _log(folder: Path, name: str) -> Path:
    return folder / f"{name}.log"


def _last_line(folder: Path, name: str) -> str:
    text = _log(folder, name).read_text(encoding="utf-8", errors="replace")
    return (text.strip().splitlines() or ["it wrote nothing"])[-1]


def _wait_until_served(folder: Path, process: Process) -> None:
    port = int(plan.GRPC.rpartition(":")[2])
    until = time.monotonic() + START_SECONDS
    while not listens(process.pid, port):
        if not process.alive():
            raise UserError(f"the {process.name} ended: {_last_line(folder, process.name)}")
        if time.monotonic() > until:
            raise UserError(f"the {process.name} does not serve P4Runtime on {plan.GRPC}")
        time.sleep(_POLL)


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


def _inhabitants(space: str) -> list[Process]:
    done = subprocess.run(
        ["ip", "netns", "pids", space], capture_output=True, text=True, check=False
    )
    found: list[Process] = []
    for word in done.stdout.split():
        start = state.start_time(int(word))
        if start is not None and int(word) != os.getpid():
            found.append(Process(space, int(word), start))
    return found


def _end(processes: list[Process]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            if process.alive():
                try:
                    os.kill(process.pid, number)
                except ProcessLookupError:
                    continue
        until = time.monotonic() + STOP_SECONDS
        while any(p.alive() for p in processes) and time.monotonic() < until:
            time.sleep(_POLL / 2)
