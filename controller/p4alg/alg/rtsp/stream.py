"""Cuts a TCP stream into RTSP messages and interleaved frames (RFC 2326 sections 4.4, 10.12).

at a boundary:  "$"         -> frame: channel, 16-bit length, that many bytes
                CR, LF      -> newlines, which some programs send to keep a connection alive
                start line  -> message: head up to the empty line, Content-Length bytes
                else        -> not RTSP
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from p4alg.alg.rtsp.limits import RtspLimits
from p4alg.alg.rtsp.message import Head, RtspError, may_begin, parse_head

_DOLLAR = 0x24
_FRAME_HEADER = 4
_NEWLINES = b"\r\n"
_END_OF_HEAD = b"\r\n\r\n"


class Kind(Enum):
    """What a piece of the stream is."""

    MESSAGE = "message"
    FRAME = "frame"
    NEWLINES = "newlines"
    OTHER = "other"
    """Neither of those: the stream is not RTSP from here on."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The next `length` bytes of a stream: a whole message, or some of something else."""

    kind: Kind
    length: int
    head: Head | None = None


class Framer:
    """One direction of a connection.

    It remembers how far an incomplete message has been looked at: one that comes
    byte by byte costs little more than one that comes whole.
    """

    def __init__(self, limits: RtspLimits) -> None:
        self._limits = limits
        self._frame_left = 0
        """Bytes of an interleaved frame that have not come yet."""
        self._searched = 0
        """How many bytes of an incomplete head have been searched for its end."""
        self._head: Head | None = None
        """The head of a message whose body is incomplete."""

    def piece(self, data: bytes, at: int) -> Piece | None:
        """The next piece of `data` from `at` (below its length) on; None until more has come.

        Data that it leaves has to come again with more behind it. Raises
        `RtspError` when the end of the message cannot be known.
        """
        if self._frame_left:
            return self._frame(len(data) - at)
        if self._head is None and not self._searched:
            if data[at] == _DOLLAR:
                return self._begin_frame(data, at)
            if data[at] in _NEWLINES:
                length = len(data) - at - len(data[at:].lstrip(_NEWLINES))
                return Piece(Kind.NEWLINES, length)
        return self._message(data, at)

    def _begin_frame(self, data: bytes, at: int) -> Piece | None:
        if len(data) - at < _FRAME_HEADER:
            return None
        self._frame_left = _FRAME_HEADER + int.from_bytes(data[at + 2 : at + 4], "big")
        return self._frame(len(data) - at)

    def _frame(self, available: int) -> Piece:
        """As much of a frame as has come: it may be longer than any message."""
        length = min(available, self._frame_left)
        self._frame_left -= length
        return Piece(Kind.FRAME, length)

    def _message(self, data: bytes, at: int) -> Piece | None:
        head = self._head or self._find_head(data, at)
        if isinstance(head, Piece) or head is None:
            return head
        length = head.body + head.length
        if len(data) - at < length:
            self._head = head
            return None
        self._head, self._searched = None, 0
        return Piece(Kind.MESSAGE, length, head)

    def _find_head(self, data: bytes, at: int) -> Head | Piece | None:
        start = data[at : at + self._limits.line + 2]
        if not may_begin(start, self._limits):
            return Piece(Kind.OTHER, len(data) - at)
        end = data.find(_END_OF_HEAD, at + self._searched)
        if end < 0:
            if len(data) - at > self._limits.message:
                raise RtspError("message-too-long")
            # The first bytes of what ends it may be there already.
            self._searched = max(1, len(data) - at - len(_END_OF_HEAD) + 1)
            return None
        head = parse_head(data[at : end + len(_END_OF_HEAD)], self._limits)
        if head.body + head.length > self._limits.message:
            raise RtspError("message-too-long")
        return head
