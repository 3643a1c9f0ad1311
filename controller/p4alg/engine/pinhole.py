"""Records of what the engine has granted to ALGs: pinholes and reserved endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from p4alg.alg.contract import Endpoint, SessionFacts, format_addr
from p4alg.engine import tables as t
from p4alg.engine.flows import number_of
from p4alg.nat.bindings import Binding
from p4alg.protocols import TUNNELS, proto_name
from p4alg.undo import Tracked


@dataclass(frozen=True, slots=True, eq=False)
class Owner:
    """The control session of an ALG that asked for a pinhole.

    Two owners are never equal, even if their facts are: each stands for one session.
    """

    alg: str
    alg_id: int
    facts: SessionFacts
    outlives: bool
    """Whether its pinholes and reservations stay when the control session ends."""
    for_others: bool = False
    """Whether its ALG may ask for other inside hosts too (`Alg.for_others`)."""

    @property
    def inside_addr(self) -> int:
        """The inside host."""
        return self.facts.endpoint(self.facts.inside).addr

    @property
    def outside_addr(self) -> int:
        """The address under which the other end knows that host."""
        return self.facts.inside_as_seen_outside.addr

    def __str__(self) -> str:
        return f"{self.facts.client} -> {self.facts.server}"


class Stage(Enum):
    """How far a pinhole or reservation is on its way into the switch."""

    RESERVED = "reserved"
    """Granted to a message whose handling is not finished. Nothing has been written yet."""
    OPENING = "opening"
    """Written; the switch has not answered yet."""
    OPEN = "open"


@dataclass(slots=True, eq=False)
class Pinhole(Tracked):
    """A filter entry that lets remote hosts open flows to an inside endpoint. Times in seconds."""

    pinhole_id: int
    entry: t.PinholeEntry
    binding: Binding
    owner: Owner | None
    """None for a pinhole that was found in the switch at the start."""
    label: str
    created: float
    expires: float
    flows_left: int
    stage: Stage = Stage.RESERVED
    flow_idle: float | None = None
    """The idle timeout of its flows in seconds; None: that of any other flow."""
    retired: bool = False
    """Whether it was withdrawn. When it closes, it is not counted as expired then."""

    @property
    def alg(self) -> str:
        """The name of the ALG under which it is counted."""
        return "adopted" if self.owner is None else self.owner.alg

    @property
    def visible(self) -> Endpoint:
        """The outside endpoint, which the other end is told to open flows to."""
        return shown(self.binding)

    def __str__(self) -> str:
        entry = self.entry
        name = proto_name(entry.proto)
        inside = Endpoint(entry.inside_addr, number_of(entry.proto, entry.inside_id or 0))
        who = "anyone" if entry.remote_addr is None else format_addr(entry.remote_addr)
        if entry.proto not in TUNNELS:
            port = "*" if entry.remote_id is None else str(entry.remote_id)
            return f"{name} {who}:{port} -> {self.visible} -> {inside}"
        # Packets of a tunnel carry only the identifier of the receiver.
        if entry.inside_id:
            return f"{name} {who} -> {self.visible} -> {inside}"
        number = number_of(entry.proto, entry.remote_id or 0)
        return f"{name} {format_addr(entry.inside_addr)} -> {who}:{number}"


@dataclass(slots=True, eq=False)
class Reservation(Tracked):
    """Outside endpoints that an ALG has reserved, without a pinhole."""

    number: int
    bindings: tuple[Binding, ...]
    owner: Owner
    stage: Stage = Stage.RESERVED

    @property
    def visible(self) -> Endpoint:
        """The (first) outside endpoint."""
        return shown(self.bindings[0])


def shown(binding: Binding) -> Endpoint:
    """The outside endpoint of a binding, with its port, call id or SPI."""
    return Endpoint(binding.outside_addr, number_of(binding.proto, binding.outside_id))
