"""Reads the `pipelines` part of BMv2 JSON: tables, conditionals and how control flows."""

from __future__ import annotations

from typing import Any

from p4softswitch.errors import ProgramError
from p4softswitch.program import model as m
from p4softswitch.program.expressions import field_ref, hex_int, parse_expr, where

Json = dict[str, Any]


def parse_pipeline(
    pipeline: Json, headers: dict[str, m.Header], actions: dict[int, m.Action]
) -> m.Pipeline:
    """Read one pipeline; raise `ProgramError` for tables of a kind that is not supported."""
    name = pipeline["name"]
    if pipeline.get("action_profiles"):
        raise ProgramError(f"action profiles are not supported ({name})")
    if pipeline.get("action_calls"):
        raise ProgramError(f"action calls outside tables are not supported ({name})")
    tables = {t["name"]: _table(t, headers, actions) for t in pipeline["tables"]}
    conditionals = {
        c["name"]: m.Conditional(
            c["name"], parse_expr(c["expression"]), c["true_next"], c["false_next"], where(c)
        )
        for c in pipeline["conditionals"]
    }
    init = pipeline["init_table"]
    targets = [init]
    for table in tables.values():
        targets += [table.hit_next, table.miss_next, *table.next_by_action.values()]
    for cond in conditionals.values():
        targets += [cond.true_next, cond.false_next]
    for target in targets:
        if target is not None and target not in tables and target not in conditionals:
            raise ProgramError(f"pipeline {name} goes to '{target}', which does not exist")
    return m.Pipeline(name, init, tables, conditionals)


def _table(t: Json, headers: dict[str, m.Header], actions: dict[int, m.Action]) -> m.Table:
    name = t["name"]
    if t["type"] != "simple":
        raise ProgramError(f"table {name}: action profiles are not supported")
    keys = tuple(_key(k, name, headers) for k in t["key"])
    action_ids = tuple(t["action_ids"])
    by_name = {actions[i].name: i for i in action_ids}
    nexts = t["next_tables"]
    next_by_hit = "__HIT__" in nexts or "__MISS__" in nexts
    base_next = t.get("base_default_next")
    by_action: dict[int, str | None] = dict.fromkeys(action_ids, base_next)
    if not next_by_hit:
        by_action.update({by_name[action]: target for action, target in nexts.items()})
    default = t.get("default_entry")
    if default is None:
        raise ProgramError(f"table {name} has no default entry")
    default_id = default["action_id"]
    by_action.setdefault(default_id, base_next)
    raw_entries = t.get("entries", [])
    return m.Table(
        name=name,
        keys=keys,
        kind=m.MatchKind(t["match_type"]),
        max_size=int(t["max_size"]),
        with_counters=bool(t["with_counters"]),
        support_timeout=bool(t["support_timeout"]),
        direct_meter=t["direct_meters"],
        action_ids=action_ids,
        next_by_action=by_action,
        hit_next=nexts.get("__HIT__") if next_by_hit else None,
        miss_next=nexts.get("__MISS__") if next_by_hit else None,
        next_by_hit=next_by_hit,
        default_action=default_id,
        default_args=tuple(hex_int(a) for a in default.get("action_data", [])),
        const_default=bool(default.get("action_const")),
        entries=tuple(_entry(e, keys, name) for e in raw_entries),
        const_entries="entries" in t,
        where=where(t),
    )


def _key(k: Json, table: str, headers: dict[str, m.Header]) -> m.KeyField:
    if k["match_type"] == "valid":
        target = m.FieldRef(k["target"], "$valid$")
        return m.KeyField(k.get("name", ""), target, m.MatchKind.EXACT, 1, None)
    target = field_ref(k["target"])
    try:
        kind = m.MatchKind(k["match_type"])
    except ValueError as exc:
        raise ProgramError(f"table {table}: match kind '{k['match_type']}' unknown") from exc
    width = 1 if target.field == "$valid$" else headers[target.header].field(target.field).width
    mask = k.get("mask")
    name = k.get("name") or f"{target.header}.{target.field}"
    return m.KeyField(name, target, kind, width, None if mask is None else hex_int(mask))


def _entry(e: Json, keys: tuple[m.KeyField, ...], table: str) -> m.ConstEntry:
    if len(e["match_key"]) != len(keys):
        raise ProgramError(f"table {table}: constant entry has a wrong number of keys")
    matches = []
    for part, key in zip(e["match_key"], keys, strict=True):
        match part["match_type"]:
            case "exact" | "valid":
                value = part["key"]
                value = int(value) if isinstance(value, bool) else hex_int(value)
                matches.append(m.ConstMatch(value))
            case "lpm":
                matches.append(
                    m.ConstMatch(hex_int(part["key"]), prefix_len=int(part["prefix_length"]))
                )
            case "ternary":
                full = (1 << key.width) - 1
                matches.append(
                    m.ConstMatch(hex_int(part["key"]), mask=hex_int(part["mask"]) & full)
                )
            case "range":
                matches.append(m.ConstMatch(hex_int(part["start"]), high=hex_int(part["end"])))
            case other:
                raise ProgramError(f"table {table}: constant entry matches by '{other}'")
    action = e["action_entry"]
    args = tuple(hex_int(a) for a in action["action_data"])
    return m.ConstEntry(tuple(matches), action["action_id"], args, int(e.get("priority", 0)))
