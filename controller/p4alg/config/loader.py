"""Reads and checks a configuration file. Errors name the file and the line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from p4alg.alg import registry
from p4alg.config.errors import Gathering, gather
from p4alg.config.logs import LogSettings, read_log
from p4alg.config.nat import Nat, read_common_nat, read_nat
from p4alg.config.organisations import OutsideAddresses, check_zones, read_names, read_shares
from p4alg.config.places import SOCKET, SOCKET_VARIABLE, STATE, STATE_VARIABLE
from p4alg.config.policy import read_ports, read_rules
from p4alg.config.services import Algs, Services, read_algs, read_profile, read_services
from p4alg.config.source import Item, load_text, parse
from p4alg.config.switch import Switch, is_host_port, read_switch
from p4alg.config.tuning import part_of, read_limits, read_timers
from p4alg.config.zones import read_routes, read_zones
from p4alg.engine.settings import (
    AlgSettings,
    BlockSettings,
    Limits,
    RefuseMode,
    Rule,
    Settings,
    StaticRoute,
    Timers,
    Zone,
)
from p4alg.engine.tables import FilterMode, PolicyAction, Side

_REPLACED = ("policy", "refuse", "denied_ports")
"""The sections that an organisation has instead of those at the top."""


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
    log: LogSettings = field(default_factory=LogSettings)
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
    installed = registry.algs() if algs is None else algs
    has_organisations = "organisations" in root.entries()
    of = Gathering()
    sections = (
        *("profile", "switch", "control", "log", "routes", "policy", "timers", "limits"),
        *("services", "algs", "refuse", "denied_ports", "organisations", "nat"),
    )
    required = ("zones",) if has_organisations else ("zones", "nat")
    top = of.attempt(lambda: root.mapping(required, sections), root.entries())
    known = of.attempt(lambda: read_profile(top.get("profile"), installed), installed)
    switch = of.attempt(lambda: read_switch(top.get("switch")), Switch())
    control = of.attempt(lambda: _control(top.get("control")), Control(Path(), Path()))
    log = of.attempt(lambda: read_log(top.get("log")), LogSettings())
    zones: tuple[Zone, ...] = ()
    names: dict[str, int] = {}
    if "zones" in top:
        names, zones = of.attempt(lambda: _names_and_zones(top), (names, zones))
    if has_organisations:
        settings = _Several(top, names, zones, known).read(of)
    else:
        settings = (_only(top, zones, known, of),)
    of.done()
    return Config(switch, control, settings, log)


def _names_and_zones(top: dict[str, Item]) -> tuple[dict[str, int], tuple[Zone, ...]]:
    names = read_names(top.get("organisations"))
    return names, read_zones(top["zones"], names)


_Network = tuple[tuple[StaticRoute, ...], Nat]
_NO_NETWORK: _Network = ((), Nat((), FilterMode.ADDRESS_AND_PORT, BlockSettings(), (), (), ()))


_Programs = tuple[Services, tuple[AlgSettings, ...]]
_NO_PROGRAMS: _Programs = ({}, ())
_NO_RULES: tuple[Rule, ...] = ()


def _only(top: dict[str, Item], zones: tuple[Zone, ...], known: Algs, of: Gathering) -> Settings:
    """The settings of the only organisation, whose sections are those at the top.

    What is wrong in a section is kept in `of`, and the others are read all the same. One that
    stands on another is not read if that is wrong.
    """
    limits = of.attempt(lambda: read_limits(top.get("limits")), Limits())

    def network() -> _Network:
        routes = read_routes(top.get("routes"), zones)
        nat = read_nat(top["nat"], zones, routes)
        _check_hosts(nat, limits, top.get("limits", top["nat"]))
        return routes, nat

    def programs() -> _Programs:
        services = read_services(top.get("services"), known)
        return services, read_algs(top.get("algs"), services, known)

    is_known = zones and "nat" in top
    routes, nat = of.attempt(network, _NO_NETWORK) if is_known else _NO_NETWORK
    services, algs = of.attempt(programs, _NO_PROGRAMS)
    rules = of.attempt(lambda: read_rules(top.get("policy")), _NO_RULES)
    return Settings(
        zones=zones,
        pools=nat.pools,
        routes=routes,
        forwards=nat.forwards,
        address_forwards=nat.address_forwards,
        rules=(*rules, *nat.exemptions),
        filter_mode=nat.filter_mode,
        blocks=nat.blocks,
        timers=of.attempt(lambda: read_timers(top.get("timers")), Timers()),
        limits=limits,
        services=services,
        algs=algs,
        refuse=of.attempt(lambda: _refuse(top.get("refuse")), RefuseMode.RESET),
        denied_ports=of.attempt(lambda: _denied(top.get("denied_ports")), frozenset()),
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
        self._outside = tuple(zone for zone in zones if zone.side is Side.OUTSIDE)
        self._addresses = OutsideAddresses([])
        self._common: dict[str, Item] = {}
        self._routes: tuple[StaticRoute, ...] = ()
        self._services: Services = {}
        self._limits, self._timers, self._shares = Limits(), Timers(), dict.fromkeys(names, 1.0)

    def read(self, of: Gathering) -> tuple[Settings, ...]:
        """All of them. The one with number 0 comes first.

        What is wrong is kept in `of`; if it concerns all, none is read.
        """
        top, section = self._top, self._section
        ours, found = Gathering(), list[Settings]()
        self._common = ours.attempt(lambda: read_common_nat(top.get("nat")), self._common)
        common = top.get("services")
        self._services = ours.attempt(lambda: read_services(common, self._known), self._services)
        self._limits = ours.attempt(lambda: read_limits(top.get("limits")), self._limits)
        self._timers = ours.attempt(lambda: read_timers(top.get("timers")), self._timers)
        if self._zones:
            ours.attempt(lambda: check_zones(section, self._names, self._zones), None)
            self._shares = ours.attempt(lambda: read_shares(section), self._shares)
            self._routes = ours.attempt(
                lambda: read_routes(top.get("routes"), self._outside), self._routes
            )
        of.attempt(ours.done, None)
        if ours.failed or not self._zones:
            return ()
        entries = section.entries().items()
        reads = [partial(self._read, name, item) for name, item in entries]
        found = of.attempt(lambda: gather(reads), found)
        return tuple(sorted(found, key=lambda settings: settings.organisation))

    def _read(self, name: str, item: Item) -> Settings:
        of = Gathering()
        optional = ("share", "routes", "limits", "services", "algs", *_REPLACED)
        keys = of.attempt(lambda: item.mapping(("nat",), optional), item.entries())
        number, top = self._names[name], self._top
        keys = {**{key: top[key] for key in _REPLACED if key in top}, **keys}
        inside = [z for z in self._zones if z.side is Side.INSIDE and z.organisation == number]
        zones = tuple(zone for zone in self._zones if zone in inside or zone in self._outside)
        part = part_of(self._limits, self._shares[name])
        limits = of.attempt(lambda: read_limits(keys.get("limits"), part), part)

        def network() -> _Network:
            routes = read_routes(keys.get("routes"), zones, self._routes)
            nat = read_nat(keys["nat"], zones, routes, self._zones, self._common)
            self._addresses.claim(name, nat.claims)
            _check_hosts(nat, limits, keys.get("limits", keys["nat"]))
            return routes, nat

        def programs() -> _Programs:
            services = read_services(keys.get("services"), self._known, self._services)
            return services, read_algs(keys.get("algs"), services, self._known, top.get("algs"))

        def policy() -> tuple[Rule, ...]:
            rules = read_rules(keys.get("policy"))
            if number and "nat" in keys:
                _check_exempt(keys, rules)
            return rules

        routes, nat = of.attempt(network, _NO_NETWORK) if "nat" in keys else _NO_NETWORK
        services, algs = of.attempt(programs, _NO_PROGRAMS)
        rules = of.attempt(policy, _NO_RULES)
        refuse = of.attempt(lambda: _refuse(keys.get("refuse")), RefuseMode.RESET)
        denied = of.attempt(lambda: _denied(keys.get("denied_ports")), frozenset[int]())
        of.done()
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
            algs=algs,
            refuse=refuse,
            denied_ports=denied,
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


def _control(item: Item | None) -> Control:
    """The control section. Environment variables win, so that one file serves lab and machine."""
    keys = item.mapping(optional=("socket", "state", "metrics")) if item else {}
    socket = os.environ.get(SOCKET_VARIABLE) or (
        keys["socket"].text() if "socket" in keys else SOCKET
    )
    state = os.environ.get(STATE_VARIABLE) or (keys["state"].text() if "state" in keys else STATE)
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
    entries = item.sequence() if item else []
    for first, last in gather(partial(read_ports, entry) for entry in entries):
        denied.update(range(first, last + 1))
    return frozenset(denied)
