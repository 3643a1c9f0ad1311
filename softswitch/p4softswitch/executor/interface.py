"""What the rest of the switch may ask of an executor.

An executor owns the state that packets touch. The P4Runtime side of the switch reaches that state
only through the attributes named here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from p4softswitch.native.library import Stats
from p4softswitch.program.model import Program
from p4softswitch.state.arrays import CounterStore, RegisterStore
from p4softswitch.state.digests import DigestStore
from p4softswitch.state.meters import MeterStore
from p4softswitch.state.replication import ReplicationStore
from p4softswitch.state.tables import TableStore

Output = tuple[int, bytes]
"""Port and frame."""
RawOutput = tuple[int, int, bytes, int]
"""What native code puts out: kind, port or digest, bytes, time (ns)."""


@dataclass(slots=True)
class Options:
    """Port numbers with a special meaning, and limits on the work that one packet can cause."""

    drop_port: int = 511
    max_passes: int = 256
    max_copies: int = 4096
    seed: int | None = None
    reports: bool = False
    """Whether packets are to be reported on: see `V1ModelExecutor.follow`."""


class StateView(Protocol):
    """The state behind an executor, by the names that the program uses."""

    @property
    def tables(self) -> Mapping[str, TableStore]:
        """Tables by name."""

    @property
    def counters(self) -> Mapping[str, CounterStore]:
        """Indirect counters by name."""

    @property
    def meters(self) -> Mapping[str, MeterStore]:
        """Indirect meters by name."""

    @property
    def registers(self) -> Mapping[str, RegisterStore]:
        """Register arrays by name."""

    @property
    def digests(self) -> Mapping[int, DigestStore]:
        """Digests by learn list id."""

    @property
    def replication(self) -> ReplicationStore:
        """Multicast groups and clone sessions."""


class Executor(Protocol):
    """Runs packets through one program."""

    program: Program
    stats: Stats
    source: str
    """The C that the program was translated to, for people who debug it."""
    pointer: int
    """The native switch, for packet I/O."""
    code: int
    """The native program, for packet I/O."""

    @property
    def state(self) -> StateView:
        """Run-time state of the program."""

    def time(self, now: int) -> int:
        """What the program's clock (`ingress_global_timestamp`) says at `now` (ns), in us."""

    def process(self, port: int, frame: bytes, now: int) -> list[Output]:
        """Run a frame that came in by `port` at time `now` (ns); return what is sent, in order.

        Never raises for what is in the frame. Digest samples are left in `state.digests`.
        """

    def process_batch(self, port: int, frames: Sequence[bytes], now: int) -> list[Output]:
        """Run frames that came in by `port` at `now`, one after the other, as `process` does."""

    def add_sample(self, digest: int, data: bytes, now: int) -> None:
        """Take a sample of a digest as native code writes it."""

    def run_inputs(self, inputs: int, count: int, files: int, now: int) -> list[RawOutput]:
        """Run `count` frames at time `now`: see `p4_run_inputs`, whose addresses these are."""
