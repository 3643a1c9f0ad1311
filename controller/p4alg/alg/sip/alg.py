"""The SIP ALG on UDP and on TCP, with one table of calls for both (RFC 3261).

A flow or connection that does not begin with a SIP message is not read at all (G7). TLS and
sips are encrypted, and are left to plain NAT (S10).
"""

from __future__ import annotations

from collections.abc import Sequence

from p4alg.alg.contract import (
    Detach,
    Forward,
    Gateway,
    Peer,
    Refuse,
    SessionFacts,
    Step,
)
from p4alg.alg.sip.calls import SipCalls
from p4alg.alg.sip.message import SipError, may_begin_sip
from p4alg.alg.sip.session import SipSession
from p4alg.alg.sip.stream import Framer, NotSip

_LINE = 8192
_STUN_COOKIE = b"\x21\x12\xa4\x42"
_SHORTEST = 4
"""Nothing this short is a message."""
_SHORT = 64
"""Some phones send a word, or some spaces, to keep their mapping alive (RFC 5626 wants newlines
or STUN). A flow that begins with so few bytes may still become one of SIP."""


class SipDatagramAlg:
    """The ALG of one UDP flow; see `DatagramAlg` and `Lasting`."""

    def __init__(self, facts: SessionFacts, calls: SipCalls) -> None:
        self._session = SipSession(facts, calls)
        self._line = calls.settings.limits.line
        self._begun = False

    def receive(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """One datagram: a message, or something that keeps the flow alive."""
        if _keeps_alive(data):
            return [Forward(len(data), is_message=False)]
        if not _has_start_line(data, self._line):
            if _is_word(data) and (self._begun or _is_text(data)):
                return [Forward(len(data), is_message=False)]
            if self._begun or _means_sip(data):
                # Its receiver may read what is not understood here, so it must not go on unread.
                return [Refuse(len(data), "not-sip")]
            return [Detach("not-sip", True)]
        self._begun = True
        return self._session.handle(sender, data, gateway, now)

    def tick(self, gateway: Gateway, now: float) -> None:
        """End what has timed out, of all sessions."""
        self._session.tick(gateway, now)

    def ended(self, gateway: Gateway) -> None:
        """Nothing to do: a call outlives its flow, and its next message begins another flow."""


class SipStreamAlg:
    """The ALG of one TCP connection; see `StreamAlg` and `Lasting`."""

    def __init__(self, facts: SessionFacts, calls: SipCalls) -> None:
        self._session = SipSession(facts, calls)
        self._framers = {peer: Framer(calls.settings.limits) for peer in Peer}
        self._begun: set[Peer] = set()
        self._detached = False

    def feed(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """Consume the whole messages that `data` begins with."""
        steps: list[Step] = []
        at = 0
        while at < len(data) and not self._detached:
            try:
                piece = self._framers[sender].piece(data, at)
            except NotSip as found:
                return [*steps, *self._not_sip(sender, found, len(data) - at)]
            except SipError as error:
                return [*steps, *self._lost(error.word, len(data) - at)]
            if piece is None:
                break
            if piece.is_message:
                self._begun.add(sender)
                message = data[at : at + piece.length]
                steps += self._session.handle(sender, message, gateway, now)
            else:
                steps.append(Forward(piece.length, is_message=False))
            at += piece.length
        return steps

    def tick(self, gateway: Gateway, now: float) -> None:
        """End what has timed out, of all sessions."""
        self._session.tick(gateway, now)

    def ended(self, gateway: Gateway) -> None:
        """Nothing to do: a call outlives its connection, and its next message opens another."""

    def _not_sip(self, sender: Peer, found: NotSip, size: int) -> list[Step]:
        if sender in self._begun:
            return self._lost("bad-start", size)
        self._detached = True
        return [Detach(found.word, found.is_error)]

    def _lost(self, word: str, size: int) -> list[Step]:
        """Give the stream up, as it cannot be known where the next message begins."""
        self._detached = True
        return [Refuse(size, word), Detach(word, True)]


def _has_start_line(data: bytes, line: int) -> bool:
    """Whether a datagram begins with a whole start line of at most `line` bytes."""
    return data.find(b"\r\n", 0, line + 2) >= 0 and may_begin_sip(data, line)


def _means_sip(data: bytes) -> bool:
    """Whether a datagram that cannot be read begins with a line of text that names SIP."""
    line = data[:_LINE].lstrip(b"\r\n").partition(b"\n")[0].rstrip(b"\r")
    return b"SIP/" in line.upper() and _is_text(line)


def _is_word(data: bytes) -> bool:
    """Whether a datagram is one short line that names no protocol."""
    return len(data) <= _SHORT and not any(byte in b"/\r\n" for byte in data.rstrip(b"\r\n"))


def _is_text(data: bytes) -> bool:
    return all(byte >= 0x20 or byte in b"\t\r\n" for byte in data)


def _keeps_alive(data: bytes) -> bool:
    """Whether a datagram only keeps a flow alive.

    It is newlines (RFC 5626), a STUN request (RFC 8489), or a few bytes.
    """
    if len(data) <= _SHORTEST or not data.strip(b"\r\n\0"):
        return True
    return data[0] < 4 and data[4:8] == _STUN_COOKIE
