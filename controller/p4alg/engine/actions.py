"""What the engine decides: table writes, packets to send, records to keep.

The shell around the engine carries actions out in order and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.engine.tables import Update


@dataclass(frozen=True, slots=True)
class PacketOut:
    """An Ethernet frame for the switch to send.

    With `egress_port` set it leaves by that port as it is. Otherwise it enters
    the pipeline as if it had arrived on `ingress_port`, is never punted again,
    and is translated and routed as any other packet. `sequence_is_final` keeps the switch
    from correcting TCP sequence numbers that are final already; `hairpin`
    repeats what the packet-in said.
    """

    frame: bytes
    ingress_port: int = 0
    egress_port: int | None = None
    sequence_is_final: bool = False
    hairpin: bool = False


@dataclass(frozen=True, slots=True)
class Transaction:
    """Table writes, and the packets that may leave once the switch has acknowledged all.

    The shell carries transactions out in order. On a refused update it deletes
    what this transaction inserted, sends none of the packets, and reports
    `TransactionFailed` with the same id; else `TransactionDone`. Changes and
    deletes are not undone: the engine knows what was there before.
    """

    transaction_id: int
    updates: tuple[Update, ...]
    then: tuple[PacketOut, ...] = ()


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A line for the operator's log: level as in `logging`, one line of text."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """One control message as `p4alg trace` shows it (G3).

    `verdict` is one of forwarded, rewritten, refused, held, or the word of an event; `before`
    and `after` are the bytes read and the bytes sent on; `pinholes` describes
    each opened pinhole in one line.
    """

    time: float
    alg: str
    client: str
    server: str
    sender: str
    inside_addr: int
    verdict: str
    summary: str
    before: bytes
    after: bytes
    pinholes: tuple[str, ...] = ()
    reason: str = ""


Action = PacketOut | Transaction | LogRecord | TraceRecord
