"""Reads the sections `timers` and `limits`; their keys are the fields of those settings."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial

from p4alg import p4constants
from p4alg.config.errors import gather
from p4alg.config.source import Item
from p4alg.engine.settings import Limits, Timers

_LONGEST = 7 * 86400.0
_MOST_PER_SECOND = 1_000_000
_CEILINGS = {
    # The sizes of the tables of the P4 program.
    "bindings": p4constants.SIZE_MAPPING,
    "bindings_per_subscriber": p4constants.SIZE_MAPPING,
    "sessions": p4constants.SIZE_SESSION,
    "sessions_per_subscriber": p4constants.SIZE_SESSION,
    "subscribers": min(p4constants.SIZE_SUBSCRIBER, p4constants.SIZE_BLOCK),
    "flows_per_second": _MOST_PER_SECOND,
    "punts_per_source": _MOST_PER_SECOND,
    "pinholes": p4constants.SIZE_PINHOLE,
    "pinholes_per_subscriber": p4constants.SIZE_PINHOLE,
    "pinholes_per_control": p4constants.SIZE_PINHOLE,
    "controls": p4constants.SIZE_SEQUENCE,
    "controls_per_subscriber": p4constants.SIZE_SEQUENCE,
    "control_bytes": 1 << 32,
    "grants_per_message": p4constants.SIZE_PINHOLE,
    "message": 65536,
    "stream": 1 << 20,
}
_LIFETIMES = {"pinhole_lifetime": 3600.0, "pinhole_longest": _LONGEST}
_TOTALS = ("bindings", "sessions", "pinholes", "controls")
_SHARED = (*_TOTALS, "subscribers", "control_bytes")
"""What organisations share: each has its part of them."""
_OF_SWITCH = ("flows_per_second", "punts_per_source")
"""What the switch has one meter for, whatever the organisation."""


def timer_bounds(name: str) -> tuple[float, float]:
    """The least and the most of a timer, in seconds."""
    return (0.0 if name == "port_rest" else 1.0), _LONGEST


def limit_bounds(name: str) -> tuple[float, float]:
    """The least and the most of a limit."""
    return 1, _LIFETIMES.get(name) or _CEILINGS[name]


def read_timers(item: Item | None) -> Timers:
    """The timers, in seconds."""
    names = [field.name for field in fields(Timers)]
    keys = item.mapping(optional=names) if item else {}
    values = gather(partial(entry.number, *timer_bounds(name)) for name, entry in keys.items())
    return replace(Timers(), **dict(zip(keys, values, strict=True)))


def part_of(limits: Limits, share: float) -> Limits:
    """The limits of an organisation that has this share (0..1) of what all have together."""
    wholes = {name: max(1, int(getattr(limits, name) * share)) for name in _SHARED}
    of = {f"{name}_per_subscriber": wholes[name] for name in _TOTALS}
    of["pinholes_per_control"] = wholes["pinholes"]
    lowered = {name: min(most, getattr(limits, name)) for name, most in of.items()}
    return replace(limits, **wholes, **lowered)


def read_limits(item: Item | None, most: Limits | None = None) -> Limits:
    """The limits. One for a subscriber or a control session must not be above that for all.

    Those of one organisation must not be above `most`, which is its part of what is shared.
    """
    names = [field.name for field in fields(Limits)]
    keys = item.mapping(optional=names) if item else {}
    for name in _OF_SWITCH if most else ():
        if name in keys:
            raise keys[name].error(f"{name} is one for all organisations: limits.{name}")
    lifetimes = {
        name: keys[name].number(1.0, most) for name, most in _LIFETIMES.items() if name in keys
    }
    default = most or Limits()
    limits = replace(
        default,
        pinhole_lifetime=lifetimes.get("pinhole_lifetime", default.pinhole_lifetime),
        pinhole_longest=lifetimes.get("pinhole_longest", default.pinhole_longest),
    )
    ceilings = _CEILINGS | ({name: getattr(most, name) for name in _SHARED} if most else {})
    if limits.pinhole_lifetime > limits.pinhole_longest:
        raise keys[next(iter(lifetimes))].error(
            f"pinhole_lifetime is above pinhole_longest ({limits.pinhole_longest:g})"
        )
    counts = {
        name: _within(entry, name, ceilings[name], is_share=most is not None and name in _SHARED)
        for name, entry in keys.items()
        if name not in _LIFETIMES
    }
    for total in _TOTALS:
        share = f"{total}_per_subscriber"
        whole = counts.get(total, getattr(limits, total))
        if share in counts and counts[share] > whole:
            raise keys[share].error(f"{share} is above {total} ({whole})")
        # If only the total is configured and is below the default share, the share is lowered.
        counts.setdefault(share, min(whole, getattr(limits, share)))
    whole = counts.get("pinholes", limits.pinholes)
    if counts.setdefault("pinholes_per_control", min(whole, limits.pinholes_per_control)) > whole:
        raise keys["pinholes_per_control"].error(
            f"pinholes_per_control is above pinholes ({whole})"
        )
    return replace(limits, **counts)


def _within(item: Item, name: str, most: int, *, is_share: bool) -> int:
    """A number that is not above the size of a table, or above an organisation's share of it."""
    value = item.integer(1, _CEILINGS[name])
    if is_share and value > most:
        raise item.error(f"{name} is above the organisation's share of all ({most})")
    return value
