"""The events that the engine is given: everything that the switch reports, and the time.

The engine has no clock of its own. It is told by `Tick` that time has passed.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.engine.tables import FlowKey
from p4alg.p4constants import Punt as Reason


@dataclass(frozen=True, slots=True)
class PacketIn:
    """A packet that the switch punted: the Ethernet frame as it arrived.

    `hairpin` is set on a packet from an inside host to one of our outside addresses. The switch
    has already translated its source, and from then on it is treated as a packet from outside.
    `mapped_id` is the outside port that the switch itself has given to the endpoint which sent
    the packet; 0 if it has not.
    """

    port: int
    reason: Reason
    alg_id: int
    hairpin: bool
    frame: bytes
    mapped_id: int = 0


@dataclass(frozen=True, slots=True)
class TcpEvent:
    """Digest: a packet that changes the state of a TCP session.

    `flags` are those of TCP (FIN 1, SYN 2, RST 4, ACK 16). `established` is set on the first
    packet that proves the handshake complete; the switch looks for it only in sessions with
    the flag NOTIFY_ESTABLISHED.
    """

    flow: FlowKey
    flags: int
    outbound: bool
    established: bool


@dataclass(frozen=True, slots=True)
class PinholeHit:
    """Digest: the switch forwarded a packet of `flow` because a pinhole allows it."""

    flow: FlowKey
    pinhole_id: int


@dataclass(frozen=True, slots=True)
class SessionIdle:
    """No packet of a session came for its idle timeout. Repeated until the entry is deleted."""

    flow: FlowKey


@dataclass(frozen=True, slots=True)
class PinholeIdle:
    """No packet used a pinhole for its idle timeout. Repeated until the entry is deleted."""

    pinhole_id: int
    organisation: int = 0


@dataclass(frozen=True, slots=True)
class SubscriberIdle:
    """No packet came from an inside host for the idle timeout of its entry. Repeated."""

    inside_addr: int
    organisation: int = 0


@dataclass(frozen=True, slots=True)
class BlockIdle:
    """No packet came to a block of outside ports for its idle timeout. Repeated.

    `outside_id` is the first port of the block.
    """

    outside_addr: int
    outside_id: int


@dataclass(frozen=True, slots=True)
class TransactionDone:
    """The switch has made all updates of a `Transaction`."""

    transaction_id: int


@dataclass(frozen=True, slots=True)
class TransactionFailed:
    """The switch refused an update of a `Transaction`.

    The driver has deleted again what the other updates inserted. `reason` is one line for
    the operator.
    """

    transaction_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed. The driver sends this about once a second."""


@dataclass(frozen=True, slots=True)
class Reminder:
    """The time of a `Remind` has come."""


Event = (
    PacketIn
    | TcpEvent
    | PinholeHit
    | SessionIdle
    | PinholeIdle
    | SubscriberIdle
    | BlockIdle
    | TransactionDone
    | TransactionFailed
    | Tick
    | Reminder
)

__all__ = [
    "BlockIdle",
    "Event",
    "PacketIn",
    "PinholeHit",
    "PinholeIdle",
    "Reason",
    "Reminder",
    "SessionIdle",
    "SubscriberIdle",
    "TcpEvent",
    "Tick",
    "TransactionDone",
    "TransactionFailed",
]
