"""What can happen to the engine: everything the switch reports.

Timers are events too (`Tick`), so that the engine owns no clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.engine.tables import FlowKey
from p4alg.p4constants import Punt as Reason


@dataclass(frozen=True, slots=True)
class PacketIn:
    """A punted packet, byte for byte as it arrived (Ethernet frame).

    `hairpin` is set when it already crossed once as a packet from inside to
    the pool, so that its source is translated and it counts as outside.
    """

    port: int
    reason: Reason
    alg_id: int
    hairpin: bool
    frame: bytes


@dataclass(frozen=True, slots=True)
class TcpEvent:
    """Digest: a packet that matters to the state of a TCP session.

    `flags` are TCP's (FIN 1, SYN 2, RST 4, ACK 16); `established` marks the first
    packet that proves the handshake of a session asked to report it.
    """

    flow: FlowKey
    flags: int
    outbound: bool
    established: bool


@dataclass(frozen=True, slots=True)
class PinholeHit:
    """Digest: a packet of `flow` was forwarded by a pinhole."""

    flow: FlowKey
    pinhole_id: int


@dataclass(frozen=True, slots=True)
class SessionIdle:
    """The switch saw no packet of a session for its idle timeout; repeats until deleted."""

    flow: FlowKey


@dataclass(frozen=True, slots=True)
class PinholeIdle:
    """The switch saw no packet of a pinhole for its idle timeout; repeats until deleted."""

    pinhole_id: int


@dataclass(frozen=True, slots=True)
class FragmentIdle:
    """A fragmented datagram's entry went unused; the key fields identify it."""

    src_addr: int
    dst_addr: int
    proto: int
    ident: int


@dataclass(frozen=True, slots=True)
class TransactionDone:
    """The switch acknowledged all updates of a `Transaction`."""

    transaction_id: int


@dataclass(frozen=True, slots=True)
class TransactionFailed:
    """The switch refused some update; the driver deleted what the others inserted.

    `reason` is one line for the operator.
    """

    transaction_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed; sent about once a second."""


Event = (
    PacketIn
    | TcpEvent
    | PinholeHit
    | SessionIdle
    | PinholeIdle
    | FragmentIdle
    | TransactionDone
    | TransactionFailed
    | Tick
)

__all__ = [
    "Event",
    "FragmentIdle",
    "PacketIn",
    "PinholeHit",
    "PinholeIdle",
    "Reason",
    "SessionIdle",
    "TcpEvent",
    "Tick",
    "TransactionDone",
    "TransactionFailed",
]
