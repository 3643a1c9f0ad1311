"""Calls: which event each message is to them (S6, S7; RFC 3261, 3262, 3264, 3311).

`states` has the states and says what follows from an event. This module finds out what a
message means, and opens media.

A request opens nothing: what it offers is only noted. Media are opened when both the
offer and the answer are known. One of them then came in a response to a request that was
let through, or in the ACK or PRACK after it, and so both ends have spoken.
"""

from __future__ import annotations

from p4alg.alg.contract import Endpoint, PinholeRequest
from p4alg.alg.sip import media
from p4alg.alg.sip.body import SdpPart, find_sdp
from p4alg.alg.sip.exchange import Exchange, text
from p4alg.alg.sip.headers import aor
from p4alg.alg.sip.ledger import Key, User, pinhole_key, reserved_key
from p4alg.alg.sip.message import SipError
from p4alg.alg.sip.records import (
    Call,
    CallKey,
    Description,
    Dialog,
    Streams,
    Transaction,
)
from p4alg.alg.sip.states import (
    MEANINGS,
    CallEvent,
    CallState,
    Carrier,
    DialogEvent,
    DialogState,
    Meaning,
    Open,
)

_OFFERING = (b"INVITE", b"UPDATE", b"PRACK")
_CARRIERS = {b"PRACK": Carrier.PRACK, b"ACK": Carrier.ACK}
_AGAIN = (401, 407, 422, 491)
"""Final responses after which the same INVITE comes again: with credentials (401, 407), with
another session timer (422), or after a pause, as both ends had sent one (491)."""
_DEAD = (408, 481)
"""Final responses that end the dialog, whatever the request was (RFC 3261 section
12.2.1.2)."""
_SIGNALLING_FLOWS = 8


def call_of(x: Exchange) -> Call | None:
    """The call that a message belongs to."""
    return x.calls.call_of(x.inside.addr, x.call_id, x.local_tag)


def begin(x: Exchange) -> Call | None:
    """The call that a request belongs to.

    An INVITE or UPDATE of no known call begins one. Raises `SipError` at a limit.
    """
    call = call_of(x)
    if x.message.method not in (b"INVITE", b"UPDATE") or call is not None:
        return call
    source = x.inside.addr if x.from_inside else x.remote.addr
    flood = x.settings.flood
    if x.calls.new_calls.count(source, flood.window, x.now) > flood.calls:
        raise SipError("call-flood")
    key = CallKey(x.inside.addr, x.call_id, x.from_inside)
    before = x.calls.calls.get(key)
    if before is not None:
        # The caller chose another tag, so it has given up its call with the same Call-ID.
        x.ended += x.calls.end(before)
    call = Call(
        key,
        x.message.from_tag,
        (text(aor(x.message, b"from")), text(aor(x.message, b"to"))),
        x.now,
        x.now + x.settings.timers.ringing,
    )
    x.calls.add(call)
    x.new_call = call
    return call


def request(x: Exchange, call: Call | None, transaction: Transaction | None) -> None:
    """Handle a request; `call` is None if it belongs to none, `transaction` for an ACK."""
    method = x.message.method
    parts = find_sdp(x.message, x.settings.limits)
    if call is None or method not in (*_OFFERING, b"ACK"):
        _addresses_only(x, parts)
    else:
        _describe_in_request(x, call, transaction, parts)
    if call is None:
        return
    _note_contact(x, call)
    if method == b"INVITE" and x.is_new and not call.answered:
        _step(x, call, CallEvent.INVITED)
    ends = method == b"BYE" and (x.remote_tag in call.dialogs or not call.dialogs)
    if ends or (method == b"CANCEL" and not call.answered):
        _step(x, call, CallEvent.ENDS)


def _step(x: Exchange, call: Call, event: CallEvent) -> None:
    """Tell a call what a message meant to it; all it has is given back when it is over."""
    call.step(event, x.settings.timers, x.now)
    if call.state is CallState.OVER:
        x.ended += x.calls.end(call)


