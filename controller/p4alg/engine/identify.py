"""Describes an event in one line, so that a log line can say which event a fault concerns.

Nothing is decided by these descriptions.
"""

from __future__ import annotations

from p4alg.alg.contract import Endpoint, format_addr
from p4alg.engine import events as ev
from p4alg.engine.tables import FlowKey
from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.packet.transport import transport_ids
from p4alg.protocols import proto_name


def identify(event: ev.Event) -> str:
    """A description of an event: its kind and the flow or packet it is about. Never raises."""
    match event:
        case ev.PacketIn():
            reason = event.reason.name.lower().replace("_", "-")
            return f"packet-in ({reason}) on port {event.port}: {_packet(event.frame)}"
        case ev.TcpEvent():
            return f"TCP flags {event.flags:#x} of {_flow(event.flow)}"
        case ev.PinholeHit():
            return f"hit of pinhole {event.pinhole_id} by {_flow(event.flow)}"
        case ev.SessionIdle():
            return f"idle {_flow(event.flow)}"
        case ev.PinholeIdle():
            return f"idle pinhole {event.pinhole_id}"
        case ev.SubscriberIdle():
            return f"idle subscriber {format_addr(event.inside_addr)}"
        case ev.BlockIdle():
            return f"idle block {Endpoint(event.outside_addr, event.outside_id)}"
        case ev.TransactionDone() | ev.TransactionFailed():
            return f"outcome of transaction {event.transaction_id}"
        case ev.Tick() | ev.Reminder():
            return "the clock"


def _flow(key: FlowKey) -> str:
    inside = Endpoint(key.inside_addr, key.inside_id)
    return f"{proto_name(key.proto)} {inside} and {Endpoint(key.remote_addr, key.remote_id)}"


def _packet(frame: bytes) -> str:
    try:
        packet = parse_ipv4(frame)
        ids = transport_ids(packet) or (0, 0)
    except PacketError:
        return f"{len(frame)} bytes that are no IPv4 packet"
    source, target = Endpoint(packet.src, ids[0]), Endpoint(packet.dst, ids[1])
    return f"{proto_name(packet.proto)} {source} -> {target}, {len(frame)} bytes"
