"""The `services` and `algs` sections: which ALG is active on which ports."""

from __future__ import annotations

import re

from p4alg.config.schema import ALGS, PREDEFINED, Alg, PortRange
from p4alg.config.source import Item

MAX_SERVICES = 64
_RANGE = re.compile(r"(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?")

Services = dict[str, tuple[PortRange, ...]]


def read_services(section: Item | None) -> Services:
    """All services by name: the predefined and the operator's own."""
    services: Services = dict(PREDEFINED)
    for name, item in section.entries().items() if section else ():
        if name in PREDEFINED:
            raise item.error(f"service '{name}' is predefined: choose another name")
        if len(services) >= MAX_SERVICES:
            raise item.error(f"more than {MAX_SERVICES} services")
        services[name] = tuple(_range(entry) for entry in item.sequence())
        if not services[name]:
            raise item.error(f"service '{name}' has no ports")
    return services


def _range(item: Item) -> PortRange:
    found = _RANGE.fullmatch(item.text())
    if found is None:
        raise item.error(f"'{item.value}' is not PROTOCOL/PORT or PROTOCOL/FIRST-LAST (tcp, udp)")
    first = int(found[2])
    last = int(found[3] or first)
    if not 1 <= first <= last <= 65535:
        raise item.error(f"'{item.value}': ports are 1..65535, the first not above the last")
    return PortRange(found[1], first, last)


def read_algs(section: Item | None, services: Services) -> tuple[Alg, ...]:
    """All ALGs, in the order of `ALGS`; those not mentioned are on, with their default service."""
    entries = section.mapping(optional=ALGS) if section else {}
    algs: list[Alg] = []
    claims: list[tuple[str, str, PortRange]] = []
    for name in ALGS:
        entry = entries.get(name)
        keys = entry.mapping(optional=("enabled", "services")) if entry else {}
        enabled = keys["enabled"].boolean() if "enabled" in keys else True
        named = keys["services"].sequence() if "services" in keys else []
        chosen = {item.text(): item for item in named}
        if len(chosen) < len(named):
            raise keys["services"].error(f"'{name}' names a service twice")
        for service, item in chosen.items():
            if service not in services:
                raise item.error(f"no service '{service}' (known: {', '.join(services)})")
        names = tuple(chosen) if "services" in keys else (name,)
        algs.append(Alg(name, enabled, names))
        for service in names:
            where = chosen.get(service, section)
            for ports in services[service]:
                for other, other_service, taken in claims:
                    if where is not None and ports.overlaps(taken):
                        raise where.error(
                            f"'{name}' (service '{service}') and '{other}' (service "
                            f"'{other_service}') both claim {ports}"
                        )
        claims += [(name, s, ports) for s in names for ports in services[s]]
    return tuple(algs)
