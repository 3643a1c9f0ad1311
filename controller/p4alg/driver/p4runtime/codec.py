"""Reads P4Runtime table entries as engine entries; `encoding` writes them.

It knows no table. A decoder is made from the `Declaration` of a table, when the first entry of
the table is read. `decode` returns None for default entries of tables that
have a key, so that of a wildcard read only the entries remain that a controller wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from ipaddress import IPv4Network
from typing import Any

import finsy as fy

from p4alg.engine import tables as t
from p4alg.engine.declaration import (
    Declaration,
    Field,
    Form,
    Kind,
    MatchField,
    Parameter,
    Role,
    RoleField,
    Structure,
    declarations,
)
from p4alg.engine.reconcile import EntryKey

_NS = 1_000_000_000

_Reader = Callable[[fy.P4TableEntry, Mapping[str, Any], Mapping[str, Any]], Any]
"""Reads a field of an entry from its P4Runtime form, the match fields and the parameters."""


class CodecError(ValueError):
    """An entry that the controller cannot have written. The text is one line."""


def decode(wire: fy.P4TableEntry) -> t.Entry | None:
    """The engine's form of an entry that was read. None for a default entry of a table with a key.

    Raises `CodecError` if the entry does not have the form that a controller writes.
    """
    declared = declarations().get(wire.table_id)
    if wire.is_default_action and (declared is None or not declared.is_default):
        return None
    declared = _declaration(wire)
    action = wire.action
    if not isinstance(action, fy.P4TableAction) or action.name not in declared.actions:
        raise CodecError(f"table {wire.table_id}: an entry has an unexpected action")
    try:
        return _decoder(wire.table_id)(wire, wire.match or {}, action.args)  # type: ignore[no-any-return]
    except (KeyError, ValueError) as error:
        raise CodecError(f"table {wire.table_id}: an entry cannot be read ({error})") from None


def decode_key(wire: fy.P4TableEntry) -> EntryKey:
    """The `entry_key` of an entry of which the switch has told the key; the action may be missing.

    Raises `CodecError` like `decode`.
    """
    declared = _declaration(wire)
    try:
        return declared.entry, _key_decoder(wire.table_id)(wire, wire.match or {}, {})
    except (KeyError, ValueError) as error:
        raise CodecError(f"table {wire.table_id}: a key cannot be read ({error})") from None


def plain(fields: Mapping[str, Any]) -> dict[str, int]:
    """The fields of a digest as integers; finsy makes address objects of those with a @format."""
    return {name: int(value) for name, value in fields.items()}


def decode_flow(digest: Mapping[str, int]) -> t.FlowKey:
    """The flow key among the fields of a digest (`plain`)."""
    return t.FlowKey(*[digest[name] for name in t.FlowKey._fields])


def _declaration(wire: fy.P4TableEntry) -> Declaration:
    declared = declarations().get(wire.table_id)
    if declared is None:
        raise CodecError(f"table {wire.table_id} is not one of the program's")
    return declared


# Decoding


@cache
def _decoder(table: str) -> _Reader:
    declared = declarations()[table]
    return _structure_reader(declared.entry, declared.fields, declared)


@cache
def _key_decoder(table: str) -> _Reader:
    declared = declarations()[table]
    if len(declared.key_fields) == 1:
        return _reader(declared.key_fields[0], declared)
    return _structure_reader(lambda *parts: parts, declared.key_fields, declared)


def _structure_reader(
    make: Callable[..., Any], parts: tuple[Field, ...], declared: Declaration
) -> _Reader:
    readers = [_reader(part, declared) for part in parts]
    return lambda wire, match, args: make(*[read(wire, match, args) for read in readers])


def _reader(field: Field, declared: Declaration) -> _Reader:
    match field:
        case MatchField():
            return _match_reader(field)
        case Parameter():
            return _parameter_reader(field, declared)
        case RoleField():
            return _role_reader(field)
        case Structure():
            return _structure_reader(field.type, field.parts, declared)


def _match_reader(field: MatchField) -> _Reader:
    name, of, every_bit = field.name, field.type, (1 << field.bits) - 1
    if field.kind is Kind.EXACT:
        return lambda wire, match, args: of(int(match[name]))
    if field.kind is Kind.LPM:
        return lambda wire, match, args: of(_prefix(match.get(name))[0])
    if field.form is Form.PAIR:
        return lambda wire, match, args: _pair(match.get(name))

    def whole(wire: fy.P4TableEntry, match: Mapping[str, Any], args: Mapping[str, Any]) -> Any:
        if name not in match and field.form is Form.OPTIONAL:
            return None
        value, mask = _pair(match[name])
        if mask != every_bit:
            raise ValueError(f"{name} is masked")
        return of(value)

    return whole


def _parameter_reader(parameter: Parameter, declared: Declaration) -> _Reader:
    name, of = parameter.name, parameter.type
    if parameter.signed:
        sign = 1 << (parameter.bits - 1)
        return lambda wire, match, args: (int(args[name]) ^ sign) - sign
    if any(parameter not in own for own in declared.actions.values()):
        return lambda wire, match, args: of(int(args.get(name, 0)))
    return lambda wire, match, args: of(int(args[name]))


def _role_reader(field: RoleField) -> _Reader:
    of, name = field.type, field.match
    match field.role:
        case Role.PRIORITY:
            return lambda wire, match, args: wire.priority
        case Role.IDLE_TIMEOUT:
            return lambda wire, match, args: wire.idle_timeout_ns / _NS
        case Role.ACTION:
            return lambda wire, match, args: of(getattr(wire.action, "name", None))
        case Role.PREFIX_LENGTH:
            return lambda wire, match, args: _prefix(match.get(name))[1]


def _prefix(value: Any) -> tuple[int, int]:
    """Address and prefix length. finsy makes a network object of a field that has a @format."""
    if value is None:
        return 0, 0
    if isinstance(value, IPv4Network):
        return int(value.network_address), value.prefixlen
    addr, length = value
    return int(addr), int(length)


def _pair(value: Any) -> tuple[int, int]:
    if value is None:
        return 0, 0
    wanted, mask = value
    return int(wanted), int(mask)
