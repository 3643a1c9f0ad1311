"""Reads topology files, which say what a lab consists of. Runs nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from p4alg.config.errors import UsageError
from p4alg.config.source import Item, load

DEFAULT = "nat"
MAX_HOSTS = 64
SWITCH = "switch"
"""The name of the switch among the hosts. No host may have it."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,23}")


@dataclass(frozen=True, slots=True)
class Route:
    """A static route of a host."""

    to: IPv4Network
    via: IPv4Address


@dataclass(frozen=True, slots=True)
class Host:
    """A host, and the switch port (1..509) that it is connected to."""

    name: str
    port: int
    address: IPv4Interface
    gateway: IPv4Address | None
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """A lab: its name and its hosts, in the order of the file."""

    name: str
    hosts: tuple[Host, ...]


def find(name: str) -> Path:
    """The file of a topology. `name` is a path, or the name of a topology that is shipped."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return Path(name)
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_data" / "topologies", package.parents[1] / "topologies"):
        if (folder / f"{name}.yaml").is_file() and not name.endswith(".config"):
            return folder / f"{name}.yaml"
    raise UsageError(f"no topology '{name}': give the path of a file, or '{DEFAULT}'")


def read(path: Path) -> Topology:
    """Read and check a topology file; `ConfigError` with file, line and reason."""
    return from_item(load(path))


def from_item(root: Item) -> Topology:
    """Check a topology that was read already."""
    top = root.mapping(required=("name", "hosts"))
    entries = top["hosts"].entries()
    if not 1 <= len(entries) <= MAX_HOSTS:
        raise top["hosts"].error(f"a lab has 1..{MAX_HOSTS} hosts")
    hosts: list[Host] = []
    for name, item in entries.items():
        host = _host(name, item)
        for other in hosts:
            if other.port == host.port:
                raise item.error(f"port {host.port} is taken by '{other.name}'")
            if other.address.ip == host.address.ip:
                raise item.error(f"{host.address.ip} is the address of '{other.name}' already")
        hosts.append(host)
    return Topology(_name(top["name"].text(), top["name"]), tuple(hosts))


def _name(name: str, item: Item) -> str:
    if not _NAME.fullmatch(name) or name == SWITCH:
        raise item.error(f"'{name}' cannot be a name: use a-z, 0-9 and '-', not '{SWITCH}'")
    return name


def _host(name: str, item: Item) -> Host:
    _name(name, item)
    keys = item.mapping(required=("port", "address"), optional=("gateway", "routes"))
    address = keys["address"].interface()
    gateway = _neighbour(keys["gateway"], address) if "gateway" in keys else None
    routes: list[Route] = []
    for entry in keys["routes"].sequence() if "routes" in keys else ():
        route = entry.mapping(required=("to", "via"))
        routes.append(Route(route["to"].network(), _neighbour(route["via"], address)))
    return Host(name, keys["port"].integer(1, 509), address, gateway, tuple(routes))


def _neighbour(item: Item, address: IPv4Interface) -> IPv4Address:
    via = item.address()
    if via not in address.network or via == address.ip:
        raise item.error(f"{via} is not a neighbour of {address}")
    return via
