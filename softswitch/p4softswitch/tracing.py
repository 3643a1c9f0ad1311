"""Follows one packet through a program, with the state of a switch that runs somewhere else.

That switch is only read. Tables without a longest prefix or mask are asked for the keys that the
packet looks up, registers for the cells that it reads: the packet is run again and again, until it
meets nothing that is not known yet. So it does not matter how much the switch holds.

Meters are not followed: all are green. Groups and clone sessions are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from p4softswitch.errors import SwitchError
from p4softswitch.executor.interface import Options, RawOutput
from p4softswitch.executor.reports import Point, Told
from p4softswitch.executor.v1model import V1ModelExecutor
from p4softswitch.native import library as native
from p4softswitch.p4rt import bytestring
from p4softswitch.p4rt.proto import p4r, p4r_grpc
from p4softswitch.p4rt.schema import RegisterInfo, bind
from p4softswitch.p4rt.write import INSERT, MODIFY, Writer
from p4softswitch.program.bmv2_json import load_program
from p4softswitch.program.model import MatchKind
from p4softswitch.state.digests import DigestConfig
from p4softswitch.state.entry import Match
from p4softswitch.state.tables import Entry

_ROUNDS = 200
"""How often a packet may meet state that is not known yet."""
_MAX_OUTPUTS = 1 << 20
_SECONDS = 20.0


# What a packet meets


@dataclass(frozen=True, slots=True)
class Field:
    """A value with its name; `format` is that of P4Info ("IPV4_ADDRESS", ...), or empty."""

    name: str
    value: int
    width: int
    format: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """The architecture does something: see `executor.reports.STAGES`."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """The parser is done: the states that it entered, and its error, empty if there is none."""

    states: tuple[str, ...]
    error: str


@dataclass(frozen=True, slots=True)
class Branch:
    """A condition of a control and what it was; `where` is its place in the P4 source."""

    where: str
    taken: bool


@dataclass(frozen=True, slots=True)
class Lookup:
    """A table was applied.

    `entry` has the match of each field of the key, and is empty if nothing was hit. Then the action
    is the default one.
    """

    table: str
    key: tuple[Field, ...]
    hit: bool
    entry: tuple[Match, ...]
    action: str
    args: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Assigned:
    """A field of a header or of metadata got a value. `field` is "header.field"."""

    field: str
    value: int
    where: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a register array was read or written."""

    register: str
    index: int
    value: int
    written: bool
    where: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A digest was made."""

    digest: str
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame left by a port."""

    port: int
    frame: bytes


Step = Stage | Parsed | Branch | Lookup | Assigned | Cell | Sample | Sent


# Where the state comes from


class UnreadableError(SwitchError):
    """The switch does not let anybody read this kind of state."""


class Source(Protocol):
    """A switch that can be read."""

    def read(self, entity: Any) -> list[Any]:
        """What one entity of a P4Runtime ReadRequest stands for; nothing if there is no such.

        `UnreadableError` if the switch does not offer that kind, `SwitchError` if it fails.
        """


class P4RuntimeSource:
    """A switch behind a P4Runtime channel."""

    def __init__(self, channel: grpc.Channel, device_id: int) -> None:
        self._stub: Any = p4r_grpc.P4RuntimeStub(channel)
        self._device_id = device_id

    def read(self, entity: Any) -> list[Any]:
        """See `Source`."""
        request = p4r.ReadRequest(device_id=self._device_id, entities=[entity])
        try:
            return [e for part in self._stub.Read(request, timeout=_SECONDS) for e in part.entities]
        except grpc.RpcError as error:
            code = error.code()
            if code is grpc.StatusCode.NOT_FOUND:
                return []
            if code is grpc.StatusCode.UNIMPLEMENTED:
                raise UnreadableError(str(error.details())) from None
            why = " ".join(str(error.details()).splitlines())
            raise SwitchError(f"cannot read the switch ({code.name}: {why})") from None


