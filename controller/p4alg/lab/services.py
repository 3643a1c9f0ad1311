"""What a lab runs: switches with their captures, controllers, and the servers of its hosts."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from p4alg.config.errors import UsageError, UserError
from p4alg.config.places import SOCKET_VARIABLE, STATE_VARIABLE
from p4alg.lab import plan, processes, state
from p4alg.lab.names import SWITCH, controller_name, socket_name
from p4alg.lab.processes import POLL, listens
from p4alg.lab.running import (
    START_SECONDS,
    current,
    last_line,
    log_file,
    logs_folder,
    start,
    waiting,
)
from p4alg.lab.state import Process, Served
from p4alg.lab.topology import Host


@dataclass(frozen=True, slots=True)
class Options:
    """What a lab runs and records beside its switches and controllers."""

    folder: Path | None = None
    """Where logs and captures go and stay; without one they go with the lab."""
    pcap: bool | Path = False
    """Whether what crosses each port is captured, or the folder for it."""
    messages: bool = False
    """Whether P4Runtime messages are recorded."""
    servers: bool = False
    """Whether the servers of the topology are started."""
    log_level: str = "warning"
    """As much as the switches log."""
    workers: int = 0
    """Threads of an embedded switch that run packets; 0 where it chooses. Not in Mininet."""
    without: str = ""
    """The parts of P4Runtime that embedded switches do without, with commas between."""


def start_switch(
    switch: plan.Switch, python: str, options: Options, with_us: bool = False
) -> Process:
    """Start a switch of the lab that is up, and wait until it serves P4Runtime.

    Its namespace and its interfaces are there already. It ends with this process if `with_us`.
    """
    folder, lab = state.directory(), current()
    if options.without and switch.target != "embedded":
        raise UsageError(f"--without is for the target embedded, and this is {switch.target}")
    if lab.hosts[switch.name] == plan.MACHINE and not processes.is_free(switch.grpc):
        raise UserError(
            f"{switch.grpc} is in use: end what listens there, or give '{switch.name}' "
            "another address for gRPC"
        )
    lab.switches[switch.name] = Served(switch.grpc, switch.device_id)
    state.save(folder, lab)
    if options.pcap:
        _capture(switch, options, with_us)
    command = plan.switch_command(switch, python, options.without)
    process = start(switch.name, switch.name, command, with_us=with_us)
    _wait_until_served(process, switch.grpc)
    return process


def _capture(switch: plan.Switch, options: Options, with_us: bool) -> None:
    if shutil.which("tcpdump") is None:
        raise UserError("'tcpdump' is not on PATH: install tcpdump")
    where = options.pcap if isinstance(options.pcap, Path) else logs_folder(current()) / "pcap"
    try:
        where.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {where}: {error.strerror}") from None
    for port, interface in switch.ports.items():
        command = plan.capture_command(interface, where / f"{switch.name}-port{port}.pcap")
        start(f"{switch.name}-port{port}-pcap", switch.name, command, with_us=with_us)


@functools.cache
def has_thrift() -> bool:
    """Whether BMv2 is built with its Thrift server, which needs a port of its own."""
    said = subprocess.run(
        ["simple_switch_grpc", "--help"], capture_output=True, text=True, check=False
    )
    return "--thrift-port" in said.stdout + said.stderr


def start_controller(
    config: Path,
    python: str = sys.executable,
    switch: str | None = None,
    options: Options | None = None,
    with_us: bool = False,
) -> Process:
    """Run a controller on a switch of the lab that is up, and wait until it serves.

    Without `switch` it is the only one. The controller works on a copy of the configuration in
    the directory of the lab. So what commands change survives a restart of the controller, and is
    gone with the lab. The lab says where its switch serves, whatever the configuration says.
    """
    options = options or Options()
    folder, lab = state.directory(), current()
    name = switch or next(iter(lab.switches), SWITCH)
    own = controller_name(name)
    if any(p.name == own and p.alive() for p in lab.processes):
        raise UserError(f"a {own} runs in the lab already: 'p4alg lab down' ends it")
    variables = {
        SOCKET_VARIABLE: str(folder / socket_name(own)),
        STATE_VARIABLE: str(folder / f"{own}.revisions"),
    }
    copy = folder / f"{own}.config.yaml"
    try:
        copy.write_bytes(config.read_bytes())
    except OSError as error:
        raise UserError(f"cannot copy {config} to {copy}: {error.strerror}") from None
    served = lab.switches[name]
    more = ["--grpc", served.grpc, "--device-id", str(served.device_id)]
    if options.messages:
        more += ["--p4runtime-log", str(logs_folder(lab) / f"{name}.p4runtime.txt")]
    command = plan.controller_command(copy, python, *more)
    process = start(own, name, command, {**os.environ, **variables}, with_us=with_us)
    _wait_until_ready(process)
    return process


def start_servers(hosts: Iterable[Host], file: Path | None, with_us: bool = False) -> None:
    """Start the servers of hosts of the lab that is up, and wait for them.

    `file` is that of the topology, beside which their scripts are.
    """
    started: list[tuple[Process, str, int]] = []
    for host in hosts:
        for server in host.servers:
            name = f"{host.name}-{server.protocol}-{server.port}"
            work = state.directory() / name
            work.mkdir(parents=True, exist_ok=True)
            command = server.command
            if command.startswith("./") and file is not None:
                command = f"{file.resolve().parent}/{command[2:]}"
            run = ["sh", "-c", f"exec {command}"]
            process = start(name, host.name, run, folder=work, with_us=with_us)
            started.append((process, server.protocol, server.port))
    until = time.monotonic() + START_SECONDS
    for process, protocol, port in started:
        while not listens(process.pid, port, protocol):
            if not process.alive():
                raise UserError(
                    f"the server {process.name} ended: {last_line(process.name)}; "
                    "correct that, or give --no-servers"
                )
            if time.monotonic() > until:
                raise UserError(f"{process.name} does not listen: see 'p4alg lab logs'")
            time.sleep(POLL / 2)


def restart(what: str) -> list[str]:
    """End a switch or a controller and start it again as it was; the names of what was started.

    ``switch`` and ``controller`` stand for the only one of the lab. A controller cannot go on
    with a switch that has lost its tables, so that of a restarted switch is restarted too.
    """
    if os.geteuid() != 0:
        raise UserError("only root can restart what runs in a lab: use sudo")
    lab = current()
    by_name = {process.name: process for process in lab.processes}
    switches = [name for name in lab.switches if name in by_name]
    controllers = [own for own in map(controller_name, lab.switches) if own in by_name]
    name = what
    if what not in by_name:
        of_role = {"switch": switches, "controller": controllers}.get(what, [])
        name = of_role[0] if len(of_role) == 1 else what
    if name not in (*switches, *controllers):
        known = ", ".join((*switches, *controllers))
        raise UsageError(f"no '{what}' to restart in the lab (there are: {known})")
    again = [name]
    if name in switches and controller_name(name) in controllers:
        again.append(controller_name(name))
    processes.end([by_name[each] for each in reversed(again)])
    for each in again:
        old = by_name[each]
        environment = {**os.environ, **old.variables}
        process = start(each, old.host, [*old.command], environment)
        if each in lab.switches:
            _wait_until_served(process, lab.switches[each].grpc)
        else:
            _wait_until_ready(process)
    return again


def _wait_until_served(process: Process, grpc: str) -> None:
    for _ in waiting():
        if processes.serves(process.pid, grpc):
            return
        if not process.alive():
            raise UserError(f"the {process.name} ended: {last_line(process.name)}")
    raise UserError(f"the {process.name} does not serve P4Runtime on {grpc}")


def _wait_until_ready(controller: Process) -> None:
    log = log_file(current(), controller.name)
    for _ in waiting():
        if "p4alg: ready" in log.read_text(encoding="utf-8", errors="replace"):
            return
        if not controller.alive():
            why = last_line(controller.name).removeprefix("p4alg: ")
            raise UserError(f"the {controller.name} ended: {why}")
    raise UserError(f"the {controller.name} does not become ready: see 'p4alg lab logs'")
