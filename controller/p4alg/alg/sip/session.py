"""Handles one whole SIP message, whether it came over UDP or TCP (S1)."""

from __future__ import annotations

from collections.abc import Sequence

from p4alg.alg.contract import TCP, Gateway, Peer, Refuse, SessionFacts, Step
from p4alg.alg.sip import dialogue, registering
from p4alg.alg.sip.answer import answer, is_answered_here, is_of_flood
from p4alg.alg.sip.calls import SipCalls
from p4alg.alg.sip.exchange import Exchange
from p4alg.alg.sip.message import SipError, parse_head, parse_message
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
            return [Refuse(len(data), error.word, answer=self._answer(data, error.word, False))]
        if message.method == b"ACK" and is_answered_here(message.to_tag):
            return [Refuse(len(data), "answered-here", answer=b"")]
        self._calls.ledger.begin()
        try:
            if message.is_request:
                self._request(x)
            else:
                self._response(x)
        except SipError as error:
            said = self._answer(data, error.word, from_inside)
            if said and is_of_flood(error.word):
                x.changes.append(self._explained(error.word))
            return x.refuse(len(data), error.word, said)
        # Only a message that waits for tables can be refused after this.
        said = self._answer(data, "tables", from_inside) if x.is_granted else None
        return x.forward(len(data), said)

    def _answer(self, data: bytes, reason: str, from_inside: bool) -> bytes | None:
        """What the sender of a message that is refused is told; empty: nothing.

        None if the message has no end that is known, so that its connection cannot go on.
        Over UDP whoever is outside may have forged its address, and is answered only that it
        sends too much; a repeated INVITE has had its answer.
        """
        settings = self._calls.settings
        try:
            head = parse_head(data, settings.limits)
        except SipError:
            return None
        is_sure = from_inside or self._facts.proto == TCP or is_of_flood(reason)
        if reason == "rejected-before" or not is_sure:
            return b""
        return answer(data, head, reason, settings.flood)

    def _explained(self, reason: str) -> str:
        """Why a request was answered by 503, for operators."""
        flood = self._calls.settings.flood
        what, most = "calls", flood.calls
        if reason == "registration-flood":
            what, most = "registrations", flood.registrations
        return (
            f"answered 503: a source may begin {most} {what} in {flood.window:g} s"
            f" (algs.sip.{what}_per_second)"
        )

    def tick(self, gateway: Gateway, now: float) -> None:
        """End what has timed out, of all sessions."""
        for number in self._calls.tick(now):
            gateway.end(number)

    def _request(self, x: Exchange) -> None:
        self._admit(x)
        self._check_repeat(x)
        call = dialogue.begin(x)
        transaction = None
        if x.message.method != b"ACK":
            found = self._calls.remember(x.transaction, x.branch, x.now)
            transaction, x.is_new = found
            if x.vias:
                transaction.has_port[x.branch] = x.vias[0].sent_by.port is not None
            if x.is_new and x.message.method == b"REGISTER":
                registering.check_flood(x)
        names_own_to = rewrite_headers(x, maps_to=False)
        dialogue.request(x, call, transaction)
        if transaction is not None:
            transaction.names_own_to = names_own_to
            registering.request(x, transaction)
        registering.terminated(x)

    def _check_repeat(self, x: Exchange) -> None:
        """Refuse an INVITE that comes again after it was turned down; raises `SipError`.

        Until its sender has acknowledged that, it may be right to repeat it. Then it is not. To
        another address it is another branch of a call that forks.
        """
        if x.message.method not in (b"INVITE", b"ACK") or x.message.uri is None:
            return
        known = self._calls.transactions.get(x.transaction._replace(method=b"INVITE"))
        target = x.message.data[slice(*x.message.uri)]
        if known is None or not known.turned_down:
            return
        if x.message.method == b"ACK":
            known.given_up = target
        elif known.given_up == target:
            raise SipError("rejected-before")

    def _response(self, x: Exchange) -> None:
        transaction = self._calls.answered(x.transaction, x.branch, x.now)
        if transaction is None:
            # Its addresses are translated all the same, but it opens nothing (G7).
            x.notice("unmatched-response", f"{x.message.code}: nobody asked")
        if transaction is not None:
            x.via_has_port = transaction.has_port.get(x.branch)
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
