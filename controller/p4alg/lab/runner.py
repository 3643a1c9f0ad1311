"""Builds and removes labs: runs the commands of `plan` and keeps the `state`."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from p4alg.config.errors import UsageError, UserError
from p4alg.lab import files, fit, plan, processes, state
from p4alg.lab.names import CONTROLLER, control_socket, control_sockets
from p4alg.lab.processes import POLL, STOP_SECONDS, listens
from p4alg.lab.running import current, logs, logs_folder, start, stop
from p4alg.lab.services import (
    Options,
    restart,
    start_controller,
    start_servers,
    start_switch,
)
from p4alg.lab.state import Process, Served, State
from p4alg.lab.topology import Host, Topology

# Whoever works with a lab finds all that it needs here.
__all__ = [
    "CONTROLLER",
    "STOP_SECONDS",
    "Options",
    "call_at_switch",
    "control_socket",
    "control_sockets",
    "current",
    "describe",
    "down",
    "execute",
    "listens",
    "logs",
    "logs_folder",
    "restart",
    "start",
    "start_controller",
    "stop",
    "sweep",
    "up",
]

OWNER_SECONDS = 20.0
"""Seconds that Mininet may take to end its lab."""
_ETC = Path("/etc/netns")
"""Where `ip netns exec` looks for a namespace's own files of /etc (ip-netns(8))."""


def up(
    topology: Topology,
    target: str,
    config: Path | Mapping[str, Path] | None = None,
    python: str = sys.executable,
    options: Options | None = None,
) -> State:
    """Build a lab and start its switches, and a controller for each that `config` names.

    A path is the configuration of the only switch. Switches and controllers run with the
    interpreter `python`, which may have another p4alg installed than this one. If a step fails,
    everything is removed again and `UserError` is raised.
    """
    options = options or Options()
    configs = {topology.switches[0]: config} if isinstance(config, Path) else config or {}
    folder, prefix = state.directory(), state.prefix()
    require(target)
    refuse_second()
    if config is not None:
        fit.check(topology, configs)
    names = [*topology.switches, *(host.name for host in topology.hosts)]
    lab = State(topology.name, target, {n: plan.namespace(prefix, n) for n in names})
    lab.switches = {
        name: Served(plan.served(folder, name), plan.DEVICE_ID) for name in topology.switches
    }
    lab.folder = "" if options.folder is None else str(options.folder.resolve())
    taken = sorted(set(lab.hosts.values()) & processes.existing())
    if taken:
        raise UserError(f"namespace {taken[0]} exists and is not this lab's: remove it first")
    state.save(folder, lab)
    try:
        describe(topology)
        name_hosts(lab.hosts.values(), files.hosts_file(topology))
        for command in plan.build(prefix, topology):
            processes.do(command)
        for host in topology.hosts:
            if host.vlan:
                _join_vlan(prefix, host, python)
        for name in topology.switches:
            switch = replace(
                plan.switch(name, target, topology, folder),
                log_level=options.log_level,
                workers=options.workers,
            )
            start_switch(switch, python, options)
        for name, path in configs.items():
            start_controller(path, python, name, options)
        if options.servers:
            start_servers(topology.hosts, topology.file)
    except BaseException:
        down()
        raise
    return current()


def down() -> bool:
    """Remove the lab, whatever state it is in. False if there is none."""
    folder = state.directory()
    lab = state.load(folder)
    if lab is None:
        return False
    if os.geteuid() != 0:
        raise UserError("only root can remove network namespaces: use sudo")
    if lab.owner is not None and lab.owner.pid != os.getpid() and lab.owner.alive():
        _ask_owner(lab.owner)
    processes.end(lab.processes)
    _remove_spaces(processes.existing() & {*lab.hosts.values()} - {plan.MACHINE})
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _ask_owner(owner: Process) -> None:
    """Have Mininet end its lab. What it leaves is removed as after a crash."""
    os.kill(owner.pid, signal.SIGTERM)
    until = time.monotonic() + OWNER_SECONDS
    while owner.alive() and time.monotonic() < until:
        time.sleep(POLL)
    processes.end([owner])


