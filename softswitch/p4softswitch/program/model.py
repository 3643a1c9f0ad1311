"""Typed, immutable model of a compiled v1model program.

This is what `bmv2_json` reads and what an executor runs. It knows neither P4Runtime ids (see
`p4info`) nor runtime state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

# --- expressions -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Const:
    """An integer constant."""

    value: int


@dataclass(frozen=True, slots=True)
class BoolConst:
    """A boolean constant."""

    value: bool


@dataclass(frozen=True, slots=True)
class FieldRef:
    """A field of a header instance; `$valid$` names the validity bit."""

    header: str
    field: str


@dataclass(frozen=True, slots=True)
class LocalRef:
    """Action parameter number `index` of the enclosing action."""

    index: int


@dataclass(frozen=True, slots=True)
class HeaderRef:
    """A header instance."""

    name: str


@dataclass(frozen=True, slots=True)
class StackRef:
    """A header stack."""

    name: str


@dataclass(frozen=True, slots=True)
class StackFieldRef:
    """A field of the last valid element of a header stack."""

    stack: str
    field: str


@dataclass(frozen=True, slots=True)
class Lookahead:
    """`width` bits found `offset` bits after the parser's position."""

    offset: int
    width: int


@dataclass(frozen=True, slots=True)
class Op:
    """An operation; `cond` is only set for the ternary operator `?`."""

    name: str
    left: Expr | None
    right: Expr | None
    cond: Expr | None = None


@dataclass(frozen=True, slots=True)
class NamedRef:
    """A reference by name: `kind` is calculation, meter_array, counter_array, register_array."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """A string or an argument that has no meaning at run time (log messages)."""

    value: str


Expr = (
    Const
    | BoolConst
    | FieldRef
    | LocalRef
    | HeaderRef
    | StackRef
    | StackFieldRef
    | Lookahead
    | Op
    | NamedRef
    | Text
)

# --- data ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Field:
    """A header field; `width` is in bits, 0 for a variable-length field."""

    name: str
    width: int
    signed: bool = False
    varbit: bool = False


@dataclass(frozen=True, slots=True)
class HeaderType:
    """Fields in wire order; `max_bytes` bounds a header with a variable-length field."""

    name: str
    fields: tuple[Field, ...]
    max_bytes: int = 0

    @property
    def has_varbit(self) -> bool:
        """Whether one of the fields has a variable length."""
        return any(f.varbit for f in self.fields)

    @property
    def fixed_bits(self) -> int:
        """Width of all fields, variable-length ones counted as empty."""
        return sum(f.width for f in self.fields)


@dataclass(frozen=True, slots=True)
class Header:
    """A header instance; metadata is always valid and never on the wire."""

    name: str
    type: HeaderType
    metadata: bool

    def field(self, name: str) -> Field:
        """Return the field called `name`; KeyError if there is none."""
        for f in self.type.fields:
            if f.name == name:
                return f
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Stack:
    """A header stack: names of its instances, first element first."""

    name: str
    headers: tuple[str, ...]


# --- behaviour -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """A primitive with its arguments, as found in an action, a parser state or the deparser.

    `where` is its place in the P4 source as "file:line: text", empty if that is not known.
    """

    op: str
    args: tuple[Expr, ...]
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Action:
    """An action; `params` are (name, width in bits)."""

    name: str
    id: int
    params: tuple[tuple[str, int], ...]
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A select case: one (value, mask) per key; mask None compares all bits."""

    match: tuple[tuple[int, int | None], ...]
    next_state: str | None


@dataclass(frozen=True, slots=True)
class ParserState:
    """A parser state. Operations are calls named extract, extract_VL, set, verify, advance,
    shift or, for extern calls, by the primitive itself."""

    name: str
    ops: tuple[Call, ...]
    keys: tuple[Expr, ...]
    cases: tuple[Case, ...]
    default: str | None


