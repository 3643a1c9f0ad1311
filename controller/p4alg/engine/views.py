"""The views of the engine for `p4alg show`: plain data with stable keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from p4alg.alg.contract import format_addr
from p4alg.alg.descriptor import View
from p4alg.engine import capacity
from p4alg.engine.control.table import ControlSessions
from p4alg.engine.counters import Counters
from p4alg.engine.flow_table import Flows
from p4alg.engine.happenings import end, remote_of
from p4alg.engine.pinhole import Stage
from p4alg.engine.pinholes import Pinholes
from p4alg.engine.plain import Known, Owner
from p4alg.engine.settings import AlgSettings, Settings
from p4alg.protocols import proto_name

Rows = list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the engine that views read, and the time."""

    settings: Settings
    algs: Mapping[str, AlgSettings]
    flows: Flows
    pinholes: Pinholes
    sessions: ControlSessions
    counters: Counters
    now: float


def _algs(context: Context) -> Rows:
    rows: Rows = []
    for name, alg in context.algs.items():
        spans = context.settings.spans(alg.services)
        sessions = context.sessions.all(name)
        counters = context.counters.under(f"alg.{name}.")
        rows.append(
            {
                "name": name,
                "description": alg.alg.description,
                "enabled": alg.enabled,
                "services": list(alg.services),
                "ports": [str(span) for span in spans],
                "sessions": len(sessions),
                "counters": {
                    **counters,
                    "bytes-held": sum(s.stream.bytes_held for s in sessions),
                },
            }
        )
    return rows


def _services(context: Context) -> Rows:
    """All services that ALGs may be bound to, and the ALG that each is bound to, if any."""
    bound = {service: name for name, alg in context.algs.items() for service in alg.services}
    return [
        {
            "name": name,
            "ports": [str(span) for span in spans],
            "alg": bound.get(name, ""),
        }
        for name, spans in context.settings.services.items()
    ]


def _sessions(context: Context) -> Rows:
    return [
        {
            "proto": proto_name(flow.key.proto),
            "inside": end(flow.key.proto, flow.key.inside_addr, flow.key.inside_id),
            "outside": end(flow.key.proto, flow.binding.outside_addr, flow.binding.outside_id),
            "remote": end(flow.key.proto, flow.key.remote_addr, flow.key.remote_id),
            "state": flow.phase.value,
            "alg": flow.alg,
            "label": flow.label,
            "opened_by": flow.opened_by.name.lower(),
            "age": _seconds(context.now - flow.created),
            "idle_timeout": flow.idle_timeout,
            "kept_by": "controller",
            "expires_in": None,
        }
        for flow in context.flows.all()
    ]


def _bindings(context: Context) -> Rows:
    rows: Rows = [
        {
            "proto": proto_name(binding.proto),
            "inside": end(binding.proto, binding.inside_addr, binding.inside_id),
            "outside": end(binding.proto, binding.outside_addr, binding.outside_id),
            "kind": binding.kind.value,
            "sessions": binding.sessions,
            "age": _seconds(context.now - binding.created),
            "kept_by": "controller",
            "expires_in": None,
        }
        for binding in context.flows.mappings.bindings
    ]
    for pair in context.settings.address_forwards:
        flows = context.flows.all()
        rows.append(
            {
                "proto": "any",
                "inside": format_addr(pair.inside_addr),
                "outside": format_addr(pair.outside_addr),
                "kind": "address",
                "sessions": sum(1 for f in flows if f.key.inside_addr == pair.inside_addr),
                "age": None,
                "kept_by": "controller",
                "expires_in": None,
            }
        )
    return rows


