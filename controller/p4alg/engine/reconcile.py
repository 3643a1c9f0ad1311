"""What to write so that a switch holds just the entries wanted of it."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from p4alg.engine import tables as t
from p4alg.engine.tables import Entry, Op, Update

_KEYS: dict[type[Any], attrgetter[Any]] = {
    t.Port: attrgetter("port", "vlan_id"),
    t.Local: attrgetter("addr"),
    t.PoolPrefix: attrgetter("addr", "prefix_len"),
    t.Policy: attrgetter("priority", "side", "proto", "src_addr", "dst_addr", "dst_id"),
    t.MapOut: attrgetter("proto", "inside_addr", "inside_id"),
    t.MapIn: attrgetter("proto", "outside_addr", "outside_id"),
    t.IkeIn: attrgetter("outside_addr", "initiator_spi"),
    t.AddrMapOut: attrgetter("inside_addr"),
    t.AddrMapIn: attrgetter("outside_addr"),
    t.PeerEntry: attrgetter("proto", "inside_addr", "inside_id", "remote_addr"),
    t.Session: attrgetter("flow"),
    t.PinholeEntry: attrgetter(
        "priority", "proto", "inside_addr", "inside_id", "remote_addr", "remote_id"
    ),
    t.Sequence: attrgetter("flow"),
    t.Fragment: attrgetter("src_addr", "dst_addr", "proto", "ident"),
    t.Service: attrgetter("priority", "proto", "server_id"),
    t.Route: attrgetter("addr", "prefix_len"),
    t.NextHop: attrgetter("next_hop"),
}


def entry_key(entry: Entry) -> tuple[object, ...]:
    """What makes two entries the same entry of the switch."""
    return (type(entry), _KEYS[type(entry)](entry))


def reconcile(wanted: Iterable[Entry], present: Iterable[Entry]) -> list[Update]:
    """Updates that turn `present` into `wanted`: deletes, then changes, then inserts.

    Deletes come first, so that a table that is full has room for the new.
    """
    have = {entry_key(entry): entry for entry in present}
    want = {entry_key(entry): entry for entry in wanted}
    deletes = [Update(Op.DELETE, entry) for key, entry in have.items() if key not in want]
    modifies = [
        Update(Op.MODIFY, entry)
        for key, entry in want.items()
        if key in have and have[key] != entry
    ]
    inserts = [Update(Op.INSERT, entry) for key, entry in want.items() if key not in have]
    return [*deletes, *modifies, *inserts]
