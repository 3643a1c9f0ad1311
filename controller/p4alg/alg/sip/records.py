"""What is known of a call, a registration and a transaction."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from p4alg.alg.contract import Endpoint
from p4alg.alg.sip.ledger import User
from p4alg.alg.sip.limits import SipTimers
from p4alg.alg.sip.states import (
    CALL_STATES,
    DIALOG_STATES,
    CallEvent,
    CallState,
    DialogEvent,
    DialogState,
    Timer,
)


@dataclass(frozen=True, slots=True)
class Stream:
    """One m= section of one side.

    `media` is where it listens (the inside endpoint, or the remote one) and
    `rtcp` where its RTCP does; None if it does not. `visible` is what the
    outside was told; `is_hairpin` tells that the remote one is inside too.
    """

    kind: str
    proto: int
    media: Endpoint | None
    rtcp: Endpoint | None
    visible: Endpoint | None = None
    is_rtp: bool = False
    is_pair: bool = False
    has_mux: bool = False
    is_held: bool = False
    is_hairpin: bool = False


Streams = tuple[Stream, ...]


class CallKey(NamedTuple):
    """Whose call it is (the inside address), its Call-ID as seen outside, who called."""

    inside: int
    call_id: bytes
    outgoing: bool


@dataclass(frozen=True, slots=True)
class Description:
    """An offer or a late one: whose it is, and its streams."""

    by_inside: bool
    streams: Streams


@dataclass(slots=True)
class Dialog:
    """A dialog of a call, by the tag of the remote end; `held_since` is a time, or None."""

    state: DialogState = DialogState.EARLY
    local: Streams = ()
    remote: Streams = ()
    held_since: float | None = None

    def step(self, event: DialogEvent) -> None:
        """Go on to the state that follows."""
        self.state = DIALOG_STATES[self.state].get(event, self.state)


@dataclass(slots=True, eq=False)
class Call:
    """A call of an inside host. Times are those of `now`; `ends_at` is None while it goes on."""

    key: CallKey
    caller_tag: bytes
    parties: tuple[str, str]
    attempt: tuple[int, bytes, bytes]
    """Who calls whom, for telling an INVITE that comes again and again."""
    created: float
    ringing_until: float
    state: CallState = CallState.CALLING
    ends_at: float | None = None
    dialogs: dict[bytes, Dialog] = field(default_factory=dict)
    late: Description | None = None
    contact: tuple[int, Endpoint] | None = None
    peers: set[int] = field(default_factory=set)
    """Remote addresses that may send requests in the call."""

    @property
    def answered(self) -> bool:
        """Whether some 2xx has answered the INVITE."""
        return any(dialog.state is DialogState.CONFIRMED for dialog in self.dialogs.values())

    def step(self, event: CallEvent, timers: SipTimers, now: float) -> None:
        """Go on to the state that follows, with its timers; see `CALL_STATES`."""
        row = CALL_STATES[self.state].get(event)
        if row is None:
            return
        self.state = row.state
        for timer in row.timers:
            if timer is Timer.RING:
                self.ringing_until = now + timers.ringing
            elif timer is Timer.END_SOON:
                self.ends_at = now + timers.transaction
            else:
                self.ends_at = None

    def user(self, tag: bytes | None) -> User:
        """Who holds the media of a dialog, or (None) those only offered yet."""
        return (self.key, tag)

    @property
    def signalling(self) -> User:
        """Who holds the ways for requests within the call."""
        return (self.key, "signalling")


@dataclass(slots=True, eq=False)
class Registration:
    """A binding that a registrar (or notifier) has confirmed; `expires` is a time."""

    kind: str
    inside: Endpoint
    proto: int
    aor: bytes
    registrar: int
    expires: float
    since: float


RegistrationKey = tuple[int, bytes, int, Endpoint, int]
"""Inside address, address of record, protocol, contact endpoint, registrar address."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A contact that an inside host asked to have bound; `expires` in seconds, None if not said."""

    proto: int
    listen: Endpoint
    visible: Endpoint
    expires: int | None


@dataclass(frozen=True, slots=True)
class Binding:
    """What a REGISTER or SUBSCRIBE asks for; `clears` tells "Contact: *"."""

    kind: str
    aor: bytes
    contacts: tuple[Asked, ...]
    expires: int | None
    clears: bool = False


@dataclass(slots=True, eq=False)
class Transaction:
    """A request that was let through; `branches` are the topmost ones of its copies."""

    expires: float
    branches: deque[bytes]
    offer: Description | None = None
    binding: Binding | None = None
    names_own_to: bool = False
    """Whether To named the inside host that asks, as in REGISTER."""
    completed: bool = False
    """Whether a final response has come: what errors come after it are copies, or late."""


class TransactionKey(NamedTuple):
    """Inside address, Call-ID as seen outside, CSeq number and method, who asked."""

    inside: int
    call_id: bytes
    cseq: int
    method: bytes
    by_inside: bool
