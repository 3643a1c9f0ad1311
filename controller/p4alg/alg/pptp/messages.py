"""PPTP control messages (RFC 2637 section 2): their length, and where their call ids are.

Only the fields that the ALG needs are named here. All numbers are in network byte order;
offsets and sizes are in bytes, and offsets count from the beginning of the message.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

HEADER_SIZE = 12
"""The header: length, PPTP message type, magic cookie, control message type, reserved."""

FIRST_ID = 12
"""Offset of the first id of a call message: the Call ID, or the Peer's Call ID in
messages that have no other."""
SECOND_ID = 14
"""Offset of the Peer's Call ID in the two call replies, which have both ids."""

_CONTROL_MESSAGE = b"\x00\x01\x1a\x2b\x3c\x4d"
"""What follows the length in every message: PPTP message type 1 and the magic cookie."""
_KIND_AT = 8
_START_RESULT_AT = 14
_CALL_RESULT_AT = 16


class Kind(IntEnum):
    """Control message types (RFC 2637 section 2)."""

    START_CONTROL_CONNECTION_REQUEST = 1
    START_CONTROL_CONNECTION_REPLY = 2
    STOP_CONTROL_CONNECTION_REQUEST = 3
    STOP_CONTROL_CONNECTION_REPLY = 4
    ECHO_REQUEST = 5
    ECHO_REPLY = 6
    OUTGOING_CALL_REQUEST = 7
    OUTGOING_CALL_REPLY = 8
    INCOMING_CALL_REQUEST = 9
    INCOMING_CALL_REPLY = 10
    INCOMING_CALL_CONNECTED = 11
    CALL_CLEAR_REQUEST = 12
    CALL_DISCONNECT_NOTIFY = 13
    WAN_ERROR_NOTIFY = 14
    SET_LINK_INFO = 15

    @property
    def title(self) -> str:
        """The name as the RFC spells it, e.g. ``Outgoing-Call-Request``."""
        return self.name.replace("_", "-").title().replace("Wan", "WAN")

    @property
    def is_of_call(self) -> bool:
        """Whether it is about a call; otherwise it is about the control connection."""
        return self >= Kind.OUTGOING_CALL_REQUEST


SIZES = {
    Kind.START_CONTROL_CONNECTION_REQUEST: 156,
    Kind.START_CONTROL_CONNECTION_REPLY: 156,
    Kind.STOP_CONTROL_CONNECTION_REQUEST: 16,
    Kind.STOP_CONTROL_CONNECTION_REPLY: 16,
    Kind.ECHO_REQUEST: 16,
    Kind.ECHO_REPLY: 20,
    Kind.OUTGOING_CALL_REQUEST: 168,
    Kind.OUTGOING_CALL_REPLY: 32,
    Kind.INCOMING_CALL_REQUEST: 220,
    Kind.INCOMING_CALL_REPLY: 24,
    Kind.INCOMING_CALL_CONNECTED: 28,
    Kind.CALL_CLEAR_REQUEST: 16,
    Kind.CALL_DISCONNECT_NOTIFY: 148,
    Kind.WAN_ERROR_NOTIFY: 40,
    Kind.SET_LINK_INFO: 24,
}
"""The size of each message in bytes; none varies."""


@dataclass(frozen=True, slots=True)
class Message:
    """One whole control message; its length is that of its type (`read_length`)."""

    data: bytes

    @property
    def kind(self) -> Kind | None:
        """What kind of message it is; None if it is not in RFC 2637."""
        return _kind(_u16(self.data, _KIND_AT))

    @property
    def title(self) -> str:
        """What kind of message it is, as text for operators."""
        return self.kind.title if self.kind else f"type {_u16(self.data, _KIND_AT)}"

    @property
    def first_id(self) -> int:
        """The id at `FIRST_ID`, of any call message."""
        return _u16(self.data, FIRST_ID)

    @property
    def second_id(self) -> int:
        """The id at `SECOND_ID`, of a call reply."""
        return _u16(self.data, SECOND_ID)

    @property
    def start_is_accepted(self) -> bool:
        """Whether a Start-Control-Connection-Reply accepts: by 1, and by 0 of old servers."""
        return self.data[_START_RESULT_AT] in (0, 1)

    @property
    def call_is_accepted(self) -> bool:
        """Whether a call reply accepts the call: result code 1 (sections 2.8 and 2.10)."""
        return self.data[_CALL_RESULT_AT] == 1


def read_length(data: bytes, at: int, longest: int) -> int | str | None:
    """Read the length of the message that begins at `at` of `data`.

    Returns None while more bytes are needed to tell, and a countable word if this is no
    message; that is told as soon as it is known. `longest` is the most a message of a
    type that is not in RFC 2637 may have.
    """
    mark = data[at + 2 : at + _KIND_AT]
    if not _CONTROL_MESSAGE.startswith(mark):
        return "bad-cookie" if mark.startswith(_CONTROL_MESSAGE[:2]) else "bad-type"
    if len(data) - at < _KIND_AT + 2:
        return None
    length, kind = _u16(data, at), _kind(_u16(data, at + _KIND_AT))
    is_right = HEADER_SIZE <= length <= longest if kind is None else length == SIZES[kind]
    return length if is_right else "bad-length"


def _kind(code: int) -> Kind | None:
    return Kind(code) if 1 <= code <= len(Kind) else None


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")
