"""The interface between the controller and a switch. A target is an implementation of it.

No code above this interface depends on which target it runs on. Something that a target may lack
is a field of `engine.capabilities.Capabilities`, and the code asks that. docs/targets.md says how
to write a target.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from p4alg.engine import events as ev
from p4alg.engine.actions import PacketOut
from p4alg.engine.capabilities import Capabilities
from p4alg.engine.cells import Key
from p4alg.engine.reconcile import EntryKey
from p4alg.engine.tables import Entry, Update

MAX_KEYS = 64
"""The most keys of a question for cells of registers that a switch picks by itself."""


class TargetError(Exception):
    """The switch cannot be used, or cannot be used any more. The text is one line."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Packets and bytes of an inside host since it got its block, in each direction."""

    packets_out: int = 0
    bytes_out: int = 0
    packets_in: int = 0
    bytes_in: int = 0


class Target(Protocol):
    """A switch that runs the program, and that no other controller uses.

    A target is ready for use when it is made: it is connected, the program is loaded, punts are
    metered, and reports of the switch are kept for `events` from then on. All methods are called
    from one event loop. All but `lost` raise `TargetError` when the switch cannot be used any more.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What the target can do. It does not change while the target is in use."""
        ...

    async def read_entries(self) -> list[Entry]:
        """All entries of all tables that a controller wrote, without default entries."""
        ...

    async def write(self, updates: Sequence[Update]) -> dict[int, str]:
        """Make at most `max_batch` updates, in order. Returns when the switch has answered.

        The result has the refused updates: index to reason (one line for the operator). All
        others have been made, also those after a refused one. Without `update_outcomes` this
        holds for a single update only.
        """
        ...

    async def send(self, packets: Sequence[PacketOut]) -> None:
        """Give frames to the switch, in order. It is not known whether the switch sends them."""
        ...

    def events(self) -> Sequence[AsyncIterator[ev.Event]]:
        """The reports of the switch, as streams to be read at the same time. Called once.

        There are always packets (`PacketIn`). Digests (`TcpEvent`, `PinholeHit`) and idle notices
        (`SessionIdle`, `PinholeIdle`, `SubscriberIdle`, `BlockIdle`) depend on the capabilities.
        Order is kept within a stream. An idle notice may be repeated until the entry is deleted.
        """
        ...

    async def counters(self) -> dict[str, int]:
        """Punts and drops by name, such as `switch.drops.filtered`; zeroes are left out."""
        ...

    async def traffic(self) -> dict[tuple[int, int], Traffic]:
        """What each inside host with a block has sent and received.

        A host is known by the number of its organisation and its inside address. Empty without
        `direct_counters`.
        """
        ...

    async def packets(self, kinds: Collection[type[Entry]]) -> Mapping[EntryKey, int]:
        """How many packets each entry of these tables has counted, which are tables that age.

        Needs the capability `direct_counters`.
        """
        ...

    async def state(self) -> dict[str, object]:
        """`program`: its name; `tables`: for each table by name its `entries` and `size`."""
        ...

    @property
    def arrays(self) -> Mapping[str, int]:
        """The register arrays of the program: how many cells each has, by name."""
        ...

    def read_registers(
        self, name: str, cells: Sequence[int] | None = None, keys: Sequence[Key] = ()
    ) -> AsyncIterator[Mapping[int, int]]:
        """The cells of a register array that do not hold 0: index to value, some at a time.

        All cells, or those in `cells`, which exist; with `keys`, only those of them that fit one.
        Packets change cells in the meantime, so that what is read is of several moments. Needs the
        capability `registers`.
        """
        ...

    async def time(self) -> int | None:
        """What the program's clock says, in microseconds; None if the switch does not tell.

        A switch that tells it picks cells by keys itself, which takes a fraction of the time.
        """
        ...

    async def write_registers(self, name: str, cells: Mapping[int, int]) -> None:
        """Write cells of a register array: value by index. Needs `register_writes`."""
        ...

    async def clear_counters(self, names: Collection[str]) -> None:
        """Set counters to 0, by the names that `counters` gives. Those of others are ignored."""
        ...

    async def lost(self) -> str:
        """Wait until the switch cannot be used any more. Returns the reason in one line."""
        ...
