"""Fragmented datagrams (RFC 4787 REQ-14).

Only the first fragment has the transport header. Its identifiers are written into the switch,
which then translates the other fragments. Fragments that come before the first one wait here; how
many may wait, and how long, is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.counters import Counters
from p4alg.engine.outbox import Outbox
from p4alg.engine.tables import Op, Update
from p4alg.packet.ipv4 import Ipv4
from p4alg.undo import Tracked, TrackedDict, UndoLog

MAX_DATAGRAMS = 256
"""The most fragmented datagrams that are kept at the same time."""
MAX_EARLY = 48
"""The most fragments of a datagram that may wait for the first one."""

DatagramKey = tuple[int, int, int, int]
"""Source and destination address, protocol and identification (RFC 791 section 3.2)."""


@dataclass(slots=True, eq=False)
class Datagram(Tracked):
    """A fragmented datagram. It has no `entry` until its first fragment has come."""

    expires: float
    entry: t.Fragment | None = None
    early: tuple[PacketOut, ...] = ()


class Fragments:
    """The fragmented datagrams that are kept."""

    def __init__(self, lifetime: float, outbox: Outbox, counters: Counters, log: UndoLog) -> None:
        self._lifetime = lifetime
        self._outbox = outbox
        self._counters = counters
        self._datagrams: TrackedDict[DatagramKey, Datagram] = TrackedDict(log)

    def later(self, packet: Ipv4, out: PacketOut, now: float) -> None:
        """Send a fragment that is not the first, or let it wait for the first."""
        datagram = self._get(packet, now)
        if datagram is None:
            return
        if datagram.entry is not None:
            self._outbox.send(out)
        elif len(datagram.early) < MAX_EARLY:
            datagram.early = (*datagram.early, out)
        else:
            self._counters.count("fragments.dropped")

    def first(self, packet: Ipv4, ids: tuple[int, int], outs: list[PacketOut], now: float) -> None:
        """Write the entry of a datagram, then send `outs` and the fragments that waited.

        `packet` is the first fragment, and `ids` its identifiers; or it is a whole datagram that
        we cut into the fragments `outs`.
        """
        datagram = self._get(packet, now)
        if datagram is None:
            return
        if datagram.entry is not None:
            for out in outs:
                self._outbox.send(out)
            return
        key = (packet.src, packet.dst, packet.proto, packet.ident)
        datagram.entry = t.Fragment(*key, *ids, idle_timeout=self._lifetime)
        early, datagram.early = datagram.early, ()
        updates = (Update(Op.INSERT, datagram.entry),)
        self._outbox.transact(updates, [*outs, *early], _FirstWritten(self, key))

    def failed(self, key: DatagramKey) -> None:
        """The switch has refused the entry of a datagram: forget the datagram."""
        self._counters.count("fragments.failed")
        self._datagrams.pop(key, None)

    def expire(self, now: float) -> None:
        """Forget the datagrams whose time is over, and delete their entries."""
        for key, datagram in list(self._datagrams.items()):
            if datagram.expires <= now:
                del self._datagrams[key]
                if datagram.entry is not None:
                    self._outbox.transact((Update(Op.DELETE, datagram.entry),))
                else:
                    self._counters.count("fragments.incomplete")

    def _get(self, packet: Ipv4, now: float) -> Datagram | None:
        key = (packet.src, packet.dst, packet.proto, packet.ident)
        datagram = self._datagrams.get(key)
        if datagram is None:
            if len(self._datagrams) >= MAX_DATAGRAMS:
                self._counters.count("fragments.dropped")
                return None
            datagram = self._datagrams[key] = Datagram(now + self._lifetime)
        return datagram


@dataclass(frozen=True, slots=True)
class _FirstWritten:
    """Waits until the entry of a datagram is written."""

    fragments: Fragments
    key: DatagramKey

    def ended(self, reason: str | None, _now: float) -> None:
        if reason is not None:
            self.fragments.failed(self.key)
