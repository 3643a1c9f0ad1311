"""The table of all control sessions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from p4alg.alg.contract import SharedState
from p4alg.alg.descriptor import Alg, Context
from p4alg.engine.actions import Subsystem
from p4alg.engine.control.guard import GuardedAlg
from p4alg.engine.control.session import ControlSession, facts_of
from p4alg.engine.counters import Counters
from p4alg.engine.faults import Faults
from p4alg.engine.flows import Flow
from p4alg.engine.layout import own_outside
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

_OF_ALL = "of all hosts"


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
        self._own_outside = own_outside(settings)
        self._outbox = outbox
        self._counters = counters
        self._faults = faults
        self._log = log
        self._rate = LogRate(each=1)
        self.configure(settings)
        self._shared = {alg.name: self._share(alg, 0.0) for alg in settings.algs}
        self._per_subscriber: TrackedCounts[int] = TrackedCounts(log)
        self._unproved: TrackedDict[FlowKey, ControlSession] = TrackedDict(log)
        """Sessions whose client had not proved its address when that was last looked at."""
        self._bytes_of: TrackedCounts[int] = TrackedCounts(log)
        """Bytes kept of the streams of each host."""
        self._bytes: TrackedCounts[str] = TrackedCounts(log)
        self._by_key: TrackedDict[FlowKey, ControlSession] = TrackedDict(log)
        self._by_owner: TrackedDict[Owner, ControlSession] = TrackedDict(log)

    def configure(self, settings: Settings) -> None:
        """Have these settings from now on, for control sessions that begin."""
        self._limits = settings.limits
        self._resets = settings.refuse is RefuseMode.RESET
        self._settings = {alg.name: alg for alg in settings.algs}

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
        """The session that makes room for another one at a limit; None: no room, or no need.

        It is the oldest whose client has not proved its address, of that host if the limit is
        the host's. A client that forges its address can begin as many as it likes, and must not
        take the place of honest ones.
        """
        limit = self._limit(inside_addr)
        if not limit:
            return None
        for key, session in list(self._unproved.items()):
            if session.stream.is_proved:
                del self._unproved[key]
            elif limit == _OF_ALL or session.inside_addr == inside_addr:
                return session
        return None

    def _limit(self, inside_addr: int) -> str:
        """The limit that forbids one more session of a host, or an empty string."""
        if self._per_subscriber[inside_addr] >= self._limits.controls_per_subscriber:
            return "of a host"
        return _OF_ALL if len(self._by_key) >= self._limits.controls else ""

    def attach(self, flow: Flow, alg: Alg, *, hairpin: bool, now: float) -> ControlSession | None:
        """Make a new flow a control session of an ALG. If that cannot be, None: it is plain NAT.

        With `hairpin` another inside host has opened it by an outside address of ours. The
        session of the host that opens it is known by its remote address.
        """
        remote = flow.key.remote_addr
        hairpin = hairpin or any(remote in prefix for prefix in self._own_outside)
        limit = self._limit(flow.key.inside_addr)
        if limit:
            self._counters.count(f"alg.{alg.name}.controls.refused")
            if self._rate.admit((alg.name, flow.key.inside_addr), now) is not None:
                text = f"{alg.name}: control session limit {limit} reached; not followed"
                self._outbox.log(logging.WARNING, text, Subsystem.ALG)
            return None
        owner = Owner(alg.name, alg.alg_id, facts_of(flow), alg.outlives, alg.for_others)
        followed = self._followed(alg, owner, now)
        if followed is None:
            return None
        session = ControlSession(alg, flow, owner, *followed, hairpin)
        flow.alg, flow.alg_id, flow.label = alg.name, alg.alg_id, "control"
        self._by_key[flow.key] = session
        self._by_owner[owner] = session
        if not session.stream.is_proved:
            self._unproved[flow.key] = session
        self._per_subscriber.add(flow.key.inside_addr)
        self._counters.count(f"alg.{alg.name}.controls.opened")
        return session

    def renew(self, session: ControlSession, now: float) -> bool:
        """Begin a session anew on the same flow. False if its ALG raises."""
        followed = self._followed(session.alg, session.owner, now)
        if followed is not None:
            session.machine, session.stream = followed
            self._unproved[session.flow.key] = session
            self._count_bytes(session, 0)
        return followed is not None

    def leave(self, session: ControlSession) -> bool:
        """Forget a control session. Its flow stays. False if it was forgotten before."""
        if self._by_key.pop(session.flow.key, None) is None:
            return False
        self._by_owner.pop(session.owner, None)
        self._unproved.pop(session.flow.key, None)
        self._count_bytes(session, 0)
        session.flow.alg_id = 0
        self._per_subscriber.add(session.inside_addr, -1)
        return True

    # What they keep in memory

    def takes_too_much(self, session: ControlSession) -> bool:
        """Count what the follower of a session keeps; whether its host keeps too much then.

        A host may keep no more than is left to all others, so that it can take the memory of
        nobody.
        """
        if session.flow.key not in self._by_key:
            return False
        self._count_bytes(session, session.stream.bytes_held)
        free = self._limits.control_bytes - self._bytes[_OF_ALL]
        return session.bytes_held > 0 and self._bytes_of[session.inside_addr] > free

    def _count_bytes(self, session: ControlSession, kept: int) -> None:
        more = kept - session.bytes_held
        if more:
            self._bytes_of.add(session.inside_addr, more)
            self._bytes.add(_OF_ALL, more)
            session.bytes_held = kept

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
