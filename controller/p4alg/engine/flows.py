"""A flow the switch lets pass, as the engine keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from p4alg.engine import tables as t
from p4alg.engine.tables import FlowKey, SessionFlags, Side
from p4alg.nat.bindings import Binding
from p4alg.packet.transport import CALL_FLAG
from p4alg.protocols import GRE
from p4alg.undo import Tracked


def flow_id(proto: int, number: int) -> int:
    """The identifier in a flow's key of a port, call id or SPI."""
    return CALL_FLAG | number if proto == GRE else number


def number_of(proto: int, identifier: int) -> int:
    """The port, call id or SPI that an identifier stands for."""
    return identifier & ~CALL_FLAG if proto == GRE else identifier


class Phase(Enum):
    """Where a flow is in its life; only TCP has more than ACTIVE."""

    OPENING = "opening"
    ESTABLISHED = "established"
    CLOSING = "closing"
    ACTIVE = "active"


@dataclass(slots=True, eq=False)
class Flow(Tracked):
    """A session (RFC 2663) and its entry in the switch.

    `alg` is the ALG that serves it or that asked for it, and `label` what it is to that
    ALG, e.g. ``ftp PORT``; both are empty for any other flow. With an `alg_id` the switch
    gives its packets to the controller. Of a tunnel's flow the end that only sends has
    identifier 0 in the key.
    """

    key: FlowKey
    binding: Binding
    opened_by: Side
    created: float
    phase: Phase
    idle_timeout: float
    alg_id: int = 0
    flags: SessionFlags = SessionFlags.NONE
    alg: str = ""
    label: str = ""
    finished: int = 0
    """Bit 0: FIN seen outbound; bit 1: inbound."""
    pinhole_id: int = 0
    """The pinhole it came through; 0: none."""
    watch_below: int = 0
    """See `tables.Session`."""


def session_entry(flow: Flow) -> t.Session:
    """The switch's entry of a flow."""
    return t.Session(flow.key, flow.alg_id, flow.flags, flow.idle_timeout, flow.watch_below)
