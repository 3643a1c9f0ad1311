"""Reads and checks a configuration file. Errors name the file and the line."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from p4alg.alg import registry
from p4alg.config.nat import read_nat
from p4alg.config.policy import read_ports, read_rules
from p4alg.config.services import Algs, read_algs, read_services
from p4alg.config.source import Item, load
from p4alg.config.switch import Switch, read_switch
from p4alg.config.tuning import read_limits, read_timers
from p4alg.config.zones import read_routes, read_zones
from p4alg.engine.settings import RefuseMode, Settings

SOCKET_VARIABLE = "P4ALG_SOCKET"
STATE_VARIABLE = "P4ALG_STATE"
_SOCKET = "/run/p4alg/control.sock"
_STATE = "/var/lib/p4alg/state.json"


@dataclass(frozen=True, slots=True)
class Control:
    """The socket where the controller takes commands, and the file that keeps their changes."""

    socket: Path
    state: Path


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration, checked for contradictions."""

    switch: Switch
    control: Control
    settings: Settings


def read(path: Path, algs: Algs | None = None) -> Config:
    """Read and check a configuration; `ConfigError` with file, line and reason.

    `algs` are the ALGs that can be configured; by default those that are installed.
    """
    return from_item(load(path), algs)


def from_item(root: Item, algs: Algs | None = None) -> Config:
    """Check a configuration that was read already."""
    known = registry.algs() if algs is None else algs
    top = root.mapping(
        required=("zones", "nat"),
        optional=(
            *("switch", "control", "routes", "policy", "timers", "limits"),
            *("services", "algs", "refuse", "denied_ports"),
        ),
    )
    zones = read_zones(top["zones"])
    routes = read_routes(top.get("routes"), zones)
    nat = read_nat(top["nat"], zones, routes)
    services = read_services(top.get("services"), known)
    limits = read_limits(top.get("limits"))
    hosts = {f.inside_addr for f in nat.forwards} | {f.inside_addr for f in nat.address_forwards}
    if len(hosts) > limits.subscribers:
        raise top.get("limits", top["nat"]).error(
            f"static mappings lead to {len(hosts)} hosts, and subscribers is {limits.subscribers}"
        )
    settings = Settings(
        zones=zones,
        pools=nat.pools,
        routes=routes,
        forwards=nat.forwards,
        address_forwards=nat.address_forwards,
        rules=(*read_rules(top.get("policy")), *nat.exemptions),
        filter_mode=nat.filter_mode,
        blocks=nat.blocks,
        timers=read_timers(top.get("timers")),
        limits=limits,
        services=services,
        algs=read_algs(top.get("algs"), services, known),
        refuse=_refuse(top.get("refuse")),
        denied_ports=_denied(top.get("denied_ports")),
    )
    return Config(read_switch(top.get("switch")), _control(top.get("control")), settings)


def default_socket() -> Path:
    """The control socket for commands that read no configuration."""
    return Path(os.environ.get(SOCKET_VARIABLE) or _SOCKET)


def _control(item: Item | None) -> Control:
    """The control section. Environment variables win, so that one file serves lab and machine."""
    keys = item.mapping(optional=("socket", "state")) if item else {}
    socket = os.environ.get(SOCKET_VARIABLE) or (
        keys["socket"].text() if "socket" in keys else _SOCKET
    )
    state = os.environ.get(STATE_VARIABLE) or (keys["state"].text() if "state" in keys else _STATE)
    return Control(Path(socket), Path(state))


def _refuse(item: Item | None) -> RefuseMode:
    if item is None:
        return RefuseMode.RESET
    return RefuseMode(item.choice(mode.value for mode in RefuseMode))


def _denied(item: Item | None) -> frozenset[int]:
    denied: set[int] = set()
    for entry in item.sequence() if item else ():
        first, last = read_ports(entry)
        denied.update(range(first, last + 1))
    return frozenset(denied)
