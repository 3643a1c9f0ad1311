"""The headers that carry addresses, and where in them these are (RFC 3261 section 20 and
others)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from p4alg.alg.contract import TCP, UDP
from p4alg.alg.sip.limits import SipLimits
from p4alg.alg.sip.message import Message, SipError
from p4alg.alg.sip.uri import (
    HostPort,
    Uri,
    params,
    read_addr,
    read_port,
    read_sent_by,
    read_uri,
    read_value,
    split,
)
from p4alg.alg.wire import read_decimal

_SENT_PROTOCOL = re.compile(
    rb"[ \t\r\n]*SIP[ \t\r\n]*/[ \t\r\n]*2\.0[ \t\r\n]*/[ \t\r\n]*([A-Za-z-]{1,16})[ \t\r\n]+",
    re.IGNORECASE,
)
_SENT = {b"UDP": (UDP, 5060), b"TCP": (TCP, 5060), b"TLS": (TCP, 5061)}
_LISTS = (b"contact", b"route", b"record-route", b"path", b"service-route")
_IDENTITIES = (
    b"from",
    b"to",
    b"refer-to",
    b"referred-by",
    b"reply-to",
    b"p-asserted-identity",
    b"p-preferred-identity",
    b"remote-party-id",
    b"diversion",
)
_SINGLE = (b"from", b"to", b"refer-to", b"referred-by")
_PASSWORD = re.compile(rb"^(sips?:[^:@]*):[^@]*@")
_MAX_EXPIRES = (1 << 32) - 1
CALL_IDS = (b"call-id", b"replaces", b"target-dialog", b"in-reply-to")
"""Headers that name a call by its Call-ID, which often ends in "@" and an address."""


class Role(Enum):
    """What an address is for."""

    REACH = "reach"
    """Its owner wants to be sent messages at it: Contact, Record-Route, Path."""
    ROUTE = "route"
    """This message is on its way to it: Request-URI, Route."""
    IDENTITY = "identity"
    """It is part of somebody's name: From, To, P-Asserted-Identity and the like."""
    MADDR = "maddr"
    """Messages go to it instead of the URI's host, at the URI's port (section 19.1.1)."""


@dataclass(frozen=True, slots=True)
class Place:
    """An address in a message: the name of its header, its role, and where it is.

    The name is in lower case, and empty for the Request-URI.
    """

    header: bytes
    role: Role
    host: HostPort


@dataclass(frozen=True, slots=True)
class Via:
    """One Via: its sent-by, its branch (may be empty), and the parameters it has.

    `received` and `maddr` have no port of their own. `rport` is None if it has no value.
    """

    sent_by: HostPort
    branch: bytes
    received: HostPort | None
    maddr: HostPort | None
    rport: HostPort | None


@dataclass(frozen=True, slots=True)
class Contact:
    """One value of a Contact header: `expires` in seconds, or None; `wildcard` if it is "*"."""

    uri: Uri | None
    text: bytes
    expires: int | None
    wildcard: bool = False


def vias(message: Message, limits: SipLimits) -> list[Via]:
    """Every Via, topmost first; raises `SipError` for one that cannot be read."""
    found: list[Via] = []
    for header in message.all(b"via"):
        for start, end in split(message.data, header.start, header.end):
            if len(found) >= limits.values:
                raise SipError("too-many-values")
            found.append(_via(message.data, start, end))
    return found


def _via(data: bytes, start: int, end: int) -> Via:
    sent = _SENT_PROTOCOL.match(data, start, end)
    if sent is None:
        raise SipError("bad-via")
    proto, default = _SENT.get(sent[1].upper(), (TCP, 5060))
    sent_by = read_sent_by(data, sent.end(), end, proto, default)
    if sent_by is None or data[sent_by.end : end].lstrip()[:1] not in (b"", b";"):
        raise SipError("bad-via")
    branch = b""
    spans: dict[bytes, HostPort] = {}
    names: set[bytes] = set()
    for name, at, stop in params(data, sent_by.end, end):
        value = data[at:stop]
        if name in names and name in (b"branch", b"received", b"maddr", b"rport"):
            raise SipError("bad-via")
        names.add(name)
        if name == b"branch":
            branch = value
        elif name in (b"received", b"maddr"):
            spans[name] = HostPort(at, stop, read_addr(value), None, proto, default)
        elif name == b"rport" and value:
            if not value.isdigit():
                raise SipError("bad-via")
            spans[name] = HostPort(at, stop, None, read_port(value), proto, default)
    return Via(sent_by, branch, spans.get(b"received"), spans.get(b"maddr"), spans.get(b"rport"))


