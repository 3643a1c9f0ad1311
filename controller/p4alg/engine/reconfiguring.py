"""Changes the settings of a running controller: writes only what differs, and ends nothing else.

Which settings may differ is decided by whoever reads them (`p4alg.config.difference`). The change
is made as a whole or not at all: if a part raises, everything is as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from p4alg.engine import tables as t
from p4alg.engine.commons import Commons
from p4alg.engine.layout import common_entries
from p4alg.engine.reconcile import reconcile
from p4alg.engine.settings import Settings
from p4alg.engine.stamping import stamp_of
from p4alg.engine.switching import SetUpWritten
from p4alg.engine.tables import Op, Update


class Part(Protocol):
    """The engine of an organisation, as a change of settings needs it."""

    settings: Settings

    def configure(self, settings: Settings) -> None:
        """Have these settings from now on. Entries and sessions stay as they are."""
        ...

    def prepare(self, before: Settings, now: float) -> None:
        """Change what the entries of the settings are made of besides the settings."""
        ...

    def wanted(self) -> list[t.Entry]:
        """The entries that follow from the settings alone, unstamped."""
        ...

    def carry_over(self, before: Settings, now: float) -> None:
        """End what the settings do not allow any more; it had those of `before` until now."""
        ...


def reconfigure(
    parts: Sequence[Part], commons: Commons, organisations: Sequence[Settings], now: float
) -> None:
    """Give each of `parts` the settings with its number, and put what follows into the outbox.

    Raises what a part raises, after everything was undone.
    """
    before, common = [part.settings for part in parts], commons.organisations
    after = {settings.organisation: settings for settings in organisations}
    present = _wanted(parts, commons)
    try:
        commons.configure(organisations)
        for part in parts:
            part.configure(after[part.settings.organisation])
        for part, old in zip(parts, before, strict=True):
            part.prepare(old, now)
        updates = _without_gap(reconcile(_wanted(parts, commons), present), present)
        commons.outbox.write_all(updates, SetUpWritten(commons.outbox, commons.counters))
        for part, old in zip(parts, before, strict=True):
            part.carry_over(old, now)
    except Exception:
        commons.log.roll_back()
        commons.outbox.roll_back()
        commons.configure(common)
        for part, old in zip(parts, before, strict=True):
            part.configure(old)
        raise


def _without_gap(updates: Sequence[Update], present: Sequence[t.Entry]) -> list[Update]:
    """The updates with new rules of `policy` first, if the table has room for both.

    One rule more moves those below it to other priorities. None of them may be missing in
    between, or what they deny would pass.
    """
    first: list[Update] = []
    others: list[Update] = []
    for update in updates:
        is_rule = update.op is Op.INSERT and isinstance(update.entry, t.Policy)
        (first if is_rule else others).append(update)
    held = sum(1 for entry in present if isinstance(entry, t.Policy))
    has_room = held + len(first) <= t.Policy.declaration.size
    return [*first, *others] if has_room else list(updates)


def _wanted(parts: Sequence[Part], commons: Commons) -> list[t.Entry]:
    found = list(common_entries(commons.organisations))
    for part in parts:
        stamp = stamp_of(part.settings)
        found += [stamp(entry) for entry in part.wanted()]
    return found
