"""Reads topology files, which say what a lab consists of. Runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from p4alg.config.errors import UsageError
from p4alg.config.source import Item, load
from p4alg.lab.names import SWITCH

DEFAULT = "nat"
SHIPPED = ("nat", "cgnat", "office", "two-nats", "tenants")
"""The topologies that come with p4alg, each with its configuration beside it."""
MAX_HOSTS = 64
MAX_SWITCHES = 8
MAX_PORT = 509

# Mininet makes interfaces of the names of switches, which have at most 15 characters.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,23}")
_SWITCH_NAME = re.compile(r"[a-z][a-z0-9-]{0,7}")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_END = re.compile(r"([a-z][a-z0-9-]*):([0-9]{1,3})")
_LISTENS = re.compile(r"(tcp|udp)/([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Route:
    """A static route of a host."""

    to: IPv4Network
    via: IPv4Address


@dataclass(frozen=True, slots=True)
class Server:
    """A program that runs in a host while the lab is up, and the port by which it is ready.

    `command` is a shell command. It begins with ``./`` for a script beside the topology file.
    """

    command: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Host:
    """A host, and the switch port (1..509) that it is connected to.

    Frames of a host with a `vlan` (1..4094) carry its tag on the wire; 0 is untagged. Hosts of
    different organisations may have the same address.
    """

    name: str
    port: int
    address: IPv4Interface
    gateway: IPv4Address | None
    routes: tuple[Route, ...]
    switch: str = SWITCH
    vlan: int = 0
    servers: tuple[Server, ...] = ()
    organisation: str = ""

    @property
    def interface(self) -> str:
        """The interface of the host that has its address."""
        return f"eth0.{self.vlan}" if self.vlan else "eth0"

    @property
    def mac(self) -> str:
        """Its MAC address: locally administered, from the numbers of its address."""
        return "02:00:" + ":".join(f"{byte:02x}" for byte in self.address.ip.packed)


@dataclass(frozen=True, slots=True)
class End:
    """A port of a switch."""

    switch: str
    port: int


@dataclass(frozen=True, slots=True)
class Trunk:
    """A link between two switches."""

    ends: tuple[End, End]


@dataclass(frozen=True, slots=True)
class Topology:
    """A lab: its name, and what is in it in the order of the file."""

    name: str
    hosts: tuple[Host, ...]
    switches: tuple[str, ...] = (SWITCH,)
    trunks: tuple[Trunk, ...] = ()
    names: tuple[tuple[str, IPv4Address], ...] = ()
    """More names that every host knows, such as those of published servers."""
    file: Path | None = None
    """Where it was read from."""

    def ports(self, switch: str) -> list[int]:
        """The ports of a switch that something is connected to, in order."""
        return sorted(end.port for end, _ in self._taken() if end.switch == switch)

    def config(self, switch: str) -> Path | None:
        """The configuration beside the file: of its only switch, or of one of several.

        For ``lab.yaml`` that is ``lab.config.yaml``, or ``lab.SWITCH.config.yaml``. None if
        there is no such file.
        """
        if self.file is None:
            return None
        which = "" if len(self.switches) == 1 else f".{switch}"
        path = self.file.with_name(f"{self.file.stem}{which}.config.yaml")
        return path if path.is_file() else None

    def _taken(self) -> Iterator[tuple[End, str]]:
        """Every port that is in use, and what is on it."""
        for host in self.hosts:
            yield End(host.switch, host.port), host.name
        for trunk in self.trunks:
            one, other = trunk.ends
            yield one, other.switch
            yield other, one.switch


def find(name: str) -> Path:
    """The file of a topology. `name` is a path, or the name of a topology that is shipped."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return Path(name)
    if name in SHIPPED:
        return folder() / f"{name}.yaml"
    raise UsageError(f"no topology '{name}': give the path of a file, or {' or '.join(SHIPPED)}")


