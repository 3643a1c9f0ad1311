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

    `media` is where this side receives it (an inside endpoint, or a remote one), and `rtcp`
    where it receives its RTCP; None if it does not. `visible` is the outside endpoint that was
    told for an inside one. `is_hairpin` tells that a remote endpoint leads to an inside host.
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
    """The inside host's address, the Call-ID as seen outside, and whether the host called."""

    inside: int
    call_id: bytes
    outgoing: bool


@dataclass(frozen=True, slots=True)
class Description:
    """An offer: whether the inside host made it, and its streams."""

    by_inside: bool
    streams: Streams


@dataclass(slots=True)
class Dialog:
    """A dialog of a call, with the media that were agreed on last.

    `held_since` is the time since which it is on hold, None if it is not.
    """

    state: DialogState = DialogState.EARLY
    local: Streams = ()
    remote: Streams = ()
    held_since: float | None = None

    def step(self, event: DialogEvent) -> None:
        """Go on to the state that follows."""
        self.state = DIALOG_STATES[self.state].get(event, self.state)


@dataclass(slots=True, eq=False)
class Call:
    """A call of an inside host; `dialogs` are by the tag of the remote end.

    `created`, `ringing_until` and `ends_at` are times in seconds. `ends_at` is None unless
    something is waited for (`Timer.END_SOON`). `late` is an offer that came in a response and
    has no answer yet. `contact` is where the inside host wants to get requests.
    """

    key: CallKey
    caller_tag: bytes
    parties: tuple[str, str]
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
        """The ledger's user for the media of a dialog; None: for those that are only offered."""
        return (self.key, tag)

    @property
    def signalling(self) -> User:
        """The ledger's user for the pinholes by which requests within the call come in."""
        return (self.key, "signalling")


@dataclass(slots=True, eq=False)
class Registration:
    """A registration that a registrar confirmed, or a subscription that a notifier did.

    `expires` and `since` are times in seconds.
    """

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
    """A contact that an inside host wants registered, for `expires` seconds if it says so."""

    proto: int
    listen: Endpoint
    visible: Endpoint
    expires: int | None


@dataclass(frozen=True, slots=True)
class Binding:
    """What a REGISTER or SUBSCRIBE asks for; `clears` for "Contact: *", which ends all."""

    kind: str
    aor: bytes
    contacts: tuple[Asked, ...]
    expires: int | None
    clears: bool = False
    others: tuple[int, ...] = ()
    """Addresses of other hosts, whose contacts a proxy passes on for them."""


@dataclass(slots=True, eq=False)
class Transaction:
    """A request that was let through.

    It is forgotten when `expires` has come. `branches` are those of the topmost Via of the
    request and its copies, by one of which a response has to be recognised.
    """

    expires: float
    branches: deque[bytes]
    offer: Description | None = None
    binding: Binding | None = None
    names_own_to: bool = False
    """Whether To names the inside host that sent the request, as in REGISTER."""
    completed: bool = False
    """Whether a final response has come. An error that comes after it is a copy, or too late,
    and means nothing to the call."""
    turned_down: bool = False
    """Whether the first final response was an error."""
    given_up: bytes | None = None
    """The Request-URI, once the sender of an INVITE has acknowledged that it was turned down."""
    has_port: dict[bytes, bool] = field(default_factory=dict)
    """Whether the topmost Via names a port, by its branch. The response is given the same form."""


class TransactionKey(NamedTuple):
    """The inside host's address, Call-ID as seen outside, CSeq number and method, and whether
    the inside host sent the request."""

    inside: int
    call_id: bytes
    cseq: int
    method: bytes
    by_inside: bool
