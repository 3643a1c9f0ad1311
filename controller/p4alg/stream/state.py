"""The states of a followed TCP connection, and the only changes from one to another.

Three machines run side by side: one for each direction, and one for the reading of both.
They are the tables `DIRECTION`, `JOINT` and `READING` below, which the code looks up; what
is not in a table does not happen.

**A direction** is everything that one end sends. Its machine follows TCP (RFC 9293):

    UNSEEN     nothing of this end was seen yet
    SYN_SEEN   its SYN was seen, but not yet the other end's
    OPEN       both SYNs were seen, so both ends' bytes can be numbered
    FIN_SEEN   its FIN and all before it came, but some byte before it has not been sent on
    FINISHED   its FIN was sent on, and so was all before it
    RESET      an end or the gateway reset the connection

                SYN        SYN_AGAIN  DATA      FIN       FIN_SENT  RST
    UNSEEN      SYN_SEEN   -          -         -         -         -
    SYN_SEEN    -          SYN_SEEN   -         -         -         -
    OPEN        -          OPEN       OPEN      FIN_SEEN  -         RESET
    FIN_SEEN    -          FIN_SEEN   FIN_SEEN  -         FINISHED  RESET
    FINISHED    -          FINISHED   FINISHED  -         -         RESET
    RESET       -          RESET      -         -         -         RESET

The directions meet in two places (`JOINT`): when both are SYN_SEEN, both become OPEN; when
one is RESET, so is the other.

A FIN changes the state only in order: if everything before it has come. Otherwise, and if it is
repeated, a segment with a FIN counts as DATA; its sender repeats it. An RST changes the
state only if it has the exact number that its receiver expects (`acceptance`).

**The reading** says who decides what becomes of the bytes, in both directions at once:

    FOLLOWING  the ALG does
    BLOCKED    nobody: a message waits until the tables it needs are written
    DETACHED   nobody any more: the ALG has stepped aside, and bytes are sent on as they are
    DETACHING  nobody any more, but a message of before still waits for its tables

                TABLES_NEEDED  TABLES_WRITTEN  TABLES_REFUSED  STEP_ASIDE
    FOLLOWING   BLOCKED        -               -               DETACHED
    BLOCKED     -              FOLLOWING       FOLLOWING       DETACHING
    DETACHING   -              DETACHED        DETACHED        -
    DETACHED    -              -               -               -

The reading knows nothing of resets. A connection may be reset while a message waits; the
tables' outcome is still reported then, and has no further effect.
"""

from __future__ import annotations

from enum import Enum, auto

from p4alg.alg.contract import Peer


class DirectionState(Enum):
    """How far one end has come; see the head of this module."""

    UNSEEN = auto()
    SYN_SEEN = auto()
    OPEN = auto()
    FIN_SEEN = auto()
    FINISHED = auto()
    RESET = auto()


class DirectionEvent(Enum):
    """What happens to one direction."""

    SYN = auto()
    """A SYN of an end, and not a repetition of its first one."""
    SYN_AGAIN = auto()
    """A SYN with the sequence number of the end's first SYN."""
    BAD_SYN = auto()
    """A SYN that has a FIN or RST flag too. No state has a place for it."""
    DATA = auto()
    """A segment with neither SYN nor RST: bytes, new or repeated, and FINs that change nothing."""
    FIN = auto()
    """The first FIN in order."""
    FIN_SENT = auto()
    """The FIN was sent on to the other end."""
    RST = auto()
    """An RST of this end with the exact number, or the gateway's decision to reset."""


class Reading(Enum):
    """Who decides what becomes of the bytes; see the head of this module."""

    FOLLOWING = auto()
    BLOCKED = auto()
    DETACHING = auto()
    DETACHED = auto()


class ReadingEvent(Enum):
    """What happens to the reading of a connection."""

    TABLES_NEEDED = auto()
    """A message may leave only when tables are written."""
    TABLES_WRITTEN = auto()
    """The switch has the tables of the message that waits."""
    TABLES_REFUSED = auto()
    """The switch does not take them."""
    STEP_ASIDE = auto()
    """The ALG, or the operator in its place, lets the connection go on unread."""


_D = DirectionState
_E = DirectionEvent
_R = Reading
_T = ReadingEvent

