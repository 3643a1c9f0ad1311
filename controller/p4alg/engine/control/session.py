"""A control session: a flow, the ALG that reads it, and the follower of its packets."""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.alg.contract import Endpoint, Peer, SessionFacts
from p4alg.alg.descriptor import Alg
from p4alg.engine.control.guard import GuardedAlg
from p4alg.engine.flows import Flow
from p4alg.engine.pinhole import Owner
from p4alg.engine.tables import Side
from p4alg.stream.effects import Follower
from p4alg.undo import Tracked


@dataclass(slots=True, eq=False)
class ControlSession(Tracked):
    """A control session that an ALG reads."""

    alg: Alg
    flow: Flow
    owner: Owner
    machine: GuardedAlg
    stream: Follower
    outside_is_hairpin: bool
    """Whether the remote end is another inside host, reached by one of our outside addresses."""
    bytes_held: int = 0
    """Bytes that its follower kept when that was last counted."""
    granted: tuple[int, ...] = ()
    """The numbers of what was granted to messages that have not left yet."""
    withdrawn: tuple[int, ...] = ()
    """The numbers of pinholes to close when the message has left that replaces them."""

    def __str__(self) -> str:
        return f"{self.alg.name}: {self.owner}"

    @property
    def facts(self) -> SessionFacts:
        """The facts that the ALG was given about the session."""
        return self.owner.facts

    @property
    def inside_addr(self) -> int:
        """The address of the inside host."""
        return self.flow.key.inside_addr

    def peer_on(self, side: Side) -> Peer:
        """The end (client or server) that is on a side."""
        return self.facts.inside if side is Side.INSIDE else self.facts.inside.other


def facts_of(flow: Flow) -> SessionFacts:
    """The facts that an ALG is given about a flow."""
    key = flow.key
    inside = Endpoint(key.inside_addr, key.inside_id)
    remote = Endpoint(key.remote_addr, key.remote_id)
    seen = Endpoint(flow.binding.outside_addr, flow.binding.outside_id)
    if flow.opened_by is Side.INSIDE:
        return SessionFacts(key.proto, inside, remote, Peer.CLIENT, seen)
    return SessionFacts(key.proto, remote, inside, Peer.SERVER, seen)
