"""Table entries: insert, modify, delete, look up, count, age.

A table owns its entries; an executor may attach to each what it needs to run the entry's action
(`binder`), and nothing else of the entry depends on the executor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from p4softswitch.errors import Reason, StateError
from p4softswitch.program.model import MatchKind, Table
from p4softswitch.state.entry import Entry, Exact, KeyLayout, Masked, Match, Prefix, Range
from p4softswitch.state.matching import make_index
from p4softswitch.state.meters import Meter, MeterConfig

# BMv2 inverts P4Runtime priorities around this number; constant entries carry BMv2's.
MAX_PRIORITY = 2**31 - 1

Binder = Callable[[Entry], Any]
Identity = tuple[tuple[Match, ...], int]


class TableStore:
    """Entries of one table, its default entry, direct counters, direct meters and idle times."""

    def __init__(self, table: Table, meter_bytes: bool = False) -> None:
        self.table = table
        self.layout = KeyLayout(table.keys)
        self.index = make_index(table.kind)
        self.meter_bytes = meter_bytes
        self._entries: dict[Identity, Entry] = {}
        self._binder: Binder = lambda entry: None
        self._seq = 0
        self._notified: set[Identity] = set()
        self.default = Entry((), 0, table.default_action, table.default_args)
        for const in table.entries:
            matches = tuple(
                _const_match(k.kind, c) for k, c in zip(table.keys, const.matches, strict=True)
            )
            priority = MAX_PRIORITY - const.priority if self.needs_priority else 0
            entry = Entry(matches, priority, const.action_id, const.args)
            entry.constant = True
            self._add(entry)

    @property
    def needs_priority(self) -> bool:
        """Whether entries of this table have priorities."""
        return self.table.kind in (MatchKind.TERNARY, MatchKind.RANGE)

    def set_binder(self, binder: Binder) -> None:
        """Let an executor attach its own object to every entry, present and future."""
        self._binder = binder
        for entry in [self.default, *self._entries.values()]:
            entry.bound = binder(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> Iterable[Entry]:
        """All entries but the default one, oldest first."""
        return list(self._entries.values())

    def find(self, matches: tuple[Match, ...], priority: int) -> Entry:
        """The entry with this very key and priority; NOT_FOUND if there is none."""
        entry = self._entries.get((matches, priority))
        if entry is None:
            raise StateError(Reason.NOT_FOUND, f"table {self.table.name} has no such entry")
        return entry

    def insert(
        self,
        matches: tuple[Match, ...],
        priority: int,
        action_id: int,
        args: tuple[int, ...],
        now: int,
    ) -> Entry:
        """Add an entry; ALREADY_EXISTS or RESOURCE_EXHAUSTED if it is there or the table full."""
        self._check_writable()
        if (matches, priority) in self._entries:
            raise StateError(Reason.ALREADY_EXISTS, f"table {self.table.name} has that entry")
        if len(self._entries) >= self.table.max_size:
            raise StateError(
                Reason.RESOURCE_EXHAUSTED,
                f"table {self.table.name} is full ({self.table.max_size} entries)",
            )
        entry = Entry(matches, priority, action_id, args)
        entry.last_hit = now
        self._add(entry)
        return entry

    def modify(
        self, matches: tuple[Match, ...], priority: int, action_id: int, args: tuple[int, ...]
    ) -> Entry:
        """Replace the action of an entry; counters go on."""
        self._check_writable()
        entry = self.find(matches, priority)
        entry.action_id = action_id
        entry.args = args
        entry.bound = self._binder(entry)
        return entry

    def delete(self, matches: tuple[Match, ...], priority: int) -> None:
        """Remove an entry."""
        self._check_writable()
        entry = self.find(matches, priority)
        del self._entries[(matches, priority)]
        self._notified.discard((matches, priority))
        self.index.remove(entry)

    def set_default(self, action_id: int | None, args: tuple[int, ...]) -> None:
        """Replace the default action; None restores the one of the program."""
        if self.table.const_default:
            raise StateError(
                Reason.PERMISSION_DENIED, f"table {self.table.name} has a constant default action"
            )
        if action_id is None:
            action_id, args = self.table.default_action, self.table.default_args
        self.default.action_id = action_id
        self.default.args = args
        self.default.bound = self._binder(self.default)

    def configure_meter(self, entry: Entry, config: MeterConfig | None, now: int) -> None:
        """Set or remove the direct meter of an entry."""
        entry.meter = None if config is None else Meter(config, now)

    def sweep(self, now: int) -> list[Entry]:
        """Entries to report as idle; to be called once a second. As in BMv2, an entry that stays
        idle is reported again by every other call."""
        idle = [
            entry
            for entry in self._entries.values()
            if entry.idle_timeout_ns and now - entry.last_hit >= entry.idle_timeout_ns
        ]
        fresh = [e for e in idle if (e.matches, e.priority) not in self._notified]
        self._notified = {(e.matches, e.priority) for e in fresh}
        return fresh

    def _check_writable(self) -> None:
        if self.table.const_entries:
            raise StateError(
                Reason.PERMISSION_DENIED, f"table {self.table.name} has constant entries"
            )

    def _add(self, entry: Entry) -> None:
        entry.packed, entry.mask, entry.ranges = self.layout.compile(entry.matches)
        entry.seq = self._seq
        self._seq += 1
        entry.bound = self._binder(entry)
        self._entries[(entry.matches, entry.priority)] = entry
        self.index.add(entry)


def _const_match(kind: MatchKind, const: Any) -> Match:
    match kind:
        case MatchKind.EXACT:
            return Exact(const.value)
        case MatchKind.LPM:
            return Prefix(const.value, const.prefix_len)
        case MatchKind.TERNARY:
            return Masked(const.value & const.mask, const.mask)
    return Range(const.value, const.high)
