"""Handles one whole SIP message, whether it came over UDP or TCP (S1)."""

from __future__ import annotations

from collections.abc import Sequence

from p4alg.alg.contract import Gateway, Peer, Refuse, SessionFacts, Step
from p4alg.alg.sip import dialogue, registering
from p4alg.alg.sip.calls import SipCalls
from p4alg.alg.sip.exchange import Exchange
from p4alg.alg.sip.message import SipError, parse_message
from p4alg.alg.sip.rewriting import rewrite_headers


class SipSession:
    """A control session of SIP: one UDP flow or one TCP connection."""

    def __init__(self, facts: SessionFacts, calls: SipCalls) -> None:
        self._facts = facts
        self._calls = calls

    def handle(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """The steps for `data`, a whole message; they consume exactly that. Never raises."""
        self.tick(gateway, now)
        from_inside = sender is self._facts.inside
        try:
            message = parse_message(data, self._calls.settings.limits)
            x = Exchange(self._facts, self._calls, gateway, now, message, from_inside)
        except SipError as error:
            return [Refuse(len(data), error.word)]
        self._calls.ledger.begin()
        try:
            if message.is_request:
                self._request(x)
            else:
                self._response(x)
        except SipError as error:
            return x.refuse(len(data), error.word)
        return x.forward(len(data))

    def tick(self, gateway: Gateway, now: float) -> None:
        """End what has timed out, of all sessions."""
        for number in self._calls.tick(now):
            gateway.end(number)

    def _request(self, x: Exchange) -> None:
        self._admit(x)
        call = dialogue.begin(x)
        transaction = None
        if x.message.method != b"ACK":
            found = self._calls.remember(x.transaction, x.branch, x.now)
            transaction, x.is_new = found
            if x.is_new and x.message.method == b"REGISTER":
                registering.check_flood(x)
        names_own_to = rewrite_headers(x, maps_to=False)
        dialogue.request(x, call, transaction)
        if transaction is not None:
            transaction.names_own_to = names_own_to
            registering.request(x, transaction)
        registering.terminated(x)

    def _response(self, x: Exchange) -> None:
        transaction = self._calls.answered(x.transaction, x.branch, x.now)
        if transaction is None:
            # Its addresses are translated all the same, but it opens nothing (G7).
            x.notice("unmatched-response", f"{x.message.code}: nobody asked")
        rewrite_headers(x, maps_to=transaction is not None and transaction.names_own_to)
        dialogue.response(x, dialogue.call_of(x), transaction)
        registering.response(x, transaction)

    def _admit(self, x: Exchange) -> None:
        """Let a request in only if the inside host has chosen its sender (S5).

        The sender must be a server the inside host has registered or connected to, or the
        request must belong to a call with that sender. Raises `SipError` otherwise.
        """
        if x.from_inside or self._facts.inside is Peer.CLIENT:
            return
        if x.settings.inbound_from_anyone:
            return
        if self._calls.is_registrar(x.inside.addr, x.remote.addr, x.now):
            return
        call = dialogue.call_of(x) if x.message.to_tag else None
        if call is None or x.remote.addr not in call.peers:
            raise SipError("unregistered-source")
