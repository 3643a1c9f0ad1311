"""What the engine knows of a flow that the switch lets pass."""

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
    """The identifier in a flow's key that stands for a port, a call id or an SPI."""
    return CALL_FLAG | number if proto == GRE else number


def number_of(proto: int, identifier: int) -> int:
    """The port, call id or SPI that an identifier in a flow's key stands for."""
    return identifier & ~CALL_FLAG if proto == GRE else identifier


class Phase(Enum):
    """The state of a flow. Only TCP flows have a state other than ACTIVE."""

    OPENING = "opening"
    ESTABLISHED = "established"
    CLOSING = "closing"
    ACTIVE = "active"


@dataclass(slots=True, eq=False)
class Flow(Tracked):
    """A session (RFC 2663) and its entry in the switch.

    `alg` is the name of the ALG that reads the flow or that asked for it, and `label` says what
    the flow is to that ALG, e.g. ``ftp PORT``. Both are empty for any other flow. If `alg_id`
    is not 0, the switch gives packets of the flow to the controller (see `tables.Session`).

    A tunnel (GRE, ESP) has one flow for each direction, whose packets carry only the receiver's
    identifier. In the key of such a flow the identifier of the sending end is 0.
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
    """The pinhole that let the flow in; 0 if none did."""
    watch_below: int = 0
    """See `tables.Session`."""

    @property
    def both_finished(self) -> bool:
        """Whether both ends have sent a FIN."""
        return self.finished == 3


def session_entry(flow: Flow) -> t.Session:
    """The entry of a flow in the switch."""
    return t.Session(flow.key, flow.alg_id, flow.flags, flow.idle_timeout, flow.watch_below)
