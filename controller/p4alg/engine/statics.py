"""Adds and takes away static mappings of endpoints while the controller runs.

Their entries follow from the settings like those at a start. Here are the things that the
controller itself has of them: bindings, reserved blocks, and numbers of hosts. A mapping that
something uses, or whose ports somebody has, is not changed: `objection` says so beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable

from p4alg.alg.contract import format_addr
from p4alg.engine import tables as t
from p4alg.engine.mappings import Mappings
from p4alg.engine.outbox import Outbox
from p4alg.engine.settings import PortForward, Settings
from p4alg.engine.tables import Op, Update
from p4alg.nat.bindings import Binding
from p4alg.protocols import proto_name


class Statics:
    """The static mappings of endpoints of one organisation."""

    def __init__(self, mappings: Mappings, outbox: Outbox) -> None:
        self._bindings = mappings.bindings
        self._subscribers = mappings.subscribers
        self._outbox = outbox

    def objection(self, old: Settings, new: Settings) -> str:
        """Why the mappings of `old` cannot become those of `new` now; empty if they can."""
        gone, added = apart(old, new)
        leaving = [self._of(forward) for forward in gone]
        for forward, binding in zip(gone, leaving, strict=True):
            if binding is not None and (binding.sessions or binding.reservations):
                return f"{shown(forward)} is in use: end its sessions by 'p4alg clear' first"
        for forward in added:
            if self._is_taken(forward, leaving):
                return f"{shown(forward)}: another mapping has one of these ends"
            holder = self._subscribers.inside_of(forward.outside_addr, forward.outside_port)
            if holder is not None:
                return f"{shown(forward)}: {format_addr(holder)} has the block of that port"
        return ""

    def _is_taken(self, forward: PortForward, leaving: Iterable[Binding | None]) -> bool:
        inside = (forward.proto, forward.inside_addr, forward.inside_port)
        outside = (forward.proto, forward.outside_addr, forward.outside_port)
        found = (self._bindings.outbound(*inside), self._bindings.inbound(*outside))
        return any(
            binding is not None and not any(binding is other for other in leaving)
            for binding in found
        )

    def change(self, old: Settings, new: Settings, now: float) -> None:
        """Make the mappings of `old` those of `new`, to which there is no objection.

        The hosts that they lead to get a number, and an entry with it if they have none.
        """
        gone, added = apart(old, new)
        blocks = self._bindings.blocks
        for forward in gone:
            binding = self._of(forward)
            if binding is not None:
                self._bindings.release(binding, now)
            block = blocks.block_of(forward.outside_addr, forward.outside_port)
            if all(blocks.block_of(f.outside_addr, f.outside_port) != block for f in new.forwards):
                blocks.unreserve(block)
        entries: list[t.Entry] = []
        for forward in added:
            inside = (forward.inside_addr, forward.inside_port)
            outside = (forward.outside_addr, forward.outside_port)
            self._bindings.add_static(forward.proto, *inside, *outside, now)
            self._bindings.pair(forward.inside_addr, forward.outside_addr)
            entries += self._subscribers.fix(forward.inside_addr, now)
        self._outbox.write_all([Update(Op.INSERT, entry) for entry in entries])

    def _of(self, forward: PortForward) -> Binding | None:
        return self._bindings.outbound(forward.proto, forward.inside_addr, forward.inside_port)


def shown(forward: PortForward) -> str:
    """A mapping for people: ``tcp 203.0.113.5:80 -> 10.0.0.11:80``."""
    outside = f"{format_addr(forward.outside_addr)}:{forward.outside_port}"
    inside = f"{format_addr(forward.inside_addr)}:{forward.inside_port}"
    return f"{proto_name(forward.proto)} {outside} -> {inside}"


def apart(old: Settings, new: Settings) -> tuple[list[PortForward], list[PortForward]]:
    """The mappings that are gone, and those that are new."""
    before, after = dict.fromkeys(old.forwards), dict.fromkeys(new.forwards)
    return [f for f in before if f not in after], [f for f in after if f not in before]
