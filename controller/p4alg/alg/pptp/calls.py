"""The calls of one PPTP control connection: their ids on both sides, and what is open for them.

Knows call ids and the gateway, and nothing of messages. A call id is 0 to 65535.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p4alg.alg.contract import GRE, Endpoint, Gateway, Peer, PinholeRequest, Refusal, SessionFacts


@dataclass(slots=True, eq=False)
class Call:
    """A call from its request on.

    `is_incoming` tells by which of the two requests it began, `caller` who said it.
    `ids` are those its ends chose, as far as they have spoken; `visible` is the
    inside host's as the outside knows it. `granted` are the hold of that and the
    two pinholes, as far as there are any.
    """

    is_incoming: bool
    caller: Peer
    ids: dict[Peer, int] = field(default_factory=dict)
    visible: int | None = None
    granted: list[int] = field(default_factory=list)
    is_agreed: bool = False
    is_clearing: bool = False


class Calls:
    """All calls of a control connection, oldest first; an end's ids are unique among them."""

    def __init__(self, facts: SessionFacts, pinhole_lifetime: float, gre_idle: float) -> None:
        self._facts = facts
        self._pinhole_lifetime = pinhole_lifetime
        self._gre_idle = gre_idle
        self._calls: list[Call] = []

    def __len__(self) -> int:
        return len(self._calls)

    # How they begin and end

    def begin(self, call: Call, own: int, gateway: Gateway) -> str:
        """Add `call`, which its caller calls `own`; returns why not, or an empty string."""
        self._calls.append(call)
        reason = self.take_id(call, call.caller, own, gateway)
        if reason:
            self.end(call, gateway)
        return reason

    def take_id(self, call: Call, peer: Peer, own: int, gateway: Gateway) -> str:
        """Let `peer` call its end of `call` `own`; returns why not, or an empty string."""
        if peer is self._facts.inside:
            grant = gateway.reserve(GRE, Endpoint(self._facts.endpoint(peer).addr, own))
            if isinstance(grant, Refusal):
                return grant.reason
            call.granted.append(grant.pinhole_id)
            call.visible = grant.visible.port
        call.ids[peer] = own
        return ""

    def agree(self, call: Call, gateway: Gateway) -> str:
        """Open both directions; returns why one of them could not be opened, or an empty string."""
        for listener in (self._facts.inside, self._facts.inside.other):
            grant = gateway.open_pinhole(
                PinholeRequest(
                    proto=GRE,
                    listener=listener,
                    listen=Endpoint(self._facts.endpoint(listener).addr, call.ids[listener]),
                    opener_addr=self._facts.endpoint(listener.other).addr,
                    opener_port=None,
                    lifetime=self._pinhole_lifetime,
                    label="pptp call",
                    flow_idle=self._gre_idle,
                )
            )
            if isinstance(grant, Refusal):
                return grant.reason
            call.granted.append(grant.pinhole_id)
        call.is_agreed = True
        return ""

    def end(self, call: Call, gateway: Gateway) -> None:
        """Give back all that `call` was granted, and forget it."""
        self._calls.remove(call)
        # What came last goes first: the pinholes stand on the hold.
        for number in reversed(call.granted):
            gateway.end(number)

    def end_of(self, peer: Peer, own: int, gateway: Gateway) -> None:
        """End the call that `peer` gave the id `own`, if any: it uses it for another one."""
        call = self.own(peer, own)
        if call is not None:
            self.end(call, gateway)

    def end_all(self, gateway: Gateway, *, agreed: bool = True) -> None:
        """End every call; with `agreed` False those only that are not agreed on yet."""
        for call in [call for call in self._calls if agreed or not call.is_agreed]:
            self.end(call, gateway)

    def end_aborted(self, peer: Peer, gateway: Gateway) -> bool:
        """End the oldest call that was cleared before `peer` told its id of it; False: none."""
        for call in self._calls:
            if call.is_clearing and peer not in call.ids:
                self.end(call, gateway)
                return True
        return False

    # Whose ids they have

    def own(self, peer: Peer, number: int) -> Call | None:
        """The call that `peer` itself gave the id `number`."""
        return next((call for call in self._calls if call.ids.get(peer) == number), None)

    def told(self, peer: Peer, number: int) -> Call | None:
        """The call whose id of `peer` the other end knows as `number`."""
        if peer is not self._facts.inside:
            return self.own(peer, number)
        return next((call for call in self._calls if call.visible == number), None)

    def means_another(self, sender: Peer, number: int) -> bool:
        """Whether `number`, of no call to `sender`, is one of a call to who receives it."""
        inside = self._facts.inside
        if sender is inside:
            return any(call.visible == number for call in self._calls)
        return self.own(inside, number) is not None

    def translated(self, call: Call, owner: Peer, sender: Peer) -> int:
        """The id of `owner` as the receiver of what `sender` says knows it."""
        if owner is self._facts.inside and sender is owner and call.visible is not None:
            return call.visible
        return call.ids[owner]
