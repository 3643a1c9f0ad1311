"""The actions that the engine returns: table writes, packets to send, records to keep.

The shell around the engine carries them out in order. It decides nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from p4alg.engine.tables import Update


@dataclass(frozen=True, slots=True)
class PacketOut:
    """An Ethernet frame for the switch to send.

    If `egress_port` is set, it leaves by that port as it is. Otherwise it goes through the
    pipeline as if it had arrived on `ingress_port`: it is translated and routed, but never
    punted again. With `sequence_is_final` the switch does not correct its TCP sequence
    numbers, because that has been done. `hairpin` has the value of the packet-in. With `begin` it
    may begin a plain flow, as a packet that arrives may. A packet with `late` is a SYN from outside
    that was held: it is punted again if still nobody waits for it, and dropped otherwise.
    """

    frame: bytes
    ingress_port: int = 0
    egress_port: int | None = None
    sequence_is_final: bool = False
    hairpin: bool = False
    begin: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True)
class Transaction:
    """Table writes, and packets that may leave only when the switch has made all of them.

    The shell carries transactions out in order, and reports `TransactionDone` with the same id.
    If the switch refuses an update, the shell deletes what this transaction inserted, sends none
    of the packets, and reports `TransactionFailed`. Modifies and deletes are not undone; the
    engine knows what was there before them and writes it again if it has to.
    """

    transaction_id: int
    updates: tuple[Update, ...]
    then: tuple[PacketOut, ...] = ()


class Subsystem(StrEnum):
    """What a line of the log comes from, so that each has a level of its own."""

    ALG = "alg"
    """ALGs and their control sessions."""
    AUDIT = "audit"
    """What operators do."""
    CONFIG = "config"
    """Changes of the configuration."""
    FAULT = "fault"
    """Faults of the program."""
    NAT = "nat"
    """Hosts and their blocks of ports."""
    SWITCH = "switch"
    """What the switch refuses, cannot do, or had at the start."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A line for the operator's log: level as in `logging`, one line of text.

    `organisation` is the name of the one that it is about; empty if it is about none, or if
    there is only one.
    """

    level: int
    text: str
    organisation: str = ""
    subsystem: Subsystem = Subsystem.NAT


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """One control message, as `p4alg trace` shows it (G3).

    `verdict` is forwarded, rewritten, refused, held, or the name of an event that an ALG
    reports. `before` is the message as it was read, and `after` as it was sent on. `pinholes`
    has one line for each pinhole that was opened.
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
    organisation: str = ""
    """As in `LogRecord`."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that has happened, as `p4alg events` shows it.

    `kind` is session, pinhole, block, alg or audit, and `event` a word for what happened to it.
    `reason` says why, if there is a reason to tell. Ends are text as in the views, empty if there
    is no such end; `text` is what is to be told besides.
    """

    kind: str
    event: str
    reason: str = ""
    proto: str = ""
    inside: str = ""
    outside: str = ""
    remote: str = ""
    alg: str = ""
    label: str = ""
    text: str = ""
    organisation: str = ""
    """As in `LogRecord`."""


Record = LogRecord | TraceRecord | EventRecord
"""What is shown to operators, and changes nothing."""


@dataclass(frozen=True, slots=True)
class Remind:
    """Give the engine a `Reminder` after so many seconds."""

    seconds: float


Action = PacketOut | Transaction | Record | Remind
