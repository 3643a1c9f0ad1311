"""Puts the bytes of one sender in order, in whatever order its segments come.

If the same bytes come twice with different content, those that came first count. What is kept
out of order is bounded.
"""

from __future__ import annotations

from bisect import insort
from operator import itemgetter

MAX_SEGMENTS = 64
"""How many pieces are kept out of order."""
MAX_AHEAD = 1 << 20
"""How many bytes beyond the next one a segment may reach.

More is not kept even for a receiver that takes it.
"""


class Reassembly:
    """The bytes of one direction that came before others that precede them.

    `limit` bounds how many are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._early: list[tuple[int, bytes]] = []
        """What is kept: offset and bytes of pieces that do not overlap, in their order."""
        self._size = 0
        self.next = 0
        """Offset of the next byte expected."""

    @property
    def size(self) -> int:
        """Bytes kept out of order."""
        return self._size

    def add(self, start: int, data: bytes, ahead: int = MAX_AHEAD) -> tuple[bytes, str]:
        """Take the bytes from offset `start` on, if they end at most `ahead` beyond the next one.

        Returns the bytes that are next in order now, and a countable word if what came
        had to be dropped: "out-of-window" or "out-of-order-limit" (else "").
        """
        if start + len(data) <= self.next or not data:
            return b"", ""
        if start > self.next:
            return b"", self._keep(start, data, ahead)
        data = data[self.next - start :]
        if not self._early:
            self.next += len(data)
            return data, ""
        for part_start, part in self._gaps(self.next, data):
            self._insert(part_start, part)
        out = bytearray()
        while self._early and self._early[0][0] == self.next:
            _, part = self._early.pop(0)
            self._size -= len(part)
            self.next += len(part)
            out += part
        return bytes(out), ""

    def clear(self) -> None:
        """Forget all that is ahead of what is next."""
        self._early.clear()
        self._size = 0

    def _keep(self, start: int, data: bytes, ahead: int) -> str:
        if start + len(data) > self.next + ahead:
            return "out-of-window"
        for part_start, part in self._gaps(start, data):
            if len(self._early) >= MAX_SEGMENTS or self._size + len(part) > self._limit:
                return "out-of-order-limit"
            self._insert(part_start, part)
        return ""

    def _insert(self, start: int, part: bytes) -> None:
        insort(self._early, (start, part), key=itemgetter(0))
        self._size += len(part)

    def _gaps(self, start: int, data: bytes) -> list[tuple[int, bytes]]:
        """The parts of a segment that are not kept already, each with its offset."""
        parts = []
        at, end = start, start + len(data)
        for kept_start, kept in self._early:
            if kept_start >= end:
                break
            if kept_start > at:
                parts.append((at, data[at - start : kept_start - start]))
            at = max(at, kept_start + len(kept))
        if at < end:
            parts.append((at, data[at - start :]))
        return parts
