"""Reads the `policy` section: a list of rules, of which the first that matches decides."""

from __future__ import annotations

import re
from functools import partial

from p4alg.config.errors import gather
from p4alg.config.source import Item
from p4alg.config.zones import SIDES, prefix
from p4alg.engine.settings import Rule
from p4alg.engine.tables import PolicyAction
from p4alg.protocols import NUMBERS, PORTED, TCP, UDP

MAX_RULES = 500
NAMED = ("icmp", *PORTED)
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def read_rules(item: Item | None) -> tuple[Rule, ...]:
    """The operator's rules in order."""
    entries = item.sequence() if item else []
    if item and len(entries) > MAX_RULES:
        raise item.error(f"more than {MAX_RULES} rules")
    return tuple(gather(partial(_rule, entry) for entry in entries))


def read_ports(item: Item) -> tuple[int, int]:
    """A port or a range FIRST-LAST, both ends included."""
    if not isinstance(item.value, str | int):
        raise item.error("expected PORT or FIRST-LAST")
    found = _PORTS.fullmatch(str(item.value))
    first = int(found[1]) if found else 0
    last = int(found[2] or first) if found else 0
    if found is None or not 1 <= first <= last <= 65535:
        raise item.error(f"'{item.value}' is not PORT or FIRST-LAST in 1..65535")
    return first, last


def _rule(item: Item) -> Rule:
    keys = item.mapping(
        required=("action",),
        optional=("from", "protocol", "source", "destination", "ports"),
    )
    proto = _protocol(keys["protocol"]) if "protocol" in keys else None
    if "ports" in keys and proto not in (TCP, UDP):
        raise keys["ports"].error("ports need protocol tcp or udp")
    return Rule(
        PolicyAction(keys["action"].choice(action.value for action in PolicyAction)),
        SIDES[keys["from"].choice(SIDES)] if "from" in keys else None,
        proto,
        prefix(keys["source"].network()) if "source" in keys else None,
        prefix(keys["destination"].network()) if "destination" in keys else None,
        read_ports(keys["ports"]) if "ports" in keys else None,
    )


def _protocol(item: Item) -> int:
    if isinstance(item.value, str):
        return NUMBERS[item.choice(NAMED)]
    return item.integer(0, 255)
