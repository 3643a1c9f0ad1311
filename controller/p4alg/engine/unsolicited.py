"""SYNs from outside that nobody waits for (RFC 5382 REQ-4).

The sender may be one end of a simultaneous open, whose other end sends its own SYN soon. So a SYN
is held for six seconds. Then the switch is asked once more: it drops the SYN if the inside host has
opened the connection in the meantime, and punts it again if nobody waits for it still. Only then
is the sender told that the port cannot be reached. How many are held is bounded; what is beyond is
dropped in silence, as a port scan would be.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.engine import events as ev
from p4alg.engine.actions import PacketOut
from p4alg.engine.counters import Counters
from p4alg.engine.outbox import Outbox
from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import Ipv4
from p4alg.packet.transport import transport_ids
from p4alg.undo import Tracked, TrackedCounts, TrackedDict, UndoLog

SILENCE = 6.0
"""Seconds for which an unsolicited SYN must not be answered (RFC 5382 REQ-4)."""
ASKED = 3.0
"""Seconds within which the switch says that still nobody waits."""
MAX_SYNS = 1024
"""The most SYNs that are held."""
MAX_OF_SOURCE = 32
"""The most of them that come from one source address."""

_Key = tuple[int, int, int, int]
"""Source address and port, destination address and port."""


@dataclass(slots=True, eq=False)
class _Held(Tracked):
    """A SYN, and until when it is waited for the inside host, or for the switch's answer."""

    event: ev.PacketIn
    due: float
    asked: bool = False


class Unsolicited:
    """The SYNs that are held."""

    def __init__(self, outbox: Outbox, counters: Counters, log: UndoLog) -> None:
        self._outbox = outbox
        self._counters = counters
        self._held: TrackedDict[_Key, _Held] = TrackedDict(log)
        self._of_source: TrackedCounts[int] = TrackedCounts(log)

    def __len__(self) -> int:
        return len(self._held)

    def arrived(self, event: ev.PacketIn, packet: Ipv4, now: float) -> bool:
        """The switch has punted a SYN. True if its sender is to be told now that it is refused."""
        ids = transport_ids(packet)
        if ids is None or event.hairpin:
            raise PacketError("no SYN from outside")
        key = (packet.src, ids[0], packet.dst, ids[1])
        known = self._held.get(key)
        if known is None:
            full = len(self._held) >= MAX_SYNS or self._of_source[packet.src] >= MAX_OF_SOURCE
            if full:
                self._counters.count("syns.dropped")
            else:
                self._held[key] = _Held(event, now + SILENCE)
                self._of_source.add(packet.src)
            return False
        if not known.asked:
            return False
        self._forget(key)
        self._counters.count("syns.answered")
        return True

    def tick(self, now: float) -> None:
        """Ask the switch about SYNs that were held long enough."""
        for key, held in list(self._held.items()):
            if held.due > now:
                continue
            if held.asked:
                self._forget(key)
            else:
                held.asked, held.due = True, now + ASKED
                self._outbox.send(PacketOut(held.event.frame, held.event.port, late=True))

    def _forget(self, key: _Key) -> None:
        del self._held[key]
        self._of_source.add(key[0], -1)
