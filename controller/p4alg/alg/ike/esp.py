"""Which inside host an ESP packet belongs to, when several share an outside address (RFC 4303).

The receiver of ESP chooses the SPI, and tells it to the sender under IKE's encryption. So
the SPI by which an inside host is reached becomes known with the first packet that has it.
This module decides which host it is; the switch then forwards by SPI alone. `pairing`
explains by what reasoning, and has the states. Two words from there are used here:

A *line* is all that happens between one outside address and one remote address. An
*exchange* begins in a line when an inside host uses a new outbound SPI, and is answered by
the first unknown SPI that comes back. One host at a time has exchanges in a line.

Any host that speaks IKE can send a packet with an SPI of its own choice, and so hold the line.
It must not get the SPI that the remote has agreed on with another host. So a host is *owed* an
SPI for each exchange of IKE in which the remote agreed to one, until one has come. A host that
is owed nothing waits behind one that is, and does not win against it.

A packet that could belong to more than one host is dropped, and the reason is counted. A
lost packet is sent again; but one that is given to the wrong host decides where all
later packets with its SPI go.

Packets, tables and the time are unknown here: addresses are integers, and `now` is an
argument in seconds.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from p4alg.alg.ike.pairing import SA_STATES, TURNS, SaEvent, SaState, Turn, TurnEvent

_LOWEST_SPI, _HIGHEST_SPI = 256, 0xFFFFFFFF
_HEADER = 8
_MOST_OWED = 16
"""IKE SAs are rekeyed by the same kind of exchange, after which no SPI comes."""


class Sa(NamedTuple):
    """One direction of an inside host's ESP with `remote`, known outside as `outside`."""

    inside: int
    outside: int
    remote: int
    spi: int
    is_inbound: bool


@dataclass(frozen=True, slots=True)
class Learn:
    """Install `sa` and let the packet go on.

    `is_new` is False for an SA that was known before and is perhaps installed. `is_rekey`
    tells that the host has another SA with that remote in that direction. `contested` is
    another host with an exchange that was never answered: the SPI could be its late answer.
    """

    sa: Sa
    is_new: bool = True
    is_rekey: bool = False
    contested: int | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Drop the packet for now: it is the turn of the inside host `behind`."""

    behind: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Drop the packet; `reason` is a stable, countable word.

    `between` are the hosts that it could be for, if it cannot be told and the operator has not
    been told so just now.
    """

    reason: str
    between: tuple[int, ...] = ()


Decision = Learn | Wait | Drop


@dataclass(frozen=True, slots=True)
class EspLimits:
    """How many of each thing there may be, and times in seconds. An SA is one direction.

    Numbers: `per_host` and `total` SAs; `unsolicited` inbound SAs that a host has with one
    remote without having begun an exchange; `waiting` hosts in a line; `relations_per_host`
    and `relations` pairs of a host and a remote.

    Times: an exchange is `pending` for that long, and if no answer comes, its SA is
    withdrawn `retry` later. A host waits for its turn for `waiting_for` after its last packet.
    For `keying` after the remote agreed to SAs with a host, an unknown SPI may belong to it.
    It is owed for `owed`: an SA is used soon, or rekeyed.
    Packets with a learnt SPI may still come from the switch for `settle`, until it is
    installed. That a host speaks IKE with a remote is remembered for `ike`.
    """

    per_host: int = 128
    total: int = 8192
    unsolicited: int = 4
    waiting: int = 16
    relations_per_host: int = 64
    relations: int = 4096
    pending: float = 10.0
    retry: float = 60.0
    waiting_for: float = 5.0
    keying: float = 2.0
    owed: float = 3600.0
    settle: float = 2.0
    ike: float = 28800.0


@dataclass(slots=True, eq=False)
class _Half:
    """An SA that was learnt at `since`; `mate` is the SA of the other direction, once known."""

    sa: Sa
    since: float
    state: SaState
    mate: _Half | None = None

    def step(self, event: SaEvent) -> None:
        """Go on to the state that follows."""
        self.state = SA_STATES[self.state][event]


