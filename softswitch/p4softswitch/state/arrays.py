"""Counter and register arrays. An index out of bounds changes nothing, as in BMv2.

Generated code uses the memory of the cells, so nothing may resize or move it. It is read and
written while packets are kept out. Words are those of a little-endian machine.
"""

from __future__ import annotations

import ctypes
import struct
from array import array
from collections.abc import Sequence

from p4softswitch.errors import ProgramError, Reason, StateError
from p4softswitch.native import library as native
from p4softswitch.native.library import locked, runtime, zeroed

MAX_CELLS = 1 << 24
_WORD = 64
_CODES = {8: "B", 16: "H", 32: "I", 64: "Q"}
"""Integers by their bits, as `struct` calls them."""
_AT_ONCE = 4096  # cells that are filled while packets are kept out


def _check_size(what: str, size: int) -> None:
    if size > MAX_CELLS:
        raise ProgramError(f"{what} has {size} cells, at most {MAX_CELLS} are supported")


class CounterStore:
    """An indirect counter array; counts packets and bytes whatever its declared unit."""

    def __init__(self, name: str, size: int) -> None:
        _check_size(f"counter {name}", size)
        self.size = size
        self._cells = array("Q", bytes(16 * max(size, 1)))  # packets and bytes by turns
        self._pin = ctypes.c_char.from_buffer(self._cells)

    @property
    def address(self) -> int:
        """Where the cells are, for generated code."""
        return self._cells.buffer_info()[0]

    @property
    def packets(self) -> list[int]:
        """Packets of all cells."""
        return self._cells[: 2 * self.size : 2].tolist()

    @property
    def bytes(self) -> list[int]:
        """Bytes of all cells."""
        return self._cells[1 : 2 * self.size : 2].tolist()

    def read(self, index: int) -> tuple[int, int]:
        """(packets, bytes) of one cell."""
        self._check(index)
        with locked():
            return self._cells[2 * index], self._cells[2 * index + 1]

    def write(self, index: int, packets: int | None, byte_count: int | None) -> None:
        """Set one cell; None leaves that half alone."""
        self._check(index)
        with locked():
            if packets is not None:
                self._cells[2 * index] = packets
            if byte_count is not None:
                self._cells[2 * index + 1] = byte_count

    def _check(self, index: int) -> None:
        if not 0 <= index < self.size:
            raise StateError(
                Reason.OUT_OF_RANGE, f"counter index {index} is outside 0..{self.size}"
            )


class RegisterStore:
    """A register array; cells start at 0.

    A cell takes as many bytes as its width needs, whether it is used or not, and its words are
    beside each other, the lowest first: where cells are used at random, most of the time of a
    first packet is waiting for them, and a cell in one place is waited for once.
    """

    def __init__(self, name: str, size: int, width: int) -> None:
        _check_size(f"register {name}", size)
        self.name = name
        self.size = size
        self.width = width
        self._mask = (1 << width) - 1
        codes = [_CODES[word_size(bits)] for bits in reversed(word_widths(width))]
        self._words = struct.Struct("=" + "".join(codes))
        self._bytes = self._words.size
        self._cells = zeroed(max(size, 1) * self._bytes)
        # It stays where it is for the life of the register, since generated code uses it.
        self._pin = ctypes.c_char.from_buffer(self._cells)

    @property
    def address(self) -> int:
        """Where the cells are, for generated code."""
        return ctypes.addressof(self._pin)

    def read(self, index: int) -> int | None:
        """Value of a cell; None out of bounds."""
        if not 0 <= index < self.size:
            return None
        at = index * self._bytes
        with locked():
            return int.from_bytes(self._cells[at : at + self._bytes], "little")

    def write(self, index: int, value: int) -> None:
        """Store a value, cut to the width of the register."""
        if not 0 <= index < self.size:
            return
        at = index * self._bytes
        data = (value & self._mask).to_bytes(self._bytes, "little")
        with locked():
            self._cells[at : at + self._bytes] = data

    def fill(self, value: int) -> None:
        """Store a value, cut to the width of the register, in every cell."""
        data = (value & self._mask).to_bytes(self._bytes, "little")
        for first in range(0, self.size, _AT_ONCE):
            count = min(_AT_ONCE, self.size - first)
            begin, end = first * self._bytes, (first + count) * self._bytes
            with locked():
                self._cells[begin:end] = data * count

    def values(self, start: int, stop: int) -> list[int]:
        """Values of the cells from `start` up to but not including `stop`."""
        with locked():
            data = self._cells[start * self._bytes : stop * self._bytes]
        codes = self._words.format[1:]
        if len(codes) == 1:
            return array(codes, data).tolist()
        if len(codes) == 2:
            return [high << _WORD | low for low, high in self._words.iter_unpack(data)]
        size = self._bytes
        return [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]

    def find(
        self, start: int, stop: int, keys: Sequence[tuple[int, int]] = ()
    ) -> list[tuple[int, int]]:
        """The cells from `start` up to but not including `stop` that hold something: index, value.

        With keys, only those that match one of them, which is a value and a mask no wider than a
        cell. Packets are kept out meanwhile, so that the range should be short.
        """
        count, words = max(stop - start, 0), (self._bytes + 7) // 8
        if not count:
            return []
        wanted = b"".join(native.words(part, words) for key in keys for part in key)
        indices, values = array("I", bytes(4 * count)), array("Q", bytes(8 * count * words))
        with locked():
            found = runtime().p4_cells_find(
                *(self.address, self._bytes, start, stop),
                *(wanted, len(keys)),
                *(indices.buffer_info()[0], values.buffer_info()[0]),
            )
        columns = (values[i : found * words : words].tolist() for i in reversed(range(words)))
        first = next(columns)
        for low in columns:
            first = [a << _WORD | b for a, b in zip(first, low, strict=True)]
        return list(zip(indices[:found].tolist(), first, strict=True))

    def check_index(self, index: int) -> None:
        """Raise `StateError` if there is no such cell."""
        if index < 0:
            raise StateError(Reason.INVALID_ARGUMENT, f"register index {index} is negative")
        if index >= self.size:
            raise StateError(
                Reason.OUT_OF_RANGE,
                f"register {self.name} has no cell {index}, its last one is {self.size - 1}",
            )


def word_widths(width: int) -> list[int]:
    """The bits of each word of a cell of a register, the highest word first."""
    whole, rest = divmod(width, _WORD)
    return ([rest] if rest or not whole else []) + [_WORD] * whole


def word_size(bits: int) -> int:
    """The bits of the smallest integer that holds `bits` bits."""
    return next(size for size in _CODES if bits <= size)
