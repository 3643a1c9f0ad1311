"""What follows from a packet of a control session, and the face of what decides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from p4alg.alg.contract import Gateway, Peer
from p4alg.stream.direction import Segment


@dataclass(frozen=True, slots=True)
class Shift:
    """Correction of one direction: see `tables.Correction`; a sequence number and two shifts."""

    position: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Send:
    """Segments to emit now."""

    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Barrier:
    """Tables have to be written first; then the segments leave, and `resume` is called."""

    segments: tuple[Segment, ...]
    pinholes: tuple[int, ...]
    resized: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A control message, for counters and trace.

    `verdict` is forwarded, rewritten, refused or held.
    """

    sender: Peer
    verdict: str
    summary: str
    before: bytes
    after: bytes
    pinholes: tuple[int, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection was reset, by us because of `reason`, or by an end (`reason` "reset")."""

    reason: str


@dataclass(frozen=True, slots=True)
class Detached:
    """Nothing is read any more; bytes go on as they are."""

    reason: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class Noticed:
    """The ALG has something to say: a countable word, and a line."""

    sender: Peer
    event: str
    summary: str
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Dropped:
    """A segment, or the memory of one, had to be given up: a countable word."""

    reason: str


@dataclass(frozen=True, slots=True)
class Watched:
    """Of this data flow only datagrams of `sender` with less than `below` bytes matter now."""

    sender: Peer
    below: int


@dataclass(frozen=True, slots=True)
class Finished:
    """This data flow is over; it goes after `linger` seconds of silence."""

    linger: float


Effect = Send | Barrier | Seen | Closed | Detached | Noticed | Dropped | Watched | Finished


class Follower(Protocol):
    """What follows the packets of one control session, whatever its transport."""

    @property
    def resized(self) -> bool:
        """Whether some message changed its size, so that the switch has to correct numbers."""
        ...

    @property
    def blocked(self) -> bool:
        """Whether a message waits for `resume`."""
        ...

    @property
    def detached(self) -> bool:
        """Whether the ALG has stepped aside."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the session has ended."""
        ...

    @property
    def may_leave_to_switch(self) -> bool:
        """Whether nothing here is needed any more: all that goes on goes on as it is."""
        ...

    @property
    def bytes_held(self) -> int:
        """Bytes kept, for whatever reason."""
        ...

    def shift(self, sender: Peer, /) -> Shift:
        """The correction of what `sender` sends, as of the latest message."""
        ...

    def packet(
        self, sender: Peer, port: int, frame: bytes, gateway: Gateway, now: float
    ) -> list[Effect]:
        """A frame of `sender` arrived at switch port `port`. Never raises on any frame."""
        ...

    def resume(self, ok: bool, gateway: Gateway, now: float, /) -> list[Effect]:
        """The tables of the message that waits are written, or could not be."""
        ...

    def detach(self, reason: str, now: float, /) -> list[Effect]:
        """Step aside from outside; held bytes go on as they are."""
        ...
