"""Counter and register arrays. An index out of bounds changes nothing, as in BMv2.

The cells are in arrays whose memory generated code uses, so nothing may resize them. Cells of
several words are read and written while packets are kept out.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence

from p4softswitch.errors import ProgramError, Reason, StateError
from p4softswitch.native.library import locked, runtime

MAX_CELLS = 1 << 24
_WORD = 64
_AT_ONCE = 4096  # cells that are filled while packets are kept out
_WORD_MASK = (1 << _WORD) - 1


def _check_size(what: str, size: int) -> None:
    if size > MAX_CELLS:
        raise ProgramError(f"{what} has {size} cells, at most {MAX_CELLS} are supported")


def address_of(cells: array[int]) -> int:
    """Where an array has its memory."""
    return cells.buffer_info()[0]


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
        return address_of(self._cells)

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

    A cell takes as many bytes as its width needs, whether it is used or not: a list of integers
    would be faster, but a full one of 2**20 wide cells would take five times as much memory.
    """

    def __init__(self, name: str, size: int, width: int) -> None:
        _check_size(f"register {name}", size)
        self.name = name
        self.size = size
        self.width = width
        self._mask = (1 << width) - 1
        self.words = tuple(_cells(bits, max(size, 1)) for bits in word_widths(width))
        """The cells in words of at most 64 bits, one array for each word, the highest word first.

        These arrays stay where they are for the life of the register, since generated code uses
        their memory. All but the highest word are 64 bits wide.
        """
        self._pins = [ctypes.c_char.from_buffer(word) for word in self.words]

    def read(self, index: int) -> int | None:
        """Value of a cell; None out of bounds."""
        if not 0 <= index < self.size:
            return None
        value = 0
        with locked():
            for word in self.words:
                value = value << _WORD | word[index]
        return value

    def write(self, index: int, value: int) -> None:
        """Store a value, cut to the width of the register."""
        if not 0 <= index < self.size:
            return
        value &= self._mask
        with locked():
            for word in reversed(self.words):
                word[index] = value & _WORD_MASK
                value >>= _WORD

    def fill(self, value: int) -> None:
        """Store a value, cut to the width of the register, in every cell."""
        value &= self._mask
        for first in range(0, self.size, _AT_ONCE):
            part = slice(first, min(first + _AT_ONCE, self.size))
            count, rest = part.stop - part.start, value
            with locked():
                for word in reversed(self.words):
                    word[part] = array(word.typecode, [rest & _WORD_MASK]) * count
                    rest >>= _WORD

    def values(self, start: int, stop: int) -> list[int]:
        """Values of the cells from `start` up to but not including `stop`."""
        with locked():
            parts = [word[start:stop] for word in self.words]
        first, *rest = (part.tolist() for part in parts)
        for low in rest:
            first = [a << _WORD | b for a, b in zip(first, low, strict=True)]
        return first

    def find(
        self, start: int, stop: int, keys: Sequence[tuple[int, int]] = ()
    ) -> list[tuple[int, int]]:
        """The cells from `start` up to but not including `stop` that hold something: index, value.

        With keys, only those that match one of them, which is a value and a mask no wider than a
        cell. Packets are kept out meanwhile, so that the range should be short.
        """
        count, words = max(stop - start, 0), len(self.words)
        if not count:
            return []
        wanted = array("Q")
        for key in keys:
            for part in key:
                wanted.extend(part >> _WORD * word & _WORD_MASK for word in reversed(range(words)))
        arrays = array("Q", map(address_of, self.words))
        sizes = array("I", [word.itemsize for word in self.words])
        indices, values = array("I", bytes(4 * count)), array("Q", bytes(8 * count * words))
        places = map(address_of, (arrays, sizes))
        with locked():
            found = runtime().p4_cells_find(
                *places,
                *(words, start, stop),
                *(address_of(wanted), len(keys)),
                *(address_of(indices), address_of(values)),
            )
        first, *rest = (values[word : found * words : words].tolist() for word in range(words))
        for low in rest:
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


def _cells(bits: int, size: int) -> array[int]:
    """An array of zeroes, of the smallest items that hold `bits` bits."""
    code = next(c for c in "BHIQ" if array(c).itemsize * 8 >= bits)
    return array(code, bytes(array(code).itemsize * size))
