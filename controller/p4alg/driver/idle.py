"""Finds idle entries by their packet counters, for a switch that does not report them itself.

Pure. Who reads the counters tells what was written and what was counted, each with the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from p4alg.engine import events as ev
from p4alg.engine.reconcile import EntryKey, entry_key
from p4alg.engine.tables import Block, Entry, Op, PinholeEntry, Session, Subscriber, Update


@dataclass(slots=True)
class _Watched:
    """An entry that ages. Times in seconds."""

    entry: Entry
    timeout: float
    counted: int | None
    """Its packets when they were read last; None if they never were."""
    used: float
    """The latest moment at which it may have been used."""


class IdleWatch:
    """The entries of a switch that age, and since when none of their packets was seen.

    A packet counts as if it had come when its counter was read, so that an entry is never found
    idle too early, and too late by at most the time between two readings.
    """

    def __init__(self) -> None:
        self._watched: dict[EntryKey, _Watched] = {}

    @property
    def kinds(self) -> set[type[Entry]]:
        """The tables that have entries which age."""
        return {kind for kind, _ in self._watched}

    def wrote(self, update: Update, now: float) -> None:
        """The switch has made an update.

        An entry with another timeout than before begins to age anew, as P4Runtime has it.
        """
        entry = update.entry
        path = entry.declaration.idle_timeout
        if not path:
            return
        key, timeout = entry_key(entry), float(getattr(entry, path))
        if update.op is Op.DELETE or not timeout:
            self._watched.pop(key, None)
            return
        known = self._watched.get(key)
        if known is None or update.op is Op.INSERT:
            counted = 0 if update.op is Op.INSERT else None
            self._watched[key] = _Watched(entry, timeout, counted, now)
            return
        if timeout != known.timeout:
            known.timeout, known.used = timeout, now
        known.entry = entry

    def read(self, packets: Mapping[EntryKey, int], now: float) -> list[ev.Event]:
        """Which entries are idle `now`, when so many packets are counted for each.

        An entry is told again and again until it is deleted. One that was not counted is left
        alone: it was written after the reading began.
        """
        found = []
        for key, watched in self._watched.items():
            counted = packets.get(key)
            if counted is None:
                continue
            if counted != watched.counted:
                # The first reading of an entry that was there before says nothing of when.
                if watched.counted is not None:
                    watched.used = now
                watched.counted = counted
            if now - watched.used >= watched.timeout:
                found.append(_notice(watched.entry))
        return found


def _notice(entry: Entry) -> ev.Event:
    """What a switch would report of an idle entry."""
    match entry:
        case Session():
            return ev.SessionIdle(entry.flow)
        case PinholeEntry():
            return ev.PinholeIdle(entry.pinhole_id, entry.organisation or 0)
        case Subscriber():
            return ev.SubscriberIdle(entry.inside_addr, entry.organisation)
        case Block():
            return ev.BlockIdle(entry.outside_addr, entry.outside_id)
    raise TypeError(f"{type(entry).__name__}: entries of this table do not age")