def _describe_in_request(
    x: Exchange, call: Call, transaction: Transaction | None, parts: list[SdpPart]
) -> None:
    """SDP in a request of a call, or an ACK or PRACK that could have carried an answer."""
    carrier = _CARRIERS.get(x.message.method, Carrier.REQUEST)
    late = call.late
    waits = Open.NONE if late is None or late.by_inside == x.from_inside else Open.RESPONSE
    meaning = MEANINGS[carrier, waits]
    if meaning is Meaning.ANSWER and late is not None:
        if parts:
            streams = _streams(x, parts, call.user(None), is_answer=True)
            _agree(x, call, streams, late.streams)
        call.late = None
        x.ended += x.calls.ledger.release(call.user(None))
    elif meaning is Meaning.OFFER and parts and transaction is not None:
        streams = _streams(x, parts, call.user(None), is_answer=False)
        transaction.offer = Description(x.from_inside, streams)
    else:
        _addresses_only(x, parts)


def response(x: Exchange, call: Call | None, transaction: Transaction | None) -> None:
    """Handle a response; `transaction` is that of its request, None if there was none."""
    method, code = x.message.method, x.message.code
    parts = find_sdp(x.message, x.settings.limits)
    if call is None or transaction is None or method not in _OFFERING or not 100 < code < 300:
        _addresses_only(x, parts)
    elif parts:
        _describe_in_response(x, call, transaction, parts)
    if call is None or transaction is None:
        return
    if code < 300:
        _note_contact(x, call)
    if method == b"INVITE":
        _invite_answered(x, call, transaction)
    elif code >= 200 and method == b"BYE":
        _bye_answered(x, call)
    elif code >= 200 and method in _OFFERING:
        _settled(x, call)
        if method == b"UPDATE" and code in _DEAD:
            _end_dialog(x, call)


def _describe_in_response(
    x: Exchange, call: Call, transaction: Transaction, parts: list[SdpPart]
) -> None:
    offer = transaction.offer
    meaning = MEANINGS[Carrier.RESPONSE, Open.NONE if offer is None else Open.REQUEST]
    streams = _streams(x, parts, call.user(None), is_answer=meaning is Meaning.ANSWER)
    if offer is not None and meaning is Meaning.ANSWER:
        _agree(x, call, streams, offer.streams)
    elif meaning is Meaning.LATE_OFFER:
        call.late = Description(x.from_inside, streams)


def _streams(x: Exchange, parts: list[SdpPart], user: User, is_answer: bool) -> Streams:
    """The streams of the first description in a message.

    Further descriptions are alternatives to it; they are translated too.
    """
    if not x.from_inside:
        return media.hear(x, parts[0])
    found = [media.announce(x, part, user, is_answer) for part in parts]
    return found[0]


def _addresses_only(x: Exchange, parts: list[SdpPart]) -> None:
    for part in parts if x.from_inside else ():
        media.announce(x, part, None, is_answer=False)


def _agree(x: Exchange, call: Call, told: Streams, offered: Streams) -> None:
    """Open media: `told` by the sender of this message answers what the other end `offered`."""
    local, remote = (told, offered) if x.from_inside else (offered, told)
    media.connect(x, call, x.remote_tag, local, remote)
    if call.answered:
        _step(x, call, _standing(call.dialogs[x.remote_tag]))


def _invite_answered(x: Exchange, call: Call, transaction: Transaction) -> None:
    code = x.message.code
    if code < 200:
        if not call.answered and code > 100:
            early = any(dialog.remote for dialog in call.dialogs.values())
            _step(x, call, CallEvent.EARLY_MEDIA if early else CallEvent.RINGS)
            transaction.expires = call.ringing_until
        return
    # The transaction is kept for copies of the response.
    transaction.expires = x.now + x.settings.timers.transaction
    is_late, transaction.completed = transaction.completed, True
    if not is_late:
        transaction.turned_down = code >= 300
    if code < 300:
        _established(x, call)
    elif is_late:
        # The error ended this transaction before; the call may have gone on with another.
        return
    elif call.answered:
        _settled(x, call)
        call.late = None
        if code in _DEAD:
            _end_dialog(x, call)
    elif code in _AGAIN:
        _step(x, call, CallEvent.CHALLENGED)
    else:
        _step(x, call, CallEvent.REJECTED)


