"""Answers that the gateway gives to requests which it refuses (RFC 3261 section 8.2.6).

They go to the sender of a request in the name of the other end. So a phone is told at once that a
call cannot be, where it would otherwise repeat its request in silence, and a connection that
other calls share need not be reset.
"""

from __future__ import annotations

import zlib

from p4alg.alg.sip.limits import SipFlood
from p4alg.alg.sip.message import Head

_FLOODS = ("call-flood", "registration-flood")
_FORBIDDEN = ("bounce", "low-port", "denied-port", "bad-id", "unregistered-source", "split-address")
_COPIED = {b"via": b"Via", b"from": b"From", b"to": b"To", b"call-id": b"Call-ID", b"cseq": b"CSeq"}
"""The headers that an answer repeats, and how they are written."""
_TAG = b"p4alg-"
"""What the tags begin with that are put into To, by which an ACK is recognised."""


def status_of(reason: str) -> tuple[int, str]:
    """Status code and phrase for a request that is refused for `reason`."""
    if reason in _FORBIDDEN:
        return 403, "Forbidden"
    if reason in _FLOODS or reason.endswith("-limit") or reason in ("in-use", "tables"):
        return 503, "Service Unavailable"
    if reason in ("message-too-long", "body-too-long", "line-too-long"):
        return 513, "Message Too Large"
    return 400, "Bad Request"


def is_of_flood(reason: str) -> bool:
    """Whether a request is refused because its source sends too many."""
    return reason in _FLOODS


def answer(data: bytes, head: Head, reason: str, flood: SipFlood) -> bytes:
    """The answer to the request `data`, whose head has been read; empty if it gets none.

    An ACK gets none, nor does a request without the headers that an answer repeats.
    """
    found = {header.name: header for header in head.headers}
    if head.code or head.method == b"ACK" or any(name not in found for name in _COPIED):
        return b""
    code, phrase = status_of(reason)
    lines = [f"SIP/2.0 {code} {phrase}".encode()]
    for header in head.headers:
        if header.name in _COPIED:
            value = data[header.start : header.end]
            if header.name == b"to" and b"tag" not in value.rpartition(b">")[2].lower():
                value += b";tag=" + _TAG + b"%08x" % zlib.crc32(data)
            lines.append(_COPIED[header.name] + b": " + value)
    if code == 503:
        lines.append(b"Retry-After: %d" % flood.window)
    lines.append(b'Warning: 399 p4alg "%s"' % reason.encode())
    return b"\r\n".join([*lines, b"Content-Length: 0", b"", b""])


def is_answered_here(to_tag: bytes) -> bool:
    """Whether an ACK with this tag in To acknowledges an answer of the gateway."""
    return to_tag.startswith(_TAG)