DIRECTION: dict[DirectionState, dict[DirectionEvent, DirectionState]] = {
    _D.UNSEEN: {_E.SYN: _D.SYN_SEEN},
    _D.SYN_SEEN: {_E.SYN_AGAIN: _D.SYN_SEEN},
    _D.OPEN: {
        _E.SYN_AGAIN: _D.OPEN,
        _E.DATA: _D.OPEN,
        _E.FIN: _D.FIN_SEEN,
        _E.RST: _D.RESET,
    },
    _D.FIN_SEEN: {
        _E.SYN_AGAIN: _D.FIN_SEEN,
        _E.DATA: _D.FIN_SEEN,
        _E.FIN_SENT: _D.FINISHED,
        _E.RST: _D.RESET,
    },
    _D.FINISHED: {
        _E.SYN_AGAIN: _D.FINISHED,
        _E.DATA: _D.FINISHED,
        _E.RST: _D.RESET,
    },
    _D.RESET: {_E.SYN_AGAIN: _D.RESET, _E.RST: _D.RESET},
}
"""The next state of a direction, by its state and an event."""

JOINT: dict[tuple[DirectionState, DirectionState], DirectionState] = {
    (_D.SYN_SEEN, _D.SYN_SEEN): _D.OPEN,
    (_D.RESET, _D.OPEN): _D.RESET,
    (_D.RESET, _D.FIN_SEEN): _D.RESET,
    (_D.RESET, _D.FINISHED): _D.RESET,
}
"""The state both directions take; by that of the one that has just changed, and the other's."""

READING: dict[Reading, dict[ReadingEvent, Reading]] = {
    _R.FOLLOWING: {_T.TABLES_NEEDED: _R.BLOCKED, _T.STEP_ASIDE: _R.DETACHED},
    _R.BLOCKED: {
        _T.TABLES_WRITTEN: _R.FOLLOWING,
        _T.TABLES_REFUSED: _R.FOLLOWING,
        _T.STEP_ASIDE: _R.DETACHING,
    },
    _R.DETACHING: {_T.TABLES_WRITTEN: _R.DETACHED, _T.TABLES_REFUSED: _R.DETACHED},
    _R.DETACHED: {},
}
"""The next state of the reading, by its state and an event."""


class IllegalEventError(RuntimeError):
    """An event that the state has no place for was applied: a mistake in this package.

    What comes from outside is asked about with `allows` or `reading_allows` first.
    """


class ConnectionState:
    """The three machines of one connection. Only the tables change it."""

    __slots__ = ("directions", "reading")

    def __init__(self) -> None:
        self.directions = {peer: DirectionState.UNSEEN for peer in Peer}
        self.reading = Reading.FOLLOWING

    @property
    def blocked(self) -> bool:
        """Whether a message waits for its tables."""
        return self.reading is Reading.BLOCKED or self.reading is Reading.DETACHING

    @property
    def detached(self) -> bool:
        """Whether the ALG has stepped aside."""
        return self.reading is Reading.DETACHED or self.reading is Reading.DETACHING

    @property
    def is_reset(self) -> bool:
        """Whether an end or the gateway has reset the connection."""
        return self.directions[Peer.CLIENT] is DirectionState.RESET

    @property
    def is_over(self) -> bool:
        """Whether the connection was reset, or both ends have finished."""
        return all(
            state is DirectionState.RESET or state is DirectionState.FINISHED
            for state in self.directions.values()
        )

    def allows(self, sender: Peer, event: DirectionEvent) -> bool:
        """Whether the direction of `sender` has a place for this event now."""
        return event in DIRECTION[self.directions[sender]]

    def reading_allows(self, event: ReadingEvent) -> bool:
        """Whether the reading has a place for this event now."""
        return event in READING[self.reading]

    def happened(self, sender: Peer, event: DirectionEvent) -> None:
        """Apply an event to the direction of `sender`; IllegalEventError if it is not allowed."""
        state = self.directions[sender]
        try:
            state = DIRECTION[state][event]
        except KeyError:
            raise IllegalEventError(f"{event.name} in state {state.name}") from None
        self.directions[sender] = state
        joint = JOINT.get((state, self.directions[sender.other]))
        if joint is not None:
            self.directions[sender] = self.directions[sender.other] = joint

    def reading_happened(self, event: ReadingEvent) -> None:
        """Apply an event to the reading; IllegalEventError if it is not allowed."""
        try:
            self.reading = READING[self.reading][event]
        except KeyError:
            raise IllegalEventError(f"{event.name} while {self.reading.name}") from None
