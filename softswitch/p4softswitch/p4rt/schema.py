"""P4Info bound to the program: ids on one side, names and stores of the program on the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from p4softswitch.errors import ProgramError
from p4softswitch.p4rt.proto import p4i
from p4softswitch.program.model import MatchKind, Program, Table

_KINDS = {
    p4i.MatchField.EXACT: {MatchKind.EXACT},
    p4i.MatchField.LPM: {MatchKind.LPM, MatchKind.TERNARY},
    p4i.MatchField.TERNARY: {MatchKind.TERNARY},
    p4i.MatchField.OPTIONAL: {MatchKind.TERNARY},
    p4i.MatchField.RANGE: {MatchKind.RANGE},
}


@dataclass(frozen=True, slots=True)
class MatchFieldInfo:
    """A match field: its P4Runtime kind and width in bits."""

    id: int
    name: str
    kind: int
    width: int


@dataclass(frozen=True, slots=True)
class ActionInfo:
    """An action: parameter (id, width) in order."""

    id: int
    name: str
    params: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table that the control plane may see."""

    id: int
    name: str
    fields: tuple[MatchFieldInfo, ...]
    scopes: dict[int, int]  # action id -> p4i.ActionRef.Scope
    program_actions: dict[int, int]  # action id -> id in the program, where copies are per table
    needs_priority: bool
    is_const: bool
    const_default: bool
    idle_timeout: bool
    counter: bool
    meter: bool
    model: Table


@dataclass(frozen=True, slots=True)
class DigestInfo:
    """A digest: id, learn list of the program, and widths of its members.

    A digest of one bare value is sent as that value, anything else as a struct.
    """

    id: int
    name: str
    learn_id: int
    bare: bool


@dataclass(frozen=True, slots=True)
class RegisterInfo:
    """A register array: the width of its cells in bits, and whether they are `bit<width>`."""

    id: int
    name: str
    width: int
    is_bits: bool


@dataclass(frozen=True, slots=True)
class Schema:
    """All objects of a P4Info by id."""

    p4info: Any
    tables: dict[int, TableInfo]
    actions: dict[int, ActionInfo]
    actions_by_program_id: dict[int, ActionInfo]
    counters: dict[int, str]
    meters: dict[int, str]
    registers: dict[int, RegisterInfo]
    digests: dict[int, DigestInfo]
    packet_in: tuple[tuple[int, int], ...] | None
    packet_out: tuple[tuple[int, int], ...] | None


def bind(p4info: Any, program: Program) -> Schema:
    """Match a P4Info with a program; `ProgramError` if the two do not belong together."""
    if p4info.action_profiles:
        raise ProgramError("action profiles are not supported")
    if p4info.value_sets:
        raise ProgramError("parser value sets are not supported")
    actions = _actions(p4info, program)
    tables = program.tables()
    direct = {c.preamble.id: "counter" for c in p4info.direct_counters}
    direct_meters = {m.preamble.id: "meter" for m in p4info.direct_meters}
    bound = {}
    for t in p4info.tables:
        model = tables.get(t.preamble.name)
        if model is None:
            raise ProgramError(f"P4Info has table {t.preamble.name}, the program has not")
        bound[t.preamble.id] = _table(t, model, actions, program, direct | direct_meters)
    headers = {h.preamble.name: h for h in p4info.controller_packet_metadata}
    return Schema(
        p4info=p4info,
        tables=bound,
        actions=actions,
        actions_by_program_id=_by_program_id(actions, program),
        counters=_names(p4info.counters, program.counters, "counter"),
        meters=_names(p4info.meters, program.meters, "meter"),
        registers=_registers(p4info, program),
        digests=_digests(p4info, program),
        packet_in=_packet_metadata(headers.get("packet_in")),
        packet_out=_packet_metadata(headers.get("packet_out")),
    )


def _names(infos: Iterable[Any], known: dict[str, Any], what: str) -> dict[int, str]:
    names = {}
    for info in infos:
        name = info.preamble.name
        if name not in known:
            raise ProgramError(f"P4Info has {what} {name}, the program has not")
        names[info.preamble.id] = name
    return names


