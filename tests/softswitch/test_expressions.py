"""Expressions in C against integers of any size in Python, as BMv2 computes."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from p4softswitch.executor.v1model import V1ModelExecutor
from p4softswitch.program.bmv2_json import load_program
from tests.softswitch.helpers import program_text

Json = dict[str, Any]

INPUTS = {"a": 8, "b": 32, "c": 48, "d": 64, "e": 80, "f": 128, "g": 184}
OUTPUTS = (8, 16, 40, 64, 72, 80, 128, 184)
EACH = 12
"""Expressions for each width of output."""
PACKETS = 40


def field(name: str) -> Json:
    return {"type": "field", "value": ["in", name]}


def const(value: int) -> Json:
    return {"type": "hexstr", "value": hex(value)}


def op(name: str, left: Json | None, right: Json, cond: Json | None = None) -> Json:
    value = {"op": name, "left": left, "right": right}
    if cond is not None:
        value["cond"] = cond
    return {"type": "expression", "value": value}


def number(rng: random.Random, depth: int) -> Json:
    """A random expression whose value is a number."""
    if depth == 0 or rng.random() < 0.15:
        if rng.random() < 0.7:
            return field(rng.choice(list(INPUTS)))
        return const(rng.choice([0, 1, 255, rng.getrandbits(rng.choice([8, 60, 64, 100, 150]))]))

    def less() -> Json:
        return number(rng, depth - 1)

    roll = rng.randrange(12)
    if roll < 5:
        return op(rng.choice(["+", "-", "&", "|", "^"]), less(), less())
    if roll == 5:
        return op(rng.choice(["~", "-"]), None, less())
    if roll == 6:
        mask = (1 << rng.choice([1, 8, 31, 32, 64, 80, 128, 184])) - 1
        return op("&", less(), const(mask))
    if roll == 7:
        return op(rng.choice(["<<", ">>"]), less(), const(rng.choice([0, 1, 8, 63, 64, 65, 100])))
    if roll == 8:
        return op(rng.choice(["<<", ">>"]), less(), op("&", field("a"), const(127)))
    if roll == 9:
        return op("*", less(), field(rng.choice("ab")))
    if roll == 10:
        width = const(rng.choice([8, 33, 64, 100]))
        return op(rng.choice(["two_comp_mod", "usat_cast", "sat_cast"]), less(), width)
    return op("?", less(), less(), truth(rng, depth - 1))


def truth(rng: random.Random, depth: int) -> Json:
    """A random expression whose value is a boolean."""
    if depth == 0 or rng.random() < 0.6:
        compare = rng.choice(["==", "!=", "<", "<=", ">", ">="])
        return op(compare, number(rng, max(depth - 1, 0)), number(rng, max(depth - 1, 0)))
    if rng.random() < 0.2:
        return op("not", None, truth(rng, depth - 1))
    return op(rng.choice(["and", "or"]), truth(rng, depth - 1), truth(rng, depth - 1))


def value_of(expr: Json, fields: dict[str, int]) -> int:
    """What an expression is worth, with integers that have no width."""
    if expr["type"] == "field":
        return fields[expr["value"][1]]
    if expr["type"] == "hexstr":
        return int(expr["value"], 16)
    e = expr["value"]
    name = e["op"]
    if name == "?":
        return value_of(e["left" if value_of(e["cond"], fields) else "right"], fields)
    b = value_of(e["right"], fields)
    if e["left"] is None:
        return {"~": ~b, "-": -b, "not": int(not b)}[name]
    a = value_of(e["left"], fields)
    top = 1 << (b - 1) if name in ("two_comp_mod", "sat_cast", "usat_cast") else 0
    match name:
        case "+" | "-" | "*" | "&" | "|" | "^" | "<" | "<=" | ">" | ">=" | "==" | "!=":
            return int(eval(f"a {name} b", {}, {"a": a, "b": b}))
        case "<<":
            return a << b
        case ">>":
            return a >> b
        case "and":
            return int(bool(a and b))
        case "or":
            return int(bool(a or b))
        case "two_comp_mod":
            return (a + top) % (2 * top) - top
        case "usat_cast":
            return max(0, min(a, 2 * top - 1))
    return max(-top, min(a, top - 1))


def program(expressions: list[tuple[int, Json]]) -> V1ModelExecutor:
    """A program that answers a header of inputs with one of the values of expressions."""
    root = json.loads(program_text("stateful"))
    types = [
        {"name": "in_t", "id": 90, "fields": [[n, w, False] for n, w in INPUTS.items()]},
        {
            "name": "out_t",
            "id": 91,
            "fields": [[f"x{i}", width, False] for i, (width, _) in enumerate(expressions)],
        },
    ]
    root["header_types"] += types
    root["headers"] += [
        {"name": n, "id": i, "header_type": f"{n}_t", "metadata": False, "pi_omit": True}
        for n, i in (("in", 90), ("out", 91))
    ]
    header = {"type": "header", "value": "out"}
    calls = [{"op": "add_header", "parameters": [header]}]
    calls += [
        {
            "op": "assign",
            "parameters": [{"type": "field", "value": ["out", f"x{i}"]}, expression],
        }
        for i, (_, expression) in enumerate(expressions)
    ]
    port = {"type": "field", "value": ["standard_metadata", "egress_spec"]}
    calls.append({"op": "assign", "parameters": [port, const(1)]})
    root["actions"] = [{"name": "compute", "id": 0, "runtime_data": [], "primitives": calls}]
    parser = root["parsers"][0]
    parser["init_state"] = "start"
    parser["parse_states"] = [
        {
            "name": "start",
            "id": 0,
            "parser_ops": [{"op": "extract", "parameters": [{"type": "regular", "value": "in"}]}],
            "transitions": [{"type": "default", "value": None, "mask": None, "next_state": None}],
            "transition_key": [],
        }
    ]
    root["deparsers"][0] |= {"order": ["out"], "primitives": []}
    table = {
        "name": "only", "id": 0, "key": [], "match_type": "exact", "type": "simple",
        "max_size": 1, "with_counters": False, "support_timeout": False, "direct_meters": None,
        "action_ids": [0], "actions": ["compute"], "base_default_next": None,
        "next_tables": {"compute": None},
        "default_entry": {"action_id": 0, "action_const": True, "action_data": [],
                          "action_entry_const": True},
    }  # fmt: skip
    for pipeline in root["pipelines"]:
        ingress = pipeline["name"] == "ingress"
        pipeline |= {
            "tables": [table] if ingress else [],
            "conditionals": [],
            "init_table": "only" if ingress else None,
        }
    for unused in ("checksums", "calculations", "learn_lists", "field_lists"):
        root[unused] = []
    return V1ModelExecutor(load_program(json.dumps(root)))


@pytest.mark.parametrize("seed", range(6))
def test_every_expression_has_the_value_that_it_has_without_widths(seed: int) -> None:
    rng = random.Random(seed)
    expressions = [
        (width, number(rng, rng.randrange(1, 5))) for width in OUTPUTS for _ in range(EACH)
    ]
    executor = program(expressions)
    for _ in range(PACKETS):
        fields = {
            n: rng.choice([0, 1, (1 << w) - 1, 1 << (w - 1), rng.getrandbits(w)])
            for n, w in INPUTS.items()
        }
        frame = b"".join(fields[n].to_bytes(w // 8, "big") for n, w in INPUTS.items())
        ((_, out),) = executor.process(1, frame, 0)
        at = 0
        for width, expression in expressions:
            got = int.from_bytes(out[at : at + width // 8], "big")
            at += width // 8
            assert got == value_of(expression, fields) % (1 << width), (width, expression, fields)
