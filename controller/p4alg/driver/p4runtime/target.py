"""A P4Runtime switch as a target. `connection.connect` makes one.

It writes, reads and reports, and decides nothing about traffic.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import replace
from typing import Any, TypeVar, cast

import finsy as fy
from finsy.proto import p4r
from finsy.switch import SwitchEvent

from p4alg.driver.gauges import DROPS, PUNTS, Meter
from p4alg.driver.p4runtime import codec, messages, registers, trial
from p4alg.driver.p4runtime.clock import Clock
from p4alg.driver.p4runtime.encoding import Encoder
from p4alg.driver.p4runtime.errors import (
    BROKEN,
    DISPLACED,
    is_unimplemented,
    raise_unusable,
    refusals,
)
from p4alg.driver.p4runtime.preparation import (
    DIGESTS,
    PINHOLE_HIT,
    TCP_EVENT,
    meter_entry,
    promised,
)
from p4alg.driver.p4runtime.program import Program, time_of
from p4alg.driver.target import TargetError, Traffic
from p4alg.engine import events as ev
from p4alg.engine.actions import PacketOut
from p4alg.engine.capabilities import Capabilities
from p4alg.engine.cells import Key
from p4alg.engine.reconcile import EntryKey, entry_key
from p4alg.engine.tables import Block, Entry, Gateway, Op, PinholeEntry, Session, Subscriber, Update

# finsy drops messages when a reader queue is full. The punt meters of the program keep bursts
# below this size.
_QUEUE = 65536
_COUNTERS = (
    ("punt_counter", "punts", PUNTS),
    ("drop_counter", "drops", DROPS),
    ("late_drop_counter", "drops", DROPS),
)
"""The arrays of counters, of which a program may lack the last."""
_CLOCK_SECONDS = 1.0
"""How often a program that has no time of its own is told it."""
_WRITTEN = 500
"""The most meters, registers or counters that are set by one write."""
_NAMED = 500
"""So many cells are named, of a switch that leaves out those that hold nothing."""
_NAMED_TIMES = 10
"""A cell that is asked for by its index costs so many times as much as one of a whole array."""

_T = TypeVar("_T")


class P4RuntimeTarget:
    """An open connection to a switch that runs the program, as primary. Keeps `Target`."""

    def __init__(self, switch: fy.Switch) -> None:
        """Take a connected switch. It is ready for use after `prepare`."""
        self._switch = switch
        program = self._program = Program(switch.p4info)
        self._capabilities = promised(switch.p4info, program)
        self._picks_cells = False
        """Whether the switch picks cells of registers by keys, and tells its time."""
        self._encoder = Encoder(program)
        self._clock: Clock | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._events: list[AsyncIterator[ev.Event]] = []
        self._listening: list[asyncio.Future[Any]] = []
        self._pinholes: dict[EntryKey, PinholeEntry] = {}
        self._unreadable = 0
        # Two messages must not be sent at the same time: gRPC would end the whole stream.
        self._sending = asyncio.Lock()
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        for event, reason in (
            (SwitchEvent.CHANNEL_DOWN, BROKEN),
            (SwitchEvent.SWITCH_STOP, BROKEN),
            (SwitchEvent.BECOME_BACKUP, DISPLACED),
        ):
            switch.ee.add_listener(event, lambda *_, reason=reason: self._lose(reason))

    async def prepare(self, meters: Sequence[Meter]) -> None:
        """Begin to listen, set up digests and meters, and note what the switch can do of that."""
        entries = [meter_entry(meter) for meter in meters]
        self._events = [
            await self._listen(self._packets()),
            await self._listen(self._digests(TCP_EVENT)),
            await self._listen(self._digests(PINHOLE_HIT)),
            await self._listen(self._idle_notices()),
        ]
        promised = self._capabilities
        reads = promised.registers and await self._offers_registers()
        ages, counts = await trial.entries(
            self._switch,
            self._program,
            ages=promised.idle_timeouts,
            counts=promised.direct_counters,
        )
        self._capabilities = replace(
            promised,
            idle_timeouts=ages,
            direct_counters=counts,
            digests=await self._configure(DIGESTS),
            punt_meters=await self._configure(entries, exist=True),
            counters=await trial.tells(self._switch, fy.P4CounterEntry(_COUNTERS[0][0], index=0)),
            registers=reads,
            register_writes=reads and await trial.takes_registers(self._switch),
        )
        if self._program.has_clock:
            await self._start_clock()

    def close(self) -> None:
        """Stop listening."""
        for waiting in self._listening:
            waiting.cancel()
        if self._ticking is not None:
            self._ticking.cancel()

    @property
    def capabilities(self) -> Capabilities:
        """See `Target`."""
        return self._capabilities

    def _lose(self, reason: str) -> None:
        if not self._lost.done():
            self._lost.set_result(reason)

    def _check_open(self) -> None:
        # After the connection broke, finsy has no client, and fails with an assertion.
        if self._lost.done():
            raise TargetError(self._lost.result())

    async def lost(self) -> str:
        """See `Target`."""
        return await asyncio.shield(self._lost)

    # Entries

    async def read_entries(self) -> list[Entry]:
        """See `Target`."""
        entries: list[Entry] = []
        tables = self._switch.p4info.tables
        # The entries of a constant table are a part of the program.
        read = [
            wire
            async for wire in self._read(fy.P4TableEntry())
            if not tables[wire.table_id].is_const
        ]
        joined = self._program.joined(read)
        await self._done(self._switch.delete(joined.halves))
        try:
            for wire in joined.whole:
                entry = codec.decode(wire)
                if entry is not None:
                    entries.append(entry)
                    self._remember(Op.INSERT, entry)
        except codec.CodecError as error:
            raise TargetError(f"{error}; no p4alg wrote it: restart the switch") from None
        return entries

    async def write(self, updates: Sequence[Update]) -> dict[int, str]:
        """See `Target`."""
        self._check_open()
        refused: dict[int, str] = {}
        places: list[int] = []
        wire: list[Any] = []
        ages = self._capabilities.idle_timeouts
        for index, update in enumerate(updates):
            try:
                parts = self._encoder.updates(update.op, update.entry, ages=ages)
                wire += parts
                places += [index] * len(parts)
            except ValueError as error:
                table = update.entry.declaration.table
                refused[index] = f"INVALID_ARGUMENT: table {table}: {error}"
        try:
            await self._switch.write(wire)
        except fy.P4ClientError as error:
            told = refusals(error, len(wire))
            refused |= {places[number]: reason for number, reason in told.items()}
            await self._take_back(
                part.entity
                for number, (place, part) in enumerate(zip(places, wire, strict=True))
                if number not in told and place in refused and part.type == p4r.Update.INSERT
            )
        for index, update in enumerate(updates):
            if index not in refused:
                self._remember(update.op, update.entry)
                if isinstance(update.entry, Gateway) and self._clock is not None:
                    self._clock.rests(update.entry.rest, time.monotonic())
                    await self._tell_time(self._clock)
        return refused

    async def _take_back(self, entities: Iterable[Any]) -> None:
        """Delete what was inserted of entries whose other part was refused."""
        deletes = [p4r.Update(type=p4r.Update.DELETE, entity=entity) for entity in entities]
        await self._done(self._switch.write(deletes))

    async def _done(self, call: Awaitable[None]) -> None:
        """Wait for what does not fail on a switch in order."""
        try:
            await call
        except fy.P4ClientError as error:
            raise_unusable(error)

    def _remember(self, op: Op, entry: Entry) -> None:
        if isinstance(entry, PinholeEntry):
            key = entry_key(entry)
            if op is Op.DELETE:
                self._pinholes.pop(key, None)
            else:
                self._pinholes[key] = entry

    async def _configure(self, entities: Sequence[Any], exist: bool = False) -> bool:
        """Insert entities, or modify those that always exist. False if the switch has no such."""
        try:
            if not exist:
                try:
                    await self._switch.insert(entities)
                    return True
                except fy.P4ClientError as error:
                    if is_unimplemented(error):
                        return False
                    # An earlier controller has inserted them; they are modified instead.
            for start in range(0, len(entities), _WRITTEN):
                await self._switch.modify(entities[start : start + _WRITTEN])
        except fy.P4ClientError as error:
            if is_unimplemented(error):
                return False
            raise_unusable(error)
        return True

    # The time, for a program that has none of its own

    async def _start_clock(self) -> None:
        told = 0
        async for wire in self._read(self._program.clock_read()):
            told = max(told, time_of(wire))
        clock = self._clock = Clock(told, time.monotonic())
        await self._tell_time(clock)
        self._ticking = asyncio.create_task(self._keep_time(clock))

    async def _tell_time(self, clock: Clock) -> None:
        await self._modify([self._program.clock(*clock.at(time.monotonic()))])

    async def _keep_time(self, clock: Clock) -> None:
        try:
            while not self._lost.done():
                await asyncio.sleep(_CLOCK_SECONDS)
                async with asyncio.timeout(registers.ANSWER_SECONDS):
                    await self._tell_time(clock)
        except TargetError as error:
            self._lose(f"it does not take the time any more: {error}")
        except TimeoutError:
            self._lose("it does not answer")

    # Packets

    async def send(self, packets: Sequence[PacketOut]) -> None:
        """See `Target`."""
        if packets:
            await self._send([messages.packet_out(packet) for packet in packets])

    async def _send(self, wire: Sequence[Any]) -> None:
        async with self._sending:
            self._check_open()
            try:
                await self._switch.write(wire)
            except fy.P4ClientError as error:
                raise_unusable(error)

    # Events

    def events(self) -> Sequence[AsyncIterator[ev.Event]]:
        """See `Target`."""
        return self._events

    async def _listen(self, source: AsyncIterator[_T]) -> AsyncIterator[_T]:
        """Start `source`, so that it keeps what comes before its events are read."""
        first = asyncio.ensure_future(cast("AsyncGenerator[_T]", source).__anext__())
        self._listening.append(first)
        # A generator of finsy opens its queue when the first item is waited for.
        await asyncio.sleep(0)

        async def whole() -> AsyncIterator[_T]:
            yield await first
            async for item in source:
                yield item

        return whole()

    async def _packets(self) -> AsyncIterator[ev.Event]:
        async for packet in self._switch.read_packets(queue_size=_QUEUE):
            try:
                yield messages.packet_in(packet)
            except (KeyError, ValueError):
                self._unreadable += 1

    async def _digests(self, name: str) -> AsyncIterator[ev.Event]:
        async for digests in self._switch.read_digests(name, queue_size=_QUEUE):
            for data in digests:
                try:
                    yield messages.digest(name, cast("dict[str, Any]", data))
                except (KeyError, ValueError, TypeError):
                    self._unreadable += 1
            # Acknowledged now, when they have been taken over.
            await self._send([digests.ack()])

    async def _idle_notices(self) -> AsyncIterator[ev.Event]:
        async for notice in self._switch.read_idle_timeouts(queue_size=_QUEUE):
            for wire in notice:
                event = self._idle_event(wire)
                if event is not None:
                    yield event

    def _idle_event(self, wire: fy.P4TableEntry) -> ev.Event | None:
        try:
            # BMv2 reports the key without the action, which has the id of a pinhole.
            key = codec.decode_key(self._program.own(wire))
        except codec.CodecError:
            self._unreadable += 1
            return None
        table, fields = key
        if table is Session:
            return ev.SessionIdle(fields)
        if table is Subscriber:
            return ev.SubscriberIdle(*fields)
        if table is Block:
            outside_addr, outside_id, _length = fields
            return ev.BlockIdle(outside_addr, outside_id)
        pinhole = self._pinholes.get(key)
        if pinhole is None:
            return None
        return ev.PinholeIdle(pinhole.pinhole_id, pinhole.organisation or 0)

    # Registers

    @property
    def arrays(self) -> Mapping[str, int]:
        """See `Target`."""
        return {register.alias: register.size for register in self._switch.p4info.registers}

    async def read_registers(
        self, name: str, cells: Sequence[int] | None = None, keys: Sequence[Key] = ()
    ) -> AsyncIterator[Mapping[int, int]]:
        """See `Target`."""
        self._check_open()
        register = self._switch.p4info.registers[name]
        few = _NAMED if self._picks_cells else register.size // _NAMED_TIMES
        if cells is None or len(cells) < few:
            parts = registers.read(self._switch, register.id, cells, keys)
            async for part in parts:
                yield part
            return
        wanted = set(cells)
        async for part in registers.read(self._switch, register.id, None, keys):
            yield {index: part[index] for index in wanted.intersection(part)}

    async def time(self) -> int | None:
        """See `Target`."""
        self._check_open()
        return (await self._probe())[1] if self._picks_cells else None

    async def write_registers(self, name: str, cells: Mapping[int, int]) -> None:
        """See `Target`."""
        self._check_open()
        wire = [fy.P4RegisterEntry(name, index=index, data=cells[index]) for index in cells]
        await self._modify(wire)

    async def _modify(self, wire: Sequence[Any]) -> None:
        try:
            for start in range(0, len(wire), _WRITTEN):
                await self._switch.modify(wire[start : start + _WRITTEN])
        except fy.P4ClientError as error:
            raise_unusable(error)

    async def _offers_registers(self) -> bool:
        offered, time = await self._probe()
        self._picks_cells = time is not None
        return offered

    async def _probe(self) -> tuple[bool, int | None]:
        for register in self._switch.p4info.registers:
            return await registers.probe(self._switch, register.id)
        return False, None

    # Counters and state

    async def counters(self) -> dict[str, int]:
        """See `Target`. `switch.unreadable` counts reports that could not be decoded."""
        found: dict[str, int] = {}
        for array, kind, words in self._counter_arrays():
            async for wire in self._read(fy.P4CounterEntry(array)):
                word = words.get(wire.index or 0)
                if word is not None and wire.packet_count:
                    name = f"switch.{kind}.{word}"
                    found[name] = found.get(name, 0) + wire.packet_count
        if self._unreadable:
            found["switch.unreadable"] = self._unreadable
        return found

    def _counter_arrays(self) -> list[tuple[str, str, dict[int, str]]]:
        """The arrays of counters that can be read: what they count, the words for their indices."""
        counters = self._switch.p4info.counters
        there = [found for found in _COUNTERS if counters.get(found[0]) is not None]
        return there if self._capabilities.counters else []

    async def clear_counters(self, names: Collection[str]) -> None:
        """See `Target`."""
        self._check_open()
        none = fy.P4CounterData()
        await self._modify(
            [
                fy.P4CounterEntry(array, index=index, data=none)
                for array, kind, words in self._counter_arrays()
                for index, word in words.items()
                if f"switch.{kind}.{word}" in names
            ]
        )
        if "switch.unreadable" in names:
            self._unreadable = 0

    async def traffic(self) -> dict[tuple[int, int], Traffic]:
        """See `Target`."""
        found: dict[tuple[int, int], Traffic] = {}
        if not self._capabilities.direct_counters:
            return found
        for kind in (Subscriber, Block):
            async for wire in self._read(self._counted(kind)):
                entry, counted = codec.decode(self._program.own(wire)), wire.counter_data
                if not isinstance(entry, Subscriber | Block) or counted is None:
                    continue
                packets, size = counted.packet_count, counted.byte_count
                host = (entry.organisation, entry.inside_addr)
                known = found.get(host, Traffic())
                if kind is Subscriber:
                    known = replace(known, packets_out=packets, bytes_out=size)
                else:
                    known = replace(known, packets_in=packets, bytes_in=size)
                found[host] = known
        return found

    async def packets(self, kinds: Collection[type[Entry]]) -> dict[EntryKey, int]:
        """See `Target`."""
        found: dict[EntryKey, int] = {}
        for kind in kinds:
            async for wire in self._read(self._counted(kind)):
                if wire.counter_data is not None and not wire.is_default_action:
                    key = codec.decode_key(self._program.own(wire))
                    found[key] = wire.counter_data.packet_count
        return found

    async def state(self) -> dict[str, object]:
        """See `Target`."""
        info = self._switch.p4info
        counts = dict.fromkeys((table.alias for table in info.tables), 0)
        async for wire in self._read(fy.P4TableEntry()):
            if not wire.is_default_action:
                counts[wire.table_id] = counts.get(wire.table_id, 0) + 1
        tables = {
            self._program.name_of(table): {"entries": counts[table.alias], "size": table.size}
            for table in info.tables
        }
        return {"program": info.name or "p4alg", "tables": tables}

    async def _read(self, what: _T) -> AsyncIterator[_T]:
        self._check_open()
        try:
            # finsy declares an async generator's overloads as coroutines.
            async for wire in cast("AsyncIterator[_T]", self._switch.read(cast("Any", what))):
                yield wire
        except fy.P4ClientError as error:
            raise_unusable(error)

    def _counted(self, kind: type[Entry]) -> fy.P4TableEntry:
        """A read of all entries of a table with what they have counted."""
        table = self._program.table(kind.declaration.table)
        return fy.P4TableEntry(table.alias, counter_data=fy.P4CounterData())
