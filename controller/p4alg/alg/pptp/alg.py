"""The PPTP ALG (RFC 2637): translates call ids and opens enhanced GRE for the calls agreed on.

Each end of a call chooses a call id of its own, and a GRE packet carries only the id
that its receiver chose. Two inside hosts may choose the same id, and then nothing in a GRE
packet tells them apart. So the outside is told an id of the gateway's choice in place of
the inside host's, as it is told a port of the gateway's choice. The id of the outside
end is never changed.

How a call goes, by who sends which message. PNS and PAC may be on either side, and
either may have opened the control connection:

    PNS: Outgoing-Call-Request    PAC: -Reply (1): agreed
    PAC: Incoming-Call-Request    PNS: -Reply (1)    PAC: -Connected: agreed
    PNS: Call-Clear-Request       PAC: Call-Disconnect-Notify: over
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p4alg.alg.contract import (
    Detach,
    Edit,
    Forward,
    Gateway,
    Notice,
    Peer,
    Refuse,
    SessionFacts,
    Step,
)
from p4alg.alg.pptp.calls import Call, Calls
from p4alg.alg.pptp.messages import FIRST_ID, SECOND_ID, Kind, Message, read_length

_FIRST = {
    Peer.CLIENT: Kind.START_CONTROL_CONNECTION_REQUEST,
    Peer.SERVER: Kind.START_CONTROL_CONNECTION_REPLY,
}
"""The message that each end sends first, and that only this end sends (section 3.1)."""
_REQUESTS = (Kind.OUTGOING_CALL_REQUEST, Kind.INCOMING_CALL_REQUEST)
_REPLIES = (Kind.OUTGOING_CALL_REPLY, Kind.INCOMING_CALL_REPLY)
_MENTIONS = (Kind.WAN_ERROR_NOTIFY, Kind.SET_LINK_INFO)
"""Messages that name the call by the id that their receiver chose. The messages that end
a call name it by the id that their sender chose."""
_STOPS = (Kind.STOP_CONTROL_CONNECTION_REQUEST, Kind.STOP_CONTROL_CONNECTION_REPLY)


@dataclass(frozen=True, slots=True)
class PptpLimits:
    """The limits of one control connection.

    `message` is the longest message in bytes, `calls` how many calls there may be at once,
    and `notices` how many notices are given in all. `pinhole_lifetime` is how many seconds
    a direction of a call waits for its first packet. `gre_idle` is how many seconds it may
    be silent after that: by default as long as a TCP connection (RFC 5382 REQ-5), since
    no message during a call could open GRE again.
    """

    message: int = 2048
    calls: int = 32
    notices: int = 16
    pinhole_lifetime: float = 60.0
    gre_idle: float = 7440.0


class PptpAlg:
    """The ALG of one PPTP control connection; see `StreamAlg`."""

    def __init__(self, facts: SessionFacts, limits: PptpLimits | None = None) -> None:
        self._limits = limits or PptpLimits()
        self._calls = Calls(facts, self._limits.pinhole_lifetime, self._limits.gre_idle)
        self._spoke: set[Peer] = set()
        self._established = False
        self._noticed = 0
        self._detached = False

    def feed(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """Consume the whole messages of `data`."""
        steps: list[Step] = []
        at = 0
        while at < len(data) and not self._detached:
            length = read_length(data, at, self._limits.message)
            if isinstance(length, str):
                reason = length if sender in self._spoke else "not-pptp"
                steps.append(self._detach(reason, gateway))
                break
            if length is None or len(data) - at < length:
                break
            steps += self._message(sender, Message(data[at : at + length]), gateway)
            at += length
        return steps

    def tick(self, gateway: Gateway, now: float) -> None:
        """Nothing to do, as calls have no timers of their own here; see `Lasting`."""

    def ended(self, gateway: Gateway) -> None:
        """The control connection has ended, perhaps without a message: end every call."""
        self._calls.end_all(gateway)

    def _detach(self, reason: str, gateway: Gateway) -> Detach:
        """Step aside. Calls that were agreed on go on until they are idle or the connection ends;
        the others could not be followed any more, and end."""
        self._detached = True
        self._calls.end_all(gateway, agreed=False)
        return Detach(reason, True)

    def _notice(self, event: str, summary: str) -> list[Step]:
        """A notice, or none if this connection has given as many as it may."""
        self._noticed += 1
        return [Notice(event, summary)] if self._noticed <= self._limits.notices else []

    def _message(self, sender: Peer, message: Message, gateway: Gateway) -> list[Step]:
        kind = message.kind
        reason = self._out_of_turn(sender, kind)
        if reason:
            return [self._detach(reason, gateway)]
        self._spoke.add(sender)
        if kind is None:
            notice = self._notice("unknown-message", f"{message.title} passed unread")
            return [*notice, Forward(len(message.data))]
        if kind.is_of_call:
            return self._of_call(sender, kind, message, gateway)
        if kind is _FIRST[Peer.SERVER]:
            self._established = message.start_is_accepted
        elif kind in _STOPS:
            self._established = False
        if not self._established:
            self._calls.end_all(gateway)
        return [Forward(len(message.data), summary=message.title)]

    def _out_of_turn(self, sender: Peer, kind: Kind | None) -> str:
        """Why a message may not come from `sender` now, or an empty string."""
        if sender not in self._spoke:
            is_turn = sender is Peer.CLIENT or Peer.CLIENT in self._spoke
            return "" if is_turn and kind is _FIRST[sender] else "not-pptp"
        if kind is _FIRST[sender.other]:
            return "wrong-side"
        is_early = kind is not None and kind.is_of_call and not self._established
        return "not-established" if is_early else ""

    # Messages of calls

    def _of_call(self, sender: Peer, kind: Kind, message: Message, gateway: Gateway) -> list[Step]:
        if kind in _REQUESTS:
            return [self._request(sender, kind, message, gateway)]
        if kind in _REPLIES:
            return [self._reply(sender, kind, message, gateway)]
        if kind is Kind.INCOMING_CALL_CONNECTED:
            return [self._connected(sender, message, gateway)]
        return self._about(sender, kind, message, gateway)

    def _request(self, sender: Peer, kind: Kind, message: Message, gateway: Gateway) -> Step:
        own = message.first_id
        self._calls.end_of(sender, own, gateway)
        if len(self._calls) >= self._limits.calls:
            return _refuse(message, "too-many-calls")
        call = Call(kind is Kind.INCOMING_CALL_REQUEST, sender)
        reason = self._calls.begin(call, own, gateway)
        if reason:
            return _refuse(message, reason)
        ids = {FIRST_ID: self._calls.translated(call, sender, sender)}
        return _forward(message, ids, tuple(call.granted))

    def _reply(self, sender: Peer, kind: Kind, message: Message, gateway: Gateway) -> Step:
        own, caller = message.first_id, sender.other
        is_incoming = kind is Kind.INCOMING_CALL_REPLY
        call = self._calls.told(caller, message.second_id)
        # Only the called end replies, and it has not told its id before.
        if call is None or call.is_incoming is not is_incoming or sender in call.ids:
            return _refuse(message, "no-request")
        ids = {SECOND_ID: self._calls.translated(call, caller, sender)}
        if not message.call_is_accepted:
            self._calls.end(call, gateway)
            return _forward(message, ids, note=" refused")
        self._calls.end_of(sender, own, gateway)
        reason = self._calls.take_id(call, sender, own, gateway)
        if not reason and not is_incoming:
            reason = self._calls.agree(call, gateway)
        if reason:
            self._calls.end(call, gateway)
            return _refuse(message, reason)
        ids[FIRST_ID] = self._calls.translated(call, sender, sender)
        return _forward(message, ids, tuple(call.granted), " accepted")

    def _connected(self, sender: Peer, message: Message, gateway: Gateway) -> Step:
        """The PAC has connected an incoming call that the PNS accepted: it is agreed on now."""
        call = self._calls.told(sender.other, message.first_id)
        # An outgoing call is agreed on as soon as both ends have an id, so this one is incoming.
        if call is None or call.caller is not sender or call.is_agreed:
            return _refuse(message, "no-request")
        reason = self._calls.agree(call, gateway)
        if reason:
            self._calls.end(call, gateway)
            return _refuse(message, reason)
        ids = {FIRST_ID: self._calls.translated(call, sender.other, sender)}
        return _forward(message, ids, tuple(call.granted))

    def _about(self, sender: Peer, kind: Kind, message: Message, gateway: Gateway) -> list[Step]:
        """A message about an existing call, which may end it."""
        number = message.first_id
        call, owner = self._find(sender, kind, number)
        if call is None:
            return self._about_none(sender, kind, message, gateway)
        step = _forward(message, {FIRST_ID: self._calls.translated(call, owner, sender)})
        if kind is Kind.CALL_CLEAR_REQUEST:
            call.is_clearing = True
        elif kind is Kind.CALL_DISCONNECT_NOTIFY:
            self._calls.end(call, gateway)
        return [step]

    def _about_none(
        self, sender: Peer, kind: Kind, message: Message, gateway: Gateway
    ) -> list[Step]:
        """A message about a call that is not known.

        Both ends may end a call at the same time, or it was refused and never came to be.
        """
        number = message.first_id
        passed = _forward(message, {FIRST_ID: number})
        if kind is Kind.CALL_DISCONNECT_NOTIFY and self._calls.end_aborted(sender, gateway):
            return [passed]
        if self._calls.means_another(sender, number):
            return [_refuse(message, "unknown-call")]
        return [*self._notice("unknown-call", f"{message.title} of no call: {number}"), passed]

    def _find(self, sender: Peer, kind: Kind, number: int) -> tuple[Call | None, Peer]:
        """The call that `sender` means by `number`, and the end that chose this id.

        Implementations differ from the RFC in which end's id they send, so both are
        tried. A Call-Disconnect-Notify that could mean two calls means the one for which a
        Call-Clear-Request was seen.
        """
        other = sender.other
        tried = [
            (self._calls.own(sender, number), sender),
            (self._calls.told(other, number), other),
        ]
        if kind in _MENTIONS:
            tried.reverse()
        found = [(call, owner) for call, owner in tried if call is not None]
        if kind is Kind.CALL_DISCONNECT_NOTIFY:
            found.sort(key=lambda one: not one[0].is_clearing)
        return found[0] if found else (None, sender)


def _refuse(message: Message, reason: str) -> Refuse:
    return Refuse(len(message.data), reason, message.title)


def _forward(
    message: Message, ids: dict[int, int], pinholes: tuple[int, ...] = (), note: str = ""
) -> Forward:
    """`message` goes on, and has `ids` at their offsets (in bytes) where it had others."""
    edits, changes = [], []
    for at, number in sorted(ids.items()):
        old, new = message.data[at : at + 2], number.to_bytes(2, "big")
        changes.append(str(number))
        if new != old:
            changes[-1] = f"{int.from_bytes(old, 'big')} -> {number}"
            edits.append(Edit(at, at + 2, new))
    summary = f"{message.title}{note}: call {', peer call '.join(changes)}"
    return Forward(len(message.data), tuple(edits), summary, pinholes)
