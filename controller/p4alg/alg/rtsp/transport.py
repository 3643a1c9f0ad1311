"""The Transport header: alternatives, their parameters, ports and addresses (section 12.39)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from p4alg.alg.rtsp.limits import RtspLimits
from p4alg.alg.rtsp.message import Message, RtspError, Span
from p4alg.alg.wire import read_decimal

_PART = re.compile(
    rb"[ \t\r\n]*+([^\s;,=\"]++)?+(?:=((?:\"[^\"]*+\"|[^\s;,\"])*+))?+[ \t\r\n]*+(;|,|\Z)"
)
_DOTTED = re.compile(rb"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}")
_ONCE = (b"client_port", b"server_port", b"destination", b"source", b"unicast", b"multicast")


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a stream at one end: RTP's (or all data's), and RTCP's if there is RTCP.

    They may be the same (RFC 5761).
    """

    first: int
    second: int | None = None

    @property
    def is_pair(self) -> bool:
        """Whether they are an even port and the next one (RFC 3550 section 11)."""
        return self.first % 2 == 0 and self.second == self.first + 1

    def __str__(self) -> str:
        return str(self.first) if self.second is None else f"{self.first}-{self.second}"


@dataclass(frozen=True, slots=True)
class Transport:
    """One alternative: its protocol in upper case, and where the values of its parameters are."""

    data: bytes
    protocol: bytes
    params: dict[bytes, Span]

    @property
    def is_rtp(self) -> bool:
        """Whether RTCP goes with it."""
        return self.protocol.startswith(b"RTP/")

    @property
    def is_interleaved(self) -> bool:
        """Whether its data goes through the control connection."""
        return self.protocol.endswith(b"/TCP")

    @property
    def is_multicast(self) -> bool:
        """Whether it says so. Clients that mean unicast often do not say that."""
        return b"multicast" in self.params

    @property
    def is_of_rtsp_2(self) -> bool:
        """Whether it names its endpoints as RFC 7826 section 18.54 does."""
        return b"dest_addr" in self.params or b"src_addr" in self.params

    def ports(self, name: bytes) -> Ports | None:
        """The ports in a parameter, each 0 to 65535; raises `RtspError`.

        Of RTP that names only an even port, RTCP has the next one.
        """
        if name not in self.params:
            return None
        text, dash, rest = self.data[slice(*self.params[name])].partition(b"-")
        first, second = read_decimal(text, 0xFFFF), read_decimal(rest, 0xFFFF)
        if first is None or (dash and second is None):
            raise RtspError("bad-syntax")
        if not dash and self.is_rtp and first % 2 == 0:
            second = first + 1
        return Ports(first, second)

    def has_one_port(self, name: bytes) -> bool:
        """Whether a parameter is a single port and not a range."""
        return b"-" not in self.data[slice(*self.params[name])]

    def addr(self, name: bytes) -> int | None:
        """The IPv4 address in a parameter; None if it is something else, such as a name."""
        return read_addr(self.data[slice(*self.params[name])])


def read_addr(text: bytes) -> int | None:
    """An IPv4 address as an integer; None if it is none, or has leading zeros, which may
    or may not mean octal."""
    if _DOTTED.fullmatch(text) is None:
        return None
    octets = [int(part) for part in text.split(b".")]
    return int.from_bytes(bytes(octets), "big") if max(octets) <= 255 else None


def read_transports(message: Message, limits: RtspLimits) -> list[Transport]:
    """All alternatives of a message, the preferred one first; raises `RtspError`."""
    found: list[Transport] = []
    for header in message.all(b"transport"):
        at, more = header.start, True
        while more:
            if len(found) >= limits.transports:
                raise RtspError("too-many-transports")
            one, at, more = _transport(message.data, at, header.end)
            found.append(one)
    return found


def _transport(data: bytes, at: int, end: int) -> tuple[Transport, int, bool]:
    """The alternative at `at`, where it ends, and whether a comma is there."""
    protocol, params = b"", {}
    while True:
        part = _PART.match(data, at, end)
        if part is None:
            raise RtspError("bad-syntax")
        at = part.end()
        name = (part[1] or b"").lower()
        if not protocol:
            if not name or part[2] is not None:
                raise RtspError("bad-syntax")
            protocol = name.upper()
        elif name:
            if name in params and name in _ONCE:
                raise RtspError("bad-syntax")
            params[name] = part.span(2) if part[2] is not None else (part.end(1), part.end(1))
        elif part[2] is not None:
            raise RtspError("bad-syntax")
        if part[3] != b";":
            return Transport(data, protocol, params), at, part[3] == b","