def _pinholes(context: Context) -> Rows:
    rows: Rows = []
    for pinhole in context.pinholes.all():
        entry = pinhole.entry
        rows.append(
            {
                "id": pinhole.pinhole_id,
                "proto": proto_name(entry.proto),
                "inside": end(entry.proto, entry.inside_addr, entry.inside_id or 0),
                "outside": str(pinhole.visible),
                "remote": remote_of(pinhole),
                "alg": pinhole.alg,
                "label": pinhole.label,
                "control": "" if pinhole.owner is None else str(pinhole.owner),
                "age": _seconds(context.now - pinhole.created),
                "expires_in": _seconds(max(0.0, pinhole.expires - context.now)),
                "state": "open" if pinhole.stage is Stage.OPEN else "opening",
            }
        )
    return rows


def _counters(context: Context) -> dict[str, object]:
    return dict(context.counters.under(""))


def _subscribers(context: Context) -> Rows:
    mappings = context.flows.mappings
    blocks = mappings.subscribers.blocks
    sessions = Counter(flow.key.inside_addr for flow in context.flows.all())
    whole = {f.inside_addr: f.outside_addr for f in context.settings.address_forwards}
    rows: Rows = []
    for addr in sorted({*sessions, *(found.inside_addr for found in blocks)}):
        numbered = blocks.get(addr)
        outside = whole.get(addr) or mappings.bindings.known_address_of(addr)
        held = [] if numbered is None else blocks.held_by(numbered)
        rows.append(
            {
                "address": format_addr(addr),
                "outside": "" if outside is None else format_addr(outside),
                "blocks": [f"{first}-{last}" for _, first, last in held],
                "bindings": mappings.bindings.count_of(addr),
                "sessions": sessions[addr],
                "pinholes": context.pinholes.count_of(addr),
                "controls": context.sessions.count_of(addr),
                "plain_bindings": None,
                "plain_sessions": None,
            }
        )
    return rows


def _nat(context: Context) -> Rows:
    return capacity.pools(context.settings, context.flows)


def _limits(context: Context) -> Rows:
    flows = context.flows
    blocks = flows.mappings.subscribers.blocks
    hosts = {
        *(flow.key.inside_addr for flow in flows.all()),
        *(found.inside_addr for found in blocks),
        *(pinhole.entry.inside_addr for pinhole in context.pinholes.all()),
    }
    return capacity.limits(
        context.settings.limits, flows, context.pinholes, context.sessions, hosts
    )


def known_hosts(flows: Flows, settings: Settings) -> Known:
    """What is known of the inside hosts of an organisation that have plain flows."""
    mappings, organisation = flows.mappings, settings.name

    def static(owner: Owner, proto: int, inside_id: int) -> tuple[int, int] | None:
        binding = mappings.bindings.outbound(proto, owner.inside_addr, inside_id)
        if binding is not None:
            return binding.outside_addr, binding.outside_id
        whole = mappings.outside_of(owner.inside_addr)
        return None if whole is None else (whole, inside_id)

    return Known(
        owners={
            found.number: Owner(
                found.inside_addr, found.own.outside_addr if found.own else None, organisation
            )
            for found in mappings.subscribers.blocks
        },
        static=static,
        has_outside=settings.has_outside,
    )


def _seconds(value: float) -> float:
    return round(value, 1)


_VIEWS: Mapping[str, Callable[[Context], Rows | dict[str, object]]] = {
    "algs": _algs,
    "services": _services,
    "sessions": _sessions,
    "bindings": _bindings,
    "pinholes": _pinholes,
    "counters": _counters,
    "subscribers": _subscribers,
    "nat": _nat,
    "limits": _limits,
}


def view_of_alg(what: str, context: Context) -> tuple[str, View]:
    """The ALG that brings a view, and the view. Raises KeyError if none brings it."""
    for alg in context.algs.values():
        if what in alg.alg.views:
            return alg.name, alg.alg.views[what]
    raise KeyError(what)


def show(what: str, context: Context) -> Rows | dict[str, object]:
    """A view by its name, of the engine or of an ALG. Raises KeyError if there is no such view."""
    if what in _VIEWS:
        return _VIEWS[what](context)
    name, view = view_of_alg(what, context)
    return [dict(row) for row in view.rows(context.sessions.shared[name], context.now)]
