"""PPP frames as programs hand them to each other over a terminal: async HDLC (RFC 1662).

A frame begins and ends with a flag; in between, the flag, the escape and all
control characters are escaped, and the last two bytes are the check sequence.
"""

from __future__ import annotations

HEADER = b"\xff\x03"
"""Address and control, which begin every frame here: neither end compresses them."""
LONGEST = 4096
"""Frames with more bytes than this are dropped, so that a stream without flags is bounded."""
_FLAG, _ESCAPE, _FLIP = 0x7E, 0x7D, 0x20
_GOOD = 0xF0B8
"""What the check sequence over a frame and its own check sequence comes to (appendix C.2)."""


def _table() -> tuple[int, ...]:
    values = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
        values.append(value)
    return tuple(values)


_TABLE = _table()


def check_sequence(data: bytes, value: int = 0xFFFF) -> int:
    """The running FCS-16 over `data`, not yet complemented (appendix C.2)."""
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value


def encode(frame: bytes) -> bytes:
    """`frame`, from its address on, as it goes over a terminal."""
    whole = frame + (check_sequence(frame) ^ 0xFFFF).to_bytes(2, "little")
    out = bytearray([_FLAG])
    for byte in whole:
        # Until LCP has agreed on less, all control characters are escaped.
        if byte < 0x20 or byte in (_FLAG, _ESCAPE):
            out += bytes((_ESCAPE, byte ^ _FLIP))
        else:
            out.append(byte)
    out.append(_FLAG)
    return bytes(out)


class Decoder:
    """Takes what comes from a terminal, piece by piece, and gives the frames in it."""

    def __init__(self) -> None:
        self.bad = 0
        """Frames dropped: aborted, too short, too long, or with a wrong check sequence."""
        self._frame = bytearray()
        self._escaped = False

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes, without their check sequences."""
        frames: list[bytes] = []
        for byte in data:
            if byte == _FLAG:
                frames += self._end()
            elif byte == _ESCAPE:
                self._escaped = True
            elif len(self._frame) <= LONGEST:
                self._frame.append(byte ^ _FLIP if self._escaped else byte)
                self._escaped = False
        return frames

    def _end(self) -> list[bytes]:
        frame, escaped = bytes(self._frame), self._escaped
        self._frame.clear()
        self._escaped = False
        if not frame and not escaped:
            return []  # One flag may end a frame and begin the next.
        is_whole = not escaped and 4 <= len(frame) <= LONGEST
        if not is_whole or check_sequence(frame) != _GOOD:
            self.bad += 1
            return []
        return [frame[:-2]]
