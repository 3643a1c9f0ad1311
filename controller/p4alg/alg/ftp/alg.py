"""The FTP ALG (RFC 959, 2428): reads PORT, EPRT, 227 and 229 and opens their data pinholes.

It works on lines: commands of the client and replies of the server. It knows nothing of TCP
segments, of the switch's tables or of the time.

Encrypted connections (RFC 4217): when the server accepts AUTH with a 234, both sides go
over to TLS. From there on the ALG cannot read commands, but it follows the TLS records,
whose headers are not encrypted. A client behind NAT may send CCC ("clear command
channel") to return to clear text, just so that gateways can read PORT and PASV again. In
each direction the first bytes that are no TLS record are that clear text, and from
there on lines are read as before.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from p4alg.alg.contract import (
    TCP,
    Detach,
    Edit,
    Endpoint,
    Forward,
    Gateway,
    Notice,
    Peer,
    PinholeRequest,
    Refusal,
    Refuse,
    SessionFacts,
    Step,
    format_addr,
)
from p4alg.alg.ftp.command import is_command, may_be_command, telnet_length
from p4alg.alg.ftp.tls import HANDSHAKE, Following, RecordFollower
from p4alg.alg.wire import read_decimal

_SIX = rb"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})"
_PORT = re.compile(rb" +" + _SIX + rb" *")
"""The argument of PORT: four octets of the address and two of the port."""
_227 = re.compile(rb"227[ -][^\d]*" + _SIX + rb"(?:[^\d,].*)?")
"""Servers write the six numbers in brackets, behind other words, or alone."""
_EPRT = re.compile(rb" +([!-~])1\1((?:\d{1,3}\.){3}\d{1,3})\1(\d{1,5})\1 *")
"""The argument of EPRT for IPv4; any printable character may delimit its fields."""
_OTHER_FAMILY = re.compile(rb" +([!-~])2\1[0-9A-Fa-f:.]{2,45}\1\d{1,5}\1 *")
"""The argument of EPRT for IPv6."""
_PASSIVE = {b"227": b"PASV", b"229": b"EPSV"}
"""The replies that announce an endpoint of the server, and the command that each answers."""
_ANSWERS = {**_PASSIVE, b"234": b"AUTH"}
"""Replies that can answer one command only."""
_OF_TRANSFERS = (b"425", b"426", b"451")
"""Errors of data connections, which are never the answer to a PASV (RFC 959 section 5.4)."""
_229 = re.compile(rb"229[ -][^(]*\(([!-~])\1\1(\d{1,5})\1\).*")
_MARKS = (b" ", b"-", b"")
"""What follows the code of a reply: a space in its last line, a hyphen in the first of
several, and nothing if the code is all there is."""


@dataclass(frozen=True, slots=True)
class FtpLimits:
    """The limits of one control connection.

    `line` is the longest line in bytes, `pinhole_lifetime` how many seconds a pinhole
    waits for its data connection, and `pending` how many commands may be without a reply.
    """

    line: int = 2048
    pinhole_lifetime: float = 60.0
    pending: int = 64


class FtpAlg:
    """The ALG of one FTP control connection; see `StreamAlg`."""

    def __init__(
        self,
        facts: SessionFacts,
        limits: FtpLimits | None = None,
    ) -> None:
        self._facts = facts
        self._limits = limits or FtpLimits()
        self._greeted = False
        self._multiline = b""
        # Commands whose final reply has not come, oldest first. Replies come in the order of
        # the commands (RFC 959 section 4.2), so the next one answers the first of these, unless
        # an abort has put the two ends out of step (`_answered`).
        self._unanswered: deque[bytes] = deque()
        # Empty before AUTH was accepted. Then by sender: a follower while it sends TLS records,
        # and None after it has returned to clear text.
        self._tls: dict[Peer, RecordFollower | None] = {}
        # The pinhole of the last announcement; the next announcement takes its place.
        self._announced: int | None = None
        self._detached = False

    def feed(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """Consume the complete lines of `data`, or the TLS records."""
        steps: list[Step] = []
        at = 0
        while at < len(data) and not self._detached:
            if sender is Peer.CLIENT and not self._greeted:
                # RFC 959 section 5.4: the server speaks first.
                steps.append(self._detach("no-greeting", True))
                break
            records = self._tls.get(sender)
            if records is not None:
                found = self._records(sender, records, data[at:])
            else:
                found = self._clear_text(sender, data, at, gateway)
            if not found:
                break
            steps += found
            at += sum(step.length for step in found)
        return steps

    def _clear_text(self, sender: Peer, data: bytes, at: int, gateway: Gateway) -> list[Step]:
        """The steps of the line at `at`; none while its end has not come."""
        signals = telnet_length(data, at)
        if signals is None:
            return []
        if signals:
            # They go on at once: with urgent data they are to reach the other end quickly.
            return [Forward(signals, is_message=False)]
        # A handshake before AUTH was answered is no line: the answer will say what it is.
        is_line = data[at] != HANDSHAKE or b"AUTH" not in self._unanswered
        end = data.find(b"\n", at) + 1 if is_line else 0
        size = (end or len(data)) - at
        if size > self._limits.line:
            # The rest of the line must not be taken for a line of its own: padding could then
            # bring text of an attacker's choice to where a command begins (RFC 959 knows no
            # limit, servers do).
            return [Refuse(size, "line-too-long"), self._detach("line-too-long", True)]
        if end:
            return self._line(sender, data[at:end], gateway)
        if sender is Peer.CLIENT and is_line and not may_be_command(data[at:]):
            # What cannot become a command is not held until a line ends, as it may never do.
            return [self._detach("not-ftp", True)]
        return []

    def _records(self, sender: Peer, records: RecordFollower, data: bytes) -> list[Step]:
        """The steps of the TLS records at the beginning of `data`.

        Where clear text follows them, the sender has returned to it after a CCC.
        """
        size, next_is = records.take(data)
        steps: list[Step] = [Forward(size, is_message=False)] if size else []
        if next_is is Following.RECORDS:
            return steps
        has_tls = all(side is None or side.records for side in self._tls.values())
        if next_is is Following.BROKEN or not has_tls:
            # Without a handshake of both sides there was no CCC either. This is somebody who
            # said AUTH and then goes on in clear text.
            return [*steps, self._detach("tls-broken", True)]
        self._tls[sender] = None
        return [*steps, Notice("clear", f"TLS ended (CCC): the {sender.value} is read again")]

    def _detach(self, reason: str, is_error: bool) -> Detach:
        self._detached = True
        return Detach(reason, is_error)

    def _line(self, sender: Peer, line: bytes, gateway: Gateway) -> list[Step]:
        if sender is Peer.CLIENT:
            return self._command(line, gateway)
        return self._reply(line, gateway)

    def _command(self, line: bytes, gateway: Gateway) -> list[Step]:
        if line[:4] in (b"227 ", b"229 "):
            return [Refuse(len(line), "wrong-side")]
        if not is_command(line):
            return [self._detach("not-ftp", True)]
        text = line.rstrip(b"\r\n")
        verb = text.partition(b" ")[0].upper()
        # EPSV ALL announces a habit and is answered by a 200 (RFC 2428 section 4).
        is_request = text.upper().split()[1:2] != [b"ALL"] if verb == b"EPSV" else True
        if len(self._unanswered) >= self._limits.pending:
            # None may be forgotten, or later replies would be matched to the wrong commands.
            return [self._detach("too-many-pending", True)]
        self._unanswered.append(verb[:4] if is_request else b"")
        if verb == b"EPRT" and _OTHER_FAMILY.fullmatch(text, len(verb)):
            # Nothing can be opened for IPv6, but it is no attack: the server will answer 522.
            summary = "EPRT names IPv6: passed as it is, nothing opened"
            return [Notice("other-family", summary), Forward(len(line))]
        if verb in (b"PORT", b"EPRT"):
            pattern = _PORT if verb == b"PORT" else _EPRT
            found = pattern.fullmatch(text, len(verb))
            if found is None:
                return [Refuse(len(line), "bad-syntax")]
            return [self._announce(Peer.CLIENT, verb, line, found, gateway)]
        return [Forward(len(line))]

    def _answered(self, code: bytes) -> bytes:
        """The command that a final reply with this code answers; empty if there is none.

        After an abort there may be a reply too many, or one too few: a server for which the
        urgent byte is no part of the stream reads the end of ABOR and the next command as one
        line. A reply that can answer one command only puts the two ends in step again.
        """
        request = self._request(code)
        if not request:
            return b""
        while self._unanswered.popleft() != request:
            pass
        return request

    def _request(self, code: bytes) -> bytes:
        """The pending command that a reply with this code is about; empty if there is none.

        A 1xx is preliminary: the final reply is still to come.
        """
        if code[:1] == b"1" or not self._unanswered:
            return b""
        wanted = _ANSWERS.get(code)
        if wanted is not None and wanted in self._unanswered:
            return wanted
        first = self._unanswered[0]
        if first in _PASSIVE.values() and (code[:1] == b"2" or code in _OF_TRANSFERS):
            # A late reply to a command before it.
            return b""
        return first

    def _reply(self, line: bytes, gateway: Gateway) -> list[Step]:
        text = line.rstrip(b"\r\n")
        code, mark = text[:3], text[3:4]
        begun = self._multiline
        if begun and (code != begun or mark not in (b" ", b"")):
            return [Forward(len(line))]
        if not begun and (re.fullmatch(rb"[1-6]\d\d", code) is None or mark not in _MARKS):
            if text[:5].upper() in (b"PORT ", b"EPRT "):
                return [Refuse(len(line), "wrong-side")]
            return [Forward(len(line)) if self._greeted else self._detach("not-ftp", True)]
        self._multiline = code if mark == b"-" and not begun else b""
        if self._multiline:
            request = self._request(code)
        else:
            self._greeted = self._greeted or code == b"220"
            request = self._answered(code)
        if code in _PASSIVE:
            return [self._passive(code, request, line, not begun and mark != b"-", gateway)]
        if code == b"234" and request == b"AUTH" and not self._multiline:
            # Whatever else is pending will be answered inside TLS, where it cannot be read.
            self._unanswered.clear()
            self._tls = {peer: RecordFollower() for peer in Peer}
            return [Forward(len(line)), Notice("tls", "TLS begins: not read until a CCC")]
        return [Forward(len(line))]

    def _passive(
        self, code: bytes, request: bytes, line: bytes, is_whole: bool, gateway: Gateway
    ) -> Step:
        """A line with the code 227 or 229.

        `is_whole` tells that the reply has no other line. Otherwise this is the first or the
        last line of a longer reply. Clients look for the endpoint in either of these, and
        never in a line between them.
        """
        text = line.rstrip(b"\r\n")
        found = (_227 if code == b"227" else _229).fullmatch(text)
        if found is None and not is_whole:
            return Forward(len(line))
        if request != _PASSIVE[code]:
            return Refuse(len(line), "no-request")
        if found is None:
            return Refuse(len(line), "bad-syntax")
        return self._announce(Peer.SERVER, code, line, found, gateway)

    def _announce(
        self,
        listener: Peer,
        kind: bytes,
        line: bytes,
        found: re.Match[bytes],
        gateway: Gateway,
    ) -> Step:
        own = self._facts.endpoint(listener).addr
        if kind == b"229":
            first, last = 2, 2
            told = _endpoint(own, found.group(2))
        elif kind == b"EPRT":
            first, last = 2, 3
            told = _endpoint(_number(found.group(2).split(b".")), found.group(3))
        else:
            first, last = 1, 6
            told = _endpoint_of_six(found.groups())
        if told is None:
            return Refuse(len(line), "bad-syntax", kind.decode())
        reason = self._objection(listener, told)
        if reason:
            return Refuse(len(line), reason, f"{kind.decode()} {told}")
        grant = gateway.open_pinhole(
            PinholeRequest(
                proto=TCP,
                listener=listener,
                listen=Endpoint(own, told.port),
                opener_addr=self._facts.endpoint(listener.other).addr,
                opener_port=None,
                lifetime=self._limits.pinhole_lifetime,
                label=f"ftp {kind.decode()}",
            )
        )
        if isinstance(grant, Refusal):
            return Refuse(len(line), grant.reason, f"{kind.decode()} {told}")
        if self._announced not in (None, grant.number):
            # The client will not use the endpoint of the announcement before. The gateway
            # ignores this for a pinhole that has been used.
            gateway.close_pinhole(self._announced or 0)
        self._announced = grant.number
        shown = grant.visible
        edits: tuple[Edit, ...] = ()
        if shown != told and not (kind == b"229" and shown.port == told.port):
            start, end = found.start(first), found.end(last)
            edits = (Edit(start, end, _text(kind, shown, found)),)
        summary = f"{kind.decode()} {told} -> {shown}"
        return Forward(len(line), edits, summary, (grant.number,))

    def _objection(self, listener: Peer, told: Endpoint) -> str:
        """Why `told` may not be announced, or an empty string (RFC 2577 section 3)."""
        own = (self._facts.endpoint(listener).addr, self._facts.visible_addr(listener))
        if told.addr not in own:
            return "bounce"
        return ""


def _number(octets: Sequence[bytes]) -> int | None:
    """The number whose bytes are written in decimal, highest first; None if one is above 255."""
    read = [number for octet in octets if (number := read_decimal(octet, 255)) is not None]
    return int.from_bytes(bytes(read), "big") if len(read) == len(octets) else None


def _endpoint(addr: int | None, port: bytes) -> Endpoint | None:
    """`addr` with a port written in decimal; None if there is no such endpoint."""
    number = read_decimal(port, 0xFFFF)
    return None if addr is None or number is None else Endpoint(addr, number)


def _endpoint_of_six(octets: Sequence[bytes]) -> Endpoint | None:
    """h1,h2,h3,h4,p1,p2 of RFC 959 section 4.1.2; None if one of them is above 255."""
    addr, port = _number(octets[:4]), _number(octets[4:])
    return None if addr is None or port is None else Endpoint(addr, port)


def _text(kind: bytes, shown: Endpoint, found: re.Match[bytes]) -> bytes:
    if kind == b"229":
        return b"%d" % shown.port
    dotted = format_addr(shown.addr).encode()
    if kind == b"EPRT":
        return dotted + found.group(1) + b"%d" % shown.port
    return dotted.replace(b".", b",") + b",%d,%d" % (shown.port >> 8, shown.port & 255)
