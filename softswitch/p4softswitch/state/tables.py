"""Table entries: insert, modify, delete, look up, count, age.

The entries themselves are in native memory, where packets find them (runtime.c); objects of Python
are views of them, made when they are asked for.
"""

from __future__ import annotations

import builtins
import ctypes
import secrets
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from p4softswitch.errors import ProgramError, Reason, StateError
from p4softswitch.native import library as native
from p4softswitch.native.library import RawEntry, RawMeter, RawRange, locked, runtime
from p4softswitch.program.model import KeyField, MatchKind, Table
from p4softswitch.state import meters
from p4softswitch.state.entry import Exact, Interval, KeyLayout, Masked, Match, Prefix, Range
from p4softswitch.state.meters import MeterConfig

# BMv2 inverts P4Runtime priorities around this number; constant entries carry BMv2's.
MAX_PRIORITY = 2**31 - 1
MAX_ENTRIES = 1 << 24
_CONSTANT = 1
_KINDS = {MatchKind.EXACT: native.EXACT, MatchKind.LPM: native.LPM}


class Entry:
    """A view of one table entry. Times are nanoseconds of the clock that is passed to the table.

    A view of an entry that has been deleted shows what is there instead; `exists` tells.
    """

    __slots__ = ("_raw", "_seq", "_store", "handle")

    def __init__(self, store: TableStore, handle: int) -> None:
        self._store = store
        self.handle = handle
        self._raw = RawEntry.from_address(store.address_of(handle))
        self._seq: int = self._raw.seq

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Entry)
            and self._store is other._store
            and (self.handle, self._seq) == (other.handle, other._seq)
        )

    def __hash__(self) -> int:
        return hash((self.handle, self._seq))

    @property
    def exists(self) -> bool:
        """Whether the entry has not been deleted."""
        return bool(self._raw.seq == self._seq)

    @property
    def matches(self) -> tuple[Match, ...]:
        """The key; empty for the default entry."""
        return self._store.matches_of(self.handle)

    @property
    def priority(self) -> int:
        """The priority, 0 in tables that have none."""
        return self._raw.priority if self._store.needs_priority else 0

    @property
    def action_id(self) -> int:
        """The program's number of the action."""
        return int(self._raw.action)

    @property
    def args(self) -> tuple[int, ...]:
        """Arguments of the action."""
        return self._store.args_of(self.handle, self._raw.action)

    @property
    def packets(self) -> int:
        """Packets that have hit the entry, if the table counts them."""
        return int(self._raw.packets)

    @property
    def bytes(self) -> int:
        """Their bytes."""
        return int(self._raw.bytes)

    def set_counter(self, packets: int, byte_count: int) -> None:
        """Set packets and bytes."""
        with locked():
            self._raw.packets, self._raw.bytes = packets, byte_count

    @property
    def last_hit(self) -> int:
        """When a packet last hit the entry, or when it was made."""
        return int(self._raw.last_hit)

    @last_hit.setter
    def last_hit(self, now: int) -> None:
        self._raw.last_hit = now

    @property
    def idle_timeout_ns(self) -> int:
        """After what time without a hit the entry is reported; 0: never."""
        return int(self._raw.idle_timeout)

    @idle_timeout_ns.setter
    def idle_timeout_ns(self, timeout: int) -> None:
        self._raw.idle_timeout = timeout

    @property
    def controller_metadata(self) -> int:
        """A number that the control plane keeps here."""
        return int(self._raw.controller_metadata)

    @controller_metadata.setter
    def controller_metadata(self, value: int) -> None:
        self._raw.controller_metadata = value

    @property
    def metadata(self) -> builtins.bytes:
        """Bytes that the control plane keeps here."""
        return self._store.metadata.get(self.handle, b"")

    @metadata.setter
    def metadata(self, value: builtins.bytes) -> None:
        if value:
            self._store.metadata[self.handle] = value
        else:
            self._store.metadata.pop(self.handle, None)

    @property
    def constant(self) -> bool:
        """Whether the program itself has made the entry."""
        return bool(self._raw.flags & _CONSTANT)

    @property
    def meter(self) -> MeterConfig | None:
        """Configuration of the direct meter, None if it has none."""
        raw = RawMeter()
        found = self._store.native.p4_entry_get_meter(
            self._store.pointer, self.handle, ctypes.byref(raw)
        )
        return meters.config_of(raw) if found else None


