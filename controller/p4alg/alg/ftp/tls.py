"""Finds where TLS records end and clear text begins again (RFC 8446 section 5.1).

What is in a record is encrypted, but each begins with a header of five bytes in clear:
its type, a version, and how many bytes follow. Only these headers are looked at.
"""

from __future__ import annotations

from enum import Enum

_HEADER = 5
HANDSHAKE = 22
"""The type of the first record of either end."""
_TYPES = range(20, 25)
"""change_cipher_spec, alert, handshake, application_data, heartbeat (RFC 6520)."""
_MAJOR = 3
_LONGEST = (1 << 14) + 2048
"""Bytes of a protected record (RFC 5246 section 6.2.3; TLS 1.3 allows less)."""
_IAC = 0xFF


class Following(Enum):
    """What follows the records that have been taken."""

    RECORDS = "records"
    """More records, as far as is known."""
    CLEAR_TEXT = "clear text"
    """A line of the protocol."""
    BROKEN = "neither"
    """Neither of them: the peer does not keep to TLS."""


class RecordFollower:
    """The records of one direction of one connection."""

    def __init__(self) -> None:
        # Bytes of the current record that have not come yet.
        self._left = 0
        self.records = 0
        """How many records have begun."""

    def take(self, data: bytes) -> tuple[int, Following]:
        """How many bytes of `data` belong to records, and what follows these bytes.

        A record is taken piece by piece as it comes, but a header only as a whole. So
        with `RECORDS` at most four bytes are left, which have to come again.
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
                # A command begins with a letter or with a Telnet signal, a reply with a digit.
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
