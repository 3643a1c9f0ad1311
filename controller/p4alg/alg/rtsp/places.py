"""Where a message names the inside host to the outside: URLs, and SDP (RFC 4566).

These are rewritten in messages of the inside host, so that the outside end can use
what it is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from p4alg.alg.contract import Edit, Endpoint, format_addr
from p4alg.alg.rtsp.message import Message, Span
from p4alg.alg.rtsp.transport import read_addr
from p4alg.alg.wire import read_decimal

_HEADERS = (b"content-base", b"content-location", b"location", b"rtp-info")
_DEFAULT_PORT = 554
_URL = re.compile(rb"rtsp[su]?://(?:[^@/\s,;\"]*+@)?+([0-9.]++)(?::([0-9]++))?+(?![^/?;,\s\"])")
_SDP_LINE = re.compile(
    rb"^(?:(?:o=[^\s]++ [^\s]++ [^\s]++ |c=)IN IP4 ([0-9.]++)(?![^/\s])|a=control:[^\r\n]++)",
    re.MULTILINE,
)
"""A line that names an address, or one that names the URL of a stream."""


def has_sdp(message: Message) -> bool:
    """Whether the body is a session description that can be read."""
    kind = message.text(b"content-type").partition(b";")[0].strip().lower()
    encoding = message.text(b"content-encoding").lower()
    return kind == b"application/sdp" and encoding in (b"", b"identity")


def name_outside(message: Message, own: Endpoint, seen: Endpoint) -> list[Edit]:
    """The edits after which `message` names the inside host as it is seen outside.

    `own` is its endpoint of the control connection, `seen` the one that is seen.
    Content-Length follows.
    """
    edits = [
        edit
        for header in message.all(*_HEADERS)
        for edit in _urls(message.data, (header.start, header.end), own, seen)
    ]
    if not has_sdp(message):
        return edits
    body = list(_sdp(message, own, seen))
    growth = sum(len(edit.data) - (edit.end - edit.start) for edit in body)
    if growth:
        for header in message.all(b"content-length"):
            length = b"%d" % (message.head.length + growth)
            edits.append(Edit(header.start, header.end, length))
    return edits + body


def _sdp(message: Message, own: Endpoint, seen: Endpoint) -> Iterator[Edit]:
    for found in _SDP_LINE.finditer(message.data, *message.body):
        if found[1] is None:
            yield from _urls(message.data, found.span(), own, seen)
        elif read_addr(found[1]) == own.addr:
            yield Edit(*found.span(1), format_addr(seen.addr).encode())


def _urls(data: bytes, span: Span, own: Endpoint, seen: Endpoint) -> Iterator[Edit]:
    for found in _URL.finditer(data, *span):
        if read_addr(found[1]) != own.addr:
            continue
        port = _DEFAULT_PORT if found[2] is None else read_decimal(found[2], 0xFFFF)
        if port is None:
            continue
        # Other ports of the host are left: where they are seen is not known.
        shown = seen.port if port == own.port else port
        text = format_addr(seen.addr)
        if found[2] is not None or shown != _DEFAULT_PORT:
            text += f":{shown}"
        yield Edit(found.start(1), max(found.end(1), found.end(2)), text.encode())
