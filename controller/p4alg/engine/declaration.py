"""How a table of the P4 program is declared, by the class of its entries.

`tables.py` has a class for each table. The decorator `table` names the table. The annotation of
each field says what the field is in the table: a match field (`Exact`, `Lpm`, `Ternary`), a
parameter of the action (`Param`), or a `Role`. From that a `Declaration` is made. The encoder and
decoder of a target, the key of an entry and the checks of the double for tests all follow from it.

This module knows no table and no target.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from types import NoneType
from typing import (
    Annotated,
    Any,
    ClassVar,
    TypeVar,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)


class Kind(Enum):
    """How a match field matches. The values are those of P4Runtime's `MatchField.MatchType`."""

    EXACT = "EXACT"
    LPM = "LPM"
    TERNARY = "TERNARY"


class Format(Enum):
    """What the number in a field means. The values are those of `@format` in the P4Info."""

    NUMBER = ""
    IPV4 = "IPV4_ADDRESS"
    MAC = "MAC_ADDRESS"


IPV4, MAC = Format.IPV4, Format.MAC


# Annotations of fields


@dataclass(frozen=True, slots=True)
class Exact:
    """An exact match field of `bits` bits."""

    bits: int
    format: Format = Format.NUMBER


@dataclass(frozen=True, slots=True)
class Lpm:
    """A longest-prefix match field; `length` names the field with the prefix length.

    Prefix length 0 matches everything.
    """

    bits: int
    length: str
    format: Format = Format.NUMBER


@dataclass(frozen=True, slots=True)
class Ternary:
    """A match field with a mask. The type of the field says how the mask is given.

    `int`: every bit counts. `int | None`: every bit counts, and None matches everything.
    `tuple[int, int]`: value and mask; mask 0 matches everything.
    """

    bits: int
    format: Format = Format.NUMBER


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of the action. A `signed` one is sent to the switch as two's complement."""

    bits: int
    format: Format = Format.NUMBER
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Prefixed:
    """A structure. In the table, the names of its fields begin with `prefix`."""

    prefix: str


class Role(Enum):
    """The role of a field that is neither a match field nor a parameter."""

    PRIORITY = "priority"
    """If several ternary entries match, the one with the highest wins. Part of the key."""
    IDLE_TIMEOUT = "idle timeout"
    """The switch reports the entry after so many seconds without a packet; 0: never."""
    ACTION = "action"
    """The action of the entry: an enumeration whose values are the names of the actions."""
    PREFIX_LENGTH = "prefix length"
    """The prefix length of the `Lpm` field that names this field. Part of the key."""


PRIORITY, IDLE_TIMEOUT = Role.PRIORITY, Role.IDLE_TIMEOUT
ACTION, PREFIX_LENGTH = Role.ACTION, Role.PREFIX_LENGTH


@dataclass(frozen=True, slots=True)
class Unless0:
    """The action depends on the parameter `name`: it is `otherwise` if that is 0, else `action`.

    `action` has all parameters; `otherwise` has all but that one and those in `also`.
    """

    name: str
    action: str
    otherwise: str
    also: tuple[str, ...] = ()


# Parts of a declaration


class Form(Enum):
    """How a field of an entry gives the value and mask of a match field."""

    VALUE = "value"
    """Only a value; every bit has to match."""
    OPTIONAL = "optional"
    """A value of which every bit has to match, or None, which matches everything."""
    PAIR = "pair"
    """A value and a mask."""


@dataclass(frozen=True, slots=True)
class MatchField:
    """A match field: its name in the table, and the dotted path of the entry's attribute for it."""

    name: str
    path: str
    kind: Kind
    bits: int
    format: Format
    form: Form
    type: type
    """The type of the value: int, or an enumeration of integers."""
    length: str = ""
    """Of an LPM field, the path of the field with its prefix length."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: its name in the action, and the dotted path of the entry's attribute for it."""

    name: str
    path: str
    bits: int
    format: Format
    signed: bool
    type: type