# The follower


class Follower:
    """A program in this process, with what is known of the state of another switch.

    `config` is the ForwardingPipelineConfig of that switch. Raises `ProgramError` if it cannot be
    run here.
    """

    def __init__(self, config: Any, source: Source, drop_port: int = 511) -> None:
        program = load_program(config.p4_device_config)
        self._program = program
        self._schema = bind(config.p4info, program)
        options = Options(drop_port=drop_port, max_copies=_MAX_OUTPUTS, seed=1, reports=True)
        self._executor = V1ModelExecutor(program, options)
        self._source = source
        self._tables = {info.name: info for info in self._schema.tables.values()}
        self._registers = {info.name: info for info in self._schema.registers.values()}
        self._formats = dict(_formats(config.p4info))
        self._errors = {number: name for name, number in program.errors.items()}
        self._writer = Writer(self._schema, self._executor)
        self._known_keys: set[tuple[str, tuple[int, ...]]] = set()
        self._known_cells: dict[tuple[str, int], int] = {}
        self.registers_are_known = True
        """False once the switch has refused to tell registers; all cells count as never used."""
        for store in self._executor.state.digests.values():
            store.configure(DigestConfig(0, 1, 0), exists=False)
        self._read_tables()
        # The clock of the program begins with its first packet.
        self._run(0, b"", 0)

    def follow(self, port: int, frame: bytes, age: int) -> list[Step]:
        """What happens to a frame that comes in by `port`, `age` ns after the switch's first one.

        Each call begins with the state as it was read: a packet changes nothing for the next one.
        Raises `SwitchError` if the switch cannot be read.
        """
        for _ in range(_ROUNDS):
            steps = self._run(port, frame, age)
            if not self._learn(steps):
                return steps
        raise SwitchError(f"the packet needs more state than is read in {_ROUNDS} rounds")

    # --- reading the switch ----------------------------------------------------------------

    def _read_tables(self) -> None:
        """Default actions, and all entries of tables in which a key cannot be asked for."""
        for info in self._tables.values():
            if info.is_const:
                continue
            if not info.const_default:
                wanted = p4r.Entity()
                wanted.table_entry.table_id = info.id
                wanted.table_entry.is_default_action = True
                self._load(wanted, MODIFY)
            if info.fields and info.model.kind is not MatchKind.EXACT:
                wanted = p4r.Entity()
                wanted.table_entry.table_id = info.id
                self._load(wanted, INSERT)

    def _load(self, wanted: Any, kind: Any) -> None:
        for entity in self._source.read(wanted):
            entry = entity.table_entry
            if entry.is_const or entry.is_default_action != (kind == MODIFY):
                continue
            entry.ClearField("counter_data")
            entry.ClearField("meter_config")
            entry.ClearField("time_since_last_hit")
            refused = self._writer.apply(p4r.Update(type=kind, entity=entity), 0)
            if refused is not None:
                raise SwitchError(f"the switch has an entry that does not fit ({refused.message})")

    def _learn(self, steps: Iterable[Step]) -> bool:
        """Read what a packet has met and nobody knows yet; whether there was such."""
        new = False
        for step in steps:
            if isinstance(step, Lookup):
                new |= self._learn_entry(step)
            elif isinstance(step, Cell) and not step.written:
                new |= self._learn_cell(step)
        return new

    def _learn_entry(self, lookup: Lookup) -> bool:
        info = self._tables.get(lookup.table)
        if info is None or info.is_const or not info.fields:
            return False
        values = tuple(field.value for field in lookup.key)
        if info.model.kind is not MatchKind.EXACT or (info.name, values) in self._known_keys:
            return False
        self._known_keys.add((info.name, values))
        wanted = p4r.Entity()
        wanted.table_entry.table_id = info.id
        for field, value in zip(info.fields, values, strict=True):
            item = wanted.table_entry.match.add(field_id=field.id)
            item.exact.value = bytestring.encode(value)
        self._load(wanted, INSERT)
        return True

    def _learn_cell(self, cell: Cell) -> bool:
        info = self._registers.get(cell.register)
        place = (cell.register, cell.index)
        if info is None or place in self._known_cells or not self.registers_are_known:
            return False
        try:
            value = self._read_cell(info, cell.index)
        except UnreadableError:
            self.registers_are_known = False
            return False
        self._known_cells[place] = value
        self._executor.state.registers[info.name].write(cell.index, value)
        return True

    def _read_cell(self, info: RegisterInfo, index: int) -> int:
        wanted = p4r.Entity()
        wanted.register_entry.register_id = info.id
        wanted.register_entry.index.index = index
        for entity in self._source.read(wanted):
            return int.from_bytes(entity.register_entry.data.bitstring, "big")
        return 0

    # --- running the packet ----------------------------------------------------------------

    def _run(self, port: int, frame: bytes, age: int) -> list[Step]:
        steps = list(self._steps(self._executor.follow(port, frame, age)))
        for step in steps:
            if isinstance(step, Cell) and step.written:
                was = self._known_cells.get((step.register, step.index), 0)
                self._executor.state.registers[step.register].write(step.index, was)
        return steps

    def _steps(self, outputs: Iterable[RawOutput]) -> Iterator[Step]:
        states: list[str] = []
        for kind, number, data, _ in outputs:
            if kind == native.FRAME:
                yield Sent(number, data)
            elif kind == native.DIGEST:
                name = self._program.learn_lists[number].name
                yield Sample(name, self._executor.sample(number, data))
            else:
                point = self._executor.points[number]
                values = _values(point, data)
                if point.told is Told.STATE:
                    states.append(point.name)
                elif point.told is Told.PARSED:
                    error = self._errors.get(values[0], str(values[0]))
                    yield Parsed(tuple(states), "" if error == "NoError" else error)
                    states.clear()
                else:
                    yield self._step(point, values)

    def _step(self, point: Point, values: Sequence[int]) -> Step:
        match point.told:
            case Told.STAGE:
                return Stage(point.name, values[0])
            case Told.CONDITION:
                return Branch(point.where, bool(values[0]))
            case Told.TABLE:
                return self._lookup(point.name, values)
            case Told.ASSIGN:
                return Assigned(point.name, values[0], point.where)
        index, value = values
        return Cell(point.name, index, value, point.told is Told.WRITE, point.where)

    def _lookup(self, name: str, values: Sequence[int]) -> Lookup:
        *packed, hit, handle, number = values
        store = self._executor.state.tables[name]
        key: list[Field] = []
        for field, shift in zip(store.table.keys, store.layout.shifts, strict=True):
            value = packed[0] >> shift & (1 << field.width) - 1
            key.append(Field(field.name, value, field.width, self._format(name, field.name)))
        entry, action = Entry(store, handle), self._program.actions[number]
        args = tuple(
            Field(param, value, width, self._format(action.name, param))
            for (param, width), value in zip(action.params, entry.args, strict=True)
        )
        return Lookup(name, tuple(key), bool(hit), entry.matches, action.name, args)

    def _format(self, owner: str, name: str) -> str:
        return self._formats.get((owner, name), "")


def _values(point: Point, data: bytes) -> list[int]:
    """The values that a point tells."""
    found, at = [], 0
    for width in point.widths:
        size = 8 * ((width + 63) // 64)
        found.append(native.number(data[at : at + size]))
        at += size
    return found


def _formats(p4info: Any) -> Iterator[tuple[tuple[str, str], str]]:
    """The format of each key field and parameter that has one: by table or action, and name."""
    for owners, parts in ((p4info.tables, "match_fields"), (p4info.actions, "params")):
        for owner in owners:
            for part in getattr(owner, parts):
                for note in part.annotations:
                    if note.startswith("@format("):
                        yield (owner.preamble.name, part.name), note[8:-1]
