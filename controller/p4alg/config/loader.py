"""Reads and checks a configuration file. Errors name the file and the line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from p4alg.alg import registry
from p4alg.config.nat import Nat, read_common_nat, read_nat
from p4alg.config.organisations import OutsideAddresses, check_zones, read_names, read_shares
from p4alg.config.policy import read_ports, read_rules
from p4alg.config.services import Algs, read_algs, read_services
from p4alg.config.source import Item, load_text, parse
from p4alg.config.switch import Switch, is_host_port, read_switch
from p4alg.config.tuning import part_of, read_limits, read_timers
from p4alg.config.zones import read_routes, read_zones
from p4alg.engine.settings import Limits, RefuseMode, Rule, Settings, Zone
from p4alg.engine.tables import PolicyAction, Side

SOCKET_VARIABLE = "P4ALG_SOCKET"
STATE_VARIABLE = "P4ALG_STATE"
_REPLACED = ("policy", "refuse", "denied_ports")
"""The sections that an organisation has instead of those at the top."""
_SOCKET = "/run/p4alg/control.sock"
_STATE = "/var/lib/p4alg/revisions"


@dataclass(frozen=True, slots=True)
class Control:
    """The socket where the controller takes commands, and the directory of revisions."""

    socket: Path
    state: Path
    metrics: str | None = None
    """Where metrics are served, ``HOST:PORT``; None: nowhere."""


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration, checked for contradictions."""

    switch: Switch
    control: Control
    organisations: tuple[Settings, ...]
    """The settings of each organisation; of the only one, if none are configured."""
    file: Path | None = None
    """Where it was read; None if it is of no file."""
    text: str = ""
    """What was read there."""

    @property
    def settings(self) -> Settings:
        """Those of the first organisation. What all have in common, such as timers, is in it."""
        return self.organisations[0]


def read(path: Path, algs: Algs | None = None) -> Config:
    """Read and check a configuration; `ConfigError` with file, line and reason.

    `algs` are the ALGs that can be configured; by default those that are installed.
    """
    return read_text(load_text(path), path, algs)


def read_text(text: str, path: Path, algs: Algs | None = None) -> Config:
    """Check the text of a configuration that is, or is to be, in a file."""
    return replace(from_item(parse(text, str(path)), algs), file=path, text=text)


def from_item(root: Item, algs: Algs | None = None) -> Config:
    """Check a configuration that was read already."""
    known = registry.algs() if algs is None else algs
    has_organisations = "organisations" in root.entries()
    top = root.mapping(
        required=("zones",) if has_organisations else ("zones", "nat"),
        optional=(
            *("switch", "control", "routes", "policy", "timers", "limits"),
            *("services", "algs", "refuse", "denied_ports", "organisations", "nat"),
        ),
    )
    names = read_names(top.get("organisations"))
    zones = read_zones(top["zones"], names)
    if has_organisations:
        settings = _Several(top, names, zones, known).read()
    else:
        settings = (_only(top, zones, known),)
    return Config(read_switch(top.get("switch")), _control(top.get("control")), settings)