def _remove_spaces(spaces: set[str]) -> None:
    """End all that runs in namespaces, and remove them with their files."""
    # Other processes may run in the namespaces of the lab: those that `lab exec` started, and
    # those that were not recorded because of a crash. All of them belong to the lab.
    processes.end([p for space in spaces for p in processes.inhabitants(space)])
    forget_spaces(spaces)


def forget_spaces(spaces: Iterable[str]) -> None:
    """Take the names of namespaces away. Without processes in them that is their end."""
    for space in spaces:
        processes.do(["ip", "netns", "del", space])
        shutil.rmtree(_ETC / space, ignore_errors=True)
    with contextlib.suppress(OSError):
        _ETC.rmdir()  # If no other lab has files there.


def sweep() -> None:
    """Remove the lab and all namespaces with its prefix, with the processes in them.

    It cleans up after a run that was killed before it could record what it made.
    """
    down()
    _remove_spaces({s for s in processes.existing() if s.startswith(state.prefix())})


def require(target: str) -> None:
    """Raise `UserError` unless this is root and the programs of a lab are there."""
    if os.geteuid() != 0:
        raise UserError("only root can make network namespaces: use sudo")
    packages = {"ip": "iproute2", "ethtool": "ethtool"}
    if target == "bmv2":
        packages["simple_switch_grpc"] = "behavioral-model"
    for program, package in packages.items():
        if shutil.which(program) is None:
            raise UserError(f"'{program}' is not on PATH: install {package}")


def refuse_second() -> None:
    """Raise `UserError` if a lab is up. One whose Mininet has crashed is removed first."""
    lab = state.load(state.directory())
    if lab is not None and lab.owner is not None and not lab.owner.alive():
        down()
        lab = None
    if lab is not None:
        raise UserError(
            "a lab is up already: run 'p4alg lab down' first, "
            f"or name another by {state.NAME_VARIABLE}=NAME"
        )


def describe(topology: Topology) -> None:
    """Write the description of the lab that is up into the folder of its logs."""
    lab = current()
    where = logs_folder(lab)
    try:
        where.mkdir(parents=True, exist_ok=True)
        text = files.topology_json(topology, lab.switches)
        (where / "topology.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {where}: {error.strerror}") from None


def name_hosts(spaces: Iterable[str], text: str) -> None:
    """Give namespaces of the lab `text` as ``/etc/hosts``, by which its hosts find each other."""
    try:
        for space in spaces:
            (_ETC / space).mkdir(parents=True, exist_ok=True)
            (_ETC / space / "hosts").write_text(text, encoding="utf-8")
            (_ETC / space / "resolv.conf").write_text(files.RESOLV_CONF, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}") from None


def _join_vlan(prefix: str, host: Host, python: str) -> None:
    """Make the VLAN interface of a host: by the kernel, or by a program where it has none."""
    ip = ["ip", "-n", plan.namespace(prefix, host.name)]
    made = subprocess.run([*ip, *plan.kernel_vlan(host)], capture_output=True, check=False)
    if made.returncode != 0:
        for words in plan.own_vlan(host):
            processes.do([*ip, *words])
        start(f"{host.name}-vlan", host.name, plan.tagger_command(host, python))
    for command in plan.address(prefix, host):
        processes.do(command)


def call_at_switch(command: list[str], socket: Path) -> int:
    """Run a command where it reaches the switch of the controller that serves `socket`.

    For a controller of the lab that is the namespace of its switch. Returns the exit status.
    """
    for switch, path in control_sockets().items():
        if path == socket:
            space = current().hosts[switch]
            return subprocess.call(plan.inside(space, *command))
    return subprocess.call(command)


def execute(host: str, command: list[str]) -> NoReturn:
    """Become a command in a host, which so gets the signals that are sent to this process."""
    lab = current()
    if host not in lab.hosts:
        raise UsageError(f"no host '{host}' in the lab (hosts: {', '.join(lab.hosts)})")
    if os.geteuid() != 0:
        raise UserError("only root can enter a namespace: use sudo")
    if shutil.which(command[0]) is None:
        raise UserError(f"'{command[0]}' is not on PATH: install it, or give its path")
    whole = plan.inside(lab.hosts[host], *command)
    sys.stdout.flush()
    try:
        os.execvp(whole[0], whole)
    except OSError as error:
        raise UserError(f"cannot run {whole[0]}: {error.strerror}") from None
