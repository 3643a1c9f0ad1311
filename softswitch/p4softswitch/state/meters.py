"""Meters: two rates, three colours, colour-blind, as BMv2 executes them.

The buckets are in native memory and are filled and emptied there: see `p4_meter_execute`.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from p4softswitch.errors import ProgramError, Reason, StateError
from p4softswitch.native.library import RawMeter, runtime

GREEN, YELLOW, RED = 0, 1, 2
MAX_CELLS = 1 << 22
_MOST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """Rates in packets or bytes per second and bursts in packets or bytes.

    Raises `StateError` for values that are not in 0..2**63-1, and for a committed rate above the
    peak rate.
    """

    cir: int
    cburst: int
    pir: int
    pburst: int

    def __post_init__(self) -> None:
        values = (self.cir, self.cburst, self.pir, self.pburst)
        if min(values) < 0 or max(values) > _MOST:
            raise StateError(Reason.INVALID_ARGUMENT, "meter rates and bursts are not negative")
        if self.cir > self.pir:
            raise StateError(Reason.INVALID_ARGUMENT, "meter has cir above pir")


def configure(raw: RawMeter, config: MeterConfig | None, now: int) -> None:
    """Set the rates of a native meter and fill its buckets; None removes its configuration."""
    c = config or MeterConfig(0, 0, 0, 0)
    runtime().p4_meter_configure(
        ctypes.byref(raw), config is not None, c.cir, c.cburst, c.pir, c.pburst, now
    )


def config_of(raw: RawMeter) -> MeterConfig | None:
    """The configuration of a native meter, None if it has none."""
    return MeterConfig(raw.cir, raw.cburst, raw.pir, raw.pburst) if raw.configured else None


class MeterStore:
    """An indirect meter array; without a configuration every packet is green."""

    def __init__(self, size: int, bytes_unit: bool) -> None:
        if size > MAX_CELLS:
            raise ProgramError(f"a meter has {size} cells, at most {MAX_CELLS} are supported")
        self.size = size
        self.bytes_unit = bytes_unit
        self._cells = (RawMeter * max(size, 1))()

    @property
    def address(self) -> int:
        """Where the cells are, for generated code."""
        return ctypes.addressof(self._cells)

    def configure(self, index: int, config: MeterConfig | None, now: int) -> None:
        """Configure one cell; None returns it to its default."""
        self._check(index)
        configure(self._cells[index], config, now)

    def config(self, index: int) -> MeterConfig | None:
        """Configuration of one cell, None for the default."""
        self._check(index)
        return config_of(self._cells[index])

    def execute(self, index: int, length: int, now: int) -> int | None:
        """Colour of a packet of `length` bytes; None if the index is out of bounds."""
        if not 0 <= index < self.size:
            return None
        amount = length if self.bytes_unit else 1
        return int(runtime().p4_meter_run(ctypes.byref(self._cells[index]), amount, now))

    def _check(self, index: int) -> None:
        if not 0 <= index < self.size:
            raise StateError(Reason.OUT_OF_RANGE, f"meter index {index} is outside 0..{self.size}")
