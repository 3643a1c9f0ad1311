"""What the registers of the program are meant to do, as a plain NAT in Python.

It has no arrays of bits, no hashes in hardware and no locks: cells are objects, and a cell's
place is a tuple. Where a cell lies is computed as docs/data-plane.md says, for without that
nobody could tell a collision from a mistake. Times are ticks.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from p4alg.p4constants import GRACE_TICKS, LEND_TICKS, Class, Drop, FilterMode, Phase, Punt

FIN, SYN, RST, ACK = 1, 2, 4, 16
BOTH_SYN = Phase.INSIDE_SYN | Phase.OUTSIDE_SYN
BOTH_FIN = Phase.INSIDE_FIN | Phase.OUTSIDE_FIN
CONTROLLERS_WAY = 3


@dataclass(frozen=True)
class Sizes:
    """Cells a way as powers of two, as the program was compiled."""

    slot_bits: int
    session_bits: int
    window_bits: int


@dataclass(frozen=True)
class Timers:
    """Lifetimes in ticks."""

    udp: int = 40
    icmp: int = 20
    transitory: int = 60
    established: int = 400
    rest: int = 12


@dataclass(frozen=True)
class Subscriber:
    """An inside address and its block."""

    number: int
    inside: int
    outside: int
    port_base: int
    block_size: int
    salt: int


class Segment(NamedTuple):
    """What of a TCP segment matters."""

    flags: int
    seq: int = 0
    ack: int = 0


class Endpoint(NamedTuple):
    """An inside endpoint."""

    kind: Class
    subscriber: int
    port: int


class Flow(NamedTuple):
    """The key of a session."""

    inside: Endpoint
    remote: int
    remote_port: int


@dataclass
class Mapping:
    """A cell of the slots: the mapping of one outside port."""

    endpoint: Endpoint
    port: int
    end: int
    open: int = 0


@dataclass
class Session:
    """A cell of the sessions."""

    flow: Flow
    end: int
    phase: Phase = Phase.NONE
    acked: int = 0

    @property
    def is_over(self) -> bool:
        """Whether a reset or two FINs have ended it."""
        return bool(self.phase & Phase.RESET) or self.phase & BOTH_FIN == BOTH_FIN

    @property
    def is_open(self) -> bool:
        """Whether it is an established connection."""
        return bool(self.phase & Phase.ESTABLISHED) and not self.is_over


class Out(NamedTuple):
    """The packet goes out, from this outside port."""

    port: int


class In(NamedTuple):
    """The packet goes in, to this endpoint."""

    subscriber: int
    port: int


class Change(Enum):
    """What a packet does to the number of open connections of a mapping."""

    NONE = 0
    OPENED = 1
    CLOSED = 2


Verdict = Out | In | Punt | Drop


@dataclass
class Nat:
    """The NAT. `low` and `high` are the random numbers that scramble inside ports."""

    sizes: Sizes
    timers: Timers
    filter_mode: FilterMode
    low: tuple[int, ...]
    high: tuple[int, ...]
    subscribers: dict[int, Subscriber] = field(default_factory=dict)
    mappings: dict[tuple[int, int], Mapping] = field(default_factory=dict)
    sessions: dict[int, Session] = field(default_factory=dict)

    # Where cells lie

    def _bucket(self, kind: Class, number: int, port: int) -> int:
        tag = kind << 30 | number << 16 | port & 0xFFF9
        return zlib.crc32(tag.to_bytes(4, "big")) % (1 << self.sizes.slot_bits)

    def _candidates(self, sub: Subscriber, end: Endpoint) -> list[tuple[tuple[int, int], int]]:
        """The cell and the outside port of an endpoint, for each way of the switch."""
        scramble = self.low[end.port & 0xFF] ^ self.high[end.port >> 8] ^ sub.salt
        first = sub.port_base | scramble & (sub.block_size - 1) & 0xFFF8 | end.port & 1
        bucket = self._bucket(end.kind, sub.number, first)
        return [((way, bucket), first | way << 1) for way in range(CONTROLLERS_WAY)]

    def _places(self, flow: Flow) -> list[int]:
        """The cells of the sessions where a flow can be."""
        end = flow.inside
        who = (end.port << 16 | end.kind << 14 | end.subscriber).to_bytes(4, "big")
        rest = flow.remote.to_bytes(4, "big") + flow.remote_port.to_bytes(2, "big")
        window = zlib.crc32(end.subscriber.to_bytes(2, "big"))
        one, two = zlib.crc32(rest + who), zlib.crc32(who + rest)
        cells, reach = 1 << self.sizes.session_bits, 1 << self.sizes.window_bits
        return [
            way * cells + ((window >> 8 * way << self.sizes.window_bits) % cells | number % reach)
            for way, number in enumerate((one, one >> 16, two, two >> 16))
        ]

    # Packets

    def flow(self, sub: Subscriber, end: Endpoint, remote: int, remote_port: int) -> Flow:
        """The key of a session under the filter."""
        by_address = self.filter_mode is FilterMode.ADDRESS
        return Flow(end, remote, 0 if by_address else remote_port)

    def outbound(
        self, sub: Subscriber, end: Endpoint, remote: int, port: int, now: int, tcp: Segment | None
    ) -> Verdict:
        """A packet of an inside host."""
        flow = self.flow(sub, end, remote, port)
        opening = tcp is None or tcp.flags & (SYN | ACK | RST | FIN) == SYN
        cell, mapping = self._mapping_of(sub, end)
        place = self._alive(flow, now) if mapping else None
        if place is None:
            if not opening:
                return Drop.NO_SESSION
            if end.kind is not Class.ICMP and end.port < 1024:
                return Punt.OVERFLOW
            if mapping is None:
                cell = self._claim_mapping(sub, end, now)
                if cell is None:
                    return Punt.OVERFLOW
            place = self._claim_session(flow, now)
            if place is None:
                self._lend(cell, now)
                return Punt.OVERFLOW
        assert cell is not None
        self._touch(place, cell, now, tcp, True, opening)
        return Out(self.mappings[cell].port)

    def inbound(
        self,
        sub: Subscriber,
        kind: Class,
        outside_port: int,
        remote: int,
        port: int,
        now: int,
        tcp: Segment | None,
    ) -> Verdict:
        """A packet from outside to a port of a subscriber's block."""
        way = outside_port >> 1 & 3
        cell = (way, self._bucket(kind, sub.number, outside_port))
        mapping = self.mappings.get(cell)
        opening = tcp is None or tcp.flags & (SYN | ACK | RST | FIN) == SYN
        is_syn = tcp is not None and opening
        if mapping is None or not _is(mapping, kind, sub.number, outside_port):
            return Punt.SYN if is_syn else Drop.NO_MAPPING
        flow = self.flow(sub, mapping.endpoint, remote, port)
        admitted = self.filter_mode is FilterMode.ENDPOINT_INDEPENDENT
        place = self._alive(flow, now)
        if place is None and not opening:
            return Drop.NO_SESSION
        if place is None and not admitted:
            return Punt.SYN if is_syn else Drop.FILTERED
        if opening and admitted and mapping.end < now:
            return Drop.EXPIRED
        if place is None:
            place = self._claim_session(flow, now)
            if place is None:
                return Punt.OVERFLOW
        self._touch(place, cell, now, tcp, False, opening and admitted)
        return In(sub.number, mapping.endpoint.port)

    # Cells

    def _mapping_of(
        self, sub: Subscriber, end: Endpoint
    ) -> tuple[tuple[int, int] | None, Mapping | None]:
        for cell, _ in self._candidates(sub, end):
            found = self.mappings.get(cell)
            if found is not None and found.endpoint == end:
                return cell, found
        return None, None

    def _claim_mapping(self, sub: Subscriber, end: Endpoint, now: int) -> tuple[int, int] | None:
        for cell, port in self._candidates(sub, end):
            there = self.mappings.get(cell)
            if there is None or there.end + self.timers.rest < now:
                self.mappings[cell] = Mapping(end, port, now + GRACE_TICKS)
                return cell
        return None

    def _place_of(self, flow: Flow) -> int | None:
        for place in self._places(flow):
            there = self.sessions.get(place)
            if there is not None and there.flow == flow:
                return place
        return None

    def _alive(self, flow: Flow, now: int) -> int | None:
        place = self._place_of(flow)
        return None if place is None or self.sessions[place].end < now else place

    def _claim_session(self, flow: Flow, now: int) -> int | None:
        own = self._place_of(flow)
        if own is not None:
            # From before the mapping of its endpoint ended.
            return own
        for place in self._places(flow):
            there = self.sessions.get(place)
            if there is None or there.end < now:
                self.sessions[place] = Session(flow, now + GRACE_TICKS)
                return place
        return None

    def _lend(self, cell: tuple[int, int] | None, now: int) -> None:
        """The packet goes to the controller, which may answer with an entry for this port."""
        assert cell is not None
        mapping = self.mappings[cell]
        if mapping.end >= now:
            mapping.end = max(mapping.end, now + LEND_TICKS)

    # Time

    def _touch(
        self,
        place: int,
        cell: tuple[int, int],
        now: int,
        tcp: Segment | None,
        outbound: bool,
        may_begin: bool,
    ) -> None:
        session, mapping = self.sessions[place], self.mappings[cell]
        was_open = session.end >= now and session.is_open
        if session.end < now or (tcp is not None and may_begin and session.is_over):
            session.phase, session.acked = Phase.NONE, 0
            if session.end < now:
                session.end = now + GRACE_TICKS
        step: Callable[[Session, Segment], None]
        if tcp is None:
            session.phase |= Phase.INSIDE_SYN if outbound else Phase.OUTSIDE_SYN
        else:
            step = _from_inside if outbound else _from_outside
            step(session, tcp)
        change = Change.NONE
        if was_open != session.is_open:
            change = Change.OPENED if session.is_open else Change.CLOSED
        lifetime = self._lifetime(session, tcp)
        if tcp is None or outbound:
            session.end = now + lifetime
            self._hold(mapping, change, now, lifetime)
        elif session.phase & Phase.RESET:
            session.end = min(session.end, now + lifetime)
            if change is Change.CLOSED:
                self._hold(mapping, change, now, lifetime)

    def _lifetime(self, session: Session, tcp: Segment | None) -> int:
        if tcp is None:
            is_udp = session.flow.inside.kind is Class.UDP
            return self.timers.udp if is_udp else self.timers.icmp
        return self.timers.established if session.is_open else self.timers.transitory

    def _hold(self, mapping: Mapping, change: Change, now: int, lifetime: int) -> None:
        if mapping.end < now:
            mapping.open = 0
        if change is Change.OPENED:
            mapping.open += 1
        elif change is Change.CLOSED and mapping.open:
            mapping.open -= 1
            if mapping.open == 0:
                mapping.end = 0
        mapping.end = max(mapping.end, now + lifetime)


def _is(mapping: Mapping, kind: Class, number: int, port: int) -> bool:
    end = mapping.endpoint
    return (end.kind, end.subscriber, mapping.port) == (kind, number, port)


def _from_inside(session: Session, tcp: Segment) -> None:
    if tcp.flags & RST:
        session.phase |= Phase.RESET
        return
    session.phase &= ~Phase.RESET
    if tcp.flags & SYN:
        session.phase |= Phase.INSIDE_SYN
    elif tcp.flags & ACK and session.phase & BOTH_SYN == BOTH_SYN:
        session.phase |= Phase.ESTABLISHED
    if tcp.flags & FIN:
        session.phase |= Phase.INSIDE_FIN
    if tcp.flags & ACK:
        session.acked = tcp.ack


def _from_outside(session: Session, tcp: Segment) -> None:
    if tcp.flags & RST:
        if tcp.seq == session.acked and session.phase & Phase.INSIDE_SYN:
            session.phase |= Phase.RESET
        return
    if tcp.flags & SYN:
        session.phase |= Phase.OUTSIDE_SYN
    if tcp.flags & FIN:
        session.phase |= Phase.OUTSIDE_FIN
