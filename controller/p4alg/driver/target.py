"""The interface between the controller and a switch. A target is an implementation of it.

No code above this interface depends on which target it runs on. Something that a target may lack
is a field of `Capabilities`, and the code asks that. docs/targets.md says how to write a target.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from p4alg.engine import events as ev
from p4alg.engine.actions import PacketOut
from p4alg.engine.cells import Key
from p4alg.engine.tables import Entry, Update


class TargetError(Exception):
    """The switch cannot be used, or cannot be used any more. The text is one line."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a target can do. Every target has tables and packets besides."""

    idle_timeouts: bool
    """It reports entries that went unused for their idle timeout."""
    digests: bool
    """It sends digests about flows that it forwards by itself: FIN, RST, pinhole hits."""
    punt_meters: bool
    """It meters the packets of each punt class, and drops what is too much."""
    counters: bool
    """It counts punts and drops by reason."""
    direct_counters: bool
    """It counts packets and bytes of each entry of `subscriber` and `block`."""
    registers: bool
    """The controller can read and write registers of the program."""
    update_outcomes: bool
    """If some updates of a write are refused, it makes the others, and tells which were refused."""
    max_batch: int
    """The most updates of one write; at least 1."""


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
        """Write cells of a register array: value by index. Needs the capability `registers`."""
        ...

    async def clear_counters(self, names: Collection[str]) -> None:
        """Set counters to 0, by the names that `counters` gives. Those of others are ignored."""
        ...

    async def lost(self) -> str:
        """Wait until the switch cannot be used any more. Returns the reason in one line."""
        ...


def shortcomings(capabilities: Capabilities) -> list[str]:
    """What the gateway cannot do on a target, as lines for the operator."""
    missing = []
    if not capabilities.idle_timeouts:
        missing.append(
            "the switch reports no idle entries: sessions end on FIN or RST only, and those of "
            "other protocols, with their bindings, stay"
        )
    if not capabilities.digests:
        missing.append(
            "the switch sends no digests: TCP sessions keep their transitory timer, and a flow "
            "through a pinhole ends when the pinhole does"
        )
    if not capabilities.punt_meters:
        missing.append(
            "the switch does not meter punts: a flood of new flows reaches the controller whole"
        )
    if not capabilities.counters:
        missing.append("the switch does not count punts and drops: show counters lacks them")
    return missing