def folder() -> Path:
    """Where the shipped topologies are."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_data" / "topologies"
    return installed if installed.is_dir() else package.parents[1] / "topologies"


def read(path: Path) -> Topology:
    """Read and check a topology file; `ConfigError` with file, line and reason."""
    return from_item(load(path), path)


def from_item(root: Item, file: Path | None = None) -> Topology:
    """Check a topology that was read already. `file` is where it comes from."""
    top = root.mapping(required=("name", "hosts"), optional=("switches", "trunks", "names"))
    name = _name(top["name"].text(), top["name"])
    switches = _switches(top.get("switches"))
    entries = top["hosts"].entries()
    if not 1 <= len(entries) <= MAX_HOSTS:
        raise top["hosts"].error(f"a lab has 1..{MAX_HOSTS} hosts")
    taken: dict[End, str] = {}
    hosts: list[Host] = []
    for word, item in entries.items():
        host = _host(word, item, switches)
        _take(taken, End(host.switch, host.port), host.name, item)
        for other in hosts:
            same = (other.organisation, other.address.ip) == (host.organisation, host.address.ip)
            if same:
                raise item.error(f"{host.address.ip} is the address of '{other.name}' already")
        hosts.append(host)
    trunks: list[Trunk] = []
    for item in top["trunks"].sequence() if "trunks" in top else ():
        ends = item.sequence()
        if len(ends) != 2:
            raise item.error("a trunk is a list of two ends: [SWITCH:PORT, SWITCH:PORT]")
        one, other_end = (_end(end, switches) for end in ends)
        _take(taken, one, other_end.switch, item)
        _take(taken, other_end, one.switch, item)
        trunks.append(Trunk((one, other_end)))
    names = _names(top.get("names"), {host.name for host in hosts})
    return Topology(name, tuple(hosts), switches, tuple(trunks), names, file)


def _take(taken: dict[End, str], end: End, what: str, item: Item) -> None:
    if end in taken:
        raise item.error(f"port {end.port} is taken by '{taken[end]}'")
    taken[end] = what


def _name(name: str, item: Item, switches: tuple[str, ...] = (SWITCH,)) -> str:
    if not _NAME.fullmatch(name) or name == SWITCH or name in switches:
        raise item.error(f"'{name}' cannot be a name: use a-z, 0-9 and '-', not '{SWITCH}'")
    return name


def _switches(item: Item | None) -> tuple[str, ...]:
    if item is None:
        return (SWITCH,)
    names: list[str] = []
    for entry in item.sequence():
        name = entry.text()
        if not _SWITCH_NAME.fullmatch(name) or name in names:
            raise entry.error(
                f"'{name}' cannot be a switch: use up to 8 of a-z, 0-9 and '-', each name once"
            )
        names.append(name)
    if not 1 <= len(names) <= MAX_SWITCHES:
        raise item.error(f"a lab has 1..{MAX_SWITCHES} switches")
    return tuple(names)


def _host(name: str, item: Item, switches: tuple[str, ...]) -> Host:
    _name(name, item, switches)
    optional = ("gateway", "routes", "switch", "vlan", "servers", "organisation")
    keys = item.mapping(required=("port", "address"), optional=optional)
    address = keys["address"].interface()
    gateway = _neighbour(keys["gateway"], address) if "gateway" in keys else None
    routes: list[Route] = []
    for entry in keys["routes"].sequence() if "routes" in keys else ():
        route = entry.mapping(required=("to", "via"))
        routes.append(Route(route["to"].network(), _neighbour(route["via"], address)))
    if "switch" not in keys and len(switches) > 1:
        raise item.error(f"'switch' is missing (switches: {', '.join(switches)})")
    return Host(
        name=name,
        port=keys["port"].integer(1, MAX_PORT),
        address=address,
        gateway=gateway,
        routes=tuple(routes),
        switch=keys["switch"].choice(switches) if "switch" in keys else switches[0],
        vlan=keys["vlan"].integer(1, 4094) if "vlan" in keys else 0,
        servers=tuple(map(_server, keys["servers"].sequence() if "servers" in keys else ())),
        organisation=keys["organisation"].text() if "organisation" in keys else "",
    )


def _server(item: Item) -> Server:
    keys = item.mapping(required=("run", "listens"))
    found = _LISTENS.fullmatch(keys["listens"].text())
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise keys["listens"].error(f"'{keys['listens'].value}' is not tcp/PORT or udp/PORT")
    return Server(keys["run"].text(), found[1], int(found[2]))


def _neighbour(item: Item, address: IPv4Interface) -> IPv4Address:
    via = item.address()
    if via not in address.network or via == address.ip:
        raise item.error(f"{via} is not a neighbour of {address}")
    return via


def _end(item: Item, switches: tuple[str, ...]) -> End:
    found = _END.fullmatch(item.text())
    if found is None or found[1] not in switches or not 1 <= int(found[2]) <= MAX_PORT:
        raise item.error(
            f"'{item.value}' is not SWITCH:PORT (switches: {', '.join(switches)}; "
            f"ports: 1..{MAX_PORT})"
        )
    return End(found[1], int(found[2]))


def _names(item: Item | None, hosts: set[str]) -> tuple[tuple[str, IPv4Address], ...]:
    names: list[tuple[str, IPv4Address]] = []
    for name, entry in item.entries().items() if item is not None else ():
        if not _DOMAIN.fullmatch(name) or name in hosts:
            raise entry.error(f"'{name}' cannot be a name here: it is a host's, or no host name")
        names.append((name, entry.address()))
    return tuple(names)