def _established(x: Exchange, call: Call) -> None:
    """A 2xx: this dialog stays, and what other branches of a forked call had goes."""
    for tag, dialog in list(call.dialogs.items()):
        if tag != x.remote_tag:
            dialog.step(DialogEvent.OTHER_ACCEPTED)
            _drop_if_gone(x, call, tag)
    dialog = media.dialog_of(x, call, x.remote_tag)
    dialog.step(DialogEvent.ACCEPTED)
    if call.late is None:
        # The offer was answered, and its dialog uses the endpoints, or it was turned down.
        x.ended += x.calls.ledger.release(call.user(None))
    _step(x, call, CallEvent.CONTINUES)
    _step(x, call, _standing(dialog))
    _open_signalling(x, call)


def _standing(*dialogs: Dialog) -> CallEvent:
    """What answered dialogs say of their call: it rests if all of them are on hold."""
    is_held = all(dialog.held_since is not None for dialog in dialogs)
    return CallEvent.RESTS if is_held else CallEvent.TALKS


def _settled(x: Exchange, call: Call) -> None:
    """Release what an offer reserved, once it was accepted or turned down.

    Not before a 2xx: other branches of a forked call may still answer what the INVITE
    offers.
    """
    if call.answered:
        x.ended += x.calls.ledger.release(call.user(None))


def _bye_answered(x: Exchange, call: Call) -> None:
    if x.message.code in (401, 407):
        _go_on(x, call)
    else:
        _end_dialog(x, call)


def _end_dialog(x: Exchange, call: Call) -> None:
    dialog = call.dialogs.get(x.remote_tag)
    if dialog is not None:
        dialog.step(DialogEvent.ENDED)
        _drop_if_gone(x, call, x.remote_tag)
    if call.dialogs:
        _go_on(x, call)
    else:
        _step(x, call, CallEvent.ALL_ENDED)


def _drop_if_gone(x: Exchange, call: Call, tag: bytes) -> None:
    if call.dialogs[tag].state is DialogState.GONE:
        x.ended += x.calls.ledger.release(call.user(tag))
        del call.dialogs[tag]


def _go_on(x: Exchange, call: Call) -> None:
    """The call does not end, or not all of it: its dialogs say what it is now."""
    answered = [d for d in call.dialogs.values() if d.state is DialogState.CONFIRMED]
    if answered:
        _step(x, call, CallEvent.CONTINUES)
        _step(x, call, _standing(*answered))
    else:
        _step(x, call, CallEvent.ONLY_EARLY_LEFT)


def _note_contact(x: Exchange, call: Call) -> None:
    """Note where requests within the call will come from, and where they will go to."""
    peers = {x.remote.addr}
    uri = x.contacts[0].uri if x.contacts else None
    if uri is not None and uri.host.addr is not None:
        if not x.from_inside:
            peers.add(uri.host.addr)
        elif uri.host.addr == x.inside.addr:
            call.contact = (uri.host.proto, Endpoint(uri.host.addr, uri.host.number))
    if len(call.peers | peers) <= x.settings.limits.dialogs:
        call.peers |= peers


def _open_signalling(x: Exchange, call: Call) -> None:
    """Let requests within the call in as long as it lasts, even if its flow has gone.

    They come from where the call's messages came from. From the remote end itself they come
    only if no proxy stays in between, as Record-Route tells (RFC 3261 section 16.6 step 4).
    """
    if call.contact is None or x.objection(call.contact[1].port):
        return
    proto, listen = call.contact
    openers = {x.remote.addr}
    if x.message.first(b"record-route") is None:
        openers |= call.peers
    kept: set[Key] = set()
    if x.calls.ledger.visible(proto, listen) is not None:
        x.calls.ledger.reserve(call.signalling, x.gateway, proto, listen)
        kept.add(reserved_key(proto, listen))
    for opener in sorted(openers):
        wanted = PinholeRequest(
            proto,
            listener=x.facts.inside,
            listen=listen,
            opener_addr=opener,
            opener_port=None,
            lifetime=x.settings.timers.call,
            max_flows=_SIGNALLING_FLOWS,
            label="sip dialog",
            inspect=True,
        )
        try:
            number = x.calls.ledger.pinhole(call.signalling, x.gateway, wanted, x.now)
        except SipError as error:
            # The call itself works. Only requests from this address will not get in.
            x.notice("no-dialog-pinhole", f"{listen}: {error.word}")
            continue
        x.pinholes.append(number)
        kept.add(pinhole_key(proto, listen, opener))
    x.ended += x.calls.ledger.release(call.signalling, kept)
