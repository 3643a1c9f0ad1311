"""The states of ESP: an SA waits for the SA of the other direction, a host for its turn.

An ESP packet carries only the SPI that its receiver chose, and the SPIs of the two
directions were agreed on under encryption. Nothing on the wire says which outbound SA and
which inbound SA belong to the same host, so the gateway pairs them by time: after an
inside host used a new outbound SPI towards a remote, the first unknown SPI that comes
back from that remote is taken for its answer. That is only right while no other host
waits for an answer from the same remote. Hence two machines, both below as tables.

The *SA* machine. Each learnt SA has a state of its own:

    outbound   PENDING --answered--> ANSWERED       the usual way
               PENDING --late--> OVERDUE            no answer within `pending` seconds
               OVERDUE --answered--> ANSWERED       the answer came all the same
               OVERDUE --withdrawn--> GONE          no answer within `retry` more seconds:
                                                    the host's next packet begins anew
    inbound    UNASKED --paired--> ANSWER           the remote used the new SAs first
               UNASKED --late--> ALONE              nothing followed from inside
               (paired at once) ANSWER              the usual way

While its answer is in use, an outbound SA that falls idle in the switch is remembered
and installed again without a new exchange. When the inbound SA goes, both go.

The *turn* machine. Hosts that talk to one remote through one outside address form a
line. The host that HOLDS the line has SAs that are PENDING; the others wait in the
order in which they first sent. A holder that wants one more exchange while others wait
has to wait behind them as well, or it could hold the line forever.

Neither machine knows a packet, a table of the switch, or the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class SaState(Enum):
    """What is known of the SA of the other direction."""

    PENDING = "pending"
    """Outbound; its host holds the line until an answer comes or `pending` has passed."""
    OVERDUE = "overdue"
    """Outbound and unanswered; it keeps nobody waiting any more."""
    ANSWERED = "answered"
    """Outbound, with its inbound SA."""
    UNASKED = "unasked"
    """Inbound, learnt before any outbound SA it could answer."""
    ALONE = "alone"
    """Inbound, and `pending` has passed without an outbound SA."""
    ANSWER = "answer"
    """Inbound, with its outbound SA."""
    GONE = "gone"
    """Not in the switch, and forgotten here."""


class SaEvent(Enum):
    """What happens to an SA."""

    PAIRED = "paired"
    """The SA of the other direction was learnt or adopted."""
    LATE = "late"
    """`pending` seconds have passed since it was learnt."""
    WITHDRAWN = "withdrawn"
    """`retry` seconds more have passed."""
    IDLE = "idle"
    """The switch gave it up, as it was not used."""
    MATE_GONE = "mate gone"
    """The SA of the other direction is gone."""


SA_STATES: Mapping[SaState, Mapping[SaEvent, SaState]] = {
    SaState.PENDING: {
        SaEvent.PAIRED: SaState.ANSWERED,
        SaEvent.LATE: SaState.OVERDUE,
        SaEvent.IDLE: SaState.GONE,
    },
    SaState.OVERDUE: {
        SaEvent.PAIRED: SaState.ANSWERED,
        SaEvent.WITHDRAWN: SaState.GONE,
        SaEvent.IDLE: SaState.GONE,
    },
    SaState.ANSWERED: {
        SaEvent.IDLE: SaState.ANSWERED,
        SaEvent.MATE_GONE: SaState.GONE,
    },
    SaState.UNASKED: {
        SaEvent.PAIRED: SaState.ANSWER,
        SaEvent.LATE: SaState.ALONE,
        SaEvent.IDLE: SaState.GONE,
    },
    SaState.ALONE: {
        # Only by adoption after a restart, when the SAs are found in any order.
        SaEvent.PAIRED: SaState.ANSWER,
        SaEvent.IDLE: SaState.GONE,
    },
    SaState.ANSWER: {
        SaEvent.IDLE: SaState.GONE,
    },
    SaState.GONE: {},
}
"""The state after an event. An event that is not listed cannot happen in that state."""


class Turn(Enum):
    """What a host is in a line; the value is (holds the line, waits for its turn)."""

    NONE = (False, False)
    WAITS = (False, True)
    HOLDS = (True, False)
    HOLDS_AND_WAITS = (True, True)

    @property
    def holds(self) -> bool:
        """Whether unknown SPIs that come back are this host's."""
        return self.value[0]

    @property
    def waits(self) -> bool:
        """Whether it has a place in the queue."""
        return self.value[1]


class TurnEvent(Enum):
    """What happens to a host in a line."""

    SENDS_FIRST = "sends first"
    """It sends a new SPI; nobody else holds the line, and nobody waits before it."""
    SENDS_BEHIND = "sends behind"
    """It sends a new SPI, and another host comes first."""
    SETTLED = "settled"
    """None of its SAs is PENDING any more."""
    GAVE_UP = "gave up"
    """It has not sent for `waiting_for` seconds."""


TURNS: Mapping[Turn, Mapping[TurnEvent, Turn]] = {
    Turn.NONE: {
        TurnEvent.SENDS_FIRST: Turn.HOLDS,
        TurnEvent.SENDS_BEHIND: Turn.WAITS,
    },
    Turn.WAITS: {
        TurnEvent.SENDS_FIRST: Turn.HOLDS,
        TurnEvent.SENDS_BEHIND: Turn.WAITS,
        TurnEvent.GAVE_UP: Turn.NONE,
    },
    Turn.HOLDS: {
        TurnEvent.SENDS_FIRST: Turn.HOLDS,
        TurnEvent.SENDS_BEHIND: Turn.HOLDS_AND_WAITS,
        TurnEvent.SETTLED: Turn.NONE,
    },
    Turn.HOLDS_AND_WAITS: {
        TurnEvent.SENDS_FIRST: Turn.HOLDS,
        TurnEvent.SENDS_BEHIND: Turn.HOLDS_AND_WAITS,
        TurnEvent.SETTLED: Turn.WAITS,
        TurnEvent.GAVE_UP: Turn.HOLDS,
    },
}
"""The turn after an event, as above."""
