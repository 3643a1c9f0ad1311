"""Meters: two rates, three colours, colour-blind, as BMv2 executes them.

Each rate is a bucket that starts full. A packet that the peak bucket cannot take is red and takes
nothing; one that the committed bucket cannot take is yellow.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4softswitch.errors import Reason, StateError

GREEN, YELLOW, RED = 0, 1, 2
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """Rates in packets or bytes per second and bursts in packets or bytes."""

    cir: int
    cburst: int
    pir: int
    pburst: int


class Meter:
    """One meter; without a configuration every packet is green."""

    __slots__ = ("_committed", "_last", "_peak", "config")

    def __init__(self, config: MeterConfig | None = None, now: int = 0) -> None:
        self.config: MeterConfig | None = None
        self.configure(config, now)

    def configure(self, config: MeterConfig | None, now: int) -> None:
        """Set rates and fill the buckets; None removes the configuration.

        Raises `StateError` for negative values and for a committed rate above the peak rate.
        """
        if config is not None:
            if min(config.cir, config.cburst, config.pir, config.pburst) < 0:
                raise StateError(Reason.INVALID_ARGUMENT, "meter rates and bursts are not negative")
            if config.cir > config.pir:
                raise StateError(Reason.INVALID_ARGUMENT, "meter has cir above pir")
        self.config = config
        self._last = now
        # Buckets count in units of 1/1e9, so that no rate is too low for integer arithmetic.
        self._peak = config.pburst * _NS if config else 0
        self._committed = config.cburst * _NS if config else 0

    def execute(self, amount: int, now: int) -> int:
        """Colour of a packet of `amount` (1, or its length in bytes)."""
        config = self.config
        if config is None:
            return GREEN
        elapsed = max(0, now - self._last)
        self._last = now
        cost = amount * _NS
        self._peak = min(self._peak + elapsed * config.pir, config.pburst * _NS)
        self._committed = min(self._committed + elapsed * config.cir, config.cburst * _NS)
        if self._peak < cost:
            return RED
        self._peak -= cost
        if self._committed < cost:
            return YELLOW
        self._committed -= cost
        return GREEN


class MeterStore:
    """An indirect meter array; cells exist once they are configured."""

    def __init__(self, size: int, bytes_unit: bool) -> None:
        self.size = size
        self.bytes_unit = bytes_unit
        self._cells: dict[int, Meter] = {}

    def configure(self, index: int, config: MeterConfig | None, now: int) -> None:
        """Configure one cell; None returns it to its default."""
        if not 0 <= index < self.size:
            raise StateError(Reason.OUT_OF_RANGE, f"meter index {index} is outside 0..{self.size}")
        if config is None:
            self._cells.pop(index, None)
        else:
            self._cells[index] = Meter(config, now)

    def config(self, index: int) -> MeterConfig | None:
        """Configuration of one cell, None for the default."""
        if not 0 <= index < self.size:
            raise StateError(Reason.OUT_OF_RANGE, f"meter index {index} is outside 0..{self.size}")
        cell = self._cells.get(index)
        return None if cell is None else cell.config

    def execute(self, index: int, length: int, now: int) -> int | None:
        """Colour of a packet of `length` bytes; None if the index is out of bounds."""
        cell = self._cells.get(index)
        if cell is None:
            return GREEN if 0 <= index < self.size else None
        return cell.execute(length if self.bytes_unit else 1, now)
