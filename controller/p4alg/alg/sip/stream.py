"""Cuts a TCP stream into SIP messages by Content-Length (RFC 3261 sections 7.5, 18.3)."""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.alg.sip.limits import SipLimits
from p4alg.alg.sip.message import SipError, may_begin_sip, parse_head

_NEWLINES = b"\r\n"


class NotSip(Exception):
    """What stands where a message has to begin is not SIP; `word` is countable."""

    def __init__(self, word: str, is_error: bool) -> None:
        super().__init__(word)
        self.word = word
        self.is_error = is_error


@dataclass(frozen=True, slots=True)
class Piece:
    """The next piece of a stream: a whole message, or newlines that keep it alive (RFC 5626)."""

    length: int
    is_message: bool


class Framer:
    """One direction of a connection.

    It remembers how far an incomplete message has been searched, so that a message that
    comes byte by byte costs no more work than one that comes whole.
    """

    def __init__(self, limits: SipLimits) -> None:
        self._limits = limits
        self._searched = 0
        self._needed = 0

    def piece(self, data: bytes, at: int) -> Piece | None:
        """The next piece of `data` from `at` on, or None while it is not complete.

        Then the same bytes have to be given again, with more behind them. Raises `NotSip`, or
        `SipError` if it cannot be known where the message ends.
        """
        if data[at] in _NEWLINES:
            end = at
            while end < len(data) and data[end] in _NEWLINES:
                end += 1
            self._forget()
            return Piece(end - at, False)
        if self._needed:
            if len(data) - at < self._needed:
                return None
            return self._whole(self._needed)
        if data[at] == 0x16:
            # A TLS handshake on the port of plain SIP.
            raise NotSip("tls", False)
        if not self._searched and not may_begin_sip(
            data[at : at + self._limits.line + 2], self._limits.line
        ):
            raise NotSip("not-sip", True)
        begun = data.find(_NEWLINES, at, at + self._limits.line + 2) >= 0
        if not begun:
            return None
        end = data.find(b"\r\n\r\n", at + self._searched)
        if end < 0:
            if len(data) - at > self._limits.message:
                raise SipError("message-too-long")
            # Its first bytes may be the last that have come.
            self._searched = max(1, len(data) - at - 3)
            return None
        head = parse_head(data[at : end + 4], self._limits)
        if head.length is None:
            # Required on a stream (section 20.14); nothing else tells where the body ends.
            raise SipError("no-length")
        needed = head.body + head.length
        if needed > self._limits.message:
            raise SipError("message-too-long")
        if len(data) - at < needed:
            self._needed = needed
            return None
        return self._whole(needed)

    def _whole(self, length: int) -> Piece:
        self._forget()
        return Piece(length, True)

    def _forget(self) -> None:
        self._searched = self._needed = 0
