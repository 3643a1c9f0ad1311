"""One SIP message as spans over its bytes (RFC 3261 sections 7 and 25).

Nothing is copied or rebuilt: a header is a place in the message. Whatever two parsers could
read differently is an error: a bare CR or LF, a NUL, a second Call-ID or Content-Length, a
Content-Length that is not the length of what follows. If the gateway read a message
differently from its receiver, an attacker could show each of them something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from p4alg.alg.sip.limits import SipLimits
from p4alg.alg.wire import read_decimal

_TOKEN = rb"[A-Za-z0-9.!%*_+`'~-]"
_REQUEST = re.compile(rb"(" + _TOKEN + rb"{1,256}+) ([^\s<>\"]++) SIP/2\.0", re.IGNORECASE)
_STATUS = re.compile(rb"SIP/2\.0 ([1-6][0-9]{2})(?: .*)?", re.IGNORECASE | re.DOTALL)
_PREFIX = re.compile(_TOKEN + rb"{1,256}+(?:[ /]|\Z)")
_BARE_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\0")
"""A NUL that is no quoted pair (RFC 3261 section 25.1), behind which programs in C read nothing."""
_HEADER = re.compile(rb"(" + _TOKEN + rb"{1,256}+)[ \t]*+:[ \t\r\n]*+")
_CSEQ = re.compile(rb"([0-9]{1,10})[ \t\r\n]+(" + _TOKEN + rb"{1,256}+)")
_TAG = re.compile(rb";[ \t\r\n]*tag[ \t\r\n]*=[ \t\r\n]*([^;,\s\"<>]*)", re.IGNORECASE)
_SPACE = b" \t\r\n"
_LARGEST_CSEQ = (1 << 31) - 1
_LARGEST_LENGTH = 999_999_999

_COMPACT = {
    b"b": b"referred-by",
    b"c": b"content-type",
    b"e": b"content-encoding",
    b"f": b"from",
    b"i": b"call-id",
    b"l": b"content-length",
    b"m": b"contact",
    b"o": b"event",
    b"r": b"refer-to",
    b"t": b"to",
    b"v": b"via",
}
"""Compact forms of the headers that are read here (RFC 3261 section 7.3.3 and later ones)."""
_SINGLE = (b"call-id", b"cseq", b"from", b"to", b"content-length", b"content-type")
_REQUIRED = (b"call-id", b"cseq", b"from", b"to", b"via")


class SipError(Exception):
    """A message that breaks the protocol or a limit; `word` is stable and countable."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class Header(NamedTuple):
    """A header: its full name in lower case, and the span of its value without outer space."""

    name: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Head:
    """Start line and headers; `length` is Content-Length, None if there is none.

    A request has `method` and `uri` (a span), and its `code` is 0; a response has a `code`
    only. The body begins at `body`.
    """

    method: bytes
    uri: tuple[int, int] | None
    code: int
    headers: tuple[Header, ...]
    body: int
    length: int | None


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message. `uri` and `body` are spans, and `uri` is None in a response.

    The `method` of a response is that of its CSeq. `code` is 0 in a request. `cseq` is 0
    to 2**31-1. A tag is empty if there is none.
    """

    data: bytes
    method: bytes
    uri: tuple[int, int] | None
    code: int
    headers: tuple[Header, ...]
    body: tuple[int, int]
    call_id: Header
    cseq: int
    from_tag: bytes
    to_tag: bytes

    @property
    def is_request(self) -> bool:
        """Whether it is a request."""
        return self.code == 0

    def all(self, *names: bytes) -> list[Header]:
        """The headers of these names, in their order."""
        return [header for header in self.headers if header.name in names]

    def first(self, name: bytes) -> Header | None:
        """The first header of a name."""
        return next((header for header in self.headers if header.name == name), None)

    def text(self, header: Header) -> bytes:
        """The value of a header."""
        return self.data[header.start : header.end]


def may_begin_sip(data: bytes, line: int) -> bool:
    """Whether a SIP message can begin like `data`, which may be only its first bytes.

    A start line is at most `line` bytes long. Once it is complete the answer is final.
    """
    end = data.find(b"\r\n", 0, line + 2)
    if end >= 0:
        return bool(_REQUEST.fullmatch(data, 0, end) or _STATUS.fullmatch(data, 0, end))
    return len(data) <= line and (not data or _PREFIX.match(data) is not None)


def parse_head(data: bytes, limits: SipLimits) -> Head:
    """Read start line and headers of `data`, which holds at least those; raises `SipError`."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        raise SipError("no-end")
    if end > limits.message:
        raise SipError("message-too-long")
    pairs = data.count(b"\r\n", 0, end)
    if data.count(b"\n", 0, end) != pairs or data.count(b"\r", 0, end) != pairs:
        raise SipError("bare-newline")
    if _BARE_NUL.search(data, 0, end):
        raise SipError("bad-header")
    at = data.find(b"\r\n")
    if at > limits.line:
        raise SipError("line-too-long")
    request = _REQUEST.fullmatch(data, 0, at)
    status = None if request else _STATUS.fullmatch(data, 0, at)
    headers = _headers(data, at + 2, end, limits)
    if request is not None:
        method, uri, code = request[1], request.span(2), 0
    elif status is not None:
        method, uri, code = b"", None, read_decimal(status[1], 699) or 0
    else:
        raise SipError("bad-start")
    length = None
    for header in headers:
        if header.name == b"content-length":
            length = read_length(data, header)
            if length > limits.message:
                raise SipError("body-too-long")
    return Head(method, uri, code, headers, end + 4, length)


