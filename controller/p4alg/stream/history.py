"""What was sent on and may have to be sent again; how offsets of both sides correspond.

*In* offsets are the sender's own, *out* offsets those its peer sees after edits.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MAX_EDITED = 64
"""Edited messages, or ones acknowledged early, that the peer has not acknowledged."""
MAX_LEVELS = 64
"""Edits remembered to convert old numbers."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes `start` to `end` (in) that were sent on as `data` from `out_start` (out).

    `whole` ones are only ever sent again entire: edited, or acknowledged to
    the sender before the peer had them. `fin` counts one offset.
    """

    start: int
    end: int
    out_start: int
    data: bytes
    whole: bool = False
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """An edit: in offsets `start` to `end` changed the shift from `before` to `after`."""

    start: int
    end: int
    before: int
    after: int


class History:
    """The chunks of one direction since the peer's last known acknowledgement."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: deque[Chunk] = deque()
        self._levels: deque[Level] = deque(maxlen=MAX_LEVELS)
        self._plain = 0
        self._whole = 0

    @property
    def size(self) -> int:
        """Bytes kept."""
        return sum(len(chunk.data) for chunk in self._chunks)

    @property
    def last_level(self) -> Level | None:
        """The latest edit."""
        return self._levels[-1] if self._levels else None

    def add(self, chunk: Chunk) -> bool:
        """Remember a chunk; False if an edited one nobody acknowledged had to go for it."""
        self._chunks.append(chunk)
        if chunk.whole:
            self._whole += 1
        else:
            self._plain += len(chunk.data)
        if self._plain > self._limit:
            self._drop_plain()
        if self._whole > MAX_EDITED:
            self._remove(next(kept for kept in self._chunks if kept.whole))
            return False
        return True

    def edit(self, level: Level) -> None:
        """Remember that the shift changed."""
        self._levels.append(level)

    def undo_edit(self) -> None:
        """Forget the latest edit, whose message was not sent after all."""
        self._levels.pop()

    def edited_after(self, offset: int) -> bool:
        """Whether some edit ends after the in offset `offset`."""
        return bool(self._levels) and self._levels[-1].end > offset

    def acknowledged(self, offset: int) -> None:
        """The peer has everything before the in offset `offset`."""
        while self._chunks and self._chunks[0].end <= offset:
            self._remove(self._chunks[0])

    def overlapping(self, start: int, end: int) -> list[Chunk]:
        """What to send again for in offsets `start` to `end`: whole chunks, or just the parts."""
        found: list[Chunk] = []
        for chunk in self._chunks:
            if chunk.end <= start or chunk.start >= end:
                continue
            if chunk.whole:
                found.append(chunk)
            else:
                low, high = max(start, chunk.start), min(end, chunk.end)
                at = low - chunk.start
                part = chunk.data[at : high - chunk.start]
                found.append(Chunk(low, high, chunk.out_start + at, part))
        return found

    def shift_at(self, offset: int) -> int:
        """What to add to the in offset `offset` to get its out offset."""
        for level in reversed(self._levels):
            if offset >= level.end:
                return level.after
        return self._levels[0].before if self._levels else 0

    def in_offset(self, out: int) -> int:
        """The in offset up to which everything is had by who has everything before `out`.

        A part of an edited message counts as nothing of it.
        """
        for level in reversed(self._levels):
            if out >= level.end + level.after:
                return out - level.after
            if out > level.start + level.before:
                return level.start
        return out - (self._levels[0].before if self._levels else 0)

    def _drop_plain(self) -> None:
        for chunk in [kept for kept in self._chunks if not kept.whole]:
            if self._plain <= self._limit:
                return
            self._remove(chunk)

    def _remove(self, chunk: Chunk) -> None:
        self._chunks.remove(chunk)
        if chunk.whole:
            self._whole -= 1
        else:
            self._plain -= len(chunk.data)
