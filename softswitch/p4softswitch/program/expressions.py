"""Reads BMv2's type/value objects into expressions of the model."""

from __future__ import annotations

from typing import Any

from p4softswitch.errors import ProgramError
from p4softswitch.program import model as m

_NAMED = {"calculation", "meter_array", "counter_array", "register_array"}


def hex_int(text: str) -> int:
    """Value of a BMv2 hexstr, which may carry a sign."""
    return int(text, 16)


def where(item: Any) -> str:
    """Place in the P4 source of an object that has `source_info`; empty if it has none."""
    info = item.get("source_info") if isinstance(item, dict) else None
    if not isinstance(info, dict) or "filename" not in info:
        return ""
    lines = str(info.get("source_fragment", "")).splitlines()
    return f"{info['filename']}:{info.get('line', 0)}: {lines[0] if lines else ''}"


def field_ref(pair: list[str]) -> m.FieldRef:
    """A `[header, field]` pair."""
    return m.FieldRef(pair[0], pair[1])


def parse_expr(item: Any) -> m.Expr:
    """Read one type/value object; raise `ProgramError` for kinds that are not supported."""
    if item is None:
        raise ProgramError("expression operand missing")
    if not isinstance(item, dict) or "op" in item:
        raise ProgramError(f"not an expression: {str(item)[:80]}")
    kind: str = item.get("type", "")
    value: Any = item.get("value")
    match kind:
        case "hexstr":
            return m.Const(hex_int(value))
        case "field":
            return field_ref(value)
        case "expression":
            return _operation(value)
        case "bool":
            return m.BoolConst(bool(value))
        case "local" | "runtime_data":
            return m.LocalRef(int(value))
        case "header" | "regular":
            return m.HeaderRef(value)
        case "header_stack" | "stack":
            return m.StackRef(value)
        case "stack_field":
            return m.StackFieldRef(value[0], value[1])
        case "lookahead":
            return m.Lookahead(int(value[0]), int(value[1]))
        case "string" | "parameters_vector":
            return m.Text(str(value))
    if kind in _NAMED:
        return m.NamedRef(str(kind), value)
    raise ProgramError(f"expression of type '{kind}' is not supported")


def _operation(value: Any) -> m.Expr:
    if "op" not in value:  # an expression wrapped once more
        return parse_expr(value)
    op = value["op"]
    left, right, cond = value.get("left"), value.get("right"), value.get("cond")
    if op == "access_field":
        return m.Op(op, parse_expr(left), m.Const(int(right)))
    return m.Op(
        op,
        None if left is None else parse_expr(left),
        None if right is None else parse_expr(right),
        None if cond is None else parse_expr(cond),
    )
