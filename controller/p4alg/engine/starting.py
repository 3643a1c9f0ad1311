"""The start of the controller: takes over the switch as it is, and writes what has to be different.

Each organisation takes over what is its own. Entries of organisations that are not configured any
more are deleted, but the numbers of their subscribers rest: cells with them may be alive.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

from p4alg.engine import tables as t
from p4alg.engine.actions import Subsystem
from p4alg.engine.commons import Commons
from p4alg.engine.layout import common_entries
from p4alg.engine.reconcile import reconcile
from p4alg.engine.secret import secret
from p4alg.engine.settings import Settings
from p4alg.engine.stamping import organisation_of, stamp_of, unstamped
from p4alg.engine.switching import SetUpWritten


class Part(Protocol):
    """The engine of an organisation, as the start needs it. The methods are called in order."""

    settings: Settings

    def take_hosts(self, present: Sequence[t.Entry], now: float) -> None:
        """Take over the hosts among entries, which are the organisation's."""
        ...

    def take_over(self, present: Sequence[t.Entry], now: float) -> list[t.Entry]:
        """Take over the rest; returns all entries that the organisation wants, unstamped."""
        ...

    def describe_adopted(self) -> str:
        """What was taken over, in a few words; empty if nothing was."""
        ...


def start(parts: Iterable[Part], commons: Commons, present: Sequence[t.Entry], now: float) -> None:
    """Put into the outbox what makes the entries `present` those that are wanted."""
    parts = list(parts)
    dealt: dict[int, list[t.Entry]] = defaultdict(list)
    for entry in present:
        whose = organisation_of(entry)
        if whose is not None:
            dealt[whose].append(unstamped(entry))
    wanted = [*common_entries(commons.organisations), *secret(present, commons.rng)]
    wanted += commons.neighbours.adopt(present, now)
    # The hosts of all come first, also of those that are gone: they bring the numbers that they
    # have, and none of these may be given to somebody else.
    for part in parts:
        part.take_hosts(dealt[part.settings.organisation], now)
    known = {part.settings.organisation for part in parts}
    for whose, entries in dealt.items():
        for entry in entries if whose not in known else ():
            if isinstance(entry, t.Subscriber) and commons.numbers.adopt(entry.subscriber, now):
                commons.numbers.release(entry.subscriber, now)
    for part in parts:
        stamp = stamp_of(part.settings)
        mine = part.take_over(dealt[part.settings.organisation], now)
        wanted += [stamp(entry) for entry in mine]
        adopted = part.describe_adopted()
        if adopted:
            commons.outbox.of(part.settings).log(
                logging.INFO, f"adopted {adopted}", Subsystem.SWITCH
            )
    updates = reconcile(wanted, present)
    commons.outbox.write_all(updates, SetUpWritten(commons.outbox, commons.counters))
