"""Counter and register arrays. An index out of bounds changes nothing, as in BMv2."""

from __future__ import annotations

from array import array

from p4softswitch.errors import ProgramError, Reason, StateError

MAX_CELLS = 1 << 24
_WORD = 64
_WORD_MASK = (1 << _WORD) - 1


def _check_size(what: str, size: int) -> None:
    if size > MAX_CELLS:
        raise ProgramError(f"{what} has {size} cells, at most {MAX_CELLS} are supported")


class CounterStore:
    """An indirect counter array; counts packets and bytes whatever its declared unit."""

    def __init__(self, name: str, size: int) -> None:
        _check_size(f"counter {name}", size)
        self.size = size
        self.packets = [0] * size
        self.bytes = [0] * size

    def count(self, index: int, length: int) -> None:
        """Count one packet of `length` bytes."""
        if 0 <= index < self.size:
            self.packets[index] += 1
            self.bytes[index] += length

    def read(self, index: int) -> tuple[int, int]:
        """(packets, bytes) of one cell."""
        self._check(index)
        return self.packets[index], self.bytes[index]

    def write(self, index: int, packets: int | None, byte_count: int | None) -> None:
        """Set one cell; None leaves that half alone."""
        self._check(index)
        if packets is not None:
            self.packets[index] = packets
        if byte_count is not None:
            self.bytes[index] = byte_count

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
        self.words = tuple(_cells(bits, size) for bits in word_widths(width))
        """The cells in words of at most 64 bits, one array for each word, the highest word first.

        These arrays stay the same objects for the life of the register, so that generated code
        can bind them. All but the highest word are 64 bits wide.
        """

    def read(self, index: int) -> int | None:
        """Value of a cell; None out of bounds."""
        if not 0 <= index < self.size:
            return None
        value = 0
        for word in self.words:
            value = value << _WORD | word[index]
        return value

    def write(self, index: int, value: int) -> None:
        """Store a value, cut to the width of the register."""
        if not 0 <= index < self.size:
            return
        value &= self._mask
        for word in reversed(self.words):
            word[index] = value & _WORD_MASK
            value >>= _WORD

    def fill(self, value: int) -> None:
        """Store a value, cut to the width of the register, in every cell."""
        value &= self._mask
        for word in reversed(self.words):
            word[:] = array(word.typecode, [value & _WORD_MASK]) * self.size
            value >>= _WORD

    def values(self, start: int, stop: int) -> list[int]:
        """Values of the cells from `start` up to but not including `stop`."""
        first, *rest = (word[start:stop].tolist() for word in self.words)
        for low in rest:
            first = [a << _WORD | b for a, b in zip(first, low, strict=True)]
        return first

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
