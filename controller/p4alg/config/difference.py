"""Says what changes from one configuration to another, and what of it needs a restart.

A pure function of both. What can be changed while the controller runs is named here and nowhere
else; the engine's `configure` makes it so. Everything that is not named needs a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from p4alg.config.loader import Config
from p4alg.engine.layout import own_outside
from p4alg.engine.settings import AlgSettings, Limits, Settings, Timers
from p4alg.engine.statics import apart, shown

_OF_SWITCH = ("flows_per_second", "punts_per_source")
"""Limits that are meters of the switch, which are set when the controller connects to it."""
_LISTED = 20
"""The most static mappings that are listed one by one."""
_LONG = ("tcp_established", "tcp_transitory", "udp", "udp_dns", "icmp")
"""The timers of plain flows, the longest of which is also how long hosts keep their blocks."""
_KEYS = {
    "zones": "zones",
    "pools": "nat.pools",
    "routes": "routes",
    "address_forwards": "nat.static",
    "filter_mode": "nat.filter",
    "blocks": "nat.blocks",
    "share": "share",
}
"""The fields of settings that need a restart, with their keys in the file."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that changes: a line for people, and whether it waits for a restart."""

    text: str
    needs_restart: bool = False

    def __str__(self) -> str:
        return f"{self.text} (needs a restart)" if self.needs_restart else self.text


def difference(old: Config, new: Config) -> tuple[Effect, ...]:
    """What has to change to get from `old` to `new`; empty if they mean the same."""
    found = [
        Effect(f"{name}: changed", needs_restart=True)
        for name in ("switch", "control")
        if getattr(old, name) != getattr(new, name)
    ]
    if (old.log.format, old.log.syslog) != (new.log.format, new.log.syslog):
        found.append(Effect("log: changed", needs_restart=True))
    if (old.log.level, old.log.levels) != (new.log.level, new.log.levels):
        found.append(Effect("log: levels changed"))
    before = {settings.name: settings for settings in old.organisations}
    after = {settings.name: settings for settings in new.organisations}
    if _names(before) != _names(after):
        found.append(Effect(_names_changed(before, after), needs_restart=True))
    for name in before:
        if name in after:
            of = "" if after[name].is_only else f"{name}: "
            changes = _of_one(before[name], after[name])
            found += [replace(effect, text=f"{of}{effect.text}") for effect in changes]
    return tuple(dict.fromkeys(found))


def _names(organisations: Mapping[str, Settings]) -> list[tuple[str, int, bool]]:
    return [(s.name, s.organisation, s.is_only) for s in organisations.values()]


def _names_changed(before: Mapping[str, Settings], after: Mapping[str, Settings]) -> str:
    new = [name for name in after if name not in before]
    gone = [name for name in before if name not in after]
    parts = [f"{name} is new" for name in new] + [f"{name} is gone" for name in gone]
    return f"organisations: {', '.join(parts) or 'their numbers change'}"


def _of_one(old: Settings, new: Settings) -> Iterator[Effect]:
    keys = dict.fromkeys(
        key for name, key in _KEYS.items() if getattr(old, name) != getattr(new, name)
    )
    for key in keys:
        yield Effect(f"{key}: changed", needs_restart=True)
    yield from _statics(old, new)
    yield from _timers(old.timers, new.timers)
    yield from _limits(old.limits, new.limits)
    if old.rules != new.rules:
        counts = f"{len(old.rules)} -> {len(new.rules)} rules"
        yield Effect(f"policy and exempt: {counts}, for every packet from now on")
    if old.denied_ports != new.denied_ports:
        counts = f"{len(old.denied_ports)} -> {len(new.denied_ports)} ports"
        yield Effect(f"denied_ports: {counts}, for what is announced from now on")
    if old.refuse is not new.refuse:
        words = f"{old.refuse.value} -> {new.refuse.value}"
        yield Effect(f"refuse: {words}, for new control sessions")
    yield from _services(old.services, new.services)
    before = {alg.name: alg for alg in old.algs}
    for alg in new.algs:
        yield from _alg(before.get(alg.name), alg)


def _statics(old: Settings, new: Settings) -> Iterator[Effect]:
    """Mappings of endpoints, of which the outside address is ours with or without them."""
    gone, added = apart(old, new)
    waits = {*own_outside(old)} != {*own_outside(new)} or bool(new.blocks.inside)
    for forwards, word in ((gone, "taken away"), (added, "added")):
        if len(forwards) > _LISTED:
            yield Effect(f"nat.static: {len(forwards)} mappings {word}", waits)
        else:
            for forward in forwards:
                yield Effect(f"nat.static: {shown(forward)} {word}", waits)


def _timers(old: Timers, new: Timers) -> Iterator[Effect]:
    # Blocks, and the numbers of hosts, rest for as long as any flow may live: the entries of all
    # hosts have that time. A change of it would have to wait for that time itself.
    is_long = old.longest != new.longest
    for name in (field.name for field in fields(Timers)):
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            waits = name == "port_rest" or (is_long and name in _LONG)
            yield Effect(f"timers.{name}: {was:g} -> {now:g} s, from the next packet on", waits)


def _limits(old: Limits, new: Limits) -> Iterator[Effect]:
    for name in (field.name for field in fields(Limits)):
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            yield Effect(f"limits.{name}: {was:g} -> {now:g}", name in _OF_SWITCH)


def _services(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Effect]:
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            was, now = _listed(old.get(name, ())), _listed(new.get(name, ()))
            yield Effect(f"service {name}: {was} -> {now}")


def _alg(old: AlgSettings | None, new: AlgSettings) -> Iterator[Effect]:
    if old is None:
        yield Effect(f"ALG {new.name}: installed since the controller started", needs_restart=True)
        return
    if old.enabled != new.enabled:
        word = "on for new control sessions"
        if old.enabled:
            word = "off; its control sessions go on as plain NAT"
        yield Effect(f"ALG {new.name}: {word}")
    if old.services != new.services:
        words = f"{_listed(old.services)} -> {_listed(new.services)}"
        yield Effect(f"ALG {new.name}: services {words}; connections that it reads stay with it")
    for option, value in new.all_options.items():
        was = old.all_options[option]
        if was != value:
            # What its sessions have in common is made of the options. To make it anew would
            # make the ALG forget its calls.
            waits = new.alg.has_shared and old.enabled and new.enabled
            words = f"{_word(was)} -> {_word(value)}"
            yield Effect(f"ALG {new.name}: {option} {words}, for new control sessions", waits)


def _listed(things: Iterable[object]) -> str:
    return ", ".join(map(str, things)) or "none"


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
