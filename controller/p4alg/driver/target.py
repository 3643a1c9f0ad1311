"""What the controller needs of a switch. A target is whatever provides it.

Nothing above this interface asks which target it is on. What a target may lack is a
field of `Capabilities`, which is asked for; docs/targets.md says how to write a target.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from p4alg.engine import events as ev
from p4alg.engine.actions import PacketOut
from p4alg.engine.tables import Entry, Update


class TargetError(Exception):
    """The switch cannot be used, or not any more; the text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a target can do beyond tables and packets, which each has."""

    idle_timeouts: bool
    """It reports entries that went unused for their idle timeout."""
    digests: bool
    """It reports what happens to flows that it forwards by itself: FIN, RST, pinhole hits."""
    punt_meters: bool
    """It bounds the packets of each punt class itself."""
    counters: bool
    """It counts punts and drops by reason."""
    direct_counters: bool
    """It counts packets and bytes of each table entry."""
    registers: bool
    """The controller can read and write registers of the program. Nothing needs it so far."""
    update_outcomes: bool
    """A write of several updates tells which of them were refused, and makes the others."""
    max_batch: int
    """Updates of one write; at least 1."""


class Target(Protocol):
    """A switch that runs the program and is this controller's alone.

    Whoever makes a target makes it ready for use: connected, the program loaded, punts
    bounded, and what the switch reports kept for `events` from then on. All methods are used from
    one event loop. All but `lost` raise `TargetError` when the switch cannot be used any more.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What the target can do; does not change while it is in use."""
        ...

    async def read_entries(self) -> list[Entry]:
        """Every entry in every table that a controller wrote; default entries left out."""
        ...

    async def write(self, updates: Sequence[Update]) -> dict[int, str]:
        """Make at most `max_batch` updates, in order; return once the switch has answered.

        Returns the refused ones, index to reason (one line for the operator); all others stand.
        One that is refused does not keep the others from being made. Without
        `update_outcomes`, that is promised for a single update only.
        """
        ...

    async def send(self, packets: Sequence[PacketOut]) -> None:
        """Hand frames to the switch, in order. Nothing tells whether they went out."""
        ...

    def events(self) -> Sequence[AsyncIterator[ev.Event]]:
        """All that the switch reports, as streams to be read side by side; to be called once.

        Packets (`PacketIn`) always; digests (`TcpEvent`, `PinholeHit`) and idle notices
        (`SessionIdle`, `PinholeIdle`, `FragmentIdle`) as the capabilities say. Order is kept
        within a stream. Notices may repeat until the entry is gone.
        """
        ...

    async def counters(self) -> dict[str, int]:
        """Punts and drops by reason, such as `switch.drops.filtered`; zeroes left out."""
        ...

    async def state(self) -> dict[str, object]:
        """`program`, its name; and `tables`: for each by name its `entries` and `size`."""
        ...

    async def lost(self) -> str:
        """Wait until the switch cannot be used any more; why that is, in one line."""
        ...


def shortcomings(capabilities: Capabilities) -> list[str]:
    """What the gateway does without on a target, one line for the operator each."""
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