@dataclass(frozen=True, slots=True)
class RoleField:
    """A field with a `Role`. `match` names the LPM field that a prefix length belongs to."""

    role: Role
    path: str
    type: type
    match: str = ""


@dataclass(frozen=True, slots=True)
class Structure:
    """A field that consists of other fields: a dataclass or a named tuple."""

    type: Callable[..., Any]
    parts: tuple[Field, ...]


Field = MatchField | Parameter | RoleField | Structure


@dataclass(frozen=True, slots=True)
class Declaration:
    """Everything that is declared about a table."""

    entry: type[Entry]
    table: str
    size: int
    """The number of entries that the table is guaranteed to hold."""
    fields: tuple[Field, ...]
    """The fields of the class, in the order of its constructor."""
    matches: tuple[MatchField, ...]
    actions: Mapping[str, tuple[Parameter, ...]]
    """The parameters of each action that a controller writes."""
    choice: str | Unless0 | RoleField
    """The action of an entry: always the one named, or depending on a parameter or a field."""
    key: Callable[[Any], Any]
    """Computes the key of an entry: the values of its key fields, or the value of the only one."""
    key_fields: tuple[Field, ...]
    """The fields that are part of the key, in the order of the class."""
    priority: str
    """The path of the priority; empty if the table has none."""
    idle_timeout: str
    """The path of the idle timeout; empty if entries do not age."""

    @property
    def is_default(self) -> bool:
        """Whether the table has no key. Its one entry is the default entry, which always exists."""
        return not self.key_fields


class Entry:
    """An entry of a table. Each subclass is declared with the decorator `table`."""

    __slots__ = ()
    declaration: ClassVar[Declaration]


_E = TypeVar("_E", bound=Entry)
_declared: dict[str, Declaration] = {}


@dataclass_transform(frozen_default=True)
def table(
    name: str, *, size: int, action: str | Unless0 | None = None
) -> Callable[[type[_E]], type[_E]]:
    """Make a class the declaration of the table `name`, which has room for `size` entries.

    The class becomes a frozen dataclass with slots. Without `action`, one of its fields must
    have the role ACTION. Raises TypeError if the declaration contradicts itself.
    """

    def declare(cls: type[_E]) -> type[_E]:
        if name in _declared:
            raise TypeError(f"table {name} is declared twice")
        made = dataclass(frozen=True, slots=True)(cls)
        made.declaration = _declared[name] = _declaration(made, name, size, action)
        return made

    return declare


def declarations() -> Mapping[str, Declaration]:
    """Every declaration made so far, by the name of its table."""
    return _declared


def _declaration(
    cls: type[Entry], name: str, size: int, action: str | Unless0 | None
) -> Declaration:
    whole = _fields(cls, "", "")
    leaves = list(_leaves(whole))
    matches = tuple(leaf for leaf in leaves if isinstance(leaf, MatchField))
    parameters = tuple(leaf for leaf in leaves if isinstance(leaf, Parameter))
    roles = {leaf.role: leaf for leaf in leaves if isinstance(leaf, RoleField)}
    if (action is None) != (Role.ACTION in roles):
        raise TypeError(f"table {name}: name the action, or give a field the role ACTION")
    names = tuple(field.name for field in fields(cls))  # type: ignore[arg-type]
    key = [(n, field) for n, field in zip(names, whole, strict=True) if _identifies(field)]
    choice = roles[Role.ACTION] if action is None else action
    return Declaration(
        entry=cls,
        table=name,
        size=size,
        fields=whole,
        matches=matches,
        actions=_actions(name, parameters, choice),
        choice=choice,
        key=operator.attrgetter(*[n for n, _ in key]) if key else _no_key,
        key_fields=tuple(field for _, field in key),
        priority=roles[Role.PRIORITY].path if Role.PRIORITY in roles else "",
        idle_timeout=roles[Role.IDLE_TIMEOUT].path if Role.IDLE_TIMEOUT in roles else "",
    )


