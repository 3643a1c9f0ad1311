"""Writes engine entries as P4Runtime updates.

It knows no table. A writer is made from the `Declaration` of a table and the switch's P4Info when
the first entry of the table is written. Everything of an update that is always the same was encoded
then, by protobuf itself, so that for an entry only its values are put between: that takes a tenth
of the time of building the message, and every flow with an ALG needs several entries.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from finsy.proto import p4r

from p4alg.driver.p4runtime.program import Program
from p4alg.engine.declaration import (
    Declaration,
    Form,
    Kind,
    MatchField,
    Parameter,
    RoleField,
    Unless0,
)
from p4alg.engine.tables import Entry, NextHop, Op

_NS = 1_000_000_000
_NUMBER, _DELIMITED = 0, 2
"""How protobuf writes a field: as a number of variable length, or its length and its bytes."""
_TYPES = {
    Op.INSERT: p4r.Update.INSERT,
    Op.MODIFY: p4r.Update.MODIFY,
    Op.DELETE: p4r.Update.DELETE,
}

_Part = Callable[[Any], bytes]
"""Encodes a part of a message from an entry; empty if the entry has no such part."""


class Encoder:
    """Encodes entries for a switch that runs `program`."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._writers: dict[str, _TableWriter] = {}

    def updates(self, op: Op, entry: Entry, *, ages: bool = True) -> list[p4r.Update]:
        """As `update`, with what the program keeps of the entry in another table.

        A packet finds a whole entry or none.
        """
        update = self.update(op, entry, ages=ages)
        if not (isinstance(entry, NextHop) and self._program.has_neighbour):
            return [update]
        entity = self._program.neighbour(entry, whole=op is not Op.DELETE)
        other = p4r.Update(type=_TYPES[op], entity=entity)
        return [update, other] if op is Op.DELETE else [other, update]

    def update(self, op: Op, entry: Entry, *, ages: bool = True) -> p4r.Update:
        """The update that makes `op` with `entry`, of whose content a deletion has only the key.

        Unless `ages`, the switch has no idle timeouts and is told none. Raises ValueError if a
        value is too large for its field.
        """
        table = entry.declaration.table
        writer = self._writers.get(table)
        if writer is None:
            writer = self._writers[table] = _TableWriter(entry.declaration, self._program)
        body = writer.key(entry)
        if op is not Op.DELETE:
            body += writer.content(entry, ages)
        return p4r.Update.FromString(_HEADS[op] + _ENTITY(_TABLE_ENTRY(body)))


class _TableWriter:
    """Encodes the entries of one table."""

    def __init__(self, declared: Declaration, program: Program) -> None:
        table = program.table(declared.table)
        first = p4r.TableEntry(table_id=table.id, is_default_action=declared.is_default)
        self._first = first.SerializeToString()
        self._key = [_match(field, table.match_fields[field.name].id) for field in declared.matches]
        if declared.priority:
            rank = attrgetter(declared.priority)
            self._key.append(lambda entry: _PRIORITY + _varint(rank(entry)))
        self._action = _choice(declared, program)
        self._timeout = attrgetter(declared.idle_timeout) if declared.idle_timeout else None

    def key(self, entry: Entry) -> bytes:
        """What names the entry."""
        return self._first + b"".join([part(entry) for part in self._key])

    def content(self, entry: Entry, ages: bool) -> bytes:
        """Its action and, if it `ages`, its idle timeout."""
        action = self._action(entry)
        if self._timeout is None or not ages:
            return action
        timeout = round(self._timeout(entry) * _NS)
        return action + _IDLE_TIMEOUT + _varint(timeout) if timeout else action


# Messages within messages


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _tag(message: Any, field: str, wire_type: int) -> bytes:
    return _varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | wire_type)


def _within(message: Any, field: str) -> Callable[[bytes], bytes]:
    """Puts the encoded message of a field of `message` into it."""
    tag = _tag(message, field, _DELIMITED)
    return lambda body: tag + _varint(len(body)) + body


_ENTITY = _within(p4r.Update, "entity")
_TABLE_ENTRY = _within(p4r.Entity, "table_entry")
_MATCH = _within(p4r.TableEntry, "match")
_ACTION = _within(p4r.TableEntry, "action")
_PLAIN_ACTION = _within(p4r.TableAction, "action")
_PARAM = _within(p4r.Action, "params")
_PRIORITY = _tag(p4r.TableEntry, "priority", _NUMBER)
_IDLE_TIMEOUT = _tag(p4r.TableEntry, "idle_timeout_ns", _NUMBER)
_HEADS = {op: p4r.Update(type=kind).SerializeToString() for op, kind in _TYPES.items()}


