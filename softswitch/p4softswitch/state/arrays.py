"""Counter and register arrays. An index out of bounds changes nothing, as in BMv2."""

from __future__ import annotations

from p4softswitch.errors import ProgramError, Reason, StateError

MAX_CELLS = 1 << 24


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
    """A register array; cells start at 0."""

    def __init__(self, name: str, size: int, width: int) -> None:
        _check_size(f"register {name}", size)
        self.size = size
        self.width = width
        self.cells = [0] * size
        self._mask = (1 << width) - 1

    def read(self, index: int) -> int | None:
        """Value of a cell; None out of bounds."""
        return self.cells[index] if 0 <= index < self.size else None

    def write(self, index: int, value: int) -> None:
        """Store a value, cut to the width of the register."""
        if 0 <= index < self.size:
            self.cells[index] = value & self._mask