def _registers(p4info: Any, program: Program) -> dict[int, RegisterInfo]:
    names = _names(p4info.registers, program.registers, "register")
    return {r.preamble.id: _register(r, names[r.preamble.id], program) for r in p4info.registers}


def _register(register: Any, name: str, program: Program) -> RegisterInfo:
    array, spec = program.registers[name], register.type_spec
    is_bits = spec.WhichOneof("type_spec") == "bitstring" and spec.bitstring.HasField("bit")
    width = spec.bitstring.bit.bitwidth if is_bits else array.width
    if (register.size, width) != (array.size, array.width):
        raise ProgramError(f"register {name} differs in P4Info and program")
    return RegisterInfo(register.preamble.id, name, width, is_bits)


def _actions(p4info: Any, program: Program) -> dict[int, ActionInfo]:
    actions = {}
    by_name: dict[str, int] = {}
    for action in program.actions.values():
        by_name.setdefault(action.name, action.id)
    for a in p4info.actions:
        name = a.preamble.name
        if name not in by_name:
            raise ProgramError(f"P4Info has action {name}, the program has not")
        model = program.actions[by_name[name]]
        params = tuple((p.id, p.bitwidth) for p in a.params)
        if tuple(w for _, w in params) != tuple(w for _, w in model.params):
            raise ProgramError(f"parameters of action {name} differ in P4Info and program")
        actions[a.preamble.id] = ActionInfo(a.preamble.id, name, params)
    return actions


def _by_program_id(actions: dict[int, ActionInfo], program: Program) -> dict[int, ActionInfo]:
    by_name = {a.name: a for a in actions.values()}
    return {a.id: by_name[a.name] for a in program.actions.values() if a.name in by_name}


def _table(
    t: Any,
    model: Table,
    actions: dict[int, ActionInfo],
    program: Program,
    direct: dict[int, str],
) -> TableInfo:
    name = t.preamble.name
    resources = {direct.get(r) for r in t.direct_resource_ids}
    own = {program.actions[i].name: i for i in model.action_ids}
    scopes = {ref.id: ref.scope for ref in t.action_refs}
    for action_id in scopes:
        if action_id not in actions or actions[action_id].name not in own:
            raise ProgramError(f"actions of table {name} differ in P4Info and program")
    if len(t.match_fields) != len(model.keys):
        raise ProgramError(f"keys of table {name} differ in P4Info and program")
    fields = []
    for f, key in zip(t.match_fields, model.keys, strict=True):
        if f.bitwidth != key.width or key.kind not in _KINDS.get(f.match_type, set()):
            raise ProgramError(f"key {f.name} of table {name} differs in P4Info and program")
        fields.append(MatchFieldInfo(f.id, f.name, f.match_type, f.bitwidth))
    return TableInfo(
        id=t.preamble.id,
        name=name,
        fields=tuple(fields),
        scopes=scopes,
        program_actions={i: own[actions[i].name] for i in scopes},
        needs_priority=model.kind in (MatchKind.TERNARY, MatchKind.RANGE),
        is_const=t.is_const_table,
        const_default=t.const_default_action_id != 0,
        idle_timeout=t.idle_timeout_behavior == p4i.Table.NOTIFY_CONTROL,
        counter="counter" in resources,
        meter="meter" in resources,
        model=model,
    )


def _digests(p4info: Any, program: Program) -> dict[int, DigestInfo]:
    by_name = {d.name: d.id for d in program.learn_lists.values()}
    digests = {}
    for d in p4info.digests:
        name = d.preamble.name
        if name not in by_name:
            raise ProgramError(f"P4Info has digest {name}, the program has not")
        bare = d.type_spec.WhichOneof("type_spec") == "bitstring"
        digests[d.preamble.id] = DigestInfo(d.preamble.id, name, by_name[name], bare)
    return digests


def _packet_metadata(header: Any) -> tuple[tuple[int, int], ...] | None:
    if header is None:
        return None
    return tuple((field.id, field.bitwidth) for field in header.metadata)
