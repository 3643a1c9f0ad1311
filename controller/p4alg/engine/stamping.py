"""The organisation in entries of the switch: the only place that writes it into them.

An engine serves one organisation and knows nothing of others: in its entries the number is 0.
`stamped` puts in the right one on the way to the switch, and `unstamped` takes it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from p4alg.engine import tables as t
from p4alg.engine.settings import Settings

Stamp = Callable[[t.Entry], t.Entry]

_FLOWS = (t.Session, t.Sequence)
_NUMBERED = (
    *(t.Subscriber, t.Block, t.MapOut, t.MapIn, t.IkeIn, t.AddrMapOut, t.AddrMapIn),
    *(t.PeerEntry, t.PinholeEntry, t.Service, t.Route),
)


def stamp_of(settings: Settings) -> Stamp:
    """What an entry of this organisation's engine is written as.

    The entries of the only organisation are written as they are.
    """
    if settings.is_only:
        return _as_it_is
    return lambda entry: stamped(entry, settings.organisation)


def stamped(entry: t.Entry, organisation: int) -> t.Entry:
    """An entry as one of this organisation. One of a table without organisations stays as it is."""
    if isinstance(entry, _FLOWS):
        return replace(entry, flow=entry.flow._replace(organisation=organisation))
    if isinstance(entry, _NUMBERED):
        # The type checker does not know that all these have the field.
        changed: t.Entry = replace(cast("Any", entry), organisation=organisation)
        return changed
    return entry


def unstamped(entry: t.Entry) -> t.Entry:
    """An entry as the engine of its organisation knows it."""
    if isinstance(entry, t.Service):
        return replace(entry, organisation=None)
    return stamped(entry, 0) if organisation_of(entry) else entry


def organisation_of(entry: t.Entry) -> int | None:
    """Whose an entry is; None if it is nobody's in particular."""
    if isinstance(entry, _FLOWS):
        return entry.flow.organisation
    if isinstance(entry, _NUMBERED):
        return entry.organisation
    return None


def _as_it_is(entry: t.Entry) -> t.Entry:
    return entry
