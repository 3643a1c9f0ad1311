"""The inside hosts as the switch knows them: their blocks of outside ports (RFC 6888 REQ-12, 13).

The switch asks once for each host, by punting its first packet. The host gets a block, which is
written into `subscriber` (for packets from inside) and `block` (for those from outside), and its
packets are sent on behind that. Plain flows are the switch's own from then on. When both entries
have been idle for as long as any flow can live, and nothing of the controller's uses the host's
ports, the block comes back. Each block that is taken or given back is one line in the log, which
is all that is needed to tell later who had a port.

Any inside host can forge the addresses of its neighbours, and each of them would get a block. So
the last blocks are kept for hosts behind ports of the switch that have less than their share.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from p4alg.alg.contract import format_addr
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.counters import Counters
from p4alg.engine.happenings import of_block
from p4alg.engine.layout import own_outside, static_hosts
from p4alg.engine.outbox import Outbox
from p4alg.engine.settings import Settings
from p4alg.engine.tables import Op, Side, Update
from p4alg.nat.blocks import Block, Blocks, Change
from p4alg.nat.blocks import Subscriber as Numbered
from p4alg.undo import Tracked, TrackedCounts, TrackedDict, UndoLog

MAX_WAITING = 16
"""Packets of a host that may wait until its entries are written."""
NO_BLOCK = "no-block"
"""Why a host is refused for which no block is free."""
PORT_SHARE = "port-share"
"""Why a host is refused whose port of the switch has had its share of the blocks."""
_SAME = 5.0
"""Seconds between idle notices that mean the same time. The switch repeats them sooner."""
_LOG_EVERY = 60.0
_MAX_LOGGED = 1024
_KEPT = 8
"""One block of so many is kept for hosts behind ports that have less than their share."""
_NOWHERE = -1
"""The port of hosts that were not seen to come from one."""


@dataclass(slots=True, eq=False)
class Presence(Tracked):
    """A host with a block, as it is in the switch. Times in seconds."""

    numbered: Numbered
    port: int
    """The ingress port of its first packet."""
    is_written: bool = False
    """Whether the switch has acknowledged its entries."""
    waiting: int = 0
    inside_idle: float | None = None
    """When the switch last reported that nothing came from the host."""
    outside_idle: float | None = None


class Subscribers:
    """All inside hosts with a number, and what the switch has of them."""

    def __init__(
        self, settings: Settings, blocks: Blocks, outbox: Outbox, counters: Counters, log: UndoLog
    ) -> None:
        self._longest = settings.timers.longest
        self._ours = own_outside(settings)
        self._whole = {f.inside_addr for f in settings.address_forwards}
        self._static = static_hosts(settings)
        inside = [zone for zone in settings.zones if zone.side is Side.INSIDE]
        self._ports = sum(len(zone.ports) for zone in inside)
        self._outbox = outbox
        self._counters = counters
        self._present: TrackedDict[int, Presence] = TrackedDict(log)
        self._behind: TrackedCounts[int] = TrackedCounts(log)
        self._logged: TrackedDict[int, float] = TrackedDict(log)
        self._unwritten: TrackedDict[int, None] = TrackedDict(log)
        """Hosts with a block that the switch has refused, as long as they have bindings in it."""
        self.blocks = blocks

    def __len__(self) -> int:
        """How many hosts have a block."""
        return len(self._present)

    # Looking up

    def number_of(self, inside_addr: int) -> int:
        """The number of a host; 0 if it has none."""
        found = self.blocks.get(inside_addr)
        return 0 if found is None else found.number

    def inside_of(self, outside_addr: int, port: int) -> int | None:
        """The host whose block an outside port is in."""
        found = self.blocks.holder(outside_addr, port)
        return None if found is None else found.inside_addr

    def has_block(self, inside_addr: int) -> bool:
        """Whether the switch has a block of a host, or is about to get it."""
        return inside_addr in self._present

    def may_have_block(self, inside_addr: int) -> bool:
        """Whether a host may have a block. One with a 1:1 mapping needs none."""
        return inside_addr not in self._whole

    # Hosts begin

    def arrived(self, inside_addr: int, port: int, now: float, *, may_move: bool) -> str:
        """A host needs a block for what it sends. Returns why it gets none, "" if it has one.

        `may_move`: see `Blocks.own`.
        """
        if inside_addr in self._present:
            return ""
        has_block = (found := self.blocks.get(inside_addr)) is not None and found.own is not None
        if not has_block and self._is_unfair(port):
            self.refused(inside_addr, PORT_SHARE, now)
            return PORT_SHARE
        found = self.blocks.own(inside_addr, now, may_move=may_move)
        if found is None:
            self.refused(inside_addr, NO_BLOCK, now)
            return NO_BLOCK
        self._write(found, port)
        return ""

    def ensure(self, inside_addr: int) -> None:
        """Write the entries of a host that has got a block, if the switch does not have them."""
        found = self.blocks.get(inside_addr)
        if found is not None and found.own is not None and inside_addr not in self._present:
            self._write(found, _NOWHERE)

    def send_on(self, inside_addr: int, packet: PacketOut) -> None:
        """Send a packet of a host that has a block, behind the entries that it needs."""
        present = self._present.get(inside_addr)
        if present is not None and not present.is_written:
            if present.waiting >= MAX_WAITING:
                self._counters.count("subscribers.dropped")
                return
            present.waiting += 1
        self._outbox.send(packet)

    def _is_unfair(self, port: int) -> bool:
        total, free = self.blocks.total, self.blocks.free()
        has_share = self._behind[port] * self._ports >= total
        return self._ports > 1 and has_share and 0 < free * _KEPT <= total

    def refused(self, inside_addr: int, reason: str, now: float) -> None:
        """Log that a host gets no block, once a minute (RFC 6888 REQ-11)."""
        last = self._logged.get(inside_addr)
        if last is None or last + _LOG_EVERY <= now:
            self._logged.pop(inside_addr, None)
            if len(self._logged) >= _MAX_LOGGED:
                del self._logged[next(iter(self._logged))]
            self._logged[inside_addr] = now
            text = f"no block of outside ports for {format_addr(inside_addr)}: {reason}"
            self._outbox.log(logging.WARNING, text)

    def _write(self, numbered: Numbered, port: int) -> None:
        present = self._add(numbered, port)
        self._counters.count("subscribers.begun")
        host, block = self._entries(numbered)
        first = Op.MODIFY if numbered.is_fixed else Op.INSERT
        updates = (Update(first, host), Update(Op.INSERT, block))
        self._outbox.transact(updates, (), _Written(self, present))

    def _add(self, numbered: Numbered, port: int) -> Presence:
        present = self._present[numbered.inside_addr] = Presence(numbered, port)
        self._behind.add(port)
        return present

    def written(self, present: Presence, reason: str | None, now: float) -> None:
        """The switch has answered to the entries of a host; `reason` as in `Waiter`."""
        numbered = present.numbered
        if self._present.get(numbered.inside_addr) is not present:
            return
        if reason is None:
            present.is_written, present.waiting = True, 0
            return
        self._counters.count("subscribers.failed")
        text = f"the switch refused the block of {format_addr(numbered.inside_addr)}: {reason}"
        self._outbox.log(logging.WARNING, text)
        self._forget(present)
        if numbered.is_fixed:
            # A modified entry is not changed back by whoever writes.
            self._outbox.transact((Update(Op.MODIFY, _without_block(numbered)),))
        self._unwritten[numbered.inside_addr] = None
        self._give_back_unwritten(now)

    # Hosts end

    def idle(
        self, inside_addr: int, side: Side, now: float, is_used: Callable[[int], bool]
    ) -> None:
        """Nothing has come from a host (`side` inside) or to its block for the idle timeout.

        `is_used` tells whether the controller has anything of a host that lives on. The switch
        repeats the notice, so that nothing is lost if it does.
        """
        present = self._present.get(inside_addr)
        if present is None:
            return
        if side is Side.INSIDE:
            present.inside_idle, other = now, present.outside_idle
        else:
            present.outside_idle, other = now, present.inside_idle
        if other is not None and now - other <= _SAME and not is_used(inside_addr):
            self._end(present, now)

    def expire(self, now: float) -> None:
        """Give back the further blocks that nobody uses, and those that the switch refused."""
        self._give_back_unwritten(now)
        self.blocks.expire(now)

    def _give_back_unwritten(self, now: float) -> None:
        """The switch will not say that they are idle, so they go with their last binding."""
        for addr in list(self._unwritten):
            numbered = self.blocks.get(addr)
            gone = numbered is None or numbered.own is None or addr in self._present
            if not gone and addr in self.blocks.bindings_of:
                continue
            del self._unwritten[addr]
            if numbered is not None and not gone:
                self.blocks.give_back(numbered, now)

    def report(self, _now: float) -> None:
        """Log the blocks that were taken and given back since the last report."""
        for number, change in list(self.blocks.changes.items()):
            del self.blocks.changes[number]
            self._outbox.log(logging.INFO, _line(change))
            self._outbox.tell(of_block(change))

    def _end(self, present: Presence, now: float) -> None:
        numbered = present.numbered
        host, block = self._entries(numbered)
        self._forget(present)
        self._counters.count("subscribers.ended")
        last = Update(Op.DELETE, host)
        if numbered.is_fixed:
            last = Update(Op.MODIFY, _without_block(numbered))
        self._outbox.transact((last, Update(Op.DELETE, block)))
        self.blocks.give_back(numbered, now)

    def _forget(self, present: Presence) -> None:
        del self._present[present.numbered.inside_addr]
        self._behind.add(present.port, -1)

    # Entries

    def adopt(self, entries: Sequence[t.Entry], now: float) -> list[t.Entry]:
        """Take over the hosts that were found in the switch; returns their entries.

        One that does not fit the settings any more is left out, so that it is deleted.
        """
        blocks = {
            (entry.outside_addr, entry.outside_id): entry
            for entry in entries
            if isinstance(entry, t.Block)
        }
        kept: list[t.Entry] = []
        for entry in entries:
            if not isinstance(entry, t.Subscriber):
                continue
            own = self._own_of(entry, blocks.get((entry.outside_addr, entry.port_base)))
            if own is None and (entry.port_mask or entry.inside_addr not in self._static):
                self.blocks.rest(entry.subscriber, now)
                continue
            if not self.blocks.adopt(entry.inside_addr, entry.subscriber, entry.salt, own, now):
                continue
            numbered = self.blocks.get(entry.inside_addr)
            if numbered is not None and own is not None:
                self._add(numbered, _NOWHERE).is_written = True
                kept += self._entries(numbered)
        return kept

    def forget_bare(self, now: float) -> None:
        """Forget the hosts of which nothing but a number was taken over."""
        for numbered in self.blocks:
            self.blocks.forget_if_bare(numbered, now)

    def fix(self, inside_addr: int, now: float) -> list[t.Entry]:
        """Give a host a number for good; the entry that the switch does not have of it yet."""
        known = self.blocks.get(inside_addr)
        had_one = known is not None and (known.own is not None or known.is_fixed)
        numbered = self.blocks.fix(inside_addr, now)
        return [] if had_one or numbered is None else [_without_block(numbered)]

    def fix_static(self, now: float) -> list[t.Entry]:
        """Give the hosts of static mappings their numbers; the entries of those without a block."""
        found: list[t.Entry] = []
        for addr in self._static:
            numbered = self.blocks.fix(addr, now)
            if numbered is not None and numbered.own is None:
                found.append(_without_block(numbered))
        return found

    def _own_of(self, entry: t.Subscriber, block: t.Block | None) -> Block | None:
        """The block of an entry that was found, if it is as we would write it."""
        layout = self.blocks.layout
        if block is None or entry.inside_addr in self._whole:
            return None
        if not any(entry.outside_addr in prefix for prefix in self._ours):
            return None
        own = self.blocks.block_of(entry.outside_addr, entry.port_base)
        numbered = Numbered(entry.inside_addr, entry.subscriber, entry.salt, own)
        is_one = entry.port_mask + 1 == layout.size and (
            self._key(self._entries(numbered)[1]) == self._key(block)
        )
        return own if is_one else None

    def _key(self, entry: t.Block) -> tuple[int, ...]:
        held = (entry.outside_addr, entry.outside_id, entry.prefix_len)
        return (*held, entry.subscriber, entry.inside_addr, entry.organisation)

    def _entries(self, numbered: Numbered) -> tuple[t.Subscriber, t.Block]:
        """The entries of a host that has a block."""
        assert numbered.own is not None
        outside, first, last = self.blocks.layout.held(numbered.own)
        size = last - first + 1
        host = t.Subscriber(
            numbered.inside_addr,
            numbered.number,
            outside,
            first,
            size - 1,
            numbered.salt,
            self._longest,
        )
        block = t.Block(
            outside,
            first,
            33 - size.bit_length(),
            numbered.number,
            numbered.inside_addr,
            idle_timeout=self._longest,
        )
        return host, block


@dataclass(frozen=True, slots=True)
class _Written:
    """Waits until the entries of a host are written."""

    subscribers: Subscribers
    present: Presence

    def ended(self, reason: str | None, now: float) -> None:
        self.subscribers.written(self.present, reason, now)


def _without_block(numbered: Numbered) -> t.Subscriber:
    return t.Subscriber(numbered.inside_addr, numbered.number)


def _line(change: Change) -> str:
    """The log line of a block that was taken or given back."""
    outside, first, last = change.held
    block = f"{format_addr(outside)} ports {first}-{last}"
    host = format_addr(change.inside_addr)
    if change.seconds is None:
        return f"block taken: {host} has {block}"
    return f"block given back: {host} had {block} for {change.seconds:.0f} s"
