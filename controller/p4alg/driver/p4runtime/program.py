"""How a program on a switch differs from the declarations of tables: read from its P4Info.

Programs for different architectures have the same tables, but not always as they are declared:

* P4Info names a table or an action longer if a shorter name would not be unique.
* An action of one table may have another name, if it has the same parameters and no other has.
* `next_hop` may have port and MTU only, with VLAN and MAC addresses in a table `neighbour`.
* A table `clock` without key may want to be told what time it is.
* It may know fewer subscribers.

Everything else of this package sees entries as they are declared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import finsy as fy
from finsy.p4schema import P4ActionRef, P4ActionScope, P4Table
from finsy.proto import p4r

from p4alg.driver.target import TargetError
from p4alg.engine.declaration import Declaration, declarations
from p4alg.engine.tables import NextHop, Subscriber

_NEIGHBOUR, _CLOCK = "neighbour", "clock"
_NEXT_HOP = NextHop.declaration.table
_FRAME = ("vlan_id", "src_mac", "dst_mac")
"""The parameters of `next_hop` that are in `neighbour`, where the program has that."""


class Joined(NamedTuple):
    """Entries as they are declared, and those of the switch that are half of one."""

    whole: list[fy.P4TableEntry]
    halves: list[fy.P4TableEntry]


class Program:
    """A program, by its P4Info.

    Raises `TargetError` if it lacks a declared table, or an action of one.
    """

    def __init__(self, schema: fy.P4Schema) -> None:
        self._schema = schema
        self._tables = {_last(table.name): table for table in schema.tables}
        self._declared = {table.alias: name for name, table in self._tables.items()}
        self._actions: dict[tuple[str, str], P4ActionRef] = {}
        self._names: dict[tuple[str, str], str] = {}
        for declared in declarations().values():
            for name in declared.actions:
                action = self._stands_for(declared, name)
                self._actions[declared.table, name] = action
                self._names[declared.table, action.alias] = name
        pairs = [
            *self._declared.items(),
            *((alias, own) for (_, alias), own in self._names.items()),
        ]
        self._renames = any(alias != own for alias, own in pairs)

    @property
    def has_neighbour(self) -> bool:
        """Whether VLAN and MAC addresses of next hops are in a table of their own."""
        return _NEIGHBOUR in self._tables

    @property
    def has_clock(self) -> bool:
        """Whether the controller has to tell the time."""
        return _CLOCK in self._tables

    @property
    def highest_number(self) -> int:
        """The highest number of a subscriber that actions have room for.

        A program that knows fewer says so by `@highest(NUMBER)` above its table `subscriber`.
        """
        params = [param for action in self._schema.actions for param in action.params]
        numbers = [(1 << p.bitwidth) - 1 for p in params if p.name == "subscriber"]
        said = self.table(Subscriber.declaration.table).annotations
        return min(*numbers, *(int(str(a.body)) for a in said if a.name == "highest" and a.body))

    def name_of(self, table: P4Table) -> str:
        """The name of a table as it is declared, or its own if it is not."""
        return self._declared[table.alias]

    def table(self, name: str) -> P4Table:
        """The declared table of this name."""
        found = self._tables.get(name)
        if found is None:
            raise TargetError(f"the program has no table '{name}': run the program of this p4alg")
        return found

    def action(self, table: str, name: str) -> P4ActionRef:
        """What stands for an action that is declared for a table."""
        return self._actions[table, name]

    def may_lack(self, table: str, parameter: str) -> bool:
        """Whether a parameter of a table is in another one."""
        return self.has_neighbour and table == _NEXT_HOP and parameter in _FRAME

    def _stands_for(self, declared: Declaration, name: str) -> P4ActionRef:
        table = self.table(declared.table)
        offered = [a for a in table.actions if a.scope is not P4ActionScope.DEFAULT_ONLY]
        names = [parameter.name for parameter in declared.actions[name]]
        wanted = {name for name in names if not self.may_lack(declared.table, name)}
        alike = [a for a in offered if {p.name for p in a.params} == wanted]
        named = [a for a in alike if _last(a.name) == name]
        found = named or alike
        if len(found) != 1:
            raise TargetError(
                f"table '{declared.table}' of the program has no action '{name}': "
                "run the program of this p4alg"
            )
        return found[0]

    # Entries of the switch

    def own(self, wire: fy.P4TableEntry) -> fy.P4TableEntry:
        """An entry that was read, with the names that are declared."""
        if not self._renames:
            return wire
        table = self._declared.get(wire.table_id, wire.table_id)
        action = wire.action
        if isinstance(action, fy.P4TableAction):
            name = self._names.get((table, action.name), action.name)
            action = fy.P4TableAction(name, **action.args)
        return replace(wire, table_id=table, action=action)

    def joined(self, wires: Iterable[fy.P4TableEntry]) -> Joined:
        """All entries of a switch, those of `neighbour` put together with their next hops.

        A controller that was killed may have left one of two.
        """
        if not self.has_neighbour:
            return Joined([self.own(wire) for wire in wires], [])
        whole: list[fy.P4TableEntry] = []
        hops: dict[int, fy.P4TableEntry] = {}
        neighbours: dict[int, fy.P4TableEntry] = {}
        for wire in wires:
            kind = self._declared.get(wire.table_id)
            if kind not in (_NEXT_HOP, _NEIGHBOUR):
                whole.append(self.own(wire))
            elif not wire.is_default_action:
                of_kind = hops if kind == _NEXT_HOP else neighbours
                match = wire.match or fy.P4TableMatch()
                of_kind[int(match["next_hop"])] = wire
        both = hops.keys() & neighbours.keys()
        whole += [_together(self.own(hops[key]), neighbours[key]) for key in sorted(both)]
        alone = [w for of in (hops, neighbours) for key, w in of.items() if key not in both]
        return Joined(whole, alone)

    # What is written beside the declared tables

    def neighbour(self, entry: NextHop, *, whole: bool) -> p4r.Entity:
        """The entry of `neighbour` that goes with one of `next_hop`; unless `whole`, its key."""
        values = {name: getattr(entry, name) for name in _FRAME}
        action = fy.P4TableAction(self._only_action(_NEIGHBOUR), **values) if whole else None
        match = fy.P4TableMatch(next_hop=entry.next_hop)
        wire = fy.P4TableEntry(self.table(_NEIGHBOUR).alias, match=match, action=action)
        return wire.encode(self._schema)

    def clock(self, now: int, rested: int) -> fy.P4TableEntry:
        """The entry that tells the time, and since when freed ports have rested, in ticks."""
        action = fy.P4TableAction(self._only_action(_CLOCK), now=now, rested=rested)
        return fy.P4TableEntry(self.table(_CLOCK).alias, action=action, is_default_action=True)

    def clock_read(self) -> fy.P4TableEntry:
        """A read of that entry."""
        return fy.P4TableEntry(self.table(_CLOCK).alias, is_default_action=True)

    def _only_action(self, table: str) -> str:
        return next(a.alias for a in self.table(table).actions if len(a.params))


def time_of(wire: fy.P4TableEntry) -> int:
    """What an entry of `clock` says that it is, in ticks; 0 if it says nothing."""
    action = wire.action
    return int(action.args.get("now", 0)) if isinstance(action, fy.P4TableAction) else 0


def _together(hop: fy.P4TableEntry, neighbour: fy.P4TableEntry) -> fy.P4TableEntry:
    first, second = hop.action, neighbour.action
    assert isinstance(first, fy.P4TableAction)
    assert isinstance(second, fy.P4TableAction)
    return replace(hop, action=fy.P4TableAction(first.name, **first.args, **second.args))


def _last(name: str) -> str:
    return name.rpartition(".")[2]
