"""Fragments whose ports the switch does not know yet (RFC 4787 REQ-14).

Only the first fragment of a datagram has ports, which the switch remembers. A later one that
overtakes it is punted, and so is one of a flow about which the controller is being asked. It is
held here for a moment and then goes through the switch once more. How much is held is bounded, and
nobody gets the room of others: of what is free, those behind one port of the switch may hold no
more than is left to the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.engine.actions import PacketOut
from p4alg.engine.counters import Counters
from p4alg.engine.outbox import Outbox
from p4alg.packet.ipv4 import Ipv4
from p4alg.undo import Tracked, TrackedCounts, TrackedDict, UndoLog

HOLD = 0.2
"""Seconds that a fragment is held."""
SETTLE = 0.05
"""Seconds between a first fragment that we send on and those that we hold.

If it begins a plain flow, the switch keeps that at the end of the pipeline. What is right behind
it can be at the beginning by then; it must not begin a flow itself, so it would be dropped.
"""
HOLD_LONGEST = 4.0
"""Seconds that it is held while the first one waits for the next hop's MAC address."""
MAX_DATAGRAMS = 256
"""The most datagrams of which fragments are held."""
MAX_OF_SOURCE = 32
"""The most of them that come from one source address."""
MAX_EARLY = 48
"""The most fragments that are held of a datagram."""

DatagramKey = tuple[int, int, int, int]
"""Source and destination address, protocol and identification (RFC 791 section 3.2)."""


@dataclass(slots=True, eq=False)
class Datagram(Tracked):
    """A datagram whose first fragment has not come, and the others that wait until `due`."""

    due: float
    port: int
    waiting: tuple[PacketOut, ...]


class Fragments:
    """The fragments that are held."""

    def __init__(self, outbox: Outbox, counters: Counters, log: UndoLog) -> None:
        self._outbox = outbox
        self._counters = counters
        self._datagrams: TrackedDict[DatagramKey, Datagram] = TrackedDict(log)
        self._of_source: TrackedCounts[int] = TrackedCounts(log)
        self._of_port: TrackedCounts[int] = TrackedCounts(log)

    def __len__(self) -> int:
        return len(self._datagrams)

    def later(self, packet: Ipv4, out: PacketOut, now: float) -> None:
        """Hold a fragment that is not the first. At a limit it is dropped."""
        key = _key(packet)
        datagram = self._datagrams.get(key)
        if datagram is None and self._has_room(packet.src, out.ingress_port):
            self._keep(key, Datagram(now + HOLD, out.ingress_port, (out,)))
            self._outbox.remind(HOLD)
        elif datagram is not None and len(datagram.waiting) < MAX_EARLY:
            datagram.waiting = (*datagram.waiting, out)
        else:
            self._counters.count("fragments.dropped")

    def first_waits(self, packet: Ipv4, port: int, now: float) -> None:
        """The first fragment waits for its next hop: the others, come or to come, follow it."""
        key = _key(packet)
        datagram = self._datagrams.get(key)
        if datagram is not None:
            datagram.due = now + HOLD_LONGEST
        elif self._has_room(packet.src, port):
            self._keep(key, Datagram(now + HOLD_LONGEST, port, ()))

    def first(self, packet: Ipv4, now: float) -> None:
        """The first fragment of a datagram is being sent on: the others follow it (`SETTLE`)."""
        datagram = self._datagrams.get(_key(packet))
        if datagram is not None and datagram.waiting:
            datagram.due = now + SETTLE
            self._outbox.remind(SETTLE)
        elif datagram is not None:
            self._send(_key(packet))

    def retry(self, now: float) -> None:
        """Send what has been held long enough."""
        for key, datagram in list(self._datagrams.items()):
            if datagram.due <= now:
                self._send(key)

    def _keep(self, key: DatagramKey, datagram: Datagram) -> None:
        self._datagrams[key] = datagram
        self._of_source.add(key[0])
        self._of_port.add(datagram.port)

    def _send(self, key: DatagramKey) -> None:
        datagram: Datagram | None = self._datagrams.pop(key, None)
        if datagram is None:
            return
        self._of_source.add(key[0], -1)
        self._of_port.add(datagram.port, -1)
        for out in datagram.waiting:
            self._outbox.send(out)

    def _has_room(self, source: int, port: int) -> bool:
        free = MAX_DATAGRAMS - len(self._datagrams)
        return self._of_source[source] < MAX_OF_SOURCE and self._of_port[port] < free


def _key(packet: Ipv4) -> DatagramKey:
    return (packet.src, packet.dst, packet.proto, packet.ident)
