"""Data flows from inside that control messages have announced.

An inside host may open any flow, so no pinhole is needed to let them out. But the switch sets plain
flows up by itself, and then they have neither the label and the timer that their ALG wants, nor the
outside address of the control session. So an entry in `pinhole` has it punt their first packet. If
the entry is not there, because the table is full, they are plain flows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from p4alg.alg.contract import Endpoint, Grant, PinholeRequest, Refusal
from p4alg.alg.descriptor import MAX_ID
from p4alg.engine import tables as t
from p4alg.engine.outbox import Outbox
from p4alg.engine.pinhole import Owner
from p4alg.engine.pinholes import Pinholes
from p4alg.engine.safety import Safety
from p4alg.engine.settings import Limits
from p4alg.engine.tables import FlowKey, Op, Update
from p4alg.protocols import proto_name
from p4alg.undo import TrackedCounts, TrackedDict, UndoLog

EXPECTED_ID = MAX_ID + 1
"""Stands for the ALG in those entries, since flows from other ports to the same remote end may come
as well, and are not control connections of an ALG."""
_Match = tuple[int, int, int, int]
"""Protocol, inside address, remote address and port."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """A flow from inside that is expected until the time `expires` (seconds)."""

    number: int
    owner: Owner
    request: PinholeRequest
    expires: float
    entry: t.PinholeEntry | None
    """What has the switch punt the first packet; None if the switch has refused it."""

    def __str__(self) -> str:
        return f"{proto_name(self.request.proto)} from inside to {self.request.listen}"


class Expectations:
    """All expected flows. Their number has the same limits as that of pinholes."""

    def __init__(
        self, limits: Limits, safety: Safety, pinholes: Pinholes, outbox: Outbox, log: UndoLog
    ) -> None:
        self.limits = limits
        """They may be changed, for all that is asked for from now on."""
        self._outbox = outbox
        self._safety = safety
        self._pinholes = pinholes
        self._expected: TrackedDict[_Match, Expectation] = TrackedDict(log)
        self._per_owner: TrackedCounts[Owner] = TrackedCounts(log)
        self._per_subscriber: TrackedCounts[int] = TrackedCounts(log)

    def add(self, owner: Owner, request: PinholeRequest, now: float) -> Grant | Refusal:
        """Expect a flow. If it is expected already, its lifetime begins anew."""
        reason = self._safety.of_request(request, owner.facts)
        match = (request.proto, owner.inside_addr, *request.listen)
        if not reason and match not in self._expected:
            reason = self._limit(owner)
        if reason:
            return Refusal(reason)
        request = self._safety.bounded(request)
        number = self._pinholes.new_id()
        known = self._expected.get(match)
        entry = known.entry if known is not None else None
        if entry is not None:
            self._forget(match)
        else:
            self._drop(match)
            entry = _entry(match, number)
            waiter = _Written(self, match, entry)
            self._outbox.transact((Update(Op.INSERT, entry),), (), waiter)
        expected = Expectation(number, owner, request, now + request.lifetime, entry)
        self._expected[match] = expected
        self._per_owner.add(owner)
        self._per_subscriber.add(owner.inside_addr)
        return Grant(number, Endpoint(*request.listen))

    def take(self, key: FlowKey, now: float) -> Expectation | None:
        """Remove the expectation that flow `key` meets, and return it; None if there is none."""
        found = self._drop((key.proto, key.inside_addr, key.remote_addr, key.remote_id))
        return found if found is not None and found.expires > now else None

    def has(self, key: FlowKey, now: float) -> bool:
        """Whether flow `key` is expected."""
        found = self._expected.get((key.proto, key.inside_addr, key.remote_addr, key.remote_id))
        return found is not None and found.expires > now

    def get(self, number: int) -> Expectation | None:
        """An expectation by its number."""
        return next((e for e in self._expected.values() if e.number == number), None)

    def refused(self, match: _Match, entry: t.PinholeEntry) -> None:
        """The switch has refused the entry of an expectation."""
        found = self._expected.get(match)
        if found is not None and found.entry is entry:
            self._pinholes.counters.count(f"alg.{found.owner.alg}.expected.refused.tables")
            self._expected[match] = replace(found, entry=None)

    def withdraw(self, number: int) -> None:
        """Remove an expectation. Unknown numbers are ignored."""
        self._drop_where(lambda expected: expected.number == number)

    def withdraw_of(self, owner: Owner) -> None:
        """Remove all expectations of a control session."""
        self._drop_where(lambda expected: expected.owner is owner)

    def expire(self, now: float) -> None:
        """Remove the expectations whose time is over."""
        self._drop_where(lambda expected: expected.expires <= now)

    def _limit(self, owner: Owner) -> str:
        limits = self.limits
        if self._per_owner[owner] >= limits.pinholes_per_control:
            return "control-limit"
        if self._per_subscriber[owner.inside_addr] >= limits.pinholes_per_subscriber:
            return "subscriber-limit"
        return "pinhole-limit" if len(self._expected) >= limits.pinholes else ""

    def _drop_where(self, is_meant: Callable[[Expectation], bool]) -> None:
        for match in [m for m, expected in self._expected.items() if is_meant(expected)]:
            self._drop(match)

    def _drop(self, match: _Match) -> Expectation | None:
        found = self._forget(match)
        if found is not None and found.entry is not None:
            self._outbox.transact((Update(Op.DELETE, found.entry),))
        return found

    def _forget(self, match: _Match) -> Expectation | None:
        found: Expectation | None = self._expected.pop(match, None)
        if found is not None:
            self._per_owner.add(found.owner, -1)
            self._per_subscriber.add(found.owner.inside_addr, -1)
        return found


@dataclass(frozen=True, slots=True)
class _Written:
    """Waits until the entry of an expected flow is written."""

    expectations: Expectations
    match: _Match
    entry: t.PinholeEntry

    def ended(self, reason: str | None, _now: float) -> None:
        if reason is not None:
            self.expectations.refused(self.match, self.entry)


def _entry(match: _Match, number: int) -> t.PinholeEntry:
    proto, inside_addr, addr, port = match
    return t.PinholeEntry(proto, inside_addr, None, addr, port, number, alg_id=EXPECTED_ID)
