"""Adds the plain flows that the switch keeps by itself to what `p4alg show` tells.

They are read from the switch when somebody asks, in parts, and between any two parts the
controller does its other work. Who asks while they are being read gets what is read then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from p4alg.daemon.narrowing import NOTHING, Picks, picks
from p4alg.daemon.selection import EVERYTHING, Selection
from p4alg.driver.target import MAX_KEYS, Target, TargetError
from p4alg.engine import cells
from p4alg.engine.cells import Key
from p4alg.engine.plain import Ending, Known, PlainFlows, Row, SwitchClock
from p4alg.engine.settings import Timers
from p4alg.p4constants import TICK_SHIFT

VIEWS = ("sessions", "bindings", "subscribers")
"""The views that plain flows belong to."""
READ_SECONDS = 12.0
"""The most seconds for reading the registers. Clients wait for twenty."""
_AT_ONCE = 200
"""Rows that are made before others have their turn."""
_WRITTEN = 400
"""The most cells that are looked at again, and then written, at a time."""
_FRESH = 1.0
"""For so many seconds, what was read is shown again."""
UNREADABLE = "plain flows are not shown: this switch does not let registers be read"

_T = TypeVar("_T")


class PlainViews:
    """The plain flows of a switch, for views. `known` tells whose the cells are."""

    def __init__(
        self, target: Target, timers: Timers, known: Callable[[], Known], clock: Callable[[], float]
    ) -> None:
        self._target = target
        self.timers = timers
        """Those of the switch; may be changed."""
        self._known = known
        self._clock = clock
        self._switch_clock = SwitchClock()
        self._reading = asyncio.Lock()
        self._last: tuple[float, PlainFlows] | None = None

    async def add(
        self,
        what: str,
        rows: list[Row],
        selection: Selection = EVERYTHING,
        organisation: str | None = None,
    ) -> dict[str, Any]:
        """The wanted rows of a view of `VIEWS`, with its plain flows: `rows`, `plain_flows`.

        `plain_flows` tells whether they are in it. If not, `note` says why in one line, and the
        rows are those of the controller. With `organisation`, the plain flows of others are left
        out. Raises `UsageError` as `Selection.cut` does.
        """
        note = None
        try:
            everyone = self._known()
            known = _of(everyone, organisation, selection)
            flows = await self._read(picks(what, selection, known, everyone))
            note = UNREADABLE if flows is None else None
        except TargetError as error:
            flows, note = None, f"plain flows are not shown: {error}"
        if flows is not None:
            rows = await self._with(flows, known, what, rows, selection)
        found = selection.cut([row for row in rows if selection.fits(row)])
        return {"plain_flows": flows is not None, "rows": found} | ({"note": note} if note else {})

    async def ticks(self) -> int:
        """What time it is in the switch, at least, in ticks of its clock; 0 if nothing tells it."""
        with suppress(TargetError):
            await self._read(NOTHING)
        return self._switch_clock.ticks(self._clock())

    async def clear(
        self, what: str, selection: Selection, organisation: str | None, *, really: bool
    ) -> int:
        """End the wanted plain flows of `sessions` or `bindings`; how many there were.

        Raises `TargetError` if the switch does not tell them, or not let them be ended.
        """
        self._last = None
        flows = await self._read()
        if flows is None:
            raise TargetError("this switch does not let registers be read")
        if not self._target.capabilities.register_writes:
            raise TargetError("this switch does not let registers be written")
        known, now = _of(self._known(), organisation), self._clock()
        if what == "sessions":
            rows = flows.session_rows(known, now, selection.fits_ends)
        else:
            used = Counter(await _slowly(flows.endpoints(known, now)))
            rows = flows.binding_rows(used, known, now, selection.fits_ends)
        chosen = [index for index, row in await _slowly(rows) if selection.fits(row)]
        if chosen and really:
            ends = flows.ending_sessions if what == "sessions" else flows.ending_bindings
            await self._end(ends(chosen, now))
            self._last = None
        return len(chosen)

    async def _end(self, ending: Ending) -> None:
        """Write what ends. Cells that have become others' in the meantime are left alone."""
        states = dict.fromkeys(ending.sessions, 0)
        await self._write(cells.SESSION_CELL, cells.SESSION_STATE, ending.sessions, states)
        whose = {index: cell for index, (cell, _) in ending.slots.items()}
        slots = {index: state for index, (_, state) in ending.slots.items()}
        await self._write(cells.SLOT_CELL, cells.SLOT_STATE, whose, slots)

    async def _write(
        self,
        where: cells.Array,
        state: cells.Array,
        whose: Mapping[int, int],
        states: Mapping[int, int],
    ) -> None:
        names = list(whose)
        for start in range(0, len(names), _WRITTEN):
            part = names[start : start + _WRITTEN]
            present: dict[int, int] = {}
            async for read in self._target.read_registers(where.name, part):
                present.update(read)
            mine = {n: states[n] for n in part if present.get(n) == whose[n]}
            if mine:
                await self._target.write_registers(state.name, mine)

    async def _with(
        self, flows: PlainFlows, known: Known, what: str, rows: list[Row], selection: Selection
    ) -> list[Row]:
        """Rows with those for plain flows; some of them may be unwanted."""
        now = self._clock()
        if what == "sessions":
            return [*rows, *await _slowly(flows.sessions(known, now, selection.fits_ends))]
        used = Counter(await _slowly(flows.endpoints(known, now)))
        if what == "bindings":
            return [*rows, *await _slowly(flows.bindings(used, known, now, selection.fits_ends))]
        return await _slowly(flows.subscribers(rows, used, known, now))

    async def _read(self, wanted: Picks | None = None) -> PlainFlows | None:
        """The wanted cells, or all; None if the switch does not tell them.

        There may be more than are wanted. Raises `TargetError` if it fails.
        """
        if not self._target.capabilities.registers:
            return None
        async with self._reading:
            if self._last is not None and self._clock() - self._last[0] < _FRESH:
                return self._last[1]
            try:
                async with asyncio.timeout(READ_SECONDS):
                    told = await self._target.time()
                    if told is not None:
                        self._switch_clock.tell(told >> TICK_SHIFT, self._clock())
                        if wanted is not None:
                            return await self._read_picked(wanted)
                    flows = await self._read_all()
            except TimeoutError:
                text = f"the switch did not tell its registers in {READ_SECONDS:g} s"
                raise TargetError(text) from None
            self._last = self._clock(), flows
            asyncio.get_running_loop().call_later(_FRESH, self._forget)
            return flows

    async def _read_picked(self, wanted: Picks) -> PlainFlows:
        """The cells that a selection is about, of a switch that tells its time.

        Of any other it cannot be told by a few sessions which of them are over.
        """
        flows = PlainFlows(self.timers, self._switch_clock)
        if wanted == NOTHING:
            return flows
        await self._take_sessions(flows, wanted.sessions)
        slots = wanted.slots
        if slots is None:
            ends = flows.endpoints_read
            hosts = {cells.subscriber_of(end) for end in ends}
            if not ends:
                return flows
            if len(ends) <= MAX_KEYS:
                slots = tuple(map(cells.slot_key_of, ends))
            else:
                slots = tuple(map(cells.slot_key, hosts)) if len(hosts) <= MAX_KEYS else ()
        await self._take_slots(flows, slots)
        return flows

    def _forget(self) -> None:
        self._last = None

    async def _read_all(self) -> PlainFlows:
        flows = PlainFlows(self.timers, self._switch_clock)
        await self._take_sessions(flows)
        await self._take_slots(flows)
        return flows

    # Cells first: most are empty, and have no state that anybody needs.

    async def _take_sessions(self, flows: PlainFlows, keys: Sequence[Key] = ()) -> None:
        read = self._target.read_registers
        async for part in read(cells.SESSION_CELL.name, keys=keys):
            flows.take_sessions(part)
        async for part in read(cells.SESSION_STATE.name, flows.session_cells):
            flows.take_session_states(part, self._clock())

    async def _take_slots(self, flows: PlainFlows, keys: Sequence[Key] = ()) -> None:
        read = self._target.read_registers
        async for part in read(cells.SLOT_CELL.name, keys=keys):
            flows.take_slots(part)
        async for part in read(cells.SLOT_STATE.name, flows.slot_cells):
            flows.take_slot_states(part)


def _of(known: Known, organisation: str | None, selection: Selection = EVERYTHING) -> Known:
    """What is known of the hosts of an organisation that are wanted."""
    owners = {
        number: owner
        for number, owner in known.owners.items()
        if organisation in (None, owner.organisation) and selection.may_be_of(owner.inside_addr)
    }
    return Known(owners, known.static, known.has_outside)


async def _slowly(items: Iterable[_T | None]) -> list[_T]:
    """All items that are not None; others have their turn in between."""
    found: list[_T] = []
    for number, item in enumerate(items, 1):
        if item is not None:
            found.append(item)
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    return found
