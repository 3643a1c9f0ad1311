"""Reads BMv2 JSON (what `p4c-bm2-ss --arch v1model` writes) into `model.Program`.

What this switch cannot run (action profiles, header unions, parser value sets, extern
instances) is refused here with a `ProgramError` that names it, never skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from p4softswitch.errors import ProgramError
from p4softswitch.program import model as m
from p4softswitch.program.expressions import field_ref, hex_int, parse_expr, where
from p4softswitch.program.pipelines import parse_pipeline

Json = dict[str, Any]

MAX_JSON_BYTES = 64 * 1024 * 1024


def load_program(data: bytes | str) -> m.Program:
    """Parse BMv2 JSON; raise `ProgramError` if it is malformed or not supported."""
    if len(data) > MAX_JSON_BYTES:
        raise ProgramError(f"BMv2 JSON is larger than {MAX_JSON_BYTES} bytes")
    try:
        root = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise ProgramError(f"device config is not BMv2 JSON: {exc}") from exc
    if not isinstance(root, dict):
        raise ProgramError("device config is not BMv2 JSON: top level is not an object")
    try:
        return _program(root)
    except ProgramError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as exc:
        raise ProgramError(f"BMv2 JSON is malformed: {type(exc).__name__} {exc}") from exc


def _program(root: Json) -> m.Program:
    for key, what in (
        ("header_unions", "header unions"),
        ("header_union_stacks", "header union stacks"),
        ("parse_vsets", "parser value sets"),
        ("extern_instances", "extern instances"),
    ):
        if root.get(key):
            raise ProgramError(f"{what} are not supported ({root[key][0].get('name', '?')})")
    headers = _headers(root)
    actions = {a["id"]: _action(a) for a in root["actions"]}
    pipelines = {p["name"]: parse_pipeline(p, headers, actions) for p in root["pipelines"]}
    for name in ("ingress", "egress"):
        if name not in pipelines:
            raise ProgramError(f"program has no '{name}' pipeline; is it compiled for v1model?")
    if len(root["parsers"]) != 1 or len(root["deparsers"]) != 1:
        raise ProgramError("program must have exactly one parser and one deparser")
    deparser = root["deparsers"][0]
    program = m.Program(
        headers=headers,
        stacks=_stacks(root, headers),
        errors={name: int(value) for name, value in root.get("errors", [])},
        parser=_parser(root["parsers"][0], headers),
        ingress=pipelines["ingress"],
        egress=pipelines["egress"],
        deparse_order=tuple(deparser["order"]),
        deparser_calls=tuple(
            _call(c) for op in deparser.get("primitives", []) for c in op["parameters"]
        ),
        actions=actions,
        calculations={c["name"]: _calculation(c) for c in root.get("calculations", [])},
        checksums=tuple(_checksum(c) for c in root.get("checksums", [])),
        counters={
            c["name"]: m.CounterArray(c["name"], c.get("size", 0), c.get("binding"))
            for c in root.get("counter_arrays", [])
        },
        meters={c["name"]: _meter(c) for c in root.get("meter_arrays", [])},
        registers={
            r["name"]: m.RegisterArray(r["name"], r["size"], r["bitwidth"])
            for r in root.get("register_arrays", [])
        },
        learn_lists={d["id"]: _learn_list(d, headers) for d in root.get("learn_lists", [])},
        field_lists={
            f["id"]: tuple(_fields_of(f["elements"])) for f in root.get("field_lists", [])
        },
        aliases={alias: field_ref(ref) for alias, ref in root.get("field_aliases", [])},
    )
    _check_references(program)
    return program


def _headers(root: Json) -> dict[str, m.Header]:
    types: dict[str, m.HeaderType] = {}
    for t in root["header_types"]:
        fields = []
        for f in t["fields"]:
            varbit = f[1] == "*"
            signed = bool(f[2]) if len(f) > 2 else False
            fields.append(m.Field(f[0], 0 if varbit else int(f[1]), signed, varbit))
        max_bytes = int(t.get("max_length") or 0)
        types[t["name"]] = m.HeaderType(t["name"], tuple(fields), max_bytes)
        if sum(f.varbit for f in fields) > 1:
            raise ProgramError(f"header type {t['name']} has more than one varbit field")
    headers = {
        h["name"]: m.Header(h["name"], types[h["header_type"]], bool(h["metadata"]))
        for h in root["headers"]
    }
    for h in headers.values():
        if not h.metadata and h.type.fixed_bits % 8:
            raise ProgramError(f"header {h.name} is not a whole number of bytes")
    if "standard_metadata" not in headers:
        raise ProgramError("program has no standard_metadata; is it compiled for v1model?")
    return headers


def _stacks(root: Json, headers: dict[str, m.Header]) -> dict[str, m.Stack]:
    by_id = {h["id"]: h["name"] for h in root["headers"]}
    return {
        s["name"]: m.Stack(s["name"], tuple(by_id[i] for i in s["header_ids"]))
        for s in root.get("header_stacks", [])
    }


def _call(op: Json) -> m.Call:
    place = where(op)
    try:
        return m.Call(op["op"], tuple(parse_expr(p) for p in op["parameters"]), place)
    except ProgramError as exc:
        raise ProgramError(f"{exc} ({place})" if place else str(exc)) from exc


def _action(action: Json) -> m.Action:
    return m.Action(
        name=action["name"],
        id=action["id"],
        params=tuple((p["name"], int(p["bitwidth"])) for p in action["runtime_data"]),
        calls=tuple(_call(p) for p in action["primitives"]),
    )


def _parser(parser: Json, headers: dict[str, m.Header]) -> m.Parser:
    states = {s["name"]: _parser_state(s, headers) for s in parser["parse_states"]}
    init = parser["init_state"]
    for name in [init, *(n for s in states.values() for n in _successors(s))]:
        if name is not None and name not in states:
            raise ProgramError(f"parser goes to state '{name}', which does not exist")
    return m.Parser(init, states)


def _successors(state: m.ParserState) -> list[str | None]:
    return [state.default, *(c.next_state for c in state.cases)]


def _parser_state(state: Json, headers: dict[str, m.Header]) -> m.ParserState:
    """A state; as p4c tells no lines of them, errors name it."""
    try:
        return _read_state(state, headers)
    except ProgramError as exc:
        raise ProgramError(f"{exc} (parser state '{state['name']}')") from exc


def _read_state(state: Json, headers: dict[str, m.Header]) -> m.ParserState:
    ops = []
    for op in state["parser_ops"]:
        if op["op"] == "primitive":
            ops.append(_call(op["parameters"][0]))
        else:
            ops.append(_call(op))
    keys = tuple(parse_expr(k) for k in state["transition_key"])
    widths = [_key_width(k, headers) for k in keys]
    cases: list[m.Case] = []
    default: str | None = None
    for t in state["transitions"]:
        if t.get("type") == "parse_vset":
            raise ProgramError("parser value sets are not supported")
        if t["value"] is None or t["value"] == "default" or t.get("type") == "default":
            default = t["next_state"]
            continue
        values = _split(hex_int(t["value"]), widths)
        masks = [None] * len(values) if t["mask"] is None else _split(hex_int(t["mask"]), widths)
        cases.append(m.Case(tuple(zip(values, masks, strict=True)), t["next_state"]))
    return m.ParserState(state["name"], tuple(ops), keys, tuple(cases), default)


def _key_width(key: m.Expr, headers: dict[str, m.Header]) -> int:
    match key:
        case m.FieldRef(header, name):
            return 1 if name == "$valid$" else headers[header].field(name).width
        case m.Lookahead(_, width):
            return width
        case m.StackFieldRef(stack, name):
            return headers[f"{stack}[0]"].field(name).width
    raise ProgramError(f"parser select on {type(key).__name__} is not supported")


def _split(value: int, widths: list[int]) -> list[int]:
    """Undo BMv2's packing of select values: every key padded to whole bytes."""
    parts = []
    for width in reversed(widths):
        nbytes = (width + 7) // 8
        parts.append(value & ((1 << (8 * nbytes)) - 1))
        value >>= 8 * nbytes
    return parts[::-1]


