"""The media of a control connection: ports reserved for it, and the pinholes it comes through.

The life of a stream, with the inside host as client (the server's part is in brackets):

    SETUP with client_port   -> an `Offer`: outside ports are reserved, nothing is open
    200 to it                -> a `Stream`: pinholes are open [server_port is reserved first]
    requests of its session  -> the pinholes are renewed
    session timeout          -> ports and unused pinholes go; media that still comes goes on,
                                as RTCP, which is not read here, may keep the session alive
    TEARDOWN, the end of the connection, another SETUP in its place -> all of it goes
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from p4alg.alg.contract import (
    UDP,
    Endpoint,
    Gateway,
    PinholeRequest,
    Refusal,
    SessionFacts,
)
from p4alg.alg.rtsp.limits import RtspLimits
from p4alg.alg.rtsp.message import RtspError, Session
from p4alg.alg.rtsp.transport import Ports

_FLOWS = 4
"""How often the media of a stream may begin again between two requests: after a pause it
is a new flow if the old one was idle too long."""
_REMEMBERED = 4
"""Pinholes kept in mind of one port; of earlier ones no flow is left."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Ports of the inside host, those that stand for them outside, and what reserves those."""

    own: Ports
    seen: Ports
    reserved: tuple[int, ...]


@dataclass(slots=True, eq=False)
class Stream:
    """A stream that was set up. `expires` is a time, `lifetime` in seconds."""

    offer: Offer
    requests: tuple[PinholeRequest, ...]
    lifetime: float
    expires: float
    pinholes: deque[int] = field(default_factory=deque)


Key = tuple[bytes, bytes]
"""What a stream is known by: the session's identifier and the URL of its SETUP."""


class Media:
    """All streams of one control connection."""

    def __init__(self, facts: SessionFacts, limits: RtspLimits) -> None:
        self._facts = facts
        self._limits = limits
        self._streams: dict[Key, Stream] = {}
        # Pinholes of sessions that have timed out: media may still come through them.
        self._timed_out: deque[int] = deque(maxlen=2 * _REMEMBERED * limits.streams)

    def __len__(self) -> int:
        return len(self._streams)

    # Ports

    def reserve(self, own: Ports, gateway: Gateway) -> Offer:
        """Reserve outside ports for those of the inside host; raises `RtspError`."""
        addr = self._facts.endpoint(self._facts.inside).addr
        grant = gateway.reserve(UDP, Endpoint(addr, own.first), pair=own.is_pair)
        if isinstance(grant, Refusal):
            raise RtspError(grant.reason)
        first = grant.visible.port
        if own.second in (None, own.first):
            seen = Ports(first, None if own.second is None else first)
            return Offer(own, seen, (grant.number,))
        rtcp = Endpoint(addr, own.second)
        beside = Endpoint(grant.visible.addr, first + 1)
        if own.is_pair and gateway.inside_of(UDP, beside) == rtcp:
            return Offer(own, Ports(first, beside.port), (grant.number,))
        # They are no neighbours if one of them was in use before.
        other = gateway.reserve(UDP, rtcp)
        if isinstance(other, Refusal):
            gateway.end(grant.number)
            raise RtspError(other.reason)
        reserved = (grant.number, other.number)
        return Offer(own, Ports(first, other.visible.port), reserved)

    def give_back(self, offer: Offer, gateway: Gateway) -> None:
        """End what `reserve` reserved."""
        for number in offer.reserved:
            gateway.end(number)

    # Streams

    def open(
        self,
        key: Key,
        session: Session,
        offer: Offer,
        opener: int,
        senders: Ports | None,
        gateway: Gateway,
        now: float,
    ) -> tuple[int, ...]:
        """A stream was agreed on: open the pinholes of its ports; returns their numbers.

        The host `opener` may use them, from the ports `senders` if those are known. The
        stream takes the place of one of the same key.
        Raises `RtspError`; then nothing is open, and the offer was given back.
        """
        stream = self._stream(session, offer, opener, senders, now)
        for request in stream.requests:
            grant = gateway.open_pinhole(request)
            if isinstance(grant, Refusal):
                self._end(stream, gateway)
                raise RtspError(grant.reason)
            self._own(stream, grant.number)
        before = self._streams.pop(key, None)
        if before is not None:
            self._end(before, gateway)
        self._streams[key] = stream
        return tuple(stream.pinholes)

    def _stream(
        self, session: Session, offer: Offer, opener: int, senders: Ports | None, now: float
    ) -> Stream:
        limits = self._limits
        timeout = limits.session_timeout if session.timeout is None else session.timeout
        timeout = min(max(timeout, limits.shortest_timeout), limits.longest_timeout)
        lifetime = timeout + limits.grace
        inside = self._facts.inside
        own, theirs = offer.own, senders or Ports(0)
        wanted = [(own.first, theirs.first, "rtp")]
        if own.second not in (None, own.first):
            wanted.append((own.second, theirs.second or 0, "rtcp"))
        requests = tuple(
            PinholeRequest(
                UDP,
                listener=inside,
                listen=Endpoint(self._facts.endpoint(inside).addr, port),
                opener_addr=opener,
                opener_port=sender or None,
                lifetime=lifetime,
                max_flows=_FLOWS,
                label=f"rtsp {what}",
            )
            for port, sender, what in wanted
        )
        pinholes = deque[int](maxlen=_REMEMBERED * len(requests))
        return Stream(offer, requests, lifetime, now + lifetime, pinholes)

    def renew(self, session: Session, gateway: Gateway, now: float) -> tuple[int, ...]:
        """A request named a session: it lives on. Returns the pinholes that had to be opened anew.

        Those that the session has used up or that were silent too long are; where a
        limit does not allow it, media that is there goes on.
        """
        opened: list[int] = []
        known = {number for stream in self._streams.values() for number in stream.pinholes}
        for stream in [s for key, s in self._streams.items() if key[0] == session.number]:
            stream.expires = now + stream.lifetime
            for request in stream.requests:
                grant = gateway.open_pinhole(request)
                if not isinstance(grant, Refusal) and grant.number not in known:
                    self._own(stream, grant.number)
                    opened.append(grant.number)
        return tuple(opened)

    def tear_down(self, key: Key, gateway: Gateway) -> None:
        """End the stream of `key`; if it names none, all streams of its session."""
        keys = [key] if key in self._streams else [k for k in self._streams if k[0] == key[0]]
        for one in keys:
            self._end(self._streams.pop(one), gateway)

    def expire(self, gateway: Gateway, now: float) -> None:
        """Give up what only sessions that have timed out would need."""
        for key in [k for k, stream in self._streams.items() if stream.expires <= now]:
            stream = self._streams.pop(key)
            # Its pinholes have been unused for as long, and go by themselves.
            self._timed_out += stream.pinholes
            self.give_back(stream.offer, gateway)

    def end_all(self, gateway: Gateway) -> None:
        """End every stream, and media that outlived its session."""
        for stream in self._streams.values():
            self._end(stream, gateway)
        self._streams.clear()
        while self._timed_out:
            gateway.end(self._timed_out.popleft())

    def _own(self, stream: Stream, pinhole: int) -> None:
        """A pinhole is of one stream only: if two have the same ports, of the later one."""
        for owned in (self._timed_out, *(other.pinholes for other in self._streams.values())):
            if pinhole in owned:
                owned.remove(pinhole)
        stream.pinholes.append(pinhole)

    def _end(self, stream: Stream, gateway: Gateway) -> None:
        for pinhole in stream.pinholes:
            gateway.end(pinhole)
        self.give_back(stream.offer, gateway)
