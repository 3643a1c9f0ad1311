"""A target in memory: the tables of a switch, and what a test lets happen to it.

It applies writes as a switch would, by the declarations of the tables: it refuses what is
there already, what is not there, what does not fit its field, and what a full table does not
hold. It forwards nothing: what a switch would report, a test reports (`report`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter

from p4alg.driver.target import TargetError, Traffic
from p4alg.engine import cells as program_cells
from p4alg.engine import events as ev
from p4alg.engine.actions import PacketOut
from p4alg.engine.capabilities import Capabilities
from p4alg.engine.declaration import Form, MatchField, Parameter, declarations
from p4alg.engine.reconcile import EntryKey, entry_key
from p4alg.engine.tables import Block, Entry, Op, Subscriber, Update

ABLE = Capabilities(
    idle_timeouts=True,
    digests=True,
    punt_meters=True,
    counters=True,
    direct_counters=True,
    registers=True,
    register_writes=True,
    update_outcomes=True,
    max_batch=100,
)
"""What a `MemoryTarget` can do unless a test takes something away."""

_CELLS = 3
"""Cells of a register that are read at a time."""
_DIGESTS = (ev.TcpEvent, ev.PinholeHit)
_IDLE = (ev.SessionIdle, ev.PinholeIdle, ev.SubscriberIdle, ev.BlockIdle)


class MemoryTarget:
    """Keeps `Target`. `lacks` names the capabilities that it does not have."""

    def __init__(
        self,
        present: Sequence[Entry] = (),
        *,
        lacks: Sequence[str] = (),
        sizes: dict[str, int] | None = None,
        arrays: dict[str, int] | None = None,
        max_batch: int = ABLE.max_batch,
    ) -> None:
        """Hold `present`; `sizes` (by table) replaces the declared sizes of tables.

        `arrays` (by name) replaces the sizes of the program's register arrays.
        """
        self._capabilities = replace(ABLE, max_batch=max_batch, **dict.fromkeys(lacks, False))
        self._sizes = {name: declared.size for name, declared in declarations().items()}
        self._sizes |= sizes or {}
        self.arrays = {a.name: a.cells for a in program_cells.ARRAYS} if arrays is None else arrays
        self.cells: dict[str, dict[int, int]] = {name: {} for name in self.arrays}
        """What a test has put into registers: value by index, by name of the array."""
        self.read: Counter[str] = Counter()
        """How many cells were told, by the name of the array."""
        self.clock: int | None = None
        """The time of the program's clock, in microseconds."""
        self.entries: dict[EntryKey, Entry] = {entry_key(entry): entry for entry in present}
        self.packets_of: Counter[EntryKey] = Counter()
        """How many packets a test has let each entry count."""
        self.sent: list[PacketOut] = []
        self.writes: list[list[Update]] = []
        self.done: list[Update | PacketOut] = []
        """The updates that were made and the packets that were sent, in order."""
        self.counted: dict[str, int] = {}
        self.refuses: Callable[[Update], str | None] = lambda update: None
        """A test's own reason to refuse an update."""
        self.answers = asyncio.Event()
        """While it is cleared, the switch answers nothing."""
        self.answers.set()
        self._lost: asyncio.Future[str] = asyncio.Future()
        self._breaks_after, self._reason = -1, ""
        self._reports: asyncio.Queue[ev.Event] = asyncio.Queue()

    @property
    def capabilities(self) -> Capabilities:
        """See `Target`."""
        return self._capabilities

    async def read_entries(self) -> list[Entry]:
        """See `Target`."""
        await self._answer()
        return list(self.entries.values())

    async def write(self, updates: Sequence[Update]) -> dict[int, str]:
        """See `Target`; asserts that the batch is not too large."""
        assert len(updates) <= self._capabilities.max_batch
        self.writes.append(list(updates))
        await self._answer()
        refused: dict[int, str] = {}
        for index, update in enumerate(updates):
            reason = self.refuses(update) or self._objection(update)
            if reason is not None:
                refused[index] = reason
                continue
            self.done.append(update)
            if update.op is Op.DELETE:
                del self.entries[entry_key(update.entry)]
            else:
                self.entries[entry_key(update.entry)] = update.entry
        if refused and not self._capabilities.update_outcomes:
            return dict.fromkeys(range(len(updates)), next(iter(refused.values())))
        return refused

    async def send(self, packets: Sequence[PacketOut]) -> None:
        """See `Target`."""
        await self._answer()
        self.sent += packets
        self.done += packets

    def events(self) -> Sequence[AsyncIterator[ev.Event]]:
        """See `Target`."""
        return [self._stream()]

    async def time(self) -> int | None:
        """See `Target`: what the test has put into `clock`."""
        await self._answer()
        return self.clock

    async def read_registers(
        self,
        name: str,
        cells: Sequence[int] | None = None,
        keys: Sequence[program_cells.Key] = (),
    ) -> AsyncIterator[Mapping[int, int]]:
        """See `Target`."""
        assert self._capabilities.registers
        await self._answer()
        size, held = self.arrays[name], self.cells[name]
        assert cells is None or all(0 <= index < size for index in cells)
        wanted = sorted(held) if cells is None else cells
        for start in range(0, len(wanted), _CELLS):
            part = wanted[start : start + _CELLS]
            await asyncio.sleep(0)
            there = {index: held[index] for index in part if held.get(index)}
            told = {i: v for i, v in there.items() if not keys or any(k.fits(v) for k in keys)}
            self.read[name] += len(told)
            yield told

    async def write_registers(self, name: str, cells: Mapping[int, int]) -> None:
        """See `Target`."""
        assert self._capabilities.register_writes
        await self._answer()
        assert all(0 <= index < self.arrays[name] for index in cells)
        self.cells[name].update(cells)

    async def clear_counters(self, names: Collection[str]) -> None:
        """See `Target`."""
        await self._answer()
        for name in names:
            self.counted.pop(name, None)

    async def counters(self) -> dict[str, int]:
        """See `Target`: what the test put into `counted`."""
        await self._answer()
        return dict(self.counted) if self._capabilities.counters else {}

    async def traffic(self) -> dict[tuple[int, int], Traffic]:
        """See `Target`: nothing is forwarded, so nothing is counted."""
        await self._answer()
        hosts = [
            (e.organisation, e.inside_addr)
            for e in self.entries.values()
            if isinstance(e, Subscriber | Block)
        ]
        return {host: Traffic() for host in hosts} if self._capabilities.direct_counters else {}

    async def packets(self, kinds: Collection[type[Entry]]) -> Mapping[EntryKey, int]:
        """See `Target`: what the test put into `packets_of`."""
        assert self._capabilities.direct_counters
        await self._answer()
        return {key: self.packets_of[key] for key in self.entries if key[0] in kinds}

    async def state(self) -> dict[str, object]:
        """See `Target`."""
        await self._answer()
        used = Counter(entry.declaration.table for entry in self.entries.values())
        tables = {name: {"entries": used[name], "size": size} for name, size in self._sizes.items()}
        return {"program": "p4alg", "tables": tables}

    async def lost(self) -> str:
        """See `Target`."""
        return await asyncio.shield(self._lost)

    # What a test lets happen

    def report(self, event: ev.Event) -> None:
        """Let the switch report `event`; a ValueError if it is not able to."""
        able = self._capabilities
        if isinstance(event, _DIGESTS) and not able.digests:
            raise ValueError("the target has no digests")
        if isinstance(event, _IDLE) and not able.idle_timeouts:
            raise ValueError("the target has no idle timeouts")
        self._reports.put_nowait(event)

    def lose(self, reason: str) -> None:
        """Let the connection to the switch break."""
        self._lost.set_result(reason)
        self.answers.set()

    def lose_after(self, answers: int, reason: str) -> None:
        """Let the connection break after so many more answers."""
        self._breaks_after, self._reason = answers, reason

    async def _answer(self) -> None:
        await self.answers.wait()
        if self._breaks_after == 0 and not self._lost.done():
            self.lose(self._reason)
        self._breaks_after -= 1
        if self._lost.done():
            raise TargetError(self._lost.result())

    async def _stream(self) -> AsyncIterator[ev.Event]:
        while True:
            yield await self._reports.get()

    def _objection(self, update: Update) -> str | None:
        entry, key = update.entry, entry_key(update.entry)
        declared = entry.declaration
        exists = key in self.entries or declared.is_default
        if update.op is not Op.INSERT and not exists:
            return f"NOT_FOUND: no such entry in table {declared.table}"
        if update.op is Op.DELETE:
            return None
        misfit = _misfit(entry)
        if misfit is not None:
            return f"INVALID_ARGUMENT: table {declared.table}: {misfit}"
        if update.op is Op.INSERT:
            if exists:
                return f"ALREADY_EXISTS: table {declared.table} has the entry"
            held = sum(type(other) is type(entry) for other in self.entries.values())
            if held >= self._sizes[declared.table]:
                return f"RESOURCE_EXHAUSTED: table {declared.table} is full"
        return None


def _misfit(entry: Entry) -> str | None:
    """The first field whose value does not fit its width."""
    declared = entry.declaration
    fields: list[MatchField | Parameter] = [*declared.matches]
    fields += [parameter for own in declared.actions.values() for parameter in own]
    for field in fields:
        value = attrgetter(field.path)(entry)
        least, most = 0, 1 << field.bits
        if isinstance(field, MatchField):
            if field.form is Form.PAIR and value[0] & ~value[1]:
                return f"{field.name} has bits outside its mask"
            value = value[1] if field.form is Form.PAIR else value or 0
        elif field.signed:
            least, most = -(most >> 1), most >> 1
        if not least <= value < most:
            return f"{field.name} does not fit {field.bits} bits"
    return None
