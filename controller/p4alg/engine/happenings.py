"""Makes the event records of what happens to sessions, pinholes and blocks of ports."""

from __future__ import annotations

from p4alg.alg.contract import Endpoint, format_addr
from p4alg.engine.actions import EventRecord
from p4alg.engine.flows import Flow, number_of
from p4alg.engine.pinhole import Pinhole
from p4alg.nat.blocks import Change
from p4alg.protocols import proto_name


def end(proto: int, addr: int, identifier: int) -> str:
    """An end of a flow as operators see it: address, and port, query id, call id or SPI."""
    return str(Endpoint(addr, number_of(proto, identifier)))


def remote_of(pinhole: Pinhole) -> str:
    """Who may use a pinhole; `*` stands for any address, or any port."""
    entry = pinhole.entry
    host = "*" if entry.remote_addr is None else format_addr(entry.remote_addr)
    port = "*" if entry.remote_id is None else str(number_of(entry.proto, entry.remote_id))
    return f"{host}:{port}"


def of_flow(flow: Flow, event: str, reason: str = "") -> EventRecord:
    """What has happened to a session of the tables."""
    key, binding = flow.key, flow.binding
    return EventRecord(
        "session",
        event,
        reason,
        proto=proto_name(key.proto),
        inside=end(key.proto, key.inside_addr, key.inside_id),
        outside=end(key.proto, binding.outside_addr, binding.outside_id),
        remote=end(key.proto, key.remote_addr, key.remote_id),
        alg=flow.alg,
        label=flow.label,
    )


def of_pinhole(pinhole: Pinhole, event: str, reason: str = "", by: str = "") -> EventRecord:
    """What has happened to a pinhole; `by` is the remote end that used it, if that is known."""
    entry = pinhole.entry
    return EventRecord(
        "pinhole",
        event,
        reason,
        proto=proto_name(entry.proto),
        inside=end(entry.proto, entry.inside_addr, entry.inside_id or 0),
        outside=str(pinhole.visible),
        remote=by or remote_of(pinhole),
        alg=pinhole.alg,
        label=pinhole.label,
    )


def of_block(change: Change) -> EventRecord:
    """A block of outside ports that was taken or given back."""
    outside, first, last = change.held
    held = "" if change.seconds is None else f" after {change.seconds:.0f} s"
    return EventRecord(
        "block",
        "taken" if change.seconds is None else "returned",
        inside=format_addr(change.inside_addr),
        outside=format_addr(outside),
        text=f"ports {first}-{last}{held}",
    )