# Numbers


def canonical(number: int, bits: int) -> bytes:
    """The shortest bytes of a number (P4Runtime section 8.4); ValueError if it has more `bits`."""
    if number >> bits:
        raise ValueError(f"{number} does not fit into {bits} bits")
    return number.to_bytes((number.bit_length() + 7) // 8 or 1, "big")


def _number(make: Callable[[bytes], bytes], bits: int) -> Callable[[int], bytes]:
    """Encodes what `make` does of a number of at most `bits` bits, but faster.

    The bytes around a number depend only on how many bytes it has itself.
    """
    around: list[tuple[bytes, bytes]] = []
    for size in range((bits + 7) // 8 + 1):
        marked = make(b"\xa5" * size)
        before, _, after = marked.partition(b"\xa5" * size) if size else (b"", b"", b"")
        around.append((before, after))

    def encode(number: int) -> bytes:
        value = canonical(number, bits)
        before, after = around[len(value)]
        return before + value + after

    return encode


# Match fields


def _match(field: MatchField, field_id: int) -> _Part:
    get, bits = attrgetter(field.path), field.bits
    every_bit = canonical((1 << bits) - 1, bits)

    def exact(value: bytes) -> bytes:
        wire = p4r.FieldMatch(field_id=field_id, exact=p4r.FieldMatch.Exact(value=value))
        return _MATCH(wire.SerializeToString())

    def ternary(value: bytes, mask: bytes = every_bit) -> bytes:
        pair = p4r.FieldMatch.Ternary(value=value, mask=mask)
        return _MATCH(p4r.FieldMatch(field_id=field_id, ternary=pair).SerializeToString())

    def masked(entry: Any) -> bytes:
        value, mask = get(entry)
        return ternary(canonical(value & mask, bits), canonical(mask, bits)) if mask else b""

    def prefix(entry: Any) -> bytes:
        length = get_length(entry)
        if not length:
            return b""
        value = canonical(get(entry) >> bits - length << bits - length, bits)
        wire = p4r.FieldMatch.LPM(value=value, prefix_len=length)
        return _MATCH(p4r.FieldMatch(field_id=field_id, lpm=wire).SerializeToString())

    # What matches everything is left out (P4Runtime section 9.1.1).
    if field.kind is Kind.LPM:
        get_length = attrgetter(field.length)
        return prefix
    if field.form is Form.PAIR:
        return masked
    encode = _number(exact if field.kind is Kind.EXACT else ternary, bits)
    if field.form is Form.OPTIONAL:
        return lambda entry: b"" if get(entry) is None else encode(get(entry))
    return lambda entry: encode(get(entry))


# Actions


def _choice(declared: Declaration, program: Program) -> _Part:
    actions = {
        name: _action(declared.table, name, parameters, program)
        for name, parameters in declared.actions.items()
    }
    choice = declared.choice
    if isinstance(choice, RoleField):
        get = attrgetter(choice.path)
        return lambda entry: actions[get(entry).value](entry)
    if isinstance(choice, Unless0):
        decides = attrgetter(choice.name)
        given, otherwise = actions[choice.action], actions[choice.otherwise]
        return lambda entry: given(entry) if decides(entry) else otherwise(entry)
    return actions[choice]


def _action(table: str, name: str, parameters: tuple[Parameter, ...], program: Program) -> _Part:
    action = program.action(table, name)
    first = p4r.Action(action_id=action.id).SerializeToString()
    here = [own for own in parameters if not program.may_lack(table, own.name)]
    parts = [_parameter(own, action.params[own.name].id) for own in here]

    def encode(entry: Any) -> bytes:
        return _ACTION(_PLAIN_ACTION(first + b"".join([part(entry) for part in parts])))

    return encode


def _parameter(parameter: Parameter, param_id: int) -> _Part:
    get, every_bit = attrgetter(parameter.path), (1 << parameter.bits) - 1

    def make(value: bytes) -> bytes:
        return _PARAM(p4r.Action.Param(param_id=param_id, value=value).SerializeToString())

    encode = _number(make, parameter.bits)
    if parameter.signed:
        return lambda entry: encode(get(entry) & every_bit)
    return lambda entry: encode(get(entry))