@dataclass(frozen=True, slots=True)
class Parser:
    """A parser; `init` is the start state."""

    init: str | None
    states: dict[str, ParserState]


@dataclass(frozen=True, slots=True)
class Calculation:
    """A hash or checksum over `inputs`; a `Const` input carries its width in `widths`."""

    name: str
    algo: str
    inputs: tuple[FieldRef | HeaderRef | Const, ...]
    widths: tuple[int, ...]
    with_payload: bool


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum field with its calculation and the condition under which it applies."""

    name: str
    target: FieldRef
    calculation: str
    verify: bool
    update: bool
    condition: Expr | None


class MatchKind(Enum):
    """How a key field matches, in BMv2's terms (optional fields are compiled to ternary)."""

    EXACT = "exact"
    LPM = "lpm"
    TERNARY = "ternary"
    RANGE = "range"


@dataclass(frozen=True, slots=True)
class KeyField:
    """One field of a table key."""

    name: str
    target: FieldRef
    kind: MatchKind
    width: int
    mask: int | None


@dataclass(frozen=True, slots=True)
class ConstMatch:
    """Match of a constant entry: exact value, value/mask, value/prefix length or low..high."""

    value: int
    mask: int = 0
    prefix_len: int = 0
    high: int = 0


@dataclass(frozen=True, slots=True)
class ConstEntry:
    """An entry that the program itself installs. A lower `priority` wins, as in BMv2."""

    matches: tuple[ConstMatch, ...]
    action_id: int
    args: tuple[int, ...]
    priority: int


@dataclass(frozen=True, slots=True)
class Table:
    """A match-action table and where control goes after it."""

    name: str
    keys: tuple[KeyField, ...]
    kind: MatchKind
    max_size: int
    with_counters: bool
    support_timeout: bool
    direct_meter: str | None
    action_ids: tuple[int, ...]
    next_by_action: dict[int, str | None]
    hit_next: str | None
    miss_next: str | None
    next_by_hit: bool
    default_action: int
    default_args: tuple[int, ...]
    const_default: bool
    entries: tuple[ConstEntry, ...]
    const_entries: bool
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Conditional:
    """A branch in a control."""

    name: str
    expression: Expr
    true_next: str | None
    false_next: str | None
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A control: its nodes by name and the first one."""

    name: str
    init: str | None
    tables: dict[str, Table]
    conditionals: dict[str, Conditional]


@dataclass(frozen=True, slots=True)
class CounterArray:
    """A counter array; for direct ones `table` is the owning table."""

    name: str
    size: int
    table: str | None


@dataclass(frozen=True, slots=True)
class MeterArray:
    """A meter array; direct ones write the colour to `target` on a table hit."""

    name: str
    size: int
    bytes_unit: bool
    table: str | None
    target: FieldRef | None


@dataclass(frozen=True, slots=True)
class RegisterArray:
    """A register array; `width` in bits."""

    name: str
    size: int
    width: int


@dataclass(frozen=True, slots=True)
class LearnList:
    """Fields sent in a digest."""

    id: int
    name: str
    elements: tuple[FieldRef | Const, ...]
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A whole v1model program."""

    headers: dict[str, Header]
    stacks: dict[str, Stack]
    errors: dict[str, int]
    parser: Parser
    ingress: Pipeline
    egress: Pipeline
    deparse_order: tuple[str, ...]
    deparser_calls: tuple[Call, ...]
    actions: dict[int, Action]
    calculations: dict[str, Calculation]
    checksums: tuple[Checksum, ...]
    counters: dict[str, CounterArray]
    meters: dict[str, MeterArray]
    registers: dict[str, RegisterArray]
    learn_lists: dict[int, LearnList]
    field_lists: dict[int, tuple[FieldRef, ...]]
    aliases: dict[str, FieldRef] = field(default_factory=dict)

    def tables(self) -> dict[str, Table]:
        """All tables of both pipelines by name."""
        return {**self.ingress.tables, **self.egress.tables}