@dataclass(slots=True)
class _Relation:
    """What one inside host has with the remote of a line.

    `open_out` and `open_in` are its SAs without a mate, oldest first. `owed` counts the
    exchanges of IKE in which the remote agreed to SAs, less the inbound SAs that came since;
    `keyed_at` is when the last of them was.
    """

    ike_at: float | None = None
    keyed_at: float = -math.inf
    owed: int = 0
    # How many SAs there are: outbound, and inbound.
    halves: list[int] = field(default_factory=lambda: [0, 0])
    open_out: list[_Half] = field(default_factory=list)
    open_in: list[_Half] = field(default_factory=list)


@dataclass(slots=True)
class _Line:
    """The hosts that talk to one remote through one outside address."""

    relations: dict[int, _Relation] = field(default_factory=dict)
    holder: int | None = None
    # The hosts that wait, in the order of their turns, and when each last sent.
    waiting: dict[int, float] = field(default_factory=dict)
    # SAs that were PENDING or UNASKED when they were learnt, oldest first.
    timed: deque[_Half] = field(default_factory=deque)
    # When it was last told that an SPI could be for several hosts.
    told_at: float = -math.inf

    def is_owed(self, inside: int) -> bool:
        """Whether the remote has agreed with a host to an SPI that has not come yet."""
        return inside in self.relations and self.relations[inside].owed > 0

    def step(self, inside: int, event: TurnEvent, sent_at: float | None = None) -> None:
        """Give a host the turn that follows; `sent_at` is when it sent, if it did now."""
        turn = TURNS[Turn((self.holder == inside, inside in self.waiting))][event]
        if turn.holds:
            self.holder = inside
        elif self.holder == inside:
            self.holder = None
        if not turn.waits:
            self.waiting.pop(inside, None)
        elif sent_at is not None:
            self.waiting[inside] = sent_at


def read_spi(payload: bytes) -> int | Drop:
    """The SPI of an ESP packet from behind its IP header (RFC 4303 section 2)."""
    if len(payload) < _HEADER:
        return Drop("truncated")
    spi = int.from_bytes(payload[:4], "big")
    reason = _objection(spi)
    return Drop(reason) if reason else spi


def _objection(spi: int) -> str:
    """RFC 4303 section 2.1: zero never travels, 1 to 255 are reserved."""
    if _LOWEST_SPI <= spi <= _HIGHEST_SPI:
        return ""
    return "reserved-spi" if spi else "zero-spi"


def _less(counts: Counter[int], key: int) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]


