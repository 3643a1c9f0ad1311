"""A flow of IKE: its exchanges, and what they mean for the ESP of the same host."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from p4alg.alg.contract import Gateway, Notice, Peer, SessionFacts, Step
from p4alg.alg.ike.alg import IkeAlg
from p4alg.alg.ike.shared import IkeShared


class IkeSession:
    """See `DatagramAlg`, `Lasting` and `Tagged`: the tags are the initiator SPIs (K1)."""

    def __init__(self, facts: SessionFacts, shared: IkeShared) -> None:
        self._shared = shared
        self._exchanges = IkeAlg(facts, shared.exchanges)
        self._inside = facts.endpoint(facts.inside).addr
        self._outside = facts.inside_as_seen_outside.addr
        self._remote = facts.endpoint(facts.inside.other).addr

    @property
    def tags(self) -> Collection[int]:
        """The initiator SPIs of this flow's exchanges."""
        return self._exchanges.initiator_spis.keys()

    def receive(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """One message; once both ends have spoken, ESP between them may pass (K2)."""
        steps = self._exchanges.receive(sender, data, gateway, now)
        if not self._exchanges.both_spoke:
            return steps
        refused = self._shared.esp.note_ike(
            self._inside,
            self._outside,
            self._remote,
            now,
            keying=self._exchanges.keying_at == now,
        )
        if refused is None:
            return steps
        return [*steps, Notice(f"esp.relations.refused.{refused.reason}", "")]

    def tick(self, gateway: Gateway, now: float) -> None:
        """Forget exchanges that were silent too long."""
        self._exchanges.tick(gateway, now)

    def ended(self, gateway: Gateway) -> None:
        """The flow has ended, and its exchanges with it."""
        self._exchanges.ended(gateway)
