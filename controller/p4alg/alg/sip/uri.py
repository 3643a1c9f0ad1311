"""Where addresses are in SIP URIs, parameters and lists of values (RFC 3261 sections 19, 25).

Only IPv4 literals count as addresses. Names and IPv6 references are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from p4alg.alg.contract import TCP, UDP
from p4alg.alg.sip.message import SipError
from p4alg.alg.wire import read_decimal

_SPACE = rb"[ \t\r\n]*+"
_QUOTED = rb"\"(?:[^\"\\]|\\.)*+(?:\"|\Z)"
_REMEMBERED = 1024  # addresses
_DOTTED = re.compile(rb"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}")
_HOST = rb"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._-]++)"
_SCHEME = re.compile(rb"(sips?):", re.IGNORECASE)
_USER = re.compile(rb"[^@<>\s\"]*+@")
_URI_HOST = re.compile(_HOST + rb"(?::([0-9]++))?+(?=[;?]|\Z)")
_SENT_BY = re.compile(_HOST + rb"(?:" + _SPACE + rb":" + _SPACE + rb"([0-9]++))?+")
_URI_PARAM = re.compile(rb";(transport|maddr)=([^;?\s]*+)", re.IGNORECASE)
_PARAM = re.compile(
    rb";" + _SPACE + rb"([A-Za-z0-9.!%*_+`'~-]++)"
    rb"(?:" + _SPACE + rb"=" + _SPACE + rb"(" + _QUOTED + rb"|[^;,\s\"<>]*+))?+",
    re.DOTALL,
)
_MARK = re.compile(_QUOTED + rb"|<[^<>]*+>|[,<>]", re.DOTALL)
_PORTS = {b"sip": 5060, b"sips": 5061}
_TRANSPORTS = {b"udp": UDP, b"tcp": TCP, b"tls": TCP}


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host and perhaps a port: the span of both, and what they mean.

    `addr` is None unless the host is an IPv4 literal. `port` is None if none is written,
    and then `default` is meant. `proto` is the IP protocol by which the host is reached.
    """

    start: int
    end: int
    addr: int | None
    port: int | None
    proto: int
    default: int

    @property
    def number(self) -> int:
        """The port that is meant."""
        return self.default if self.port is None else self.port


@dataclass(frozen=True, slots=True)
class Uri:
    """A sip or sips URI: its host, its maddr parameter, and the span of its headers ("?...")."""

    host: HostPort
    maddr: HostPort | None
    headers: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Value:
    """One value of an address header: the spans of its URI and of its parameters."""

    uri: tuple[int, int]
    params: tuple[int, int]


def read_addr(text: bytes) -> int | None:
    """An IPv4 literal as an integer; None if `text` is none.

    One with leading zeros is none, as some programs read these as octal.
    """
    return None if _DOTTED.fullmatch(text) is None else _dotted(text)


@lru_cache(_REMEMBERED)
def _dotted(text: bytes) -> int | None:
    """The address of a dotted quad. A call names the same few again and again."""
    read = [read_decimal(part, 255) for part in text.split(b".")]
    octets = [octet for octet in read if octet is not None]
    return int.from_bytes(bytes(octets), "big") if len(octets) == len(read) else None


def read_port(text: bytes) -> int:
    """A port number, 0 to 65535; raises `SipError` for anything else."""
    number = read_decimal(text, 0xFFFF)
    if number is None:
        raise SipError("bad-port")
    return number


def read_uri(data: bytes, start: int, end: int) -> Uri | None:
    """The sip or sips URI at `data[start:end]`; None if there is none that can be read."""
    scheme = _SCHEME.match(data, start, end)
    if scheme is None:
        return None
    user = _USER.match(data, scheme.end(), end)
    found = _URI_HOST.match(data, user.end() if user else scheme.end(), end)
    if found is None:
        return None
    kind = scheme[1].lower()
    question = data.find(b"?", found.end(), end)
    stop = end if question < 0 else question
    proto, maddr = (TCP if kind == b"sips" else UDP), None
    params = {p[1].lower(): p for p in _URI_PARAM.finditer(data, found.end(), stop)}
    if b"transport" in params:
        proto = _TRANSPORTS.get(params[b"transport"][2].lower(), proto)
    host = _host_port(found, proto, _PORTS[kind])
    if b"maddr" in params:
        start, stop_at = params[b"maddr"].span(2)
        addr = read_addr(data[start:stop_at])
        # Messages go to it instead of the host, at the URI's port (section 19.1.1).
        maddr = HostPort(start, stop_at, addr, None, proto, host.number)
    return Uri(host, maddr, (stop, end))


def read_sent_by(data: bytes, start: int, end: int, proto: int, default: int) -> HostPort | None:
    """The host and port at the beginning of `data[start:end]`.

    There may be spaces around the colon.
    """
    found = _SENT_BY.match(data, start, end)
    return _host_port(found, proto, default) if found else None


def _host_port(found: re.Match[bytes], proto: int, default: int) -> HostPort:
    port = None if found[2] is None else read_port(found[2])
    return HostPort(*found.span(), read_addr(found[1]), port, proto, default)


def params(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The name in lower case and the span of the value of each ;parameter in a span."""
    at = start
    while (found := _PARAM.search(data, at, end)) is not None:
        first, last = found.span(2) if found[2] is not None else (found.end(), found.end())
        yield found[1].lower(), first, last
        at = found.end()


def split(data: bytes, start: int, end: int) -> list[tuple[int, int]]:
    """The spans between commas; those in quotes or angle brackets do not count.

    Raises `SipError` for quotes or brackets that do not close.
    """
    parts: list[tuple[int, int]] = []
    at = start
    for mark in _MARK.finditer(data, start, end):
        if mark[0] == b",":
            parts.append((at, mark.start()))
            at = mark.end()
        elif mark[0] in (b"<", b">") or (mark[0][:1] == b'"' and not _closed(mark[0])):
            raise SipError("bad-quote")
    return [*parts, (at, end)]


def _closed(quoted: bytes) -> bool:
    return re.fullmatch(rb"\"(?:[^\"\\]|\\.)*+\"", quoted, re.DOTALL) is not None


def read_value(data: bytes, start: int, end: int) -> Value:
    """A name-addr or addr-spec with its parameters (section 20.10)."""
    for mark in _MARK.finditer(data, start, end):
        if mark[0][:1] == b"<" and len(mark[0]) > 1:
            return Value((mark.start() + 1, mark.end() - 1), (mark.end(), end))
    while start < end and data[start] in b" \t\r\n":
        start += 1
    # Without brackets, what follows ";" or "?" belongs to the header and not to the URI.
    stop = start
    while stop < end and data[stop] not in b";? \t\r\n":
        stop += 1
    return Value((start, stop), (stop, end))