class TableStore:
    """Entries of one table, its default entry, direct counters, direct meters and idle times.

    `widths` are the widths of the parameters of each action, by the program's number.
    """

    def __init__(
        self,
        table: Table,
        widths: Mapping[int, Sequence[int]],
        meter_bytes: bool = False,
    ) -> None:
        self.table = table
        self.layout = KeyLayout(table.keys)
        self.meter_bytes = meter_bytes
        self.native = runtime()
        self.metadata: dict[int, bytes] = {}
        self._widths = {number: tuple(w) for number, w in widths.items()}
        self._exact = table.kind is MatchKind.EXACT
        self._key_words = (self.layout.width + 63) // 64
        used = {*table.action_ids, table.default_action}
        self._arg_words = max(sum(_count(w) for w in self._widths[a]) for a in used)
        self._check()
        self.pointer: int = self.native.p4_table_new(
            _KINDS.get(table.kind, native.TERNARY),
            self._key_words,
            self._arg_words,
            sum(k.kind is MatchKind.RANGE for k in table.keys),
            table.max_size if table.keys else 0,
            secrets.randbits(64),
        )
        if not self.pointer:
            raise ProgramError(f"there is no memory for table {table.name}")
        # Not at exit: the thread of packet I/O may still be running then.
        weakref.finalize(self, self.native.p4_table_free, self.pointer).atexit = False
        self._set_action(native.NONE, table.default_action, table.default_args)
        self.default = Entry(self, native.NONE)
        for const in table.entries:
            matches = tuple(
                _const_match(k, c) for k, c in zip(table.keys, const.matches, strict=True)
            )
            priority = MAX_PRIORITY - const.priority if self.needs_priority else 0
            self._add(matches, priority, const.action_id, const.args, 0)._raw.flags = _CONSTANT

    def _check(self) -> None:
        if self.table.max_size > MAX_ENTRIES:
            raise ProgramError(
                f"table {self.table.name} has {self.table.max_size} entries,"
                f" at most {MAX_ENTRIES} are supported"
            )
        for key in self.table.keys:
            if key.kind is MatchKind.RANGE and key.width > 64:
                raise ProgramError(
                    f"table {self.table.name} has a range of {key.width} bits,"
                    " at most 64 are supported"
                )

    @property
    def needs_priority(self) -> bool:
        """Whether entries of this table have priorities."""
        return self.table.kind in (MatchKind.TERNARY, MatchKind.RANGE)

    def __len__(self) -> int:
        return int(self.native.p4_table_count(self.pointer))

    def entries(self) -> Iterator[Entry]:
        """All entries but the default one, oldest first; those deleted meanwhile are left out."""
        room = len(self)
        handles, seqs = (ctypes.c_uint32 * room)(), (ctypes.c_uint64 * room)()
        count = self.native.p4_table_list(self.pointer, handles, seqs, room)
        return self._views(handles, seqs, count)

    def _views(self, handles: Any, seqs: Any, count: int) -> Iterator[Entry]:
        for i in range(count):
            entry = Entry(self, handles[i])
            if entry._seq == seqs[i]:
                yield entry

    def find(self, matches: tuple[Match, ...], priority: int) -> Entry:
        """The entry with this very key and priority; NOT_FOUND if there is none."""
        handle = self.native.p4_table_find(self.pointer, *self._key(matches, priority))
        if handle == native.NONE:
            raise StateError(Reason.NOT_FOUND, f"table {self.table.name} has no such entry")
        return Entry(self, handle)

    def lookup(self, values: Sequence[int]) -> Entry | None:
        """What a packet with these values of the key's fields hits."""
        key = native.words(self.layout.pack(values), self._key_words)
        handle = self.native.p4_table_lookup(self.pointer, key)
        return None if handle == native.NONE else Entry(self, handle)

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
        return self._add(matches, priority, action_id, args, now)

    def modify(
        self, matches: tuple[Match, ...], priority: int, action_id: int, args: tuple[int, ...]
    ) -> Entry:
        """Replace the action of an entry; counters go on."""
        self._check_writable()
        entry = self.find(matches, priority)
        self._set_action(entry.handle, action_id, args)
        return entry

    def delete(self, matches: tuple[Match, ...], priority: int) -> None:
        """Remove an entry."""
        self._check_writable()
        entry = self.find(matches, priority)
        self.metadata.pop(entry.handle, None)
        self.native.p4_table_delete(self.pointer, entry.handle)

    def set_default(self, action_id: int | None, args: tuple[int, ...]) -> None:
        """Replace the default action; None restores the one of the program."""
        if self.table.const_default:
            raise StateError(
                Reason.PERMISSION_DENIED, f"table {self.table.name} has a constant default action"
            )
        if action_id is None:
            action_id, args = self.table.default_action, self.table.default_args
        self._set_action(native.NONE, action_id, args)

    def configure_meter(self, entry: Entry, config: MeterConfig | None, now: int) -> None:
        """Set or remove the direct meter of an entry."""
        raw = None
        if config is not None:
            cell = RawMeter()
            meters.configure(cell, config, now)
            raw = ctypes.byref(cell)
        if not self.native.p4_entry_set_meter(self.pointer, entry.handle, raw):
            raise StateError(Reason.RESOURCE_EXHAUSTED, "there is no memory for a meter")

    def sweep(self, now: int) -> list[Entry]:
        """Entries to report as idle; to be called once a second. As in BMv2, an entry that stays
        idle is reported again by every other call."""
        room = len(self)
        handles, seqs = (ctypes.c_uint32 * room)(), (ctypes.c_uint64 * room)()
        count = self.native.p4_table_sweep(self.pointer, now, handles, seqs, room)
        return list(self._views(handles, seqs, count))

    # --- what views are made of --------------------------------------------------------------

    def address_of(self, handle: int) -> int:
        """Where an entry is in memory."""
        return int(self.native.p4_entry_address(self.pointer, handle))

    def matches_of(self, handle: int) -> tuple[Match, ...]:
        """The key of an entry."""
        if handle == native.NONE:
            return ()
        at = self.address_of(handle)
        size = 8 * self._key_words
        words = at + ctypes.sizeof(RawEntry)
        value = native.number(ctypes.string_at(words, size))
        if self._exact:
            return self.layout.matches(value, 0, ())
        mask = native.number(ctypes.string_at(words + size, size))
        first = words + 2 * size + 8 * self._arg_words
        kept = (RawRange * RawEntry.from_address(at).ranges).from_address(first)
        return self.layout.matches(value, mask, [(r.shift, r.width, r.low, r.high) for r in kept])

    def args_of(self, handle: int, action_id: int) -> tuple[int, ...]:
        """The arguments of an entry."""
        keys = 1 if self._exact else 2
        at = self.address_of(handle) + ctypes.sizeof(RawEntry) + 8 * keys * self._key_words
        args = []
        for width in self._widths.get(action_id, ()):
            size = 8 * _count(width)
            args.append(native.number(ctypes.string_at(at, size)))
            at += size
        return tuple(args)

    # --- writing ---------------------------------------------------------------------------------

    def _check_writable(self) -> None:
        if self.table.const_entries:
            raise StateError(
                Reason.PERMISSION_DENIED, f"table {self.table.name} has constant entries"
            )

    def _key(self, matches: Sequence[Match], priority: int) -> tuple[Any, ...]:
        """Value, mask, ranges and priority as the runtime takes them."""
        value, mask, ranges = self.layout.compile(matches)
        packed = native.words(value, self._key_words)
        if self._exact:
            return packed, None, None, 0, 0
        # Of two prefixes of one packed key the one with more bits is the longer.
        rank = priority if self.needs_priority else mask.bit_count()
        return packed, native.words(mask, self._key_words), _raw_ranges(ranges), len(ranges), rank

    def _args(self, action_id: int, args: Sequence[int]) -> bytes:
        widths = self._widths[action_id]
        return b"".join(
            native.words(value & ((1 << width) - 1), _count(width))
            for value, width in zip(args, widths, strict=True)
        )

    def _set_action(self, handle: int, action_id: int, args: Sequence[int]) -> None:
        words = self._args(action_id, args)
        self.native.p4_table_modify(self.pointer, handle, action_id, words, len(words) // 8)

    def _add(
        self,
        matches: Sequence[Match],
        priority: int,
        action_id: int,
        args: Sequence[int],
        now: int,
    ) -> Entry:
        words = self._args(action_id, args)
        key = self._key(matches, priority)
        handle = self.native.p4_table_insert(
            self.pointer, *key, action_id, words, len(words) // 8, now
        )
        if handle == native.EXISTS:
            raise StateError(Reason.ALREADY_EXISTS, f"table {self.table.name} has that entry")
        if handle == native.FULL:
            raise StateError(
                Reason.RESOURCE_EXHAUSTED,
                f"table {self.table.name} is full ({self.table.max_size} entries)",
            )
        if handle < 0:
            raise StateError(
                Reason.RESOURCE_EXHAUSTED, f"there is no memory for table {self.table.name}"
            )
        return Entry(self, handle)


def _count(width: int) -> int:
    """Words of a number of `width` bits."""
    return (width + 63) // 64


def _raw_ranges(ranges: Sequence[Interval]) -> Any:
    return (RawRange * len(ranges))(*(RawRange(*r) for r in ranges)) if ranges else None


def _const_match(key: KeyField, const: Any) -> Match:
    match key.kind:
        case MatchKind.EXACT:
            return Exact(const.value)
        case MatchKind.LPM:
            # Programs may set bits beyond the prefix.
            beyond = (1 << (key.width - const.prefix_len)) - 1
            return Prefix(const.value & ~beyond, const.prefix_len)
        case MatchKind.TERNARY:
            return Masked(const.value & const.mask, const.mask)
    return Range(const.value, const.high)
