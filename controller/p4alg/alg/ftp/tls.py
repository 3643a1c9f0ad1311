"""Follows the records of TLS (RFC 8446 section 5.1) without reading what is in them.

An ALG whose connection went over to TLS learns here where the records end and
clear text begins again. Only the five bytes of a record's header are looked at.
"""

from __future__ import annotations

from enum import Enum

_HEADER = 5
_TYPES = range(20, 25)
"""change_cipher_spec, alert, handshake, application_data, heartbeat (RFC 6520)."""
_MAJOR = 3
_LONGEST = (1 << 14) + 2048
"""Bytes of a protected record (RFC 5246 section 6.2.3; TLS 1.3 allows less)."""
_IAC = 0xFF


class Following(Enum):
    """What comes next in a direction that carries TLS."""

    RECORDS = "records"
    CLEAR_TEXT = "clear text"
    BROKEN = "neither"


class RecordFollower:
    """The records of one direction of one connection."""

    def __init__(self) -> None:
        self._left = 0
        self.records = 0
        """How many records have begun."""

    def take(self, data: bytes) -> tuple[int, Following]:
        """How many bytes of `data` belong to records, and what is behind those.

        Records need not be whole: only a header is waited for, so that at most
        four bytes are left over with `RECORDS`.
        """
        at = 0
        while True:
            step = min(self._left, len(data) - at)
            self._left -= step
            at += step
            if at == len(data):
                return at, Following.RECORDS
            header = data[at : at + _HEADER]
            if header[0] not in _TYPES:
                # A command or a reply, or the Telnet signal before an ABOR.
                is_text = bytes(header[:1]).isalnum() or header[0] == _IAC
                return at, Following.CLEAR_TEXT if is_text else Following.BROKEN
            if header[1:2] not in (b"", bytes([_MAJOR])):
                return at, Following.BROKEN
            if len(header) < _HEADER:
                return at, Following.RECORDS
            size = int.from_bytes(header[3:], "big")
            if size > _LONGEST:
                return at, Following.BROKEN
            self._left = _HEADER + size
            self.records += 1
