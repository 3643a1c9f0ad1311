"""Multicast groups and clone sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from p4softswitch.errors import Reason, StateError

MAX_GROUP_ID = (1 << 15) - 1
MAX_SESSION_ID = (1 << 15) - 1
MAX_GROUPS = 4096
MAX_REPLICAS = 4096


@dataclass(frozen=True, slots=True)
class Replica:
    """A copy of a packet: where it goes and the `egress_rid` it carries."""

    port: int
    instance: int


@dataclass(frozen=True, slots=True)
class MulticastGroup:
    """A multicast group as written; `copies` is the order in which BMv2 sends."""

    id: int
    replicas: tuple[Replica, ...]
    metadata: bytes = b""

    def copies(self) -> tuple[Replica, ...]:
        """Replicas by instance in order of first appearance, ports ascending in each."""
        rank: dict[int, int] = {}
        for replica in self.replicas:
            rank.setdefault(replica.instance, len(rank))
        return tuple(sorted(self.replicas, key=lambda r: (rank[r.instance], r.port)))


@dataclass(frozen=True, slots=True)
class CloneSession:
    """A clone session; `truncate_to` is in bytes, 0 keeps the packet whole."""

    id: int
    replicas: tuple[Replica, ...]
    class_of_service: int = 0
    truncate_to: int = 0

    def copies(self) -> tuple[Replica, ...]:
        """Replicas in the order in which they are sent."""
        return MulticastGroup(self.id, self.replicas).copies()


Sink = Callable[[bool, int, tuple[Replica, ...], int], None]
"""Takes what becomes of a group or session: whether it is a session, its number, its copies in
order (none: it is gone), and to how many bytes they are cut (0: not at all)."""


class ReplicationStore:
    """All groups and sessions of the switch."""

    def __init__(self, sink: Sink = lambda *_: None) -> None:
        self._sink = sink
        self._groups: dict[int, MulticastGroup] = {}
        self._sessions: dict[int, CloneSession] = {}
        self._group_copies: dict[int, tuple[Replica, ...]] = {}
        self._session_copies: dict[int, tuple[Replica, ...]] = {}

    def copies(self, group: int) -> tuple[Replica, ...]:
        """Copies that a group makes; none for a group that does not exist."""
        return self._group_copies.get(group, ())

    def clone_copies(self, session: int) -> tuple[Replica, ...]:
        """Copies that a clone session makes; none if it does not exist."""
        return self._session_copies.get(session, ())

    def session(self, session: int) -> CloneSession | None:
        """A clone session, None if it does not exist."""
        return self._sessions.get(session)

    def groups(self) -> list[MulticastGroup]:
        """All multicast groups."""
        return list(self._groups.values())

    def sessions(self) -> list[CloneSession]:
        """All clone sessions."""
        return list(self._sessions.values())

    def insert_group(self, group: MulticastGroup) -> None:
        """Add a group."""
        if not 1 <= group.id <= MAX_GROUP_ID:
            raise StateError(
                Reason.INVALID_ARGUMENT,
                f"multicast group id {group.id} is not in 1..{MAX_GROUP_ID}",
            )
        if group.id in self._groups:
            raise StateError(Reason.ALREADY_EXISTS, f"multicast group {group.id} exists")
        if len(self._groups) >= MAX_GROUPS:
            raise StateError(Reason.RESOURCE_EXHAUSTED, f"there are {MAX_GROUPS} multicast groups")
        self._set_group(group)

    def modify_group(self, group: MulticastGroup) -> None:
        """Replace the replicas of a group."""
        if group.id not in self._groups:
            raise StateError(Reason.NOT_FOUND, f"there is no multicast group {group.id}")
        self._set_group(group)

    def delete_group(self, group: int) -> None:
        """Remove a group."""
        if self._groups.pop(group, None) is None:
            raise StateError(Reason.NOT_FOUND, f"there is no multicast group {group}")
        del self._group_copies[group]
        self._sink(False, group, (), 0)

    def insert_session(self, session: CloneSession) -> None:
        """Add a clone session."""
        if not 1 <= session.id <= MAX_SESSION_ID:
            raise StateError(
                Reason.INVALID_ARGUMENT,
                f"clone session id {session.id} is not in 1..{MAX_SESSION_ID}",
            )
        if session.id in self._sessions:
            raise StateError(Reason.ALREADY_EXISTS, f"clone session {session.id} exists")
        if len(self._sessions) >= MAX_GROUPS:
            raise StateError(Reason.RESOURCE_EXHAUSTED, f"there are {MAX_GROUPS} clone sessions")
        self._set_session(session)

    def modify_session(self, session: CloneSession) -> None:
        """Replace a clone session."""
        if session.id not in self._sessions:
            raise StateError(Reason.NOT_FOUND, f"there is no clone session {session.id}")
        self._set_session(session)

    def delete_session(self, session: int) -> None:
        """Remove a clone session."""
        if self._sessions.pop(session, None) is None:
            raise StateError(Reason.NOT_FOUND, f"there is no clone session {session}")
        del self._session_copies[session]
        self._sink(True, session, (), 0)

    def _set_group(self, group: MulticastGroup) -> None:
        _check_replicas(group.replicas)
        self._groups[group.id] = group
        self._group_copies[group.id] = copies = group.copies()
        self._sink(False, group.id, copies, 0)

    def _set_session(self, session: CloneSession) -> None:
        _check_replicas(session.replicas)
        if session.class_of_service:
            raise StateError(Reason.UNIMPLEMENTED, "clone sessions have no class of service here")
        self._sessions[session.id] = session
        self._session_copies[session.id] = copies = session.copies()
        self._sink(True, session.id, copies, session.truncate_to)


def _check_replicas(replicas: tuple[Replica, ...]) -> None:
    if len(replicas) > MAX_REPLICAS:
        raise StateError(Reason.RESOURCE_EXHAUSTED, f"more than {MAX_REPLICAS} replicas")
    if len(set(replicas)) != len(replicas):
        raise StateError(Reason.INVALID_ARGUMENT, "the same port and instance is given twice")
