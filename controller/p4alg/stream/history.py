"""What was sent on in one direction: kept for repeating it, and for converting offsets.

A message may be sent on longer or shorter than it came. So each byte has two offsets: its *in*
offset in what its sender sent, and its *out* offset in what the receiver gets. The difference,
out minus in, is the *shift*; it changes only where a message was resized.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MAX_WHOLE = 64
"""How many whole chunks are kept that the receiver has not acknowledged."""
MAX_RESIZES = 64
"""How many resized messages are remembered; older offsets can no longer be converted."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that were sent on together: in offsets `start` to `end`, as `data` from `out_start`.

    If `whole`, a part of the chunk is never repeated alone. That is so where `data` is edited,
    since an edited message cannot be cut at an in offset, and where the sender was
    told that the bytes had arrived before they had, since it will not repeat all of them.
    With `fin` the chunk ends with the sender's FIN, which takes one offset of its own. An
    `answer` was said by the gateway in the sender's name, so that nobody else repeats it.
    """

    start: int
    end: int
    out_start: int
    data: bytes
    whole: bool = False
    fin: bool = False
    answer: bool = False


@dataclass(frozen=True, slots=True)
class Resize:
    """A resized message, in offsets `start` to `end`: the shift is `before`, and then `after`."""

    start: int
    end: int
    before: int
    after: int


class History:
    """The chunks of one direction that its receiver is not known to have, and the resizes.

    `limit` is in bytes, and bounds chunks that are not whole. `MAX_WHOLE` bounds the others.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: deque[Chunk] = deque()
        self._resizes: deque[Resize] = deque(maxlen=MAX_RESIZES)
        self._divisible_bytes = 0
        self._whole_bytes = 0
        self._whole_count = 0

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._divisible_bytes + self._whole_bytes

    @property
    def last_resize(self) -> Resize | None:
        """The latest resized message."""
        return self._resizes[-1] if self._resizes else None

    @property
    def answers(self) -> list[Chunk]:
        """The answers that the receiver is not known to have."""
        return [chunk for chunk in self._chunks if chunk.answer]

    def add(self, chunk: Chunk) -> bool:
        """Keep a chunk that is sent on.

        False if there were too many whole ones, so that the oldest of them was forgotten; it
        cannot be repeated any more.
        """
        self._chunks.append(chunk)
        if chunk.whole:
            self._whole_count += 1
            self._whole_bytes += len(chunk.data)
        else:
            self._divisible_bytes += len(chunk.data)
        if self._divisible_bytes > self._limit:
            self._forget_divisible()
        if self._whole_count > MAX_WHOLE:
            self._forget(next(kept for kept in self._chunks if kept.whole))
            return False
        return True

    def resized(self, resize: Resize) -> None:
        """Remember that a message changed its size."""
        self._resizes.append(resize)

    def undo_resize(self) -> None:
        """Forget the latest resize: its message was not sent on after all."""
        self._resizes.pop()

    def resized_after(self, offset: int) -> bool:
        """Whether a resized message ends after the in offset `offset`."""
        return bool(self._resizes) and self._resizes[-1].end > offset

    def acknowledged(self, offset: int) -> None:
        """The receiver has everything before the in offset `offset`: forget those chunks."""
        while self._chunks and self._chunks[0].end <= offset:
            self._forget(self._chunks[0])

    def overlapping(self, start: int, end: int) -> list[Chunk]:
        """What to send to repeat in offsets `start` to `end`.

        Of a whole chunk all of it, even if it lies only partly in that range; of others the
        part that does. What was forgotten is missing from the list.
        """
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
        """The shift of the byte at the in offset `offset`."""
        for resize in reversed(self._resizes):
            if offset >= resize.end:
                return resize.after
        return self._resizes[0].before if self._resizes else 0

    def in_offset(self, out: int) -> int:
        """The in offset up to which a receiver has all bytes, if it has all before `out`.

        `out` is an out offset, as the receiver acknowledges it. If it lies inside a resized
        message, the result is the start of that message: as long as the receiver lacks a
        part of it, its sender must not be told that any of it has arrived.
        """
        for resize in reversed(self._resizes):
            if out >= resize.end + resize.after:
                return out - resize.after
            if out > resize.start + resize.before:
                return resize.start
        return out - (self._resizes[0].before if self._resizes else 0)

    def _forget_divisible(self) -> None:
        for chunk in [kept for kept in self._chunks if not kept.whole]:
            if self._divisible_bytes <= self._limit:
                return
            self._forget(chunk)

    def _forget(self, chunk: Chunk) -> None:
        self._chunks.remove(chunk)
        if chunk.whole:
            self._whole_count -= 1
            self._whole_bytes -= len(chunk.data)
        else:
            self._divisible_bytes -= len(chunk.data)