def contacts(message: Message, limits: SipLimits) -> list[Contact]:
    """Every value of every Contact header."""
    found: list[Contact] = []
    data = message.data
    for header in message.all(b"contact"):
        if message.text(header) == b"*":
            found.append(Contact(None, b"*", None, True))
            continue
        for start, end in split(data, header.start, header.end):
            if len(found) >= limits.values:
                raise SipError("too-many-values")
            value = read_value(data, start, end)
            uri = read_uri(data, *value.uri)
            text = data[slice(*value.uri)]
            if uri is None and text[:4].lower() in (b"sip:", b"sips"):
                raise SipError("bad-uri")
            expires = None
            for name, at, stop in params(data, *value.params):
                if name == b"expires":
                    expires = seconds(data[at:stop])
            found.append(Contact(uri, text, expires))
    return found


def seconds(text: bytes) -> int | None:
    """A number of seconds (RFC 3261 section 20.19); None if `text` is no number.

    Larger numbers than 2**32-1 are taken for that.
    """
    text = text.strip(b" \t\r\n")
    if not text.isdigit():
        return None
    number = read_decimal(text, _MAX_EXPIRES)
    return _MAX_EXPIRES if number is None else number


def aor(message: Message, name: bytes) -> bytes:
    """The address of record in From or To: its URI without parameters, in lower case.

    A password in it is left out, since the address is shown to operators.
    """
    header = message.first(name)
    if header is None:
        return b""
    value = read_value(message.data, header.start, header.end)
    uri = message.data[slice(*value.uri)].partition(b";")[0].lower()
    return _PASSWORD.sub(rb"\1@", uri)


def places(message: Message, known: list[Contact], limits: SipLimits) -> list[Place]:
    """Every address in the Request-URI and in headers other than Via; raises `SipError`.

    `known` are the message's contacts, which have been read before.
    """
    found: list[Place] = []
    if message.uri is not None:
        uri = read_uri(message.data, *message.uri)
        if uri is None and message.data[message.uri[0] :][:4].lower() in (b"sip:", b"sips"):
            raise SipError("bad-uri")
        found += _of(b"", Role.ROUTE, uri)
    for contact in known:
        found += _of(b"contact", Role.REACH, contact.uri)
    for name, uri in _uris(message):
        role = Role.IDENTITY if name in _IDENTITIES else Role.ROUTE
        found += _of(name, Role.REACH if name in (b"record-route", b"path") else role, uri)
        if len(found) > limits.values:
            raise SipError("too-many-values")
    return found


def _uris(message: Message) -> Iterator[tuple[bytes, Uri]]:
    data = message.data
    for header in message.all(*_LISTS[1:], *_IDENTITIES):
        spans = [(header.start, header.end)]
        if header.name not in _SINGLE:
            spans = split(data, header.start, header.end)
        for start, end in spans:
            uri = read_uri(data, *read_value(data, start, end).uri)
            if uri is not None:
                yield header.name, uri


def _of(name: bytes, role: Role, uri: Uri | None) -> list[Place]:
    if uri is None:
        return []
    found = [Place(name, role, uri.host)]
    return found if uri.maddr is None else [*found, Place(name, Role.MADDR, uri.maddr)]


def call_id_spans(message: Message) -> Iterator[tuple[int, int]]:
    """Where Call-IDs are: in some headers, and escaped in the URI of a Refer-To (RFC 3891)."""
    for header in message.all(*CALL_IDS):
        yield header.start, header.end
    for header in message.all(b"refer-to"):
        value = read_value(message.data, header.start, header.end)
        uri = read_uri(message.data, *value.uri)
        if uri is not None:
            yield uri.headers
