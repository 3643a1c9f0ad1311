"""Reads the sections `services` and `algs`: the ports and the options of each ALG."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from p4alg.alg.descriptor import RESERVED_OPTIONS, Alg, Option, Value
from p4alg.config.errors import gather
from p4alg.config.source import Item
from p4alg.engine.settings import AlgSettings, PortSpan
from p4alg.protocols import NUMBERS

MAX_SERVICES = 64
_RANGE = re.compile(r"(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?")

PROFILES = ("default", "rfc")
"""Which ALGs are on where nothing is said of them: as we see fit, or as the RFCs want it."""

Services = dict[str, tuple[PortSpan, ...]]
Algs = Mapping[str, Alg]


def read_profile(item: Item | None, algs: Algs) -> Algs:
    """The ALGs, each on or off by default as the profile has it."""
    if item is None or item.choice(PROFILES) == PROFILES[0]:
        return algs
    return {name: replace(alg, is_on=alg.is_on_by_rfc) for name, alg in algs.items()}


def predefined(algs: Algs) -> Services:
    """The services that exist without configuration: one for each ALG, with the ALG's name."""
    return {
        name: tuple(PortSpan(proto, port, port) for proto, port in alg.services)
        for name, alg in algs.items()
    }


def read_services(section: Item | None, algs: Algs, common: Services | None = None) -> Services:
    """All services by name: the predefined ones, and those of the operator.

    `common` are those of all organisations, to which the section of one adds its own.
    """
    services = predefined(algs) if common is None else dict(common)
    for name, item in section.entries().items() if section else ():
        if name in algs:
            raise item.error(f"service '{name}' is predefined: choose another name")
        if name in services:
            raise item.error(f"service '{name}' is one of all organisations: choose another name")
        if len(services) >= MAX_SERVICES:
            raise item.error(f"more than {MAX_SERVICES} services")
        services[name] = tuple(_range(entry) for entry in item.sequence())
        if not services[name]:
            raise item.error(f"service '{name}' has no ports")
    return services


def _range(item: Item) -> PortSpan:
    found = _RANGE.fullmatch(item.text())
    if found is None:
        raise item.error(f"'{item.value}' is not PROTOCOL/PORT or PROTOCOL/FIRST-LAST (tcp, udp)")
    first = int(found[2])
    last = int(found[3] or first)
    if not 1 <= first <= last <= 65535:
        raise item.error(f"'{item.value}': ports are 1..65535, the first not above the last")
    return PortSpan(NUMBERS[found[1]], first, last)


def read_algs(
    section: Item | None, services: Services, algs: Algs, common: Item | None = None
) -> tuple[AlgSettings, ...]:
    """The settings of all ALGs. One that is not mentioned has the defaults of its descriptor.

    `common` is the section for all organisations. It says how an ALG is that the section of one
    organisation does not mention.
    """
    entries = common.mapping(optional=algs) if common else {}
    entries |= section.mapping(optional=algs) if section else {}
    reader, where = _Claims(services), section or common
    return tuple(
        gather(partial(reader.read, alg, where, entries.get(name)) for name, alg in algs.items())
    )


class _Claims:
    """Reads ALGs one after the other, and refuses a port that two of them claim."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._claims: list[tuple[str, str, PortSpan]] = []

    def read(self, alg: Alg, section: Item | None, entry: Item | None) -> AlgSettings:
        options = {option.name: option for option in alg.options}
        keys = entry.mapping(optional=(*RESERVED_OPTIONS, *options)) if entry else {}
        enabled = keys["enabled"].boolean() if "enabled" in keys else alg.is_on
        chosen = self._chosen(alg, keys["services"]) if "services" in keys else {}
        names = tuple(chosen) if "services" in keys else (alg.name,)
        for service in names:
            self._claim(alg, service, chosen.get(service, section))
        self._claims += [(alg.name, s, ports) for s in names for ports in self._services[s]]
        values = {name: _value(keys[name], options[name]) for name in keys if name in options}
        return AlgSettings(alg, enabled, names, values)

    def _chosen(self, alg: Alg, item: Item) -> dict[str, Item]:
        named = item.sequence()
        chosen = {entry.text(): entry for entry in named}
        if len(chosen) < len(named):
            raise item.error(f"'{alg.name}' names a service twice")
        for service, entry in chosen.items():
            if service not in self._services:
                known = ", ".join(self._services)
                raise entry.error(f"no service '{service}' (known: {known})")
        return chosen

    def _claim(self, alg: Alg, service: str, where: Item | None) -> None:
        for ports in self._services[service]:
            for other, other_service, taken in self._claims:
                if where is not None and ports.overlaps(taken):
                    raise where.error(
                        f"'{alg.name}' (service '{service}') and '{other}' (service "
                        f"'{other_service}') both claim {ports}"
                    )


def _value(item: Item, option: Option) -> Value:
    """The value of an option. It must have the type and be within the bounds of the option."""
    if isinstance(option.default, bool):
        return item.boolean()
    if isinstance(option.default, str):
        return item.choice(option.choices)
    if isinstance(option.default, float):
        return item.number(option.low, option.high)
    return item.integer(int(option.low), int(option.high))
