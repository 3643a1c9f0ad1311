"""The contract between an ALG and whatever carries its messages.

An ALG is a pure protocol machine: it is fed bytes, it asks a `Gateway` for
pinholes, and it answers with `Step`s that say what becomes of those bytes. It
knows nothing of TCP sequence numbers, P4 tables, sockets or clocks; `now` is an
argument. Nothing in this package imports anything of p4alg but this module.

Vocabulary: the *client* opened the control connection, the *server* accepted
it. The *inside* is the translated side. Addresses are IPv4 addresses as
integers in host order; ports are 0 to 65535.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from p4alg.protocols import ESP as ESP
from p4alg.protocols import GRE as GRE
from p4alg.protocols import ICMP as ICMP
from p4alg.protocols import TCP as TCP
from p4alg.protocols import UDP as UDP


class Peer(Enum):
    """One of the two ends of a control session, by the part it plays."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def other(self) -> Peer:
        """The opposite end."""
        return Peer.SERVER if self is Peer.CLIENT else Peer.CLIENT


class Endpoint(NamedTuple):
    """A transport address: IPv4 address as an integer, and a port."""

    addr: int
    port: int

    def __str__(self) -> str:
        return f"{format_addr(self.addr)}:{self.port}"


def format_addr(addr: int) -> str:
    """Return the dotted quad of an IPv4 address given as an integer."""
    return f"{addr >> 24 & 255}.{addr >> 16 & 255}.{addr >> 8 & 255}.{addr & 255}"


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What an ALG may know of the control session it serves.

    `client` and `server` are the endpoints as their own hosts see themselves
    (the inside host by its inside address); `inside` says which of them is
    translated, and `inside_as_seen_outside` is the endpoint the other one sees.
    """

    proto: int
    client: Endpoint
    server: Endpoint
    inside: Peer
    inside_as_seen_outside: Endpoint

    def endpoint(self, peer: Peer) -> Endpoint:
        """The untranslated endpoint of `peer`."""
        return self.client if peer is Peer.CLIENT else self.server

    def visible_addr(self, peer: Peer) -> int:
        """The address under which the opposite end knows `peer`."""
        return self.inside_as_seen_outside.addr if peer is self.inside else self.endpoint(peer).addr


@dataclass(frozen=True, slots=True)
class PinholeRequest:
    """An endpoint that a control message announced, and who may use it.

    `listener` waits for the data flow at `listen`; the other end will open it.
    When the listener is inside, the gateway allocates an outside endpoint and
    opens it to `opener_addr` only. When the listener is outside, the flow is an
    outbound one of the inside host, which the gateway only has to expect.

    `opener_port` is None when the protocol does not tell it. `lifetime` is in
    seconds until first use; `max_flows` is how many flows may use it, and
    `flow_idle` how many seconds each may be silent (None: as any other flow).
    With `inspect` the ALG reads how the flow goes (`TransferAlg`).

    Where only the receiver's identifier is in a packet (enhanced GRE, ESP), it
    takes the port's place: `listen` is the listener's address and call id, and
    each direction of a call is a request of its own.
    """

    proto: int
    listener: Peer
    listen: Endpoint
    opener_addr: int
    opener_port: int | None
    lifetime: float
    max_flows: int = 1
    label: str = ""
    flow_idle: float | None = None
    inspect: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """What the gateway granted, by its number; the other end is told the endpoint `visible`."""

    number: int
    visible: Endpoint


@dataclass(frozen=True, slots=True)
class Refusal:
    """A pinhole the gateway did not open, and why (a stable, countable word)."""

    reason: str


class Gateway(Protocol):
    """What an ALG may ask of the gateway while it handles a message.

    What is granted comes to be together with the message that names its number in
    `Forward.grants`: the gateway writes it before that message leaves. It takes back
    what no step names, and what a message needed that went nowhere.

    The gateway refuses what must not be opened, whatever ALG asks: `bounce` (an
    address that is not the sender's own), `low-port` (below 1024), `denied-port`
    (configured), `bad-id`, and the limits `message-limit`, `control-limit`,
    `subscriber-limit` and `pinhole-limit`. Lifetimes are cut to the longest configured.
    """

    def open_pinhole(self, request: PinholeRequest) -> Grant | Refusal:
        """Reserve a pinhole; it is in the switch before the message leaves."""
        ...

    def close_pinhole(self, pinhole_id: int) -> None:
        """Withdraw a pinhole nobody has used; unknown ids are ignored.

        While a message is handled this takes effect when the message leaves, and not at
        all if it cannot leave.
        """
        ...

    def reserve(self, proto: int, listen: Endpoint, *, pair: bool = False) -> Grant | Refusal:
        """Reserve the outside endpoint of the inside host's `listen` and open nothing.

        With `pair` the next port is reserved with it: if `listen` is even, both
        outside ports are neighbours and the first is even (RTP and RTCP, RFC 3550
        section 11). A pinhole asked for later uses what is held. `end` gives it back.
        """
        ...

    def objection(self, proto: int, listen: Endpoint) -> str:
        """Why nothing may be opened or reserved at the inside host's `listen`; empty if it may.

        For an ALG that wants to refuse a request rather than the answer to it. Nothing
        depends on its being asked: the other methods refuse with the same word.
        """
        ...

    def end(self, number: int) -> None:
        """End a reservation, or a pinhole and its flows; unknown numbers are ignored."""
        ...

    def inside_of(self, proto: int, outside: Endpoint) -> Endpoint | None:
        """The inside endpoint that an outside one of the gateway leads to, if there is one."""
        ...


class ProtocolGateway(Protocol):
    """What an ALG may ask while it handles a packet of a protocol without ports."""

    def static_inside_of(self, proto: int, outside: Endpoint) -> Endpoint | None:
        """The inside endpoint that a static mapping of an outside one leads to, if there is one."""
        ...


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the bytes from `start` up to `end` of a message by `data`."""

    start: int
    end: int
    data: bytes


def apply_edits(message: bytes, edits: Sequence[Edit]) -> bytes:
    """Return `message` with `edits` (ordered, not overlapping) carried out."""
    out = bytearray()
    at = 0
    for edit in edits:
        out += message[at : edit.start]
        out += edit.data
        at = edit.end
    out += message[at:]
    return bytes(out)


@dataclass(frozen=True, slots=True)
class Forward:
    """The next `length` bytes go on, with `edits` (offsets from their start).

    `summary` is set on messages worth a line in the trace, e.g.
    ``PORT 10.0.0.11:40001 -> 203.0.113.2:40001``; `is_message` tells a protocol
    message (counted) from bytes passed along. `grants` are the numbers of all that was
    granted for this message, pinholes and reserved endpoints. If it turns out that it cannot
    go on, it is refused, with `answer` as in `Refuse`.
    """

    length: int
    edits: tuple[Edit, ...] = ()
    summary: str = ""
    grants: tuple[int, ...] = ()
    is_message: bool = True
    answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """The next `length` bytes are a message that must not take effect.

    The carrier resets the connection or passes the bytes as they are, as
    configured. `reason` is a stable, countable word. With an `answer` no connection is reset:
    the message is dropped, and its sender told the answer in the other end's name. If that
    is empty, nothing is told.
    """

    length: int
    reason: str
    summary: str = ""
    answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class Detach:
    """The ALG steps aside for the rest of the connection, from here on.

    Bytes not yet consumed are passed as they are. `is_error` tells a peer that
    broke the protocol from an orderly end such as TLS.
    """

    length: ClassVar[int] = 0
    reason: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """Something happened that is worth a count, and a line for the operator.

    `event` is a stable, countable word; no bytes belong to it. With an empty
    `summary` it is counted only. `is_warning` asks for the operator's attention.
    """

    length: ClassVar[int] = 0
    event: str
    summary: str
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """Of this data flow only datagrams of `sender` with less than `below` bytes matter now.

    The rest crosses without the ALG; no bytes belong to it.
    """

    length: ClassVar[int] = 0
    sender: Peer
    below: int


@dataclass(frozen=True, slots=True)
class Finish:
    """This data flow is over: it goes once it was silent for `linger` seconds."""

    length: ClassVar[int] = 0
    linger: float


Step = Forward | Refuse | Detach | Notice | Watch | Finish


class StreamAlg(Protocol):
    """An ALG for a protocol on a TCP control connection, one per connection."""

    def feed(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """Handle `data`, all bytes of `sender` that no earlier step consumed.

        The steps consume a prefix of it; what they leave is the beginning of
        an incomplete message, is held, and comes again with more behind it.
        Never raises on any input.
        """
        ...


class DatagramAlg(Protocol):
    """An ALG for a protocol on UDP, one per flow (client's endpoint, server's endpoint)."""

    def receive(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """Handle the payload of one datagram, whole (fragments are reassembled before).

        The steps consume exactly `data`: one `Forward` or `Refuse` of its length,
        with `Notice`s as it likes. A refused datagram is dropped. `Detach` in their
        place passes it and all later ones unread. Never raises on any input.
        """
        ...


class TransferAlg(DatagramAlg, Protocol):
    """A datagram ALG that also follows the data flows it announced with `inspect`."""

    def receive_data(
        self, opener: Endpoint, sender: Peer, data: bytes, gateway: Gateway, now: float
    ) -> Sequence[Step]:
        """Handle a datagram of such a flow; like `receive`, with `Watch` and `Finish` besides.

        `opener` is the end that opened the flow, which tells flows apart.
        """
        ...


@runtime_checkable
class Lasting(Protocol):
    """What an ALG offers besides whose state outlives its messages."""

    def tick(self, gateway: Gateway, now: float) -> None:
        """Time passed; called about once a second."""
        ...

    def ended(self, gateway: Gateway) -> None:
        """The control session is gone: end what must not outlive it."""
        ...


@runtime_checkable
class SharedState(Protocol):
    """What all sessions of an ALG have in common, if it has timers of its own."""

    def expire(self, now: float) -> Sequence[int]:
        """Give up what has had its time; the reservations and pinholes to end."""
        ...


@runtime_checkable
class Tagged(Protocol):
    """What an ALG offers besides whose hosts share one outside port (`Alg.keeps_port`).

    The switch reads a tag from each packet that comes back to the shared port, the
    initiator SPI of IKE, and finds the inside host by it.
    """

    @property
    def tags(self) -> Collection[int]:
        """The tags that lead to this session's inside host now (64 bits each)."""
        ...


class ProtocolFlow(NamedTuple):
    """One direction of an inside host's traffic of a protocol without ports.

    Only the receiver's identifier is in its packets (the SPI of ESP). `outside` is the
    address under which `remote` knows `inside`.
    """

    inside: int
    outside: int
    remote: int
    identifier: int
    is_inbound: bool


@dataclass(frozen=True, slots=True)
class ProtocolPacket:
    """A packet of a protocol without ports that the switch knows no flow of.

    `outside` is the target's address for one that comes in, and the address that
    the sender has outside for one that leaves. `payload` is what follows the IP header.
    """

    proto: int
    source: int
    target: int
    outside: int
    is_inbound: bool
    payload: bytes


@dataclass(frozen=True, slots=True)
class Admit:
    """Let the packet on, and with it all that follow in `flow`, without the ALG.

    `label` is what operators are shown, `summary` a line for them if it is news.
    """

    flow: ProtocolFlow
    label: str
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Discard:
    """Drop the packet; `event` is a stable, countable word."""

    event: str


class ProtocolAlg(SharedState, Protocol):
    """What an ALG with `protocols` has in common for all of a gateway (`Alg.share`)."""

    def packet(
        self, packet: ProtocolPacket, gateway: ProtocolGateway, now: float
    ) -> Sequence[Admit | Discard | Notice]:
        """Decide about a packet: one `Admit` or one `Discard`, with `Notice`s as it likes."""
        ...

    def flow_ended(self, flow: ProtocolFlow) -> Sequence[ProtocolFlow]:
        """A flow has ended or could not be made; the flows that have to end with it."""
        ...

    def adopt(self, flow: ProtocolFlow, now: float) -> None:
        """A flow was found in the switch at the start."""
        ...

    def expire_flows(self, now: float) -> Sequence[ProtocolFlow]:
        """Give up what has had its time; the flows to end."""
        ...

    def switched_off(self) -> None:
        """The ALG reads no messages from now on. What it waits for may come unread."""
        ...
