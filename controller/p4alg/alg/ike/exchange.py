"""One IKE exchange: how much of it has been seen, and so how long it is kept.

Anybody can send a first message with a forged sender address, and the peer answers it.
Only a host that really has the address sees the answer, and so only it can go on with
the responder's SPI from that answer. An exchange is therefore kept for long only when
its beginner has gone on:

    BEGUN --answers--> ANSWERED --goes on--> CONFIRMED

When an inside host's first message that is seen already carries a responder SPI, the
exchange is older than this gateway's knowledge of it (RFC 7296 section 2.18: the SPIs
of a rekeyed IKE SA are agreed on under encryption). One answer then confirms it:

    RESUMED --answers--> CONFIRMED

A silent exchange is forgotten, in the `HALF_OPEN` states soon and otherwise late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from p4alg.alg.contract import Peer
from p4alg.alg.ike.header import IkeHeader


class ExchangeState(Enum):
    """How much of an exchange has been seen."""

    BEGUN = "begun"
    RESUMED = "resumed"
    ANSWERED = "answered"
    CONFIRMED = "confirmed"


class ExchangeEvent(Enum):
    """A message of an exchange, by who sent it."""

    ASKS = "asks"
    """From the beginner, without a responder SPI: a first message, or a copy of it."""
    ANSWERS = "answers"
    """From the other end."""
    GOES_ON = "goes on"
    """From the beginner, with a responder SPI."""


EXCHANGE_STATES: Mapping[ExchangeState, Mapping[ExchangeEvent, ExchangeState]] = {
    ExchangeState.BEGUN: {
        ExchangeEvent.ASKS: ExchangeState.BEGUN,
        ExchangeEvent.ANSWERS: ExchangeState.ANSWERED,
        ExchangeEvent.GOES_ON: ExchangeState.BEGUN,
    },
    ExchangeState.RESUMED: {
        ExchangeEvent.ASKS: ExchangeState.RESUMED,
        ExchangeEvent.ANSWERS: ExchangeState.CONFIRMED,
        ExchangeEvent.GOES_ON: ExchangeState.RESUMED,
    },
    ExchangeState.ANSWERED: {
        ExchangeEvent.ASKS: ExchangeState.ANSWERED,
        ExchangeEvent.ANSWERS: ExchangeState.ANSWERED,
        ExchangeEvent.GOES_ON: ExchangeState.CONFIRMED,
    },
    ExchangeState.CONFIRMED: dict.fromkeys(ExchangeEvent, ExchangeState.CONFIRMED),
}
"""The state after a message; every message can come in every state."""

BOTH_SPOKE = frozenset({ExchangeState.ANSWERED, ExchangeState.CONFIRMED})
"""The states in which both ends have been heard."""
HALF_OPEN = frozenset(ExchangeState) - {ExchangeState.CONFIRMED}
"""The states in which a silent exchange is soon forgotten."""

_RESPONSE = 0x20
"""The flag of a response in IKEv2 (RFC 7296 section 3.1)."""
_KEYING = (32, 35, 36)
"""Exchange types that can make SAs of ESP: quick mode, IKE_AUTH and CREATE_CHILD_SA
(RFC 2409 section 5.5, RFC 7296 sections 1.2 and 1.3)."""
_IKE_AUTH = 35
_SHORTEST_AUTH = 128
"""Bytes of the shortest answer to IKE_AUTH that has room for an SA, with its identity,
signature and traffic selectors (RFC 7296 section 1.2); a refusal is shorter."""
_COUNTED = {32: "rekey", 36: "rekey", 5: "informational", 37: "informational"}
_REMEMBERED = 8
"""Message ids of an exchange whose messages are still recognised as the same."""


@dataclass(slots=True)
class Exchange:
    """An exchange of one flow; `last_seen` is a time in seconds.

    `is_claimed` tells that its initiator SPI was claimed for the inside host.
    """

    begun_by: Peer
    is_claimed: bool
    last_seen: float
    state: ExchangeState = ExchangeState.BEGUN
    _counted: deque[tuple[int, int, Peer | None]] = field(
        default_factory=lambda: deque(maxlen=_REMEMBERED)
    )

    _keyed: deque[tuple[int, int, Peer | None]] = field(
        default_factory=lambda: deque(maxlen=_REMEMBERED)
    )

    def message(self, sender: Peer, read: IkeHeader, now: float) -> None:
        """A message of the exchange has come."""
        self.last_seen = now
        if sender is not self.begun_by:
            event = ExchangeEvent.ANSWERS
        elif read.responder_spi:
            event = ExchangeEvent.GOES_ON
        else:
            event = ExchangeEvent.ASKS
        self.state = EXCHANGE_STATES[self.state][event]

    def counts(self, sender: Peer, read: IkeHeader) -> str:
        """The word that a message's rekey or informational exchange is counted by.

        Empty for other messages, and for all messages of one such exchange but its first.
        """
        event = _COUNTED.get(read.exchange_type, "")
        return event if event and _is_new(self._counted, sender, read) else ""

    def agrees(self, sender: Peer, read: IkeHeader, remote: Peer) -> bool:
        """Whether by this message the remote agrees to new SAs of ESP, for the first time.

        What the inside host sends proves nothing. A remote that answers a quick mode or
        CREATE_CHILD_SA exchange, or asks for one, has authenticated the host before.
        """
        if sender is not remote or read.exchange_type not in _KEYING:
            return False
        if read.exchange_type == _IKE_AUTH and read.length < _SHORTEST_AUTH:
            return False
        return _is_new(self._keyed, sender, read)


def _is_new(known: deque[tuple[int, int, Peer | None]], sender: Peer, read: IkeHeader) -> bool:
    """Note which exchange of an IKE SA a message belongs to; whether it is its first."""
    # Both sides count their own requests from zero in IKEv2 (RFC 7296 section 2.2),
    # while an id of IKEv1 is drawn at random for the exchange (RFC 2408 section 3.1).
    requester = sender.other if read.flags & _RESPONSE else sender
    key = (read.exchange_type, read.message_id, requester if read.major == 2 else None)
    if key in known:
        return False
    known.append(key)
    return True
