"""Finds the SDP in a body: the body itself, or a part of a multipart one (RFC 2046, 5621)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from p4alg.alg.sip.limits import SipLimits
from p4alg.alg.sip.message import Header, Message, SipError, header_at, read_length

_BOUNDARY = re.compile(
    rb";[ \t\r\n]*boundary[ \t\r\n]*=[ \t\r\n]*(?:\"([^\"\r\n]{1,70})\"|([^\s;,\"]{1,70}))",
    re.IGNORECASE,
)


_ONCE = (b"content-type", b"content-length")
"""Headers that a part may have only once: of two, readers could believe either."""


class Length(NamedTuple):
    """A Content-Length header, and its value in bytes."""

    header: Header
    value: int


@dataclass(frozen=True, slots=True)
class SdpPart:
    """Where SDP is, and every Content-Length that counts its bytes: its own, then outer ones."""

    start: int
    end: int
    lengths: tuple[Length, ...] = ()


def find_sdp(message: Message, limits: SipLimits) -> list[SdpPart]:
    """Every SDP body in a message, but for encoded ones.

    Raises `SipError` at a limit, and for a part whose Content-Length is no number.
    """
    start, end = message.body
    if start == end:
        return []
    found: list[SdpPart] = []
    _search(message.data, start, end, message.headers, (), limits, limits.depth, found)
    return found


def _search(
    data: bytes,
    start: int,
    end: int,
    headers: tuple[Header, ...],
    lengths: tuple[Header, ...],
    limits: SipLimits,
    depth: int,
    found: list[SdpPart],
) -> None:
    known = {header.name: header for header in headers}
    for header in headers:
        encoding = data[header.start : header.end].lower()
        if header.name == b"content-encoding" and encoding != b"identity":
            return
    kind = known.get(b"content-type")
    if kind is None:
        return
    if b"content-length" in known:
        lengths = (known[b"content-length"], *lengths)
    value = data[kind.start : kind.end]
    name = value.partition(b";")[0].strip(b" \t\r\n").lower()
    if name == b"application/sdp":
        if len(found) >= limits.parts:
            raise SipError("too-many-parts")
        counted = tuple(Length(header, read_length(data, header)) for header in lengths)
        found.append(SdpPart(start, end, counted))
    elif name.startswith(b"multipart/"):
        boundary = _BOUNDARY.search(value)
        if boundary is None:
            raise SipError("bad-multipart")
        if depth == 0:
            raise SipError("too-deep")
        _parts(data, start, end, boundary[1] or boundary[2], lengths, limits, depth, found)


def _parts(
    data: bytes,
    start: int,
    end: int,
    boundary: bytes,
    lengths: tuple[Header, ...],
    limits: SipLimits,
    depth: int,
    found: list[SdpPart],
) -> None:
    mark = b"--" + boundary
    line = rb"(?:\r\n|\A)" + re.escape(mark) + rb"(--)?[ \t]*+(?=\r\n|\Z)"
    marks = list(re.finditer(line, data[start:end]))
    if len(marks) > limits.parts + 1:
        raise SipError("too-many-parts")
    if not any(mark_at[1] for mark_at in marks):
        raise SipError("bad-multipart")
    for mark_at, next_at in pairwise(marks):
        if mark_at[1]:
            break
        at, stop = start + mark_at.end(), start + next_at.start()
        _part(data, at, stop, lengths, limits, depth, found)


def _part(
    data: bytes,
    at: int,
    end: int,
    lengths: tuple[Header, ...],
    limits: SipLimits,
    depth: int,
    found: list[SdpPart],
) -> None:
    """Read one part: its headers, an empty line, and its body, which may hold SDP.

    `at` is the end of the boundary before it.
    """
    headers: list[Header] = []
    at += 2
    while at < end and data[at : at + 2] != b"\r\n":
        stop = data.find(b"\r\n", at, end)
        while stop >= 0 and data[stop + 2 : stop + 3] in (b" ", b"\t"):
            stop = data.find(b"\r\n", stop + 2, end)
        if stop < 0 or len(headers) >= limits.headers:
            raise SipError("bad-multipart")
        header = header_at(data, at, stop)
        if header.name in _ONCE and any(other.name == header.name for other in headers):
            raise SipError("twice")
        headers.append(header)
        at = stop + 2
    if at < end:
        _search(data, at + 2, end, tuple(headers), lengths, limits, depth - 1, found)
