"""The state machines of a call: the call, its dialogs, its INVITEs, and offer and answer.

A *call* is what one inside host has of a call, from the first INVITE to the end. It
can have several *dialogs*, one for each phone that answered a forked INVITE (RFC 3261
section 12), told apart by the tag of the remote end. Media belong to dialogs.

How a call goes on, by the messages that are let through:

    INVITE      CALLING
    1xx         CALLING --> RINGING, or EARLY if media are agreed on already (early media)
    2xx         --> ANSWERED, or HELD if what was agreed on is a call on hold
    SDP         within the call: ANSWERED <--> HELD
    401, 407, 422, 491 before a 2xx: the caller is expected to send the INVITE again, with
                credentials or after a pause; until then the call stays as it is, for 64*T1
    any other final error before a 2xx, and the end of the last dialog: --> OVER
    CANCEL before a 2xx, BYE: --> ENDING. The response to it ends the call (or the dialog);
                if no response comes, the call ends after 64*T1
    401, 407 to a BYE, or the end of one of several dialogs: ENDING --> as before

ACK, PRACK and UPDATE change no state of a call; they only carry SDP. An offer or an error
in a re-INVITE or UPDATE leaves the call as it was, except for 408 and 481, which
end the dialog (RFC 3261 section 12.2.1.2).

Three timers end a call without a message, and are begun by the rows of the table:

    RING        timer C (RFC 3261 section 16.7), while no 2xx has come; each 1xx begins it anew
    END_SOON    64*T1, while an answer or another INVITE is waited for
    (none)      the longest length of a call, from its beginning

An event that is not listed for a state changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple


class CallState(Enum):
    """How far a call is; the values are shown to the operator."""

    CALLING = "calling"
    RINGING = "ringing"
    EARLY = "early"
    ANSWERED = "answered"
    HELD = "held"
    ENDING = "ending"
    OVER = "over"


class CallEvent(Enum):
    """What a message means to a call."""

    INVITED = "invited"
    """A new INVITE before any 2xx: the first one, or another after an error."""
    RINGS = "rings"
    """A 1xx but 100 before any 2xx, and no media are agreed on."""
    EARLY_MEDIA = "early media"
    """The same, and media are agreed on."""
    CHALLENGED = "challenged"
    """A final error before any 2xx after which the INVITE comes again."""
    REJECTED = "rejected"
    """Any other final error before any 2xx."""
    TALKS = "talks"
    """There is an answered dialog whose media flow."""
    RESTS = "rests"
    """There is an answered dialog, and it is on hold."""
    ENDS = "ends"
    """A CANCEL before any 2xx, or a BYE."""
    CONTINUES = "continues"
    """The BYE was turned down or ended another dialog, or a 2xx crossed with the CANCEL."""
    ONLY_EARLY_LEFT = "only early left"
    """No dialog is answered, or not any more, but there are others or may be."""
    ALL_ENDED = "all ended"
    """The last dialog has ended."""


class Timer(Enum):
    """What a row does to the timers of a call."""

    RING = "ring"
    """Begin timer C anew."""
    END_SOON = "end soon"
    """Begin 64*T1 anew."""
    GO_ON = "go on"
    """Stop 64*T1."""


class Row(NamedTuple):
    """The state after an event, and what becomes of the timers."""

    state: CallState
    timers: tuple[Timer, ...] = ()


_TALKS = Row(CallState.ANSWERED, (Timer.GO_ON,))
_RESTS = Row(CallState.HELD, (Timer.GO_ON,))
_ENDS = Row(CallState.ENDING, (Timer.END_SOON,))
_EARLY = Row(CallState.EARLY, (Timer.RING,))
_OVER = Row(CallState.OVER)

CALL_STATES: Mapping[CallState, Mapping[CallEvent, Row]] = {
    CallState.CALLING: {
        CallEvent.INVITED: Row(CallState.CALLING, (Timer.RING, Timer.GO_ON)),
        CallEvent.RINGS: Row(CallState.RINGING, (Timer.RING,)),
        CallEvent.EARLY_MEDIA: _EARLY,
        CallEvent.CHALLENGED: Row(CallState.CALLING, (Timer.END_SOON,)),
        CallEvent.REJECTED: _OVER,
        CallEvent.TALKS: _TALKS,
        CallEvent.RESTS: _RESTS,
        CallEvent.ENDS: _ENDS,
        CallEvent.ALL_ENDED: _OVER,
    },
    CallState.RINGING: {
        CallEvent.INVITED: Row(CallState.RINGING, (Timer.RING, Timer.GO_ON)),
        CallEvent.RINGS: Row(CallState.RINGING, (Timer.RING,)),
        CallEvent.EARLY_MEDIA: _EARLY,
        CallEvent.CHALLENGED: Row(CallState.RINGING, (Timer.END_SOON,)),
        CallEvent.REJECTED: _OVER,
        CallEvent.TALKS: _TALKS,
        CallEvent.RESTS: _RESTS,
        CallEvent.ENDS: _ENDS,
        CallEvent.ALL_ENDED: _OVER,
    },
    CallState.EARLY: {
        CallEvent.INVITED: Row(CallState.EARLY, (Timer.RING, Timer.GO_ON)),
        CallEvent.RINGS: _EARLY,
        CallEvent.EARLY_MEDIA: _EARLY,
        CallEvent.CHALLENGED: Row(CallState.EARLY, (Timer.END_SOON,)),
        CallEvent.REJECTED: _OVER,
        CallEvent.TALKS: _TALKS,
        CallEvent.RESTS: _RESTS,
        CallEvent.ENDS: _ENDS,
        CallEvent.ALL_ENDED: _OVER,
    },
    CallState.ANSWERED: {
        CallEvent.TALKS: _TALKS,
        CallEvent.RESTS: _RESTS,
        CallEvent.ENDS: _ENDS,
        CallEvent.ONLY_EARLY_LEFT: Row(CallState.EARLY),
        CallEvent.ALL_ENDED: _OVER,
    },
    CallState.HELD: {
        CallEvent.TALKS: _TALKS,
        CallEvent.RESTS: _RESTS,
        CallEvent.ENDS: _ENDS,
        CallEvent.ONLY_EARLY_LEFT: Row(CallState.EARLY),
        CallEvent.ALL_ENDED: _OVER,
    },
    CallState.ENDING: {
        # SDP alone does not revive it, but a 2xx does: CONTINUES comes before TALKS then.
        CallEvent.INVITED: Row(CallState.CALLING, (Timer.RING, Timer.GO_ON)),
        CallEvent.RINGS: Row(CallState.ENDING, (Timer.RING,)),
        CallEvent.EARLY_MEDIA: Row(CallState.ENDING, (Timer.RING,)),
        CallEvent.CHALLENGED: _ENDS,
        CallEvent.REJECTED: _OVER,
        CallEvent.ENDS: _ENDS,
        CallEvent.CONTINUES: Row(CallState.EARLY, (Timer.GO_ON,)),
        CallEvent.ONLY_EARLY_LEFT: Row(CallState.EARLY, (Timer.GO_ON,)),
        CallEvent.ALL_ENDED: _OVER,
    },
    CallState.OVER: {},
}


class DialogState(Enum):
    """Whether a dialog was answered; one that is GONE gives back its media."""

    EARLY = "early"
    CONFIRMED = "confirmed"
    GONE = "gone"


class DialogEvent(Enum):
    """What happens to a dialog."""

    ACCEPTED = "accepted"
    """A 2xx of this dialog answered the INVITE."""
    OTHER_ACCEPTED = "other accepted"
    """A 2xx of another dialog of the same call did: this branch of the fork is given up."""
    ENDED = "ended"
    """A BYE was answered, or the other end does not know the dialog any more."""


DIALOG_STATES: Mapping[DialogState, Mapping[DialogEvent, DialogState]] = {
    DialogState.EARLY: {
        DialogEvent.ACCEPTED: DialogState.CONFIRMED,
        DialogEvent.OTHER_ACCEPTED: DialogState.GONE,
        DialogEvent.ENDED: DialogState.GONE,
    },
    DialogState.CONFIRMED: {
        DialogEvent.ACCEPTED: DialogState.CONFIRMED,
        DialogEvent.OTHER_ACCEPTED: DialogState.CONFIRMED,
        DialogEvent.ENDED: DialogState.GONE,
    },
    DialogState.GONE: {},
}


class Carrier(Enum):
    """What kind of message carries SDP (RFC 3261 section 13.2.1, 3262 section 5, 3311)."""

    REQUEST = "request"
    """INVITE or UPDATE."""
    PRACK = "prack"
    ACK = "ack"
    RESPONSE = "response"
    """1xx or 2xx to INVITE, UPDATE or PRACK."""


class Open(Enum):
    """Which offer waits for its answer where the message comes."""

    NONE = "none"
    REQUEST = "request"
    """The request of this transaction made one."""
    RESPONSE = "response"
    """A response of the other end made one: the "late" offer, to a request without SDP."""


class Meaning(Enum):
    """What SDP in a message is."""

    OFFER = "offer"
    LATE_OFFER = "late offer"
    ANSWER = "answer"
    NEITHER = "neither"
    """Its addresses are translated, and it opens nothing."""


MEANINGS: Mapping[tuple[Carrier, Open], Meaning] = {
    (Carrier.REQUEST, Open.NONE): Meaning.OFFER,
    (Carrier.REQUEST, Open.RESPONSE): Meaning.OFFER,
    (Carrier.PRACK, Open.NONE): Meaning.OFFER,
    (Carrier.PRACK, Open.RESPONSE): Meaning.ANSWER,
    (Carrier.ACK, Open.NONE): Meaning.NEITHER,
    (Carrier.ACK, Open.RESPONSE): Meaning.ANSWER,
    (Carrier.RESPONSE, Open.NONE): Meaning.LATE_OFFER,
    (Carrier.RESPONSE, Open.REQUEST): Meaning.ANSWER,
}
"""What SDP means, by what carries it and which offer is open."""
