"""The flows the switch lets pass, as the engine keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from p4alg.alg.contract import Endpoint
from p4alg.engine.tables import FlowKey, SessionFlags, Side
from p4alg.nat.bindings import Binding
from p4alg.packet.transport import CALL_FLAG
from p4alg.protocols import GRE

if TYPE_CHECKING:
    from p4alg.engine.controls import Control

IKE_PORT = 500


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
class Flow:
    """A session (RFC 2663) and its entry in the switch."""

    key: FlowKey
    binding: Binding
    opened_by: Side
    created: float
    phase: Phase
    idle_timeout: float
    alg_id: int = 0
    flags: SessionFlags = SessionFlags.NONE
    alg: str = ""
    """The ALG that serves it, or that its control connection belongs to."""
    label: str = ""
    """What it is to that ALG, e.g. ``ftp PORT``; empty for any other flow."""
    finished: int = 0
    """Bit 0: FIN seen outbound; bit 1: inbound."""
    control: Control | None = None
    data_of: Control | None = None
    """The control session whose ALG reads how this data flow goes."""
    opener: Endpoint | None = None
    """Of such a flow, the end that opened it."""
    pinhole_id: int = 0
    """The pinhole it came through; 0: none."""
    watch_below: int = 0
    """See `tables.Session`."""