def _only(top: dict[str, Item], zones: tuple[Zone, ...], known: Algs) -> Settings:
    """The settings of the only organisation, whose sections are those at the top."""
    routes = read_routes(top.get("routes"), zones)
    nat = read_nat(top["nat"], zones, routes)
    services = read_services(top.get("services"), known)
    limits = read_limits(top.get("limits"))
    _check_hosts(nat, limits, top.get("limits", top["nat"]))
    return Settings(
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


class _Several:
    """Reads the settings of several organisations.

    A section at the top is that of every organisation which does not have one itself. Services,
    ALGs and routes are joined, and limits are divided.
    """

    def __init__(
        self, top: dict[str, Item], names: dict[str, int], zones: tuple[Zone, ...], known: Algs
    ) -> None:
        self._top = top
        self._section = top["organisations"]
        self._names = names
        self._zones = zones
        self._known = known
        check_zones(self._section, names, zones)
        self._outside = tuple(zone for zone in zones if zone.side is Side.OUTSIDE)
        self._shares = read_shares(self._section)
        self._nat = read_common_nat(top.get("nat"))
        self._routes = read_routes(top.get("routes"), self._outside)
        self._services = read_services(top.get("services"), known)
        self._limits = read_limits(top.get("limits"))
        self._timers = read_timers(top.get("timers"))
        self._addresses = OutsideAddresses([])

    def read(self) -> tuple[Settings, ...]:
        """All of them. The one with number 0 comes first."""
        found = [self._read(name, item) for name, item in self._section.entries().items()]
        return tuple(sorted(found, key=lambda settings: settings.organisation))

    def _read(self, name: str, item: Item) -> Settings:
        optional = ("share", "routes", "limits", "services", "algs", *_REPLACED)
        keys = item.mapping(required=("nat",), optional=optional)
        number, top = self._names[name], self._top
        keys |= {key: top[key] for key in _REPLACED if key in top and key not in keys}
        inside = [z for z in self._zones if z.side is Side.INSIDE and z.organisation == number]
        zones = tuple(zone for zone in self._zones if zone in inside or zone in self._outside)
        routes = read_routes(keys.get("routes"), zones, self._routes)
        nat = read_nat(keys["nat"], zones, routes, self._zones, self._nat)
        self._addresses.claim(name, nat.claims)
        rules = read_rules(keys.get("policy"))
        if number:
            _check_exempt(keys, rules)
        services = read_services(keys.get("services"), self._known, self._services)
        limits = read_limits(keys.get("limits"), part_of(self._limits, self._shares[name]))
        _check_hosts(nat, limits, keys.get("limits", keys["nat"]))
        return Settings(
            zones=zones,
            pools=nat.pools,
            routes=routes,
            forwards=nat.forwards,
            address_forwards=nat.address_forwards,
            rules=(*rules, *nat.exemptions),
            filter_mode=nat.filter_mode,
            blocks=nat.blocks,
            timers=self._timers,
            limits=limits,
            services=services,
            algs=read_algs(keys.get("algs"), services, self._known, top.get("algs")),
            refuse=_refuse(keys.get("refuse")),
            denied_ports=_denied(keys.get("denied_ports")),
            name=name,
            organisation=number,
            share=self._shares[name],
            is_only=False,
        )


def _check_exempt(keys: dict[str, Item], rules: Sequence[Rule]) -> None:
    """Refuse to exempt what comes from outside from translation.

    Only its outside address tells whose a packet is, and an untranslated one goes to none.
    """
    why = "what comes from outside can be exempt for the organisation 'default' only"
    if "exempt" in keys["nat"].entries():
        raise keys["nat"].entries()["exempt"].error(why)
    for rule, item in zip(rules, keys["policy"].sequence() if rules else (), strict=True):
        if rule.action is PolicyAction.EXEMPT and rule.side is Side.OUTSIDE:
            raise item.error(why)


def _check_hosts(nat: Nat, limits: Limits, where: Item) -> None:
    hosts = {f.inside_addr for f in nat.forwards} | {f.inside_addr for f in nat.address_forwards}
    if len(hosts) > limits.subscribers:
        raise where.error(
            f"static mappings lead to {len(hosts)} hosts, and subscribers is {limits.subscribers}"
        )


def default_socket() -> Path:
    """The control socket for commands that read no configuration."""
    return Path(os.environ.get(SOCKET_VARIABLE) or _SOCKET)


def _control(item: Item | None) -> Control:
    """The control section. Environment variables win, so that one file serves lab and machine."""
    keys = item.mapping(optional=("socket", "state", "metrics")) if item else {}
    socket = os.environ.get(SOCKET_VARIABLE) or (
        keys["socket"].text() if "socket" in keys else _SOCKET
    )
    state = os.environ.get(STATE_VARIABLE) or (keys["state"].text() if "state" in keys else _STATE)
    metrics = keys["metrics"].text() if "metrics" in keys else None
    if metrics is not None and not is_host_port(metrics):
        raise keys["metrics"].error(f"'{metrics}' is not HOST:PORT")
    return Control(Path(socket), Path(state), metrics)


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