def _no_key(_entry: Entry) -> tuple[()]:
    """The key of the one entry of a table without key."""
    return ()


def _actions(
    table_name: str, parameters: tuple[Parameter, ...], choice: str | Unless0 | RoleField
) -> dict[str, tuple[Parameter, ...]]:
    if isinstance(choice, str):
        return {choice: parameters}
    if isinstance(choice, RoleField):
        return {str(member.value): parameters for member in choice.type}  # type: ignore[attr-defined]
    missing = {choice.name, *choice.also}
    fewer = tuple(p for p in parameters if p.name not in missing)
    if len(fewer) + len(missing) != len(parameters):
        raise TypeError(f"table {table_name}: no such parameters as {sorted(missing)}")
    return {choice.action: parameters, choice.otherwise: fewer}


def _leaves(parts: tuple[Field, ...]) -> list[MatchField | Parameter | RoleField]:
    found: list[MatchField | Parameter | RoleField] = []
    for field in parts:
        found += _leaves(field.parts) if isinstance(field, Structure) else [field]
    return found


def _identifies(field: Field) -> bool:
    match field:
        case MatchField():
            return True
        case Parameter():
            return False
        case RoleField(role=role):
            return role in (Role.PRIORITY, Role.PREFIX_LENGTH)
        case Structure(parts=parts):
            if len({_identifies(part) for part in parts}) != 1:
                raise TypeError(f"{field.type}: a structure is of the key or it is not")
            return _identifies(parts[0])


def _fields(cls: type, path: str, prefix: str) -> tuple[Field, ...]:
    """The fields of a class. `path` leads from the entry to them, `prefix` begins their names."""
    found: list[Field] = []
    hints = get_type_hints(cls, include_extras=True)
    named = {n: h for n, h in hints.items() if get_origin(h) is not ClassVar}
    prefix_of = {
        mark.length: name
        for name, hint in named.items()
        for mark in _marks(hint)
        if isinstance(mark, Lpm)
    }
    for name, hint in named.items():
        where = f"{path}{name}"
        found.append(_field(name, where, hint, prefix, path, prefix_of.get(name, "")))
    return tuple(found)


def _marks(hint: Any) -> tuple[Any, ...]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


def _field(name: str, path: str, hint: Any, prefix: str, parent: str, match: str) -> Field:
    kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    marks = _marks(hint)
    if len(marks) > 1:
        raise TypeError(f"{path}: one annotation says what a field is")
    mark = marks[0] if marks else None
    full = prefix + name
    match mark:
        case Exact(bits, form):
            return MatchField(full, path, Kind.EXACT, bits, form, Form.VALUE, kind)
        case Lpm(bits, length, form):
            return MatchField(
                full, path, Kind.LPM, bits, form, Form.VALUE, kind, length=f"{parent}{length}"
            )
        case Ternary(bits, form):
            shape, of = _shape(kind)
            return MatchField(full, path, Kind.TERNARY, bits, form, shape, of)
        case Param(bits, form, signed):
            return Parameter(full, path, bits, form, signed, kind)
        case Role():
            if mark is Role.PREFIX_LENGTH and not match:
                raise TypeError(f"{path}: no Lpm field names this one")
            return RoleField(mark, path, kind, match)
        case Prefixed(inner):
            return Structure(kind, _fields(kind, f"{path}.", prefix + inner))
        case None if hasattr(kind, "__annotations__") and kind is not int:
            return Structure(kind, _fields(kind, f"{path}.", prefix))
        case _:
            raise TypeError(f"{path}: say what it is in the table")


def _shape(hint: Any) -> tuple[Form, type]:
    """How a ternary field with this type gives its mask, and the type of its value."""
    arguments = get_args(hint)
    if get_origin(hint) is tuple:
        return Form.PAIR, arguments[0]
    if NoneType in arguments:
        return Form.OPTIONAL, next(a for a in arguments if a is not NoneType)
    return Form.VALUE, hint
