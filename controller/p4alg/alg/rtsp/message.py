"""One RTSP message as spans over its bytes (RFC 2326 sections 4 to 8).

Nothing is copied or rebuilt: a header is a place in the message, so what is not
understood goes on as it came. Whatever two programs could read differently (bare
CR or LF, NUL, a second Content-Length) is an error: an ALG that reads a message in
another way than its receiver can be deceived.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from p4alg.alg.rtsp.limits import RtspLimits
from p4alg.alg.wire import read_decimal

BOTH_MAY_SEND = (b"ANNOUNCE", b"GET_PARAMETER", b"OPTIONS", b"SET_PARAMETER", b"TEARDOWN")
CLIENT_MAY_SEND = (b"DESCRIBE", b"PAUSE", b"PLAY", b"RECORD", b"SETUP", *BOTH_MAY_SEND)
SERVER_MAY_SEND = (b"PLAY_NOTIFY", b"REDIRECT", *BOTH_MAY_SEND)
"""The methods of RFC 2326 section 10 and RFC 7826 section 13, by who may send them."""
_METHODS = sorted({*CLIENT_MAY_SEND, *SERVER_MAY_SEND})
_VERSIONS = (b"RTSP/1.0", b"RTSP/2.0")
_FIRST_WORDS = (*_METHODS, *_VERSIONS)
_REQUEST = re.compile(rb"(" + b"|".join(_METHODS) + rb") ([!-~]++) RTSP/[12]\.0")
_STATUS = re.compile(rb"RTSP/[12]\.0 ([1-5][0-9]{2})(?: [^\r\n]*+)?+")
_HEADER = re.compile(rb"([A-Za-z0-9.!#$%&'*+^_`|~-]{1,64}+):")
_SESSION = re.compile(rb"([!-:<-~]++)[ \t]*+(?:;[ \t]*+timeout[ \t]*+=[ \t]*+([0-9]++))?+.*+", re.I)
_SPACE = b" \t\r\n"
_LARGEST_CSEQ = (1 << 32) - 1
_LARGEST_LENGTH = 999_999_999
_ONCE = (b"cseq", b"content-length", b"content-type", b"content-encoding", b"session")

Span = tuple[int, int]


class RtspError(Exception):
    """A message that breaks the protocol or a limit; `word` is stable and countable."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


@dataclass(frozen=True, slots=True)
class Header:
    """A header: its name in lower case, and where its value is (no space around it)."""

    name: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Session:
    """A Session header: the identifier, and the timeout in seconds if it names one."""

    number: bytes
    timeout: int | None


@dataclass(frozen=True, slots=True)
class Head:
    """Start line and headers; `length` is Content-Length (0 if there is none).

    `method` and `uri` are those of a request, `code` (100 to 599) that of a
    response; the other one's are empty or 0. The body begins at `body`.
    """

    method: bytes
    uri: bytes
    code: int
    headers: tuple[Header, ...]
    body: int
    length: int


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message."""

    data: bytes
    head: Head

    @property
    def title(self) -> str:
        """What a line about it begins with: its method or status code."""
        return self.head.method.decode("ascii") or str(self.head.code)

    @property
    def is_request(self) -> bool:
        """Whether it is a request."""
        return self.head.code == 0

    @property
    def is_success(self) -> bool:
        """Whether it is a response of the class 2xx."""
        return 200 <= self.head.code < 300

    @property
    def body(self) -> Span:
        """Where its body is."""
        return self.head.body, len(self.data)

    def all(self, *names: bytes) -> list[Header]:
        """The headers of these names, in their order."""
        return [header for header in self.head.headers if header.name in names]

    def text(self, name: bytes) -> bytes:
        """The value of the first header of a name; empty if there is none."""
        for header in self.all(name):
            return self.data[header.start : header.end]
        return b""

    def cseq(self) -> int | None:
        """The number that joins request and response (32 bits); None if there is none."""
        return read_decimal(self.text(b"cseq"), _LARGEST_CSEQ)

    def session(self, limits: RtspLimits) -> Session | None:
        """The Session header, if there is one; raises `RtspError`."""
        text = self.text(b"session")
        if not text:
            return None
        found = _SESSION.fullmatch(text)
        if found is None or len(found[1]) > limits.session_id:
            raise RtspError("bad-session")
        if found[2] is None:
            return Session(found[1], None)
        # One that is too large to be read is longer than any that counts.
        seconds = read_decimal(found[2], limits.longest_timeout)
        return Session(found[1], limits.longest_timeout if seconds is None else seconds)


def may_begin(data: bytes, limits: RtspLimits) -> bool:
    """Whether `data`, perhaps only a part of it, can be the beginning of a message.

    Once the start line is complete the answer is final.
    """
    end = data.find(b"\r\n", 0, limits.line + 2)
    if end >= 0:
        return bool(_REQUEST.fullmatch(data, 0, end) or _STATUS.fullmatch(data, 0, end))
    if len(data) > limits.line + 1:
        return False
    word, space, _ = data.partition(b" ")
    return word in _FIRST_WORDS if space else any(w.startswith(word) for w in _FIRST_WORDS)


def parse_head(data: bytes, limits: RtspLimits) -> Head:
    """Read the head that `data` is, with the empty line that ends it; raises `RtspError`."""
    end = len(data) - 4
    pairs = data.count(b"\r\n", 0, end)
    if data.count(b"\n", 0, end) != pairs or data.count(b"\r", 0, end) != pairs:
        raise RtspError("bare-newline")
    if b"\0" in data:
        raise RtspError("bad-header")
    at = data.find(b"\r\n")
    request, status = _REQUEST.fullmatch(data, 0, at), _STATUS.fullmatch(data, 0, at)
    if at > limits.line or (request is None and status is None):
        raise RtspError("bad-start")
    headers = _headers(data, at + 2, end, limits)
    method, uri = (request[1], request[2]) if request else (b"", b"")
    code = int(status[1]) if status else 0
    return Head(method, uri, code, headers, len(data), _length(data, headers, limits))


def _headers(data: bytes, at: int, end: int, limits: RtspLimits) -> tuple[Header, ...]:
    found: list[Header] = []
    while at < end:
        stop = data.find(b"\r\n", at, end)
        # A line that begins with space continues the one before (section 4.2).
        while stop >= 0 and data[stop + 2 : stop + 3] in (b" ", b"\t"):
            stop = data.find(b"\r\n", stop + 2, end)
        stop = end if stop < 0 else stop
        if stop - at > limits.line:
            raise RtspError("line-too-long")
        if len(found) >= limits.headers:
            raise RtspError("too-many-headers")
        header = _header(data, at, stop)
        if header.name in _ONCE and any(known.name == header.name for known in found):
            raise RtspError("twice")
        found.append(header)
        at = stop + 2
    return tuple(found)


def _header(data: bytes, at: int, end: int) -> Header:
    found = _HEADER.match(data, at, end)
    if found is None:
        raise RtspError("bad-header")
    start = found.end()
    while start < end and data[start] in _SPACE:
        start += 1
    while end > start and data[end - 1] in _SPACE:
        end -= 1
    return Header(found[1].lower(), start, end)


def _length(data: bytes, headers: tuple[Header, ...], limits: RtspLimits) -> int:
    for header in headers:
        if header.name == b"content-length":
            length = read_decimal(data[header.start : header.end], _LARGEST_LENGTH)
            if length is None:
                raise RtspError("bad-length")
            if length > limits.message:
                raise RtspError("message-too-long")
            return length
    return 0
