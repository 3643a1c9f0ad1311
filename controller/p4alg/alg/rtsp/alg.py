"""The RTSP ALG (RFC 2326): SETUP is rewritten, and the media it agrees on let in.

What it does to a message, by where the inside host is:

    client inside   SETUP: client_port of each alternative becomes a pair of outside ports
                    200:   client_port becomes what the client asked for; pinholes for the server
    server inside   200:   server_port becomes a pair of outside ports; pinholes for the client
    either          URLs and SDP of the inside host name it as it is seen outside

Nothing is opened but by a success of the server that answers a SETUP of the client,
so both ends have spoken RTSP by then. Interleaved frames pass and are not looked into.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from p4alg.alg.contract import (
    Detach,
    Edit,
    Forward,
    Gateway,
    Notice,
    Peer,
    Refuse,
    SessionFacts,
    Step,
    format_addr,
)
from p4alg.alg.rtsp.limits import RtspLimits
from p4alg.alg.rtsp.media import Media, Offer
from p4alg.alg.rtsp.message import (
    CLIENT_MAY_SEND,
    SERVER_MAY_SEND,
    Message,
    RtspError,
    Session,
)
from p4alg.alg.rtsp.places import name_outside
from p4alg.alg.rtsp.stream import Framer, Kind, Piece
from p4alg.alg.rtsp.transport import Ports, Transport, read_transports

_MAY_SEND = {Peer.CLIENT: CLIENT_MAY_SEND, Peer.SERVER: SERVER_MAY_SEND}
_TLS_HANDSHAKE = 0x16
_NO_SESSION = 454
"""The status of a request whose session the server does not know (any more)."""


@dataclass(slots=True, eq=False)
class Request:
    """A request without its final response yet; `offers` are those of a SETUP, in its order."""

    method: bytes
    uri: bytes
    session: Session | None
    offers: list[Offer] = field(default_factory=list)


@dataclass(slots=True)
class Reading:
    """What is found out of a message before it goes on."""

    edits: list[Edit] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    grants: tuple[int, ...] = ()
    notices: list[Notice] = field(default_factory=list)


class RtspAlg:
    """The ALG of one RTSP control connection; see `StreamAlg` and `Lasting`."""

    def __init__(
        self,
        facts: SessionFacts,
        limits: RtspLimits | None = None,
        *,
        follow_source: bool = False,
    ) -> None:
        """With `follow_source` media may come from the host that a server names as `source`."""
        self._facts = facts
        self._follow_source = follow_source
        self._limits = limits or RtspLimits()
        self._media = Media(facts, self._limits)
        self._framers = {peer: Framer(self._limits) for peer in Peer}
        self._begun: set[Peer] = set()
        # By who sent them, and their CSeq.
        self._requests: dict[Peer, dict[int, Request]] = {peer: {} for peer in Peer}
        self._noticed = 0
        self._detached = False

    def feed(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """Consume the whole messages of `data`, and what it has of interleaved frames."""
        steps: list[Step] = []
        at = 0
        while at < len(data) and not self._detached:
            try:
                piece = self._framers[sender].piece(data, at)
            except RtspError as error:
                return [*steps, *self._lost(error.word, len(data) - at)]
            if piece is None:
                break
            if not self._begins(sender, piece):
                is_tls = data[at] == _TLS_HANDSHAKE
                return [*steps, self._detach("tls" if is_tls else "not-rtsp", not is_tls)]
            if piece.kind is Kind.OTHER:
                return [*steps, *self._lost("bad-start", piece.length)]
            if piece.head is None:
                steps.append(Forward(piece.length, is_message=False))
            else:
                message = Message(data[at : at + piece.length], piece.head)
                steps += self._message(sender, message, gateway, now)
            at += piece.length
        return steps

    def tick(self, gateway: Gateway, now: float) -> None:
        """Look for sessions that have timed out."""
        self._media.expire(gateway, now)

    def ended(self, gateway: Gateway) -> None:
        """The control connection is over, and all media with it."""
        for request in self._requests[Peer.CLIENT].values():
            self._give_back(request, gateway)
        self._requests[Peer.CLIENT].clear()
        self._media.end_all(gateway)

    # How a connection begins and stops being read

    def _begins(self, sender: Peer, piece: Piece) -> bool:
        """Whether RTSP has begun: with a request of the client, then a response of the server."""
        if sender in self._begun:
            return True
        if piece.head is None:
            return False
        if sender is Peer.CLIENT:
            is_right = piece.head.code == 0
        else:
            is_right = piece.head.code != 0 and Peer.CLIENT in self._begun
        if is_right:
            self._begun.add(sender)
        return is_right

    def _detach(self, reason: str, is_error: bool) -> Detach:
        self._detached = True
        return Detach(reason, is_error)

    def _lost(self, reason: str, size: int) -> list[Step]:
        """Where the next message begins cannot be known: nothing more is read."""
        return [Refuse(size, reason), self._detach(reason, True)]

    # Messages

    def _message(self, sender: Peer, message: Message, gateway: Gateway, now: float) -> list[Step]:
        found = Reading()
        try:
            if message.is_request:
                self._request(sender, message, found, gateway, now)
            else:
                self._response(sender, message, found, gateway, now)
        except RtspError as error:
            return [Refuse(len(message.data), error.word, message.title)]
        if sender is self._facts.inside:
            own = self._facts.endpoint(sender)
            found.edits += name_outside(message, own, self._facts.inside_as_seen_outside)
        summary = f"{message.title}: {', '.join(found.changes)}" if found.changes else message.title
        edits = tuple(sorted(found.edits, key=lambda edit: edit.start))
        forward = Forward(len(message.data), edits, summary, found.grants)
        return [*found.notices, forward]

    def _notice(self, found: Reading, event: str, summary: str) -> None:
        """A line for the operator, unless this connection has had enough of them."""
        self._noticed += 1
        if self._noticed <= self._limits.notices:
            found.notices.append(Notice(event, summary))

    def _request(
        self, sender: Peer, message: Message, found: Reading, gateway: Gateway, now: float
    ) -> None:
        method = message.head.method
        if method not in _MAY_SEND[sender]:
            raise RtspError("wrong-side")
        cseq, waiting = message.cseq(), self._requests[sender]
        if cseq is None or cseq in waiting:
            raise RtspError("bad-cseq")
        if len(waiting) >= self._limits.pending:
            raise RtspError("too-many-pending")
        request = Request(method, message.head.uri, message.session(self._limits))
        if method == b"SETUP":
            self._ask(request, message, found, gateway)
        elif method != b"TEARDOWN" and request.session is not None and sender is Peer.CLIENT:
            found.grants = self._media.renew(request.session, gateway, now)
        waiting[cseq] = request

    def _response(
        self, sender: Peer, message: Message, found: Reading, gateway: Gateway, now: float
    ) -> None:
        cseq, waiting = message.cseq(), self._requests[sender.other]
        request = waiting.get(cseq) if cseq is not None else None
        if request is None or cseq is None:
            if message.all(b"transport"):
                raise RtspError("no-request")
            self._notice(found, "unmatched-response", f"{message.title} answers no request")
            return
        if message.head.code < 200:
            # Provisional: the final one is still to come.
            return
        del waiting[cseq]
        if request.method == b"SETUP":
            try:
                if message.is_success:
                    self._agree(request, message, found, gateway, now)
            finally:
                self._give_back(request, gateway)
        is_over = message.is_success or message.head.code == _NO_SESSION
        if request.method == b"TEARDOWN" and request.session is not None and is_over:
            self._media.tear_down((request.session.number, request.uri), gateway)

    def _give_back(self, request: Request, gateway: Gateway) -> None:
        """End the offers that nobody has taken."""
        while request.offers:
            self._media.give_back(request.offers.pop(), gateway)

    # SETUP

    def _ask(self, request: Request, message: Message, found: Reading, gateway: Gateway) -> None:
        """A SETUP of the client: reserve what it would listen at, if it is inside."""
        setups = sum(r.method == b"SETUP" for r in self._requests[Peer.CLIENT].values())
        if len(self._media) + setups >= self._limits.streams:
            raise RtspError("too-many-streams")
        try:
            for transport in read_transports(message, self._limits):
                self._offer(request, transport, found, gateway)
        except RtspError:
            self._give_back(request, gateway)
            raise

    def _offer(
        self, request: Request, transport: Transport, found: Reading, gateway: Gateway
    ) -> None:
        if transport.is_multicast or transport.is_interleaved:
            return
        if transport.is_of_rtsp_2:
            self._notice(found, "rtsp-2", "SETUP of RTSP 2.0: passed as it is, nothing opened")
            return
        self._check_destination(transport, found, Peer.CLIENT)
        ports = transport.ports(b"client_port")
        if ports is None or self._facts.inside is not Peer.CLIENT:
            return
        offer = next((known for known in request.offers if known.own == ports), None)
        if offer is None:
            offer = self._media.reserve(ports, gateway)
            request.offers.append(offer)
            found.grants += offer.reserved
            found.changes.append(self._change(offer))
        self._edit_ports(transport, b"client_port", offer.seen, found)

    def _agree(
        self, request: Request, message: Message, found: Reading, gateway: Gateway, now: float
    ) -> None:
        """A success answers a SETUP: open what both ends agreed on."""
        transports = read_transports(message, self._limits)
        session = message.session(self._limits) or request.session or Session(b"", None)
        if len(transports) > 1:
            raise RtspError("bad-syntax")
        if not transports:
            return
        transport = transports[0]
        if transport.is_interleaved or transport.is_multicast or transport.is_of_rtsp_2:
            return
        self._check_destination(transport, found, Peer.SERVER)
        opener = self._sender(transport, found)
        senders = transport.ports(b"server_port")
        if self._facts.inside is Peer.CLIENT:
            offer = self._taken(request, transport, found)
        elif senders is not None:
            offer, senders = self._media.reserve(senders, gateway), None
            found.grants = offer.reserved
            self._edit_ports(transport, b"server_port", offer.seen, found)
        else:
            offer = None
        if offer is None:
            return
        found.changes.append(self._change(offer))
        key = session.number, request.uri
        found.grants += self._media.open(key, session, offer, opener, senders, gateway, now)

    def _taken(self, request: Request, transport: Transport, found: Reading) -> Offer | None:
        """The offer that the server took; the client is told the ports that it asked for."""
        ports = transport.ports(b"client_port")
        if ports is None:
            # It need not repeat them if there was only one choice.
            return request.offers.pop() if len(request.offers) == 1 else None
        is_one = transport.has_one_port(b"client_port")
        for offer in request.offers:
            is_same = is_one or offer.seen.second in (None, ports.second)
            if offer.seen.first == ports.first and is_same:
                request.offers.remove(offer)
                self._edit_ports(transport, b"client_port", offer.own, found)
                return offer
        raise RtspError("no-offer")

    def _edit_ports(self, transport: Transport, name: bytes, ports: Ports, found: Reading) -> None:
        """Write other ports into a parameter: one number if one was there and is enough."""
        is_next = ports.second in (None, ports.first + 1)
        alone = transport.has_one_port(name) and is_next
        text = str(ports.first) if alone else str(ports)
        found.edits.append(Edit(*transport.params[name], text.encode()))

    def _change(self, offer: Offer) -> str:
        """What a line about an offer says."""
        facts = self._facts
        own, seen = facts.endpoint(facts.inside).addr, facts.inside_as_seen_outside.addr
        return f"{format_addr(own)}:{offer.own} -> {format_addr(seen)}:{offer.seen}"

    # Addresses

    def _check_destination(self, transport: Transport, found: Reading, sender: Peer) -> None:
        """Media may be sent to the client itself only (RFC 2326 section 16)."""
        if b"destination" not in transport.params:
            return
        addr, own = transport.addr(b"destination"), self._facts.client.addr
        shown = self._facts.visible_addr(Peer.CLIENT)
        if addr is None or addr not in (own, shown):
            raise RtspError("bounce")
        told = shown if sender is Peer.CLIENT else own
        if addr != told:
            self._edit_addr(transport, b"destination", told, found)

    def _sender(self, transport: Transport, found: Reading) -> int:
        """The host that may send media to the inside host: the other end of the connection.

        A server may name another one as `source`, which counts only if configured.
        """
        other = self._facts.endpoint(self._facts.inside.other).addr
        if b"source" not in transport.params:
            return other
        addr, own = transport.addr(b"source"), self._facts.server.addr
        shown = self._facts.visible_addr(Peer.SERVER)
        if addr is None or addr not in (own, shown):
            is_followed = self._follow_source and self._facts.inside is Peer.CLIENT
            if is_followed and addr is not None and _is_host(addr):
                return addr
            self._notice(found, "other-source", "media is announced from another host: not let in")
        elif addr != shown:
            self._edit_addr(transport, b"source", shown, found)
        return other

    def _edit_addr(self, transport: Transport, name: bytes, addr: int, found: Reading) -> None:
        text = format_addr(addr).encode()
        found.edits.append(Edit(*transport.params[name], text))


def _is_host(addr: int) -> bool:
    """Whether an address may be a sender's: no multicast, loopback or "this network"."""
    return addr < 224 << 24 and addr >> 24 not in (0, 127)