def _headers(data: bytes, at: int, end: int, limits: SipLimits) -> tuple[Header, ...]:
    found: list[Header] = []
    once: set[bytes] = set()
    while at < end:
        stop = data.find(b"\r\n", at, end)
        # A line that begins with space continues the one before (section 7.3.1).
        while stop >= 0 and data[stop + 2 : stop + 3] in (b" ", b"\t"):
            stop = data.find(b"\r\n", stop + 2, end)
        stop = end if stop < 0 else stop
        if stop - at > limits.line:
            raise SipError("line-too-long")
        if len(found) >= limits.headers:
            raise SipError("too-many-headers")
        header = header_at(data, at, stop)
        if header.name in once:
            raise SipError("twice")
        if header.name in _SINGLE:
            once.add(header.name)
        found.append(header)
        at = stop + 2
    return tuple(found)


def header_at(data: bytes, at: int, end: int) -> Header:
    """The header whose lines, folded or not, are `data[at:end]`; raises `SipError`."""
    found = _HEADER.match(data, at, end)
    if found is None:
        raise SipError("bad-header")
    name = found[1].lower()
    start = found.end()
    while end > start and data[end - 1] in _SPACE:
        end -= 1
    return Header(_COMPACT.get(name, name), start, end)


def read_length(data: bytes, header: Header) -> int:
    """The value of a Content-Length, of a message or of a part; raises `SipError`."""
    length = read_decimal(data[header.start : header.end], _LARGEST_LENGTH)
    if length is None:
        raise SipError("bad-length")
    return length


def parse_message(data: bytes, limits: SipLimits) -> Message:
    """Read a whole message; raises `SipError`.

    Without Content-Length the body is all there is (a datagram, section 18.3).
    """
    if len(data) > limits.message:
        raise SipError("message-too-long")
    head = parse_head(data, limits)
    end = len(data) if head.length is None else head.body + head.length
    if end > len(data):
        raise SipError("short-body")
    known = {header.name: header for header in reversed(head.headers)}
    if any(name not in known for name in _REQUIRED):
        raise SipError("missing-header")
    cseq = _CSEQ.fullmatch(data, known[b"cseq"].start, known[b"cseq"].end)
    number = None if cseq is None else read_decimal(cseq[1], _LARGEST_CSEQ)
    if cseq is None or number is None or (head.uri and cseq[2] != head.method):
        raise SipError("bad-cseq")
    if known[b"call-id"].start == known[b"call-id"].end:
        raise SipError("missing-header")
    return Message(
        data,
        cseq[2],
        head.uri,
        head.code,
        head.headers,
        (head.body, end),
        known[b"call-id"],
        number,
        _tag(data, known[b"from"]),
        _tag(data, known[b"to"]),
    )


def _tag(data: bytes, header: Header) -> bytes:
    # The header's own parameters follow the angle brackets; those inside belong to the URI.
    at = max(header.start, data.rfind(b">", header.start, header.end))
    found = _TAG.search(data, at, header.end)
    return found[1] if found else b""
