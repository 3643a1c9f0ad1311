"""Computes the writes that bring the switch from the entries it has to those it should have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from p4alg.engine.tables import Entry, Op, Update

EntryKey = tuple[type[Entry], Any]
"""The class of the table, and the values of the key fields (see `Declaration.key`)."""


def entry_key(entry: Entry) -> EntryKey:
    """The key of an entry. Two entries with equal keys are the same entry of the switch."""
    return (type(entry), entry.declaration.key(entry))


def reconcile(wanted: Iterable[Entry], present: Iterable[Entry]) -> list[Update]:
    """Updates that turn `present` into `wanted`: deletes, then changes, then inserts.

    Deletes come first, so that a full table has room for the inserts. Default entries exist
    always, so that they are never deleted or inserted.
    """
    have = {entry_key(entry): entry for entry in present}
    want = {entry_key(entry): entry for entry in wanted}
    deletes = [
        Update(Op.DELETE, entry)
        for key, entry in have.items()
        if key not in want and not entry.declaration.is_default
    ]
    modifies = [
        Update(Op.MODIFY, entry)
        for key, entry in want.items()
        if (key in have or entry.declaration.is_default) and have.get(key) != entry
    ]
    inserts = [
        Update(Op.INSERT, entry)
        for key, entry in want.items()
        if key not in have and not entry.declaration.is_default
    ]
    return [*deletes, *modifies, *inserts]
