"""Table entries between P4Runtime messages and `state.tables`."""

from __future__ import annotations

from typing import Any

from p4softswitch.p4rt import bytestring
from p4softswitch.p4rt.codes import INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, RpcError
from p4softswitch.p4rt.proto import p4i, p4r
from p4softswitch.p4rt.schema import MatchFieldInfo, Schema, TableInfo
from p4softswitch.state.entry import Exact, Masked, Match, Prefix, Range
from p4softswitch.state.meters import MeterConfig
from p4softswitch.state.tables import Entry


def table_of(schema: Schema, table_id: int) -> TableInfo:
    """The table with this id; NOT_FOUND if there is none."""
    info = schema.tables.get(table_id)
    if info is None:
        raise RpcError(NOT_FOUND, f"there is no table with id {table_id:#x}")
    return info


def read_matches(info: TableInfo, message: Any) -> tuple[Match, ...]:
    """The match key of a TableEntry message; INVALID_ARGUMENT if it is not one of this table."""
    given: dict[int, Any] = {}
    for item in message.match:
        if item.field_id in given:
            raise RpcError(INVALID_ARGUMENT, f"match field {item.field_id} is given twice")
        given[item.field_id] = item
    matches = []
    for field in info.fields:
        item = given.pop(field.id, None)
        match = _wildcard(field) if item is None else _match(field, item)
        matches.append(match)
    if given:
        raise RpcError(
            INVALID_ARGUMENT, f"table {info.name} has no match field {next(iter(given))}"
        )
    return tuple(matches)


def read_priority(info: TableInfo, message: Any) -> int:
    """The priority of a TableEntry message; required exactly where several entries may match."""
    priority = int(message.priority)
    if info.needs_priority and priority <= 0:
        raise RpcError(INVALID_ARGUMENT, f"entries of table {info.name} need a priority above 0")
    if not info.needs_priority and priority:
        raise RpcError(INVALID_ARGUMENT, f"entries of table {info.name} have no priority")
    return priority


def _wildcard(field: MatchFieldInfo) -> Match:
    match field.kind:
        case p4i.MatchField.LPM:
            return Prefix(0, 0)
        case p4i.MatchField.TERNARY | p4i.MatchField.OPTIONAL:
            return Masked(0, 0)
        case p4i.MatchField.RANGE:
            return Range(0, (1 << field.width) - 1)
    raise RpcError(INVALID_ARGUMENT, f"match field {field.name} is missing")


def _match(field: MatchFieldInfo, item: Any) -> Match:
    name, width = field.name, field.width
    full = (1 << width) - 1
    kind = item.WhichOneof("field_match_type")
    match field.kind, kind:
        case p4i.MatchField.EXACT, "exact":
            return Exact(bytestring.decode(item.exact.value, width, name))
        case p4i.MatchField.LPM, "lpm":
            value = bytestring.decode(item.lpm.value, width, name)
            length = item.lpm.prefix_len
            if not 0 < length <= width:
                raise RpcError(INVALID_ARGUMENT, f"{name}: prefix length is not in 1..{width}")
            if value & ((1 << (width - length)) - 1):
                raise RpcError(INVALID_ARGUMENT, f"{name}: bits are set beyond the prefix")
            return Prefix(value, length)
        case p4i.MatchField.TERNARY, "ternary":
            value = bytestring.decode(item.ternary.value, width, name)
            mask = bytestring.decode(item.ternary.mask, width, name)
            if not mask:
                raise RpcError(INVALID_ARGUMENT, f"{name}: leave out a field with mask 0")
            if value & ~mask:
                raise RpcError(INVALID_ARGUMENT, f"{name}: bits are set outside the mask")
            return Masked(value, mask)
        case p4i.MatchField.OPTIONAL, "optional":
            return Masked(bytestring.decode(item.optional.value, width, name), full)
        case p4i.MatchField.RANGE, "range":
            low = bytestring.decode(item.range.low, width, name)
            high = bytestring.decode(item.range.high, width, name)
            if low > high:
                raise RpcError(INVALID_ARGUMENT, f"{name}: range is empty")
            if (low, high) == (0, full):
                raise RpcError(INVALID_ARGUMENT, f"{name}: leave out a field with a full range")
            return Range(low, high)
    raise RpcError(INVALID_ARGUMENT, f"{name}: wrong kind of match ({kind})")


def read_action(
    schema: Schema, info: TableInfo, message: Any, is_default: bool
) -> tuple[int, tuple[int, ...]]:
    """(program action id, arguments) of a TableEntry message with an action."""
    if message.action.WhichOneof("type") != "action":
        raise RpcError(INVALID_ARGUMENT, f"table {info.name} takes a plain action")
    action = message.action.action
    scope = info.scopes.get(action.action_id)
    if scope is None:
        raise RpcError(
            INVALID_ARGUMENT, f"table {info.name} has no action with id {action.action_id:#x}"
        )
    if scope == p4i.ActionRef.TABLE_ONLY and is_default:
        raise RpcError(PERMISSION_DENIED, "the action is not allowed as default action")
    if scope == p4i.ActionRef.DEFAULT_ONLY and not is_default:
        raise RpcError(PERMISSION_DENIED, "the action is allowed as default action only")
    known = schema.actions[action.action_id]
    given = {p.param_id: p.value for p in action.params}
    if len(given) != len(action.params) or set(given) != {number for number, _ in known.params}:
        raise RpcError(INVALID_ARGUMENT, f"parameters of action {known.name} are wrong")
    args = tuple(
        bytestring.decode(given[number], width, f"parameter {number} of {known.name}")
        for number, width in known.params
    )
    return info.program_actions[action.action_id], args


def write_matches(info: TableInfo, entry: Entry, message: Any) -> None:
    """Put the key of an entry into a TableEntry message, wildcards left out."""
    for field, match in zip(info.fields, entry.matches, strict=True):
        item = p4r.FieldMatch(field_id=field.id)
        match match:
            case Exact(value):
                item.exact.value = bytestring.encode(value)
            case Prefix(value, length):
                if not length:
                    continue
                item.lpm.value = bytestring.encode(value)
                item.lpm.prefix_len = length
            case Masked(value, mask):
                if not mask:
                    continue
                if field.kind == p4i.MatchField.OPTIONAL:
                    item.optional.value = bytestring.encode(value)
                else:
                    item.ternary.value = bytestring.encode(value)
                    item.ternary.mask = bytestring.encode(mask)
            case Range(low, high):
                if (low, high) == (0, (1 << field.width) - 1):
                    continue
                item.range.low = bytestring.encode(low)
                item.range.high = bytestring.encode(high)
        message.match.append(item)
    message.priority = entry.priority


def write_action(schema: Schema, entry: Entry, message: Any) -> None:
    """Put the action of an entry into a TableEntry message."""
    info = schema.actions_by_program_id.get(entry.action_id)
    if info is None:
        return
    action = message.action.action
    action.action_id = info.id
    for (number, _), value in zip(info.params, entry.args, strict=True):
        action.params.add(param_id=number, value=bytestring.encode(value))


def read_meter(message: Any) -> MeterConfig:
    """A MeterConfig message."""
    return MeterConfig(message.cir, message.cburst, message.pir, message.pburst)


def write_meter(config: MeterConfig, message: Any) -> None:
    """Fill a MeterConfig message."""
    message.cir, message.cburst = config.cir, config.cburst
    message.pir, message.pburst = config.pir, config.pburst
