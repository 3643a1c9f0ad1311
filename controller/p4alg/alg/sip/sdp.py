"""A session description as spans over the message (RFC 8866, 3264, 3605, 5761, 8839).

Only the lines that carry addresses, ports or the direction of media are read.
Lines end in CRLF or LF (RFC 8866 section 5 lets receivers accept both).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from p4alg.alg.contract import TCP, UDP
from p4alg.alg.sip.limits import SipLimits
from p4alg.alg.sip.message import SipError
from p4alg.alg.sip.uri import read_addr, read_port

_LINE = re.compile(rb"([a-z])=([^\r\n]*+)(\r\n|\n|\Z)")
_ADDR = rb"IN[ \t]++IP([46])[ \t]++([^\s/]++)(?:/[^\s]*+)?+[ \t]*+"
_ORIGIN = re.compile(rb"o=(?:[^\s]++[ \t]++){3}" + _ADDR)
_CONNECTION = re.compile(rb"c=" + _ADDR)
_MEDIA = re.compile(
    rb"m=([A-Za-z0-9.-]{1,32}+)[ \t]++([0-9]++)(/[0-9]++)?+[ \t]++([^\s]{1,64}+)(?:[ \t].*+)?+"
)
_RTCP = re.compile(rb"a=rtcp:([0-9]++)(?:[ \t]++" + _ADDR + rb")?+[ \t]*+")
_CANDIDATE = re.compile(
    rb"a=candidate:[^\s]++ [0-9]++ ([A-Za-z-]++) [0-9]++ ([^\s]++) ([0-9]++)"
    rb"(?: typ [a-z]++(?: raddr ([^\s]++) rport ([0-9]++))?+)?+.*+"
)
_DIRECTIONS = (b"sendrecv", b"sendonly", b"recvonly", b"inactive")
_DISCARD = 9

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class AddrSpan:
    """The span of an address; `addr` is None for IPv6 and for names."""

    start: int
    end: int
    addr: int | None


@dataclass(frozen=True, slots=True)
class Rtcp:
    """An a=rtcp line (RFC 3605): the span of its port, and its address if it has one."""

    span: Span
    port: int
    host: AddrSpan | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An a=candidate line (RFC 8839).

    `line` is its span with the line end. `number` is its port, and `port` the span of that.
    `related` are its raddr and rport, if it has them.
    """

    line: Span
    is_udp: bool
    host: AddrSpan
    port: Span
    number: int
    related: tuple[AddrSpan, Span] | None


@dataclass(slots=True)
class Media:
    """An m= section.

    `port_span` includes a number of ports ("/2") if there is one; only one port is translated.
    """

    kind: str
    port: int
    port_span: Span
    transport: bytes
    direction: bytes
    connections: list[AddrSpan] = field(default_factory=list)
    rtcp: Rtcp | None = None
    has_attributes: bool = False
    has_mux: bool = False
    is_active: bool = False
    candidates: list[Candidate] = field(default_factory=list)
    attributes_at: int | None = None
    """Where an a= line may be inserted; None if the line before has no line end."""

    @property
    def proto(self) -> int:
        """The IP protocol of its packets."""
        return TCP if self.transport.upper().startswith(b"TCP") else UDP

    @property
    def is_rtp(self) -> bool:
        """Whether RTCP goes with it (RFC 3550)."""
        return b"RTP/" in self.transport.upper() and self.proto == UDP

    @property
    def listens(self) -> bool:
        """Whether anything is received at its port.

        Nothing is if the stream was rejected (port 0), if it only connects (TCP, setup:active),
        or if ICE will name the port later (port 9, RFC 8838).
        """
        return self.port not in (0, _DISCARD) and not (self.proto == TCP and self.is_active)


@dataclass(slots=True)
class Description:
    """A session description: the o= address, the session's c= lines, and the media."""

    origin: AddrSpan | None = None
    connections: list[AddrSpan] = field(default_factory=list)
    direction: bytes = b"sendrecv"
    media: list[Media] = field(default_factory=list)

    def addr_of(self, media: Media) -> int | None:
        """The address at which a stream is received; None if it is no IPv4 address."""
        found = media.connections or self.connections
        return found[0].addr if found else None


