"""The calls of one PPTP control connection: their ids on both sides, and what is open for them.

This module knows call ids (0 to 65535) and the gateway, but no messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p4alg.alg.contract import GRE, Endpoint, Gateway, Peer, PinholeRequest, Refusal, SessionFacts


@dataclass(slots=True, eq=False)
class Call:
    """A call, from its request on.

    It began with an Incoming-Call-Request if `is_incoming`, otherwise with an
    Outgoing-Call-Request; `caller` is the end that sent this. `ids` has the id that each end
    chose, once it has told it, and `visible` is the id by which the outside knows the inside
    host's. `granted` are the gateway's numbers for all that the call has: the reserved id,
    then a pinhole for each direction. `is_agreed` once both ends have accepted the call;
    `is_clearing` once a Call-Clear-Request was seen.
    """

    is_incoming: bool
    caller: Peer
    ids: dict[Peer, int] = field(default_factory=dict)
    visible: int | None = None
    granted: list[int] = field(default_factory=list)
    is_agreed: bool = False
    is_clearing: bool = False


class Calls:
    """All calls of a control connection, oldest first.

    No two of them have the same id of the same end.
    """

    def __init__(self, facts: SessionFacts, pinhole_lifetime: float, gre_idle: float) -> None:
        self._facts = facts
        self._pinhole_lifetime = pinhole_lifetime
        self._gre_idle = gre_idle
        self._calls: list[Call] = []

    def __len__(self) -> int:
        return len(self._calls)

    # How they begin and end

    def begin(self, call: Call, own: int, gateway: Gateway) -> str:
        """Add `call`, for which its caller chose the id `own`.

        Returns why that is refused, or an empty string.
        """
        self._calls.append(call)
        reason = self.take_id(call, call.caller, own, gateway)
        if reason:
            self.end(call, gateway)
        return reason

    def take_id(self, call: Call, peer: Peer, own: int, gateway: Gateway) -> str:
        """Note that `peer` chose the id `own` for `call`, and reserve it if `peer` is inside.

        Returns why that is refused, or an empty string.
        """
        if peer is self._facts.inside:
            grant = gateway.reserve(GRE, Endpoint(self._facts.endpoint(peer).addr, own))
            if isinstance(grant, Refusal):
                return grant.reason
            call.granted.append(grant.number)
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
            call.granted.append(grant.number)
        call.is_agreed = True
        return ""

    def end(self, call: Call, gateway: Gateway) -> None:
        """Give back all that `call` was granted, and forget it."""
        self._calls.remove(call)
        # The pinholes end before the id that they lead to.
        for number in reversed(call.granted):
            gateway.end(number)

    def end_of(self, peer: Peer, own: int, gateway: Gateway) -> None:
        """End the call for which `peer` chose the id `own`, if there is one.

        `peer` is about to use that id for another call.
        """
        call = self.own(peer, own)
        if call is not None:
            self.end(call, gateway)

    def end_all(self, gateway: Gateway, *, agreed: bool = True) -> None:
        """End every call, or with `agreed` False only those that are not agreed on yet."""
        for call in [call for call in self._calls if agreed or not call.is_agreed]:
            self.end(call, gateway)

    def end_aborted(self, peer: Peer, gateway: Gateway) -> bool:
        """End the oldest call that was cleared before `peer` chose an id for it.

        Returns whether there was one.
        """
        for call in self._calls:
            if call.is_clearing and peer not in call.ids:
                self.end(call, gateway)
                return True
        return False

    # Whose ids they have

    def own(self, peer: Peer, number: int) -> Call | None:
        """The call for which `peer` chose the id `number`."""
        return next((call for call in self._calls if call.ids.get(peer) == number), None)

    def told(self, peer: Peer, number: int) -> Call | None:
        """The call for which the other end was told `number` as the id of `peer`."""
        if peer is not self._facts.inside:
            return self.own(peer, number)
        return next((call for call in self._calls if call.visible == number), None)

    def means_another(self, sender: Peer, number: int) -> bool:
        """Whether `number`, which names no call of `sender`, names one to the receiver.

        A message that passed unedited would then be about a call its sender does not know.
        """
        inside = self._facts.inside
        if sender is inside:
            return any(call.visible == number for call in self._calls)
        return self.own(inside, number) is not None

    def translated(self, call: Call, owner: Peer, sender: Peer) -> int:
        """The id that `owner` chose, as the receiver of a message of `sender` has to see it."""
        if owner is self._facts.inside and sender is owner and call.visible is not None:
            return call.visible
        return call.ids[owner]