class EspTracker:
    """Which host has which SPI, and whose turn it is.

    With `require_ike`, ESP of a host is refused unless it has spoken IKE with that remote.
    """

    def __init__(self, limits: EspLimits | None = None, require_ike: bool = True) -> None:
        self._limits = limits or EspLimits()
        self._require_ike = require_ike
        self._lines: dict[tuple[int, int], _Line] = {}
        self._halves: dict[Sa, _Half] = {}
        # Inbound SAs by outside address and SPI, and then by remote. The switch finds the host
        # by outside address and SPI, so all SAs of one entry have the same inside host.
        self._inbound: dict[tuple[int, int], dict[int, _Half]] = {}
        self._per_host: Counter[int] = Counter()
        self._relations_of: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._halves)

    def note_ike(
        self, inside: int, outside: int, remote: int, now: float, *, keying: bool = False
    ) -> Drop | None:
        """Note that `inside` and `remote` speak IKE; `keying` if `remote` now agreed to SAs."""
        relation = self._relate(inside, outside, remote)
        if isinstance(relation, Drop):
            return relation
        relation.ike_at = now
        if keying:
            relation.keyed_at = now
            relation.owed = min(relation.owed + 1, _MOST_OWED)
        return None

    def outbound(self, inside: int, outside: int, remote: int, spi: int, now: float) -> Decision:
        """Decide about an ESP packet of `inside` whose SPI the switch does not know."""
        sa = Sa(inside, outside, remote, spi, False)
        reason = _objection(spi)
        if reason:
            return Drop(reason)
        if sa in self._halves:
            return Learn(sa, is_new=False)
        line = self._line(outside, remote, now)
        if self._require_ike and not self._is_related(line.relations.get(inside), now):
            return Drop("no-ike")
        reason = self._at_limit(inside)
        if reason:
            return Drop(reason)
        relation = self._relate(inside, outside, remote)
        if isinstance(relation, Drop):
            return relation
        if relation.open_in and relation.open_in[0].state is SaState.UNASKED:
            # The remote used the new SAs first, and so this host's exchange has its answer already.
            return self._add(relation, sa, relation.open_in.pop(0), now)
        line = self._line(outside, remote, now)
        self._give_way(line, inside)
        # A host that is owed an SPI waits only behind others that are.
        is_owed = line.is_owed(inside)
        before = (at for at in line.waiting if at == inside or line.is_owed(at) or not is_owed)
        first = next(before, inside)
        if line.holder not in (None, inside) or first != inside:
            if inside not in line.waiting and len(line.waiting) >= self._limits.waiting:
                return Drop("queue-full")
            line.step(inside, TurnEvent.SENDS_BEHIND, now)
            return Wait(first if line.holder is None else line.holder)
        line.step(inside, TurnEvent.SENDS_FIRST)
        return self._add(relation, sa, None, now)

    def inbound(
        self, remote: int, outside: int, spi: int, now: float, *, static: int | None = None
    ) -> Decision:
        """Decide about an ESP packet to `outside` whose SPI the switch does not know.

        `static` is the inside host that a static mapping of the address leads to, if there is one.
        """
        reason = _objection(spi)
        if reason:
            return Drop(reason)
        line = self._line(outside, remote, now)
        of_spi = self._inbound.get((outside, spi), {})
        known = of_spi.get(remote)
        if known is not None:
            is_late = known.since + self._limits.settle <= now
            if is_late and line.holder not in (None, known.sa.inside):
                # The switch knows this SPI by now, so the packet is no late copy. It answers the
                # holder's exchange with an SPI that another host has already.
                return Drop("spi-in-use")
            return Learn(known.sa, is_new=False)
        inside = self._receiver(line, now, static)
        if isinstance(inside, Drop):
            return inside
        if any(half.sa.inside != inside for half in of_spi.values()):
            return Drop("spi-in-use")
        reason = self._at_limit(inside)
        if reason:
            return Drop(reason)
        relation = self._relate(inside, outside, remote)
        if isinstance(relation, Drop):
            return relation
        if not relation.open_out and len(relation.open_in) >= self._limits.unsolicited:
            # Otherwise somebody who forges the remote's address could use up the host's share.
            return Drop("unsolicited")
        asked = [half for half in relation.open_out if half.state is SaState.PENDING]
        mate = next(iter(asked or relation.open_out), None)
        if mate is not None:
            relation.open_out.remove(mate)
        learnt = self._add(relation, Sa(inside, outside, remote, spi, True), mate, now)
        relation.owed = max(relation.owed - 1, 0)
        # This could also be the late answer to another host's exchange. Nothing on the wire
        # tells, so the operator is told that it may be wrong.
        late = [at for at, other in line.relations.items() if at != inside and other.open_out]
        return replace(learnt, contested=late[0]) if late else learnt

    def adopt(self, sa: Sa, now: float) -> Drop | None:
        """Take over an SA found in the switch after a restart; returns why not, or None.

        It begins no exchange: nobody waits for it.
        """
        of_spi = self._inbound.get((sa.outside, sa.spi), {}) if sa.is_inbound else {}
        if any(half.sa.inside != sa.inside for half in of_spi.values()):
            return Drop("spi-in-use")
        reason = self._at_limit(sa.inside)
        if reason or sa in self._halves:
            return Drop(reason) if reason else None
        relation = self._relate(sa.inside, sa.outside, sa.remote)
        if isinstance(relation, Drop):
            return relation
        others = relation.open_out if sa.is_inbound else relation.open_in
        self._add(relation, sa, others.pop(0) if others else None, now - self._limits.pending)
        half = self._halves[sa]
        if half.mate is None:
            half.step(SaEvent.LATE)
        return None

    def forget(self, sa: Sa) -> tuple[Sa, ...]:
        """Note that `sa` was idle and has left the switch; returns the SAs that have to leave too.

        An outbound SA is remembered while its answer is in use, and its next packet installs
        it again. When the answer goes, the outbound SA goes too, so that its next packet
        begins a new exchange.
        """
        half = self._halves.get(sa)
        if half is None:
            return ()
        half.step(SaEvent.IDLE)
        if half.state is not SaState.GONE:
            return ()
        self._remove(half)
        if half.mate is None:
            return ()
        half.mate.step(SaEvent.MATE_GONE)
        self._remove(half.mate)
        return (half.mate.sa,)

    def expect_none(self) -> None:
        """Owe no host an SPI any more, since it cannot be known which of them have come."""
        for line in self._lines.values():
            for relation in line.relations.values():
                relation.owed, relation.keyed_at = 0, -math.inf

    def expire(self, now: float) -> tuple[Sa, ...]:
        """Let time pass; returns the unanswered SAs that have to leave the switch."""
        withdrawn: list[Sa] = []
        for key, line in list(self._lines.items()):
            self._settle(line, now)
            for inside, relation in list(line.relations.items()):
                for half in [h for h in relation.open_out if h.state is SaState.OVERDUE]:
                    if half.since + self._limits.pending + self._limits.retry <= now:
                        half.step(SaEvent.WITHDRAWN)
                        self._remove(half)
                        withdrawn.append(half.sa)
                if not self._is_related(relation, now):
                    del line.relations[inside]
                    _less(self._relations_of, inside)
            if not (line.relations or line.waiting):
                del self._lines[key]
        return tuple(withdrawn)

    def _receiver(self, line: _Line, now: float, static: int | None) -> int | Drop:
        """The host that an unknown inbound SPI of a line belongs to, or why that is not clear."""
        related = [at for at, known in line.relations.items() if self._is_related(known, now)]
        if line.holder is not None:
            return self._holder_or_owed(line, line.holder, related, now)
        if static is not None and static not in related:
            if not self._require_ike:
                related.append(static)
            elif not related:
                return Drop("no-ike")
        return related[0] if len(related) == 1 else Drop("unknown-spi")

    def _holder_or_owed(
        self, line: _Line, holder: int, related: Sequence[int], now: float
    ) -> int | Drop:
        """The holder of a line, unless the SPI may be one that the remote owes another host."""
        owed = [inside for inside in related if inside != holder and line.is_owed(inside)]
        if owed and not line.is_owed(holder):
            # What the holder sent proves nothing: it may have made its SPI up.
            return owed[0] if len(owed) == 1 else self._unclear(line, owed, now)
        pending = line.relations[holder].open_out
        begun = min((h.since for h in pending if h.state is SaState.PENDING), default=now)
        since = min(begun, now - self._limits.keying)
        rivals = [inside for inside in owed if line.relations[inside].keyed_at > since]
        return self._unclear(line, [holder, *rivals], now) if rivals else holder

    def _unclear(self, line: _Line, between: Sequence[int], now: float) -> Drop:
        if now < line.told_at + self._limits.pending:
            return Drop("ambiguous")
        line.told_at = now
        return Drop("ambiguous", tuple(between))

    def _give_way(self, line: _Line, inside: int) -> None:
        """A host that is owed an SPI has sent a new one: it does not wait for one that is not."""
        holder = line.holder
        if holder in (None, inside) or not line.is_owed(inside) or line.is_owed(holder):
            return
        for half in line.relations[holder].open_out:
            if half.state is SaState.PENDING:
                half.step(SaEvent.LATE)
        line.step(holder, TurnEvent.SETTLED)

    def _line(self, outside: int, remote: int, now: float) -> _Line:
        """The line as it is at `now`; an empty one, which is not kept, if there is none."""
        line = self._lines.get((outside, remote)) or _Line()
        self._settle(line, now)
        return line

    def _settle(self, line: _Line, now: float) -> None:
        """Let time pass: for the SAs of a line, then for the turns of its hosts."""
        for relation in line.relations.values():
            if relation.keyed_at + self._limits.owed <= now:
                relation.owed = 0
        while line.timed and line.timed[0].since + self._limits.pending <= now:
            half = line.timed.popleft()
            if SaEvent.LATE in SA_STATES[half.state]:
                half.step(SaEvent.LATE)
        if line.holder is not None:
            # A host without a relation has no SAs either.
            holder = line.relations.get(line.holder) or _Relation()
            if not any(half.state is SaState.PENDING for half in holder.open_out):
                line.step(line.holder, TurnEvent.SETTLED)
        for inside, last_sent in list(line.waiting.items()):
            if last_sent + self._limits.waiting_for <= now:
                line.step(inside, TurnEvent.GAVE_UP)

    def _is_related(self, relation: _Relation | None, now: float) -> bool:
        if relation is None:
            return False
        is_fresh = relation.ike_at is not None and now < relation.ike_at + self._limits.ike
        return is_fresh or any(relation.halves)

    def _at_limit(self, inside: int) -> str:
        if len(self._halves) >= self._limits.total:
            return "limit"
        return "host-limit" if self._per_host[inside] >= self._limits.per_host else ""

    def _relate(self, inside: int, outside: int, remote: int) -> _Relation | Drop:
        line = self._lines.get((outside, remote)) or _Line()
        relation = line.relations.get(inside)
        if relation is None:
            if self._relations_of.total() >= self._limits.relations:
                return Drop("limit")
            if self._relations_of[inside] >= self._limits.relations_per_host:
                return Drop("host-limit")
            relation = line.relations[inside] = _Relation()
            self._lines[outside, remote] = line
            self._relations_of[inside] += 1
        return relation

    def _add(self, relation: _Relation, sa: Sa, mate: _Half | None, now: float) -> Learn:
        state = SaState.UNASKED if sa.is_inbound else SaState.PENDING
        half = self._halves[sa] = _Half(sa, now, state, mate)
        self._per_host[sa.inside] += 1
        relation.halves[sa.is_inbound] += 1
        if sa.is_inbound:
            self._inbound.setdefault((sa.outside, sa.spi), {})[sa.remote] = half
        if mate is not None:
            mate.mate = half
            for one in (half, mate):
                one.step(SaEvent.PAIRED)
        else:
            (relation.open_in if sa.is_inbound else relation.open_out).append(half)
            self._lines[sa.outside, sa.remote].timed.append(half)
        return Learn(sa, is_rekey=relation.halves[sa.is_inbound] > 1)

    def _remove(self, half: _Half) -> None:
        sa = half.sa
        del self._halves[sa]
        _less(self._per_host, sa.inside)
        relation = self._lines[sa.outside, sa.remote].relations[sa.inside]
        relation.halves[sa.is_inbound] -= 1
        for halves in (relation.open_in, relation.open_out):
            if half in halves:
                halves.remove(half)
        if sa.is_inbound:
            of_spi = self._inbound[sa.outside, sa.spi]
            del of_spi[sa.remote]
            if not of_spi:
                del self._inbound[sa.outside, sa.spi]