def read_sdp(data: bytes, start: int, end: int, limits: SipLimits) -> Description:
    """Read the description at `data[start:end]`; raises `SipError`."""
    found = Description()
    lines = 0
    at = start
    if data[start : start + 2] != b"v=":
        raise SipError("bad-sdp")
    while at < end:
        line = _LINE.match(data, at, end)
        if line is None:
            if data[at:end].strip(b"\r\n \t\0") == b"":
                break  # Some senders end with an empty line.
            raise SipError("bad-sdp")
        lines += 1
        if lines > limits.sdp_lines:
            raise SipError("too-many-lines")
        _line(found, data, line, limits)
        at = line.end()
    return found


def _line(found: Description, data: bytes, line: re.Match[bytes], limits: SipLimits) -> None:
    kind, at, end = line[1], line.start(), line.end(2)
    media = found.media[-1] if found.media else None
    if kind == b"m":
        if len(found.media) >= limits.media:
            raise SipError("too-many-media")
        found.media.append(_media(found, data, at, end))
    elif kind == b"o":
        origin = _ORIGIN.fullmatch(data, at, end)
        if origin is not None:
            found.origin = _addr(origin, 2)
    elif kind == b"c":
        connection = _CONNECTION.fullmatch(data, at, end)
        if connection is None:
            raise SipError("bad-sdp")
        (found if media is None else media).connections.append(_addr(connection, 2))
    elif kind == b"a":
        if media is not None:
            media.has_attributes = True
        _attribute(found, media, data, line)
    if found.media and not found.media[-1].has_attributes:
        # Attributes are the last lines of a section (RFC 8866 section 9).
        found.media[-1].attributes_at = line.end() if line[3] else None


def _media(found: Description, data: bytes, at: int, end: int) -> Media:
    media = _MEDIA.fullmatch(data, at, end)
    if media is None:
        raise SipError("bad-sdp")
    ports = (media.start(2), media.end(3) if media[3] else media.end(2))
    kind = media[1].decode("ascii").lower()
    return Media(kind, read_port(media[2]), ports, media[4], found.direction)


def _attribute(found: Description, media: Media | None, data: bytes, line: re.Match[bytes]) -> None:
    text = line[2].strip()
    at, end = line.start(), line.end(2)
    if text in _DIRECTIONS:
        if media is None:
            found.direction = text
        else:
            media.direction = text
    if media is None:
        return
    if text in (b"rtcp-mux", b"rtcp-mux-only"):
        media.has_mux = True
    elif text == b"setup:active":
        media.is_active = True
    elif text.startswith(b"rtcp:"):
        rtcp = _RTCP.fullmatch(data, at, end)
        if rtcp is None or media.rtcp is not None:
            raise SipError("bad-sdp")
        host = _addr(rtcp, 3) if rtcp[3] else None
        media.rtcp = Rtcp(rtcp.span(1), read_port(rtcp[1]), host)
    elif text.startswith(b"candidate:"):
        candidate = _CANDIDATE.fullmatch(data, at, end)
        if candidate is None:
            raise SipError("bad-sdp")
        media.candidates.append(_candidate(candidate, line.span()))


def _candidate(found: re.Match[bytes], line: Span) -> Candidate:
    related = None
    if found[4] is not None:
        read_port(found[5])
        related = (AddrSpan(*found.span(4), read_addr(found[4])), found.span(5))
    return Candidate(
        line,
        found[1].upper() == b"UDP",
        AddrSpan(*found.span(2), read_addr(found[2])),
        found.span(3),
        read_port(found[3]),
        related,
    )


def _addr(found: re.Match[bytes], group: int) -> AddrSpan:
    start, end = found.span(group)
    return AddrSpan(start, end, read_addr(found[group]) if found[group - 1] == b"4" else None)
