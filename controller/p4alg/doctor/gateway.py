"""Collects the facts of a gateway: that of a file, or those of the lab that is up."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from p4alg.artifacts import named
from p4alg.config import loader
from p4alg.config.errors import UserError
from p4alg.config.loader import Config, Control
from p4alg.config.places import default_socket
from p4alg.config.switch import Switch
from p4alg.daemon.client import Client
from p4alg.doctor.facts import Gateway, Interface, Link, Socket, Space
from p4alg.driver.p4runtime.channel import Tls
from p4alg.driver.p4runtime.inspection import running
from p4alg.driver.target import TargetError
from p4alg.engine.settings import all_zones
from p4alg.lab import names, plan
from p4alg.lab.state import State

SWITCH_OPTIONS = "P4ALG_SWITCH_OPTIONS"
"""What the service of the embedded switch is given, in the file of its options."""
_SECONDS = 20.0
_MERGING = {
    "generic-receive-offload": "gro",
    "large-receive-offload": "lro",
    "rx-gro-hw": "rx-gro-hw",
}
"""Offloads that merge frames, and what `ethtool -K` calls them."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A port of a switch, and its interface."""

    port: int
    interface: str


def wires(words: Sequence[str]) -> tuple[Wire, ...]:
    """The ports in the arguments of a switch; those that are wired to files are left out."""
    found = []
    for option, value in pairwise(words):
        port, at, interface = value.partition("@")
        named = option in ("-i", "--interface") and at and port.isdecimal()
        if named and not interface.startswith("file:"):
            found.append(Wire(int(port), interface))
    return tuple(found)


def service_wires(file: Path) -> tuple[Wire, ...] | None:
    """The ports in the file with the options of the service; None if it cannot be read."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    given = [line.partition("=")[2] for line in lines if line.startswith(f"{SWITCH_OPTIONS}=")]
    try:
        # Once for the quotes around the value, and once for the words in it.
        return wires([word for value in given for part in shlex.split(value)
                      for word in part.split()])  # fmt: skip
    except ValueError:
        return None


def of_file(path: Path, ports: tuple[Wire, ...] | None, *, is_service: bool = False) -> Gateway:
    """The gateway of a configuration, on this machine."""
    config, error = _read(path)
    switch = config.switch if config else Switch()
    control = config.control if config else Control(default_socket(), Path("/"))
    gateway = _with_config(Gateway(interfaces=_interfaces(ports)), path, config, error)
    link, found = _link(switch), _socket(control.socket)
    if is_service:
        link = replace(link, start="systemctl start p4alg-switch")
        found = replace(found, start="systemctl start p4alg")
    space = _space(control.state) if config else None
    return replace(gateway, link=link, socket=found, space=space)


def of_lab(lab: State) -> Iterator[Gateway]:
    """The gateways of a lab: one for each of its switches."""
    sockets = names.control_sockets()
    for name, served in lab.switches.items():
        commands = [process.command for process in lab.processes if process.name == name]
        found = wires(commands[0]) if commands else None
        gateway = Gateway(
            interfaces=_interfaces(found, lab.hosts[name], f"p4alg lab exec {name} -- ")
        )
        switch = Switch(grpc=served.grpc, device_id=served.device_id)
        controller = names.controller_name(name)
        for process in lab.processes:
            if process.name == controller and "-c" in process.command:
                path = Path(process.command[process.command.index("-c") + 1])
                config, error = _read(path)
                gateway = _with_config(gateway, path, config, error)
                if config is not None:
                    switch = replace(switch, program=config.switch.program)
        control = None
        if name in sockets:
            control = replace(_socket(sockets[name]), start=f"p4alg lab restart {controller}")
        link = replace(_link(switch), start=f"p4alg lab restart {name}")
        yield replace(gateway, link=link, socket=control)


def of_ports(ports: tuple[Wire, ...]) -> Gateway:
    """What is to be known of a switch with these ports, before there is a configuration."""
    return Gateway(interfaces=_interfaces(ports))


def _read(path: Path) -> tuple[Config | None, str]:
    try:
        return loader.read(path), ""
    except UserError as error:
        return None, str(error)


def _with_config(gateway: Gateway, path: Path, config: Config | None, error: str) -> Gateway:
    zones = all_zones(config.organisations) if config else ()
    ports = frozenset(port for zone in zones for port in zone.ports)
    return replace(gateway, config=str(path), error=error, ports=ports)


def _interfaces(
    ports: Iterable[Wire] | None, space: str = plan.MACHINE, within: str = ""
) -> tuple[Interface, ...] | None:
    if ports is None or shutil.which("ip") is None:
        return None
    told = {row["ifname"]: row for row in _json(space, "ip", "-j", "addr")}
    return tuple(
        replace(_interface(one, told.get(one.interface), space), within=within) for one in ports
    )


def _interface(wire: Wire, told: dict[str, Any] | None, space: str) -> Interface:
    if told is None:
        return Interface(wire.port, wire.interface, exists=False)
    flags = told.get("flags", ())
    addresses = tuple(
        f"{row['local']}/{row['prefixlen']}"
        for row in told.get("addr_info", ())
        if row.get("family") == "inet"
    )
    return Interface(
        port=wire.port,
        name=wire.interface,
        up="UP" in flags,
        carrier="LOWER_UP" in flags,
        addresses=addresses,
        merging=_merging(wire.interface, space),
    )


def _merging(interface: str, space: str) -> tuple[str, ...] | None:
    if shutil.which("ethtool") is None:
        return None
    told = _json(space, "ethtool", "--json", "-k", interface)
    if not told:
        return None
    return tuple(
        short for name, short in _MERGING.items() if told[0].get(name, {}).get("active") is True
    )


def _json(space: str, *command: str) -> list[dict[str, Any]]:
    """The rows that a command prints; none if it fails."""
    try:
        done = subprocess.run(
            plan.inside(space, *command), capture_output=True, timeout=_SECONDS, check=True
        )
        rows = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _link(switch: Switch) -> Link:
    files = switch.tls
    tls = None if files is None else Tls(files.ca, files.cert, files.key, files.name)
    try:
        found = asyncio.run(running(switch.grpc, switch.device_id, named(switch.program), tls))
    except TargetError as error:
        return Link(switch.grpc, error=str(error))
    return Link(switch.grpc, program=found.value)


def _socket(path: Path) -> Socket:
    try:
        found = path.stat()
    except PermissionError:
        return Socket(str(path), "denied")
    except OSError:
        return Socket(str(path), "absent")
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISSOCK(found.st_mode):
        return Socket(str(path), "file", mode)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_SECONDS)
        try:
            probe.connect(str(path))
        except PermissionError:
            return Socket(str(path), "denied", mode)
        except OSError:
            return Socket(str(path), "stale", mode)
    try:
        Client(path).call("where")
    except UserError:
        return Socket(str(path), "silent", mode)
    return Socket(str(path), "answers", mode)


def _space(folder: Path) -> Space:
    """The room where a folder is or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    found = os.statvfs(folder)
    return Space(
        path=str(folder),
        bytes_free=found.f_bavail * found.f_frsize,
        inodes_free=found.f_favail if found.f_files else None,
        writable=os.access(folder, os.W_OK | os.X_OK),
    )
