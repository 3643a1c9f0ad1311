"""Tags by which the switch tells apart hosts that share an outside port (K1, `Tagged`).

The ALG of each control session says at any time which tags its session has. A host has the tags
of all its sessions. What has to be written or deleted follows from a comparison with the tags
that the switch has, so no ALG has to remove a tag.
"""

from __future__ import annotations

from collections.abc import Iterable

from p4alg.engine import tables as t
from p4alg.engine.control.session import ControlSession
from p4alg.engine.flows import Flow
from p4alg.engine.mappings import Mappings
from p4alg.engine.outbox import Outbox
from p4alg.engine.tables import Op, Update
from p4alg.nat.bindings import Binding, Kind
from p4alg.protocols import UDP
from p4alg.undo import TrackedDict, TrackedSet, UndoLog


class Tags:
    """The tags in the switch, by the binding of the host that shares a port."""

    def __init__(self, mappings: Mappings, outbox: Outbox, log: UndoLog) -> None:
        self._mappings = mappings
        self._outbox = outbox
        self._log = log
        self._of: TrackedDict[Binding, TrackedSet[int]] = TrackedDict(log)

    def update(self, session: ControlSession) -> None:
        """Write the new tags of a session. Called after a message was read, before it leaves."""
        binding = session.flow.binding
        if binding.kind is not Kind.SHARED:
            return
        found = session.machine.tags()
        if found is not None:
            have = self._of.get(binding, ())
            self._add(binding, sorted(tag for tag in found if tag not in have))

    def tick(self, sessions: Iterable[ControlSession]) -> None:
        """Delete the tags that no session of their host has any more."""
        alive: dict[Binding, set[int]] = {}
        for session in sessions:
            binding = session.flow.binding
            if binding in self._of:
                alive.setdefault(binding, set()).update(session.machine.tags() or ())
        # A host without a session is not in `alive`: its sessions may have been left to the
        # switch, which still needs the tags.
        for binding, tags in alive.items():
            self._remove(binding, sorted(tag for tag in self._of[binding] if tag not in tags))

    def flow_gone(self, flow: Flow) -> None:
        """A flow has ended. If it was the last of its binding, delete the tags of that."""
        binding = flow.binding
        if binding in self._of and not binding.sessions:
            self._remove(binding, sorted(self._of[binding]))

    def adopt(self, present: Iterable[t.Entry]) -> list[t.Entry]:
        """Take over tags that were found in the switch; returns their entries."""
        kept: list[t.Entry] = []
        for entry in present:
            if isinstance(entry, t.IkeIn):
                found = self._mappings.bindings.outbound(UDP, entry.inside_addr, entry.inside_id)
                if found is not None and found.kind is Kind.SHARED:
                    self._set(found).add(entry.initiator_spi)
                    kept.append(self._entry(found, entry.initiator_spi))
        return kept

    def _set(self, binding: Binding) -> TrackedSet[int]:
        if binding not in self._of:
            self._of[binding] = TrackedSet(self._log)
        return self._of[binding]

    def _add(self, binding: Binding, tags: list[int]) -> None:
        if tags:
            known = self._set(binding)
            for tag in tags:
                known.add(tag)
            self._outbox.write_all([Update(Op.INSERT, self._entry(binding, tag)) for tag in tags])

    def _remove(self, binding: Binding, tags: list[int]) -> None:
        known = self._of[binding]
        for tag in tags:
            known.discard(tag)
        if not known:
            del self._of[binding]
        self._outbox.write_all([Update(Op.DELETE, self._entry(binding, tag)) for tag in tags])

    def _entry(self, binding: Binding, tag: int) -> t.IkeIn:
        return t.IkeIn(
            binding.outside_addr,
            tag,
            binding.inside_addr,
            binding.inside_id,
            t.FilterMode.ADDRESS_AND_PORT,
            self._mappings.subscribers.number_of(binding.inside_addr),
        )
