"""Which cells of the registers a selection can be about, so that no others have to be read.

A key names bits that a cell must have. Several keys stand for all cells that fit one of them. What
a key cannot say, such as a range of ports, is left to those who look at the rows: here too many
cells may be picked, and never too few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p4alg.daemon.selection import Place, Ports, Selection
from p4alg.driver.target import MAX_KEYS
from p4alg.engine.cells import PROTOCOLS, Key, session_key, slot_key
from p4alg.engine.plain import Known
from p4alg.engine.settings import Prefix
from p4alg.protocols import NUMBERS


@dataclass(frozen=True, slots=True)
class Picks:
    """What is to be read: the sessions that fit a key of these, and slots."""

    sessions: tuple[Key, ...]
    slots: tuple[Key, ...] | None
    """None: the slots of the sessions that are read, of whatever else they are."""


NOTHING = Picks((), ())
"""The picks of a selection that no plain flow fits."""


def picks(what: str, selection: Selection, known: Known, everyone: Known) -> Picks | None:
    """What has to be read for a view; None if that is everything.

    `known` are the hosts that are wanted, of `everyone` that is there.
    """
    if what not in ("sessions", "bindings"):
        return None
    words = selection.words
    if words.get("alg") or words.get("kind", "plain") != "plain" or not known.owners:
        return NOTHING
    hosts = list(known.owners) if len(known.owners) < len(everyone.owners) else None
    if what == "bindings":
        if hosts is None or len(hosts) > MAX_KEYS:
            return None
        return Picks(
            tuple(session_key(subscriber=host) for host in hosts), tuple(map(slot_key, hosts))
        )
    found: list[Key] = []
    for factor in _factors(selection, known, hosts):
        if factor is not None and len(factor) * max(1, len(found)) <= MAX_KEYS:
            found = [one & other for one in found for other in factor] if found else factor
            if not found:
                return NOTHING
    return Picks(tuple(found), None) if found else None


def _factors(selection: Selection, known: Known, hosts: list[int] | None) -> list[list[Key] | None]:
    """Keys of which a wanted session has to fit one, for each thing that is selected by.

    No two of these are about the same bits.
    """
    return [
        _protocol(selection.proto),
        *_ends(selection, hosts),
        _anywhere(selection, known, hosts),
    ]


def _protocol(proto: str | None) -> list[Key] | None:
    if proto is None:
        return None
    return [session_key(kind) for kind, number in PROTOCOLS.items() if NUMBERS.get(proto) == number]


def _ends(selection: Selection, hosts: Sequence[int] | None) -> list[list[Key] | None]:
    inside, remote = selection.inside, selection.remote
    inside_id = _single(inside.ports if inside else None)
    return [
        None if hosts is None else [session_key(subscriber=host) for host in hosts],
        None if inside_id is None else [session_key(inside_id=inside_id)],
        None if remote is None else [_at(remote)],
    ]


def _anywhere(selection: Selection, known: Known, hosts: Sequence[int] | None) -> list[Key] | None:
    """For an end anywhere: hosts there, or remote ends there, if it is no outside address."""
    place = selection.anywhere
    if place is None or hosts is not None or selection.inside or selection.remote:
        return None
    if known.has_outside(Prefix(place.network, place.mask.bit_count())):
        return None
    number = _single(place.ports)
    hosts_there = [
        session_key(subscriber=host, inside_id=number)
        for host, owner in known.owners.items()
        if owner.inside_addr & place.mask == place.network
    ]
    return [*hosts_there, _at(place)]


def _at(remote: Place) -> Key:
    return session_key(remote=(remote.network, remote.mask), remote_id=_single(remote.ports))


def _single(ports: Ports | None) -> int | None:
    """The port, if it is one that a cell can have."""
    if ports is None or ports.first != ports.last or ports.first > 0xFFFF:
        return None
    return ports.first
