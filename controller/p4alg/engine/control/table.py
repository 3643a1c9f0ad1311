"""The table of all control sessions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from p4alg.alg.contract import SharedState
from p4alg.alg.descriptor import Alg, Context
from p4alg.engine.control.guard import GuardedAlg
from p4alg.engine.control.session import ControlSession, facts_of
from p4alg.engine.counters import Counters
from p4alg.engine.faults import Faults
from p4alg.engine.flows import Flow
from p4alg.engine.log_rate import LogRate
from p4alg.engine.outbox import Outbox
from p4alg.engine.pinhole import Owner
from p4alg.engine.settings import AlgSettings, RefuseMode, Settings
from p4alg.engine.tables import FlowKey
from p4alg.protocols import UDP
from p4alg.stream.datagram import DatagramFollower
from p4alg.stream.effects import Follower
from p4alg.stream.tcp import StreamFollower, StreamLimits
from p4alg.undo import TrackedCounts, TrackedDict, UndoLog


class ControlSessions:
    """All control sessions, by the key of their flow, and the shared state of each ALG."""

    def __init__(
        self,
        settings: Settings,
        outbox: Outbox,
        counters: Counters,
        faults: Faults,
        log: UndoLog,
    ) -> None:
        self._limits = settings.limits
        self._resets = settings.refuse is RefuseMode.RESET
        self._outbox = outbox
        self._counters = counters
        self._faults = faults
        self._log = log
        self._rate = LogRate(each=1)
        self._settings = {alg.name: alg for alg in settings.algs}
        self._shared = {alg.name: self._share(alg, 0.0) for alg in settings.algs}
        self._per_subscriber: TrackedCounts[int] = TrackedCounts(log)
        self._by_key: TrackedDict[FlowKey, ControlSession] = TrackedDict(log)
        self._by_owner: TrackedDict[Owner, ControlSession] = TrackedDict(log)

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: FlowKey | None) -> ControlSession | None:
        """The control session of the flow `key`; None if it is not one."""
        return None if key is None else self._by_key.get(key)

    def of_owner(self, owner: Owner | None) -> ControlSession | None:
        """The control session that `owner` stands for; None if it has ended."""
        return None if owner is None else self._by_owner.get(owner)

    def all(self, alg: str | None = None) -> list[ControlSession]:
        """Every control session, or those of one ALG."""
        return [s for s in self._by_key.values() if alg in (None, s.alg.name)]

    def count_of(self, inside_addr: int) -> int:
        """How many control sessions a host has."""
        return self._per_subscriber[inside_addr]

    @property
    def shared(self) -> Mapping[str, Any]:
        """The state that all sessions of an ALG share (`Alg.share`), by the name of the ALG."""
        return self._shared

    def renew_shared(self, alg: str, now: float) -> None:
        """Replace the shared state of an ALG by a new one."""
        self._shared[alg] = self._share(self._settings[alg], now)

    # Sessions begin and end

    def to_give_up(self, inside_addr: int) -> ControlSession | None:
        """The session that makes room for another one of a host at its limit; None: no room.

        It is the oldest whose client has not proved its address. A client that forges its
        address can begin as many as it likes, and must not take the place of honest ones.
        """
        if self._per_subscriber[inside_addr] < self._limits.controls_per_subscriber:
            return None
        for session in self._by_key.values():
            if session.inside_addr == inside_addr and not session.stream.is_proved:
                return session
        return None

    def attach(self, flow: Flow, alg: Alg, *, hairpin: bool, now: float) -> ControlSession | None:
        """Make a new flow a control session of an ALG. If that cannot be, None: it is plain NAT."""
        if self._per_subscriber[flow.key.inside_addr] >= self._limits.controls_per_subscriber:
            self._counters.count(f"alg.{alg.name}.controls.refused")
            if self._rate.admit((alg.name, flow.key.inside_addr), now) is not None:
                text = f"{alg.name}: control session limit of a host reached; not followed"
                self._outbox.log(logging.WARNING, text)
            return None
        owner = Owner(alg.name, alg.alg_id, facts_of(flow), alg.outlives)
        followed = self._followed(alg, owner, now)
        if followed is None:
            return None
        session = ControlSession(alg, flow, owner, *followed, hairpin)
        flow.alg, flow.alg_id, flow.label = alg.name, alg.alg_id, "control"
        self._by_key[flow.key] = session
        self._by_owner[owner] = session
        self._per_subscriber.add(flow.key.inside_addr)
        self._counters.count(f"alg.{alg.name}.controls.opened")
        return session

    def renew(self, session: ControlSession, now: float) -> bool:
        """Begin a session anew on the same flow. False if its ALG raises."""
        followed = self._followed(session.alg, session.owner, now)
        if followed is not None:
            session.machine, session.stream = followed
        return followed is not None

    def leave(self, session: ControlSession) -> bool:
        """Forget a control session. Its flow stays. False if it was forgotten before."""
        if self._by_key.pop(session.flow.key, None) is None:
            return False
        self._by_owner.pop(session.owner, None)
        session.flow.alg_id = 0
        self._per_subscriber.add(session.inside_addr, -1)
        return True

    def _followed(self, alg: Alg, owner: Owner, now: float) -> tuple[GuardedAlg, Follower] | None:
        """Make the machine of a control session and its follower; None if the ALG raises."""
        limits = self._limits
        try:
            made = alg.make(owner.facts, self._context(self._settings[alg.name], self._shared))
        except Exception as error:
            what = f"{alg.name}: {owner}: not followed"
            self._faults.report(f"alg.{alg.name}.faults", what, error, now)
            return None
        if owner.facts.proto == UDP:
            guarded = GuardedAlg(made, is_stream=False)
            return guarded, DatagramFollower(guarded, pass_refused=not self._resets)
        guarded = GuardedAlg(made, is_stream=True)
        bounds = StreamLimits(max(alg.message, limits.message), limits.stream, self._resets)
        return guarded, StreamFollower(guarded, bounds)

    def _share(self, settings: AlgSettings, now: float) -> object:
        try:
            return settings.alg.share(self._context(settings, {}))
        except Exception as error:
            what = f"{settings.name}: its common state could not be made"
            self._faults.report(f"alg.{settings.name}.faults", what, error, now)
            return None

    def _context(self, settings: AlgSettings, shared: Mapping[str, Any]) -> Context:
        return Context(
            self._limits.message,
            self._limits.pinhole_lifetime,
            settings.all_options,
            shared.get(settings.name),
        )

    def expired(self, alg: str, now: float) -> Sequence[int]:
        """The numbers of what the shared state of an ALG wants to end at this time."""
        shared = self._shared[alg]
        if not isinstance(shared, SharedState):
            return ()
        savepoint = self._log.savepoint()
        try:
            return [int(number) for number in shared.expire(now)]
        except Exception as error:
            self._log.roll_back(savepoint)
            what = f"{alg}: the timers of its common state"
            self._faults.report(f"alg.{alg}.faults", what, error, now)
            return ()
