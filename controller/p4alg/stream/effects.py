"""What a follower decides on a packet, and the interface that every follower has.

A *follower* reads the packets of one control session for an ALG. It decides only, and
returns its decisions as effects; the engine carries them out in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from p4alg.alg.contract import Gateway, Peer
from p4alg.stream.segments import Segment


@dataclass(frozen=True, slots=True)
class Shift:
    """How the switch has to correct the numbers of one direction.

    A sequence number before `position` is raised by `before`, any other by `after`. `position`
    is a number as the sender uses it. See `tables.Correction`.
    """

    position: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Send:
    """Segments to emit now."""

    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A frame to the sender of the packet that has just come, in the other end's name.

    It is addressed as that packet was, the other way round, and so leaves by the port at
    which it came, as it is.
    """

    segment: Segment


@dataclass(frozen=True, slots=True)
class Barrier:
    """A message that may leave only when tables are written.

    The engine has the pinholes written, and the correction of sequence numbers if the message
    was `resized`. Then it sends the segments. In the end it calls `resume` with the outcome.
    """

    segments: tuple[Segment, ...]
    grants: tuple[int, ...]
    resized: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A control message, for counters and trace.

    `verdict` is "forwarded", "rewritten", "refused" or "held". `before` is the message as it
    came and `after` as it goes on; `reason` says why it is refused.
    """

    sender: Peer
    verdict: str
    summary: str
    before: bytes
    after: bytes
    grants: tuple[int, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection was reset: by an end (`reason` is "reset"), or by the gateway for `reason`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Detached:
    """The session is not read any more; what its ends send goes on as it is.

    `is_error` tells a session that could not be followed from one that needs no following.
    """

    reason: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class Noticed:
    """The ALG has something for the operator: `event` is counted, `summary` is logged."""

    sender: Peer
    event: str
    summary: str
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Dropped:
    """A packet was dropped, or one that is kept for repeating was forgotten.

    `reason` is a stable, countable word.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Watched:
    """From now on the ALG has to see only some datagrams of this data flow.

    Those are the ones that `sender` sends and that have less than `below` bytes. The switch may
    carry the others alone.
    """

    sender: Peer
    below: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The data flow is over; its entries are removed after `linger` seconds without a packet."""

    linger: float


Effect = Send | Answer | Barrier | Seen | Closed | Detached | Noticed | Dropped | Watched | Finished


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
    def is_proved(self) -> bool:
        """Whether the client has shown that its address is its own."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the session has ended."""
        ...

    @property
    def may_leave_to_switch(self) -> bool:
        """Whether the switch alone can carry the rest of the session."""
        ...

    @property
    def bytes_held(self) -> int:
        """Bytes of packets that are kept, for whatever reason."""
        ...

    def shed(self) -> None:
        """Forget the bytes that came out of order: their sender sends them again."""
        ...

    def shift(self, sender: Peer, /) -> Shift:
        """The correction of numbers in what `sender` sends, as of its latest resized message."""
        ...

    def packet(
        self, sender: Peer, port: int, frame: bytes, gateway: Gateway, now: float
    ) -> list[Effect]:
        """A frame of `sender` arrived at switch port `port`. Never raises on any frame."""
        ...

    def resume(self, ok: bool, gateway: Gateway, now: float, /) -> list[Effect]:
        """The tables of the message that waits were written; if not `ok`, they were not."""
        ...

    def detach(self, reason: str, now: float, /) -> list[Effect]:
        """Stop reading; held bytes go on as they are."""
        ...