def _calculation(calc: Json) -> m.Calculation:
    inputs: list[m.FieldRef | m.HeaderRef | m.Const] = []
    widths: list[int] = []
    with_payload = False
    for item in calc["input"]:
        if item["type"] == "payload":
            with_payload = True
            continue
        expr = parse_expr(item)
        if not isinstance(expr, m.FieldRef | m.HeaderRef | m.Const):
            raise ProgramError(f"calculation {calc['name']}: input {item['type']} not supported")
        inputs.append(expr)
        widths.append(int(item.get("bitwidth", 0)))
    return m.Calculation(calc["name"], calc["algo"], tuple(inputs), tuple(widths), with_payload)


def _checksum(c: Json) -> m.Checksum:
    if c["type"] != "generic":
        raise ProgramError(f"checksum type '{c['type']}' is not supported")
    condition = c.get("if_cond")
    return m.Checksum(
        name=c["name"],
        target=field_ref(c["target"]),
        calculation=c["calculation"],
        verify=bool(c.get("verify", True)),
        update=bool(c.get("update", True)),
        condition=None if condition is None else parse_expr(condition),
    )


def _meter(meter: Json) -> m.MeterArray:
    if meter.get("rate_count", 2) != 2:
        raise ProgramError(f"meter {meter['name']}: only two-rate meters are supported")
    target = meter.get("result_target")
    return m.MeterArray(
        name=meter["name"],
        size=meter.get("size") or 0,
        bytes_unit=meter["type"] == "bytes",
        table=meter.get("binding") if meter.get("is_direct") else None,
        target=None if target is None else field_ref(target),
    )


def _learn_list(digest: Json, headers: dict[str, m.Header]) -> m.LearnList:
    elements: list[m.FieldRef | m.Const] = []
    widths: list[int] = []
    for item in digest["elements"]:
        expr = parse_expr(item)
        if isinstance(expr, m.FieldRef):
            widths.append(headers[expr.header].field(expr.field).width)
        elif isinstance(expr, m.Const):
            widths.append(int(item.get("bitwidth", max(1, expr.value.bit_length()))))
        else:
            raise ProgramError(f"digest {digest['name']}: element {item['type']} not supported")
        elements.append(expr)
    return m.LearnList(digest["id"], digest["name"], tuple(elements), tuple(widths))


def _fields_of(elements: list[Json]) -> Iterable[m.FieldRef]:
    for item in elements:
        expr = parse_expr(item)
        if isinstance(expr, m.FieldRef):
            yield expr


def _check_references(program: m.Program) -> None:
    for checksum in program.checksums:
        if checksum.calculation not in program.calculations:
            raise ProgramError(f"checksum {checksum.name} has no calculation")
    for name in program.deparse_order:
        if name not in program.headers:
            raise ProgramError(f"deparser emits '{name}', which does not exist")
