"""The `services` and `algs` sections: which ALG is active on which ports."""

from __future__ import annotations

import re
from dataclasses import replace

from p4alg.alg.registry import ALGS
from p4alg.alg.sip.limits import Candidates, SipSettings
from p4alg.config.source import Item
from p4alg.engine.settings import AlgSettings, IkeSettings, PortSpan
from p4alg.protocols import NUMBERS, proto_name

MAX_SERVICES = 64
_OPTIONS = {
    "ike": ("keep_port", "require_ike"),
    "sip": ("inbound_from_anyone", "candidates"),
}
"""Keys of single ALGs, besides those that all have."""
_RANGE = re.compile(r"(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?")

Services = dict[str, tuple[PortSpan, ...]]


def predefined() -> Services:
    """Services that exist without being configured: each ALG's own, by its name."""
    return {
        name: tuple(PortSpan(proto, port, port) for proto, port in kind.default_ports)
        for name, kind in ALGS.items()
    }


def read_services(section: Item | None) -> Services:
    """All services by name: the predefined and the operator's own."""
    services = predefined()
    for name, item in section.entries().items() if section else ():
        if name in ALGS:
            raise item.error(f"service '{name}' is predefined: choose another name")
        if len(services) >= MAX_SERVICES:
            raise item.error(f"more than {MAX_SERVICES} services")
        services[name] = tuple(_range(entry) for entry in item.sequence())
        if not services[name]:
            raise item.error(f"service '{name}' has no ports")
    return services


def overlap(one: PortSpan, other: PortSpan) -> bool:
    """Whether some port is in both."""
    return one.proto == other.proto and one.first <= other.last and other.first <= one.last


def show(span: PortSpan) -> str:
    """A span as it is written in a file."""
    name = proto_name(span.proto)
    ports = str(span.first) if span.first == span.last else f"{span.first}-{span.last}"
    return f"{name}/{ports}"


def _range(item: Item) -> PortSpan:
    found = _RANGE.fullmatch(item.text())
    if found is None:
        raise item.error(f"'{item.value}' is not PROTOCOL/PORT or PROTOCOL/FIRST-LAST (tcp, udp)")
    first = int(found[2])
    last = int(found[3] or first)
    if not 1 <= first <= last <= 65535:
        raise item.error(f"'{item.value}': ports are 1..65535, the first not above the last")
    return PortSpan(NUMBERS[found[1]], first, last)


def read_algs(section: Item | None, services: Services) -> tuple[AlgSettings, ...]:
    """All ALGs; those not mentioned are on, with the service of their name."""
    entries = section.mapping(optional=ALGS) if section else {}
    algs: list[AlgSettings] = []
    claims: list[tuple[str, str, PortSpan]] = []
    for name in ALGS:
        entry = entries.get(name)
        more = _OPTIONS.get(name, ())
        keys = entry.mapping(optional=("enabled", "services", *more)) if entry else {}
        enabled = keys["enabled"].boolean() if "enabled" in keys else True
        named = keys["services"].sequence() if "services" in keys else []
        chosen = {item.text(): item for item in named}
        if len(chosen) < len(named):
            raise keys["services"].error(f"'{name}' names a service twice")
        for service, item in chosen.items():
            if service not in services:
                raise item.error(f"no service '{service}' (known: {', '.join(services)})")
        names = tuple(chosen) if "services" in keys else (name,)
        algs.append(AlgSettings(name, enabled, names))
        for service in names:
            where = chosen.get(service, section)
            for ports in services[service]:
                for other, other_service, taken in claims:
                    if where is not None and overlap(ports, taken):
                        raise where.error(
                            f"'{name}' (service '{service}') and '{other}' (service "
                            f"'{other_service}') both claim {show(ports)}"
                        )
        claims += [(name, s, ports) for s in names for ports in services[s]]
    return tuple(algs)


def read_ike(section: Item | None) -> IkeSettings:
    """What can be chosen of the ALG `ike`."""
    entry = section.entries().get("ike") if section else None
    chosen = (
        {key: item.boolean() for key, item in entry.entries().items() if key in _OPTIONS["ike"]}
        if entry
        else {}
    )
    return IkeSettings(**chosen)


def read_sip(section: Item | None) -> SipSettings:
    """What can be chosen of the ALG `sip`."""
    entry = section.entries().get("sip") if section else None
    keys = entry.entries() if entry else {}
    chosen = SipSettings()
    if "inbound_from_anyone" in keys:
        chosen = replace(chosen, inbound_from_anyone=keys["inbound_from_anyone"].boolean())
    if "candidates" in keys:
        named = keys["candidates"].choice(kind.value for kind in Candidates)
        chosen = replace(chosen, candidates=Candidates(named))
    return chosen
