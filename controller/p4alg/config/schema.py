"""The JSON Schema (2020-12) of the configuration file, made of the code that reads it.

For editors and forms. Bounds and words come from the readers and from the descriptors of the ALGs,
so that the schema knows the options of every ALG that is installed. It says what a value may be;
what contradicts something else (a pool in a zone, a port of two ALGs) only the loader can tell.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from p4alg.alg import registry
from p4alg.alg.descriptor import Alg, Option
from p4alg.config import blocks, logs, nat, organisations, policy, services, switch, tuning, zones
from p4alg.config.services import Algs
from p4alg.engine.actions import Subsystem
from p4alg.engine.settings import BlockSettings, Limits, RefuseMode, Timers
from p4alg.engine.tables import PolicyAction
from p4alg.nat.blocks import LARGEST, SMALLEST
from p4alg.protocols import PORTED

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Schema = {"type": "string", "minLength": 1}
_ADDRESS = "[0-9]{1,3}(\\.[0-9]{1,3}){3}"


def schema(algs: Algs | None = None) -> Schema:
    """The schema; `algs` are the ALGs that can be configured, by default those installed."""
    known = registry.algs() if algs is None else algs
    shared = {
        "routes": _routes(),
        "policy": _policy(),
        "services": _services(),
        "algs": _object({name: _alg(alg) for name, alg in known.items()}),
        "refuse": _choice(mode.value for mode in RefuseMode),
        "denied_ports": _list(_ref("ports")),
        "limits": _limits(),
    }
    top = {
        "profile": {**_choice(services.PROFILES), "default": services.PROFILES[0]},
        "switch": _switch(),
        "control": _object({key: _TEXT for key in ("socket", "state", "metrics")}),
        "log": _log(),
        "zones": _named(_zone(), maximum=zones.MAX_ZONES, at_least=2),
        **shared,
        "nat": _nat(),
        "timers": _object({field.name: _timer(field.name) for field in fields(Timers)}),
        "organisations": _named(
            _object({"share": _number(0.1, 100), "nat": _nat(), **shared}, required=("nat",)),
            maximum=organisations.MAX_ORGANISATIONS,
            at_least=1,
        ),
    }
    return {
        "$schema": DIALECT,
        "title": "The configuration of p4alg",
        **_object(top, required=("zones",)),
        "anyOf": [{"required": ["nat"]}, {"required": ["organisations"]}],
        "$defs": {
            "address": {"type": "string", "pattern": f"^{_ADDRESS}$"},
            "prefix": {"type": "string", "pattern": f"^{_ADDRESS}(/[0-9]{{1,2}})?$"},
            "port": {"type": "integer", "minimum": 1, "maximum": 65535},
            "ports": {
                "anyOf": [
                    {"$ref": "#/$defs/port"},
                    {"type": "string", "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?$"},
                ]
            },
        },
    }


# What schemas are made of


def _object(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    found: Schema = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return {**found, "required": list(required)} if required else found


def _named(value: Schema, maximum: int, at_least: int = 0) -> Schema:
    """A mapping whose keys the operator chooses."""
    bounds = {"minProperties": at_least, "maxProperties": maximum}
    return {"type": "object", "additionalProperties": value, **bounds}


def _list(items: Schema, at_least: int = 0, maximum: int | None = None) -> Schema:
    found: Schema = {"type": "array", "items": items}
    if at_least:
        found["minItems"] = at_least
    return found if maximum is None else {**found, "maxItems": maximum}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _choice(words: Any) -> Schema:
    return {"enum": list(words)}


def _integer(low: int, high: int, default: int | None = None) -> Schema:
    found: Schema = {"type": "integer", "minimum": low, "maximum": high}
    return found if default is None else {**found, "default": default}


def _number(low: float, high: float, default: float | None = None) -> Schema:
    found: Schema = {"type": "number", "minimum": low, "maximum": high}
    return found if default is None else {**found, "default": default}


# The sections


def _log() -> Schema:
    level = _choice(logs.LEVELS)
    return _object(
        {
            "format": _choice(logs.LogFormat),
            "syslog": _TEXT,
            "level": level,
            "levels": _object(dict.fromkeys(Subsystem, level)),
        }
    )


def _switch() -> Schema:
    default = switch.Switch()
    files = {"ca": _TEXT, "cert": _TEXT, "key": _TEXT, "name": _TEXT}
    together = {"cert": ["key"], "key": ["cert"]}
    return _object(
        {
            "grpc": {**_TEXT, "default": default.grpc},
            "device_id": _integer(1, (1 << 63) - 1, default.device_id),
            "program": {"anyOf": [_choice(switch.PROGRAMS), {**_TEXT, "pattern": "/"}]},
            "tls": {**_object(files, required=("ca",)), "dependentRequired": together},
        }
    )


def _zone() -> Schema:
    return _object(
        {
            "side": _choice(zones.SIDES),
            "ports": _list(_integer(1, zones.MAX_PORT), at_least=1),
            "address": {"type": "string", "pattern": f"^{_ADDRESS}/[0-9]{{1,2}}$"},
            "mac": {"type": "string", "pattern": "^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$"},
            "vlan": _integer(0, 4094, 0),
            "mtu": _integer(68, 9216, 1500),
            "organisation": _TEXT,
        },
        required=("side", "ports", "address", "mac"),
    )


def _routes() -> Schema:
    return _list(_object({"to": _ref("prefix"), "via": _ref("address")}, required=("to", "via")))


def _nat() -> Schema:
    endpoint = {"type": "string", "pattern": f"^{_ADDRESS}:[0-9]{{1,5}}(-[0-9]{{1,5}})?$"}
    one = {"protocol": _choice(PORTED), "outside": endpoint, "inside": endpoint}
    whole = {"outside": _ref("address"), "inside": _ref("address")}
    static = {"anyOf": [_object(one, tuple(one)), _object(whole, tuple(whole))]}
    default = BlockSettings()
    return _object(
        {
            "pools": _list(_ref("prefix"), at_least=1),
            "filter": _choice(nat.FILTERS),
            "static": _list(static, maximum=nat.MAX_STATIC),
            "exempt": _list(_ref("prefix"), maximum=nat.MAX_EXEMPT),
            "blocks": _object(
                {
                    "size": _choice(
                        1 << n for n in range(SMALLEST.bit_length() - 1, LARGEST.bit_length())
                    ),
                    "per_subscriber": _integer(
                        1, blocks.MAX_PER_SUBSCRIBER, default.per_subscriber
                    ),
                    "allocation": _choice(blocks.ALLOCATIONS),
                    "inside": _list(_ref("prefix"), at_least=1),
                }
            ),
        }
    )


def _policy() -> Schema:
    named = {"anyOf": [_choice(policy.NAMED), _integer(0, 255)]}
    rule = {
        "action": _choice(action.value for action in PolicyAction),
        "from": _choice(zones.SIDES),
        "protocol": named,
        "source": _ref("prefix"),
        "destination": _ref("prefix"),
        "ports": _ref("ports"),
    }
    return _list(
        {**_object(rule, required=("action",)), "dependentRequired": {"ports": ["protocol"]}},
        maximum=policy.MAX_RULES,
    )


def _services() -> Schema:
    ports = {"type": "string", "pattern": "^(tcp|udp)/[0-9]{1,5}(-[0-9]{1,5})?$"}
    return _named(_list(ports, at_least=1), maximum=services.MAX_SERVICES)


def _alg(alg: Alg) -> Schema:
    found = _object(
        {
            "enabled": {"type": "boolean", "default": alg.is_on},
            "services": {**_list(_TEXT), "uniqueItems": True, "default": [alg.name]},
            **{option.name: _option(option) for option in alg.options},
        }
    )
    return {"description": alg.description, **found}


def _option(option: Option) -> Schema:
    found: Schema = {"description": option.description, "default": option.default}
    if isinstance(option.default, bool):
        return {**found, "type": "boolean"}
    if isinstance(option.default, str):
        return {**found, "enum": list(option.choices)}
    kind = "number" if isinstance(option.default, float) else "integer"
    return {**found, "type": kind, "minimum": option.low, "maximum": option.high}


def _timer(name: str) -> Schema:
    return _number(*tuning.timer_bounds(name), getattr(Timers(), name))


def _limits() -> Schema:
    found: Schema = {}
    for field in fields(Limits):
        default, (low, high) = getattr(Limits(), field.name), tuning.limit_bounds(field.name)
        if isinstance(default, float):
            found[field.name] = _number(low, high, default)
        else:
            found[field.name] = _integer(int(low), int(high), default)
    return _object(found)
