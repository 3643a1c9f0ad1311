"""Reads what concerns all organisations together: their names, numbers, shares and addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from p4alg.config.source import Item
from p4alg.engine.defaults import DEFAULT_ORGANISATION
from p4alg.engine.settings import Prefix, Zone
from p4alg.engine.tables import Side

MAX_ORGANISATIONS = 255
"""The switch has their numbers in 8 bits."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_LEAST, _WHOLE = 0.1, 100.0

Claims = Sequence[tuple[Item, Prefix]]
"""Outside addresses, each with where they are configured."""


def read_names(section: Item | None) -> dict[str, int]:
    """The number of each organisation, by its name; empty without the section.

    The one called `default` has number 0, as if it were the only one. The others are numbered in
    the order of the file.
    """
    numbers: dict[str, int] = {}
    entries = {} if section is None else section.entries()
    if section is not None and not entries:
        raise section.error("at least one organisation is needed")
    if section is not None and len(entries) > MAX_ORGANISATIONS:
        raise section.error(f"more than {MAX_ORGANISATIONS} organisations")
    for name, item in entries.items():
        if not _NAME.fullmatch(name):
            raise item.error(
                f"'{name}' is no name: a lower-case letter, and up to 31 of a-z, 0-9 and '-'"
            )
        is_default = name == DEFAULT_ORGANISATION
        numbers[name] = 0 if is_default else 1 + len(numbers) - (DEFAULT_ORGANISATION in numbers)
    return numbers


def read_shares(section: Item) -> dict[str, float]:
    """The part of what is shared that each organisation may use, above 0 and at most 1.

    Those that say nothing share equally what the others leave.
    """
    given: dict[str, float] = {}
    entries = section.entries()
    for name, item in entries.items():
        if "share" in item.entries():
            given[name] = item.entries()["share"].number(_LEAST, _WHOLE)
    total, others = sum(given.values()), len(entries) - len(given)
    if total > _WHOLE:
        raise section.error(f"the shares of the organisations add up to {total:g} percent")
    rest = (_WHOLE - total) / others if others else 0.0
    if others and rest < _LEAST:
        silent = next(name for name in entries if name not in given)
        raise entries[silent].error(f"the other shares leave nothing for '{silent}'")
    return {name: given.get(name, rest) / _WHOLE for name in entries}


def check_zones(section: Item, names: Mapping[str, int], zones: Sequence[Zone]) -> None:
    """Refuse an organisation that has no inside zone."""
    used = {zone.organisation for zone in zones if zone.side is Side.INSIDE}
    for name, item in section.entries().items():
        if names[name] not in used:
            raise item.error(f"organisation '{name}' has no inside zone")


@dataclass(slots=True)
class OutsideAddresses:
    """The outside addresses of the organisations that were read so far."""

    claimed: list[tuple[str, Prefix]]

    def claim(self, name: str, claims: Claims) -> None:
        """Note those of one more organisation; none of them may be another's already."""
        for item, prefix in claims:
            for other, taken in self.claimed:
                if prefix.addr in taken or taken.addr in prefix:
                    raise item.error(
                        f"{prefix} overlaps {taken}, which is of organisation '{other}'"
                    )
        self.claimed += [(name, prefix) for _, prefix in claims]
