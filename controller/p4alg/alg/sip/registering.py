"""Registrations and subscriptions: how inbound requests find an inside host (S5; RFC 3261
section 10, RFC 6665).

A request opens nothing; what it asks for is only noted. With a 2xx the registrar
confirms it. Then that registrar, and nobody else, may send requests to the contacts that
it lists, for as long as it says.
"""

from __future__ import annotations

from p4alg.alg.contract import Endpoint, PinholeRequest, format_addr
from p4alg.alg.sip.exchange import Exchange
from p4alg.alg.sip.headers import Contact, aor, seconds
from p4alg.alg.sip.message import SipError
from p4alg.alg.sip.records import Asked, Binding, Registration, RegistrationKey, Transaction
from p4alg.alg.sip.rewriting import inside_of, outside_of

_METHODS = {b"REGISTER": "registration", b"SUBSCRIBE": "subscription"}
_DEFAULT = 3600
_FLOWS = 64


def request(x: Exchange, transaction: Transaction) -> None:
    """Note what an inside host asks for; raises `SipError` if it must not be opened."""
    kind = _METHODS.get(x.message.method)
    if kind is None or not x.from_inside:
        return
    asked: list[Asked] = []
    for contact in x.contacts:
        found = _own(x, contact)
        if found is not None:
            proto, listen, visible = found
            x.check_port(listen.port)
            asked.append(Asked(proto, listen, visible, contact.expires))
    others = _others(x) if kind == "registration" else ()
    clears = any(contact.wildcard for contact in x.contacts)
    name = aor(x.message, b"to")
    if kind == "subscription":
        # Subscriptions are told apart by their dialogs (RFC 6665 section 4.1.2.1).
        name = x.call_id
    transaction.binding = Binding(kind, name, tuple(asked), _expires(x), clears, others)


def _others(x: Exchange) -> tuple[int, ...]:
    """The hosts whose REGISTER a proxy passes on: its Via is above theirs, the Contact is theirs.

    So a proxy is known to speak for them, once the registrar has agreed.
    """
    passed = {host.addr for via in x.vias[1:] for host in (via.sent_by, via.received) if host}
    named = (contact.uri.host.addr for contact in x.contacts if contact.uri is not None)
    found = (addr for addr in named if addr is not None and addr != x.inside.addr)
    return tuple(addr for addr in dict.fromkeys(found) if addr in passed)


def check_flood(x: Exchange) -> None:
    """Count a new REGISTER; raises `SipError` if its source sends too many."""
    source = x.inside.addr if x.from_inside else x.remote.addr
    flood = x.settings.flood
    if x.calls.new_registrations.count(source, flood.window, x.now) > flood.registrations:
        raise SipError("registration-flood")


def _own(x: Exchange, contact: Contact) -> tuple[int, Endpoint, Endpoint] | None:
    """Protocol, inside and outside endpoint of a contact; None if it is not the inside host's."""
    if contact.uri is None or contact.uri.host.addr is None:
        return None
    host = contact.uri.host
    if host.addr == x.inside.addr:
        listen = Endpoint(x.inside.addr, host.number)
        visible = outside_of(x, host, may_reserve=False)
        return None if visible is None else (host.proto, listen, visible)
    found = inside_of(x, host)
    if found is None or contact.uri.host.addr is None:
        return None
    return found[0], found[1], Endpoint(contact.uri.host.addr, host.number)


def _expires(x: Exchange) -> int | None:
    header = x.message.first(b"expires")
    return seconds(x.message.text(header)) if header is not None else None


def response(x: Exchange, transaction: Transaction | None) -> None:
    """Handle the registrar's answer, if it is a 2xx to a request that was let through."""
    if transaction is None or x.from_inside or not 200 <= x.message.code < 300:
        return
    binding = transaction.binding
    if binding is None:
        return
    if binding.clears:
        _clear(x, binding.aor)
        return
    for addr in binding.others:
        _confirm_other(x, binding, addr)
    for asked in binding.contacts:
        granted = _granted(x, binding, asked)
        key: RegistrationKey = (
            x.inside.addr,
            binding.aor,
            asked.proto,
            asked.listen,
            x.remote.addr,
        )
        if granted == 0:
            x.ended += x.calls.unregister(key)
            x.changes.append(f"{binding.kind} of {asked.listen} ends")
        else:
            _bind(x, binding, asked, key, granted)


def _confirm_other(x: Exchange, binding: Binding, addr: int) -> None:
    """The registrar agreed to what a proxy has passed on for the host `addr`."""
    header = _expires(x)
    default = header if header is not None else binding.expires
    granted = 0 if x.contacts else default
    for contact in x.contacts:
        if contact.uri is not None and contact.uri.host.addr == addr:
            granted = contact.expires if contact.expires is not None else default
    seconds_left = min(_DEFAULT if granted is None else granted, x.settings.timers.registration)
    if seconds_left <= 0 or binding.expires == 0:
        x.calls.not_behind(x.inside.addr, addr)
        return
    x.calls.put_behind(x.inside.addr, addr, x.now + seconds_left)
    x.changes.append(f"{format_addr(addr)} is behind {format_addr(x.inside.addr)}")


def terminated(x: Exchange) -> None:
    """End a subscription if a NOTIFY says that it is over (RFC 6665 section 4.1.3)."""
    state = x.message.first(b"subscription-state")
    if x.message.method != b"NOTIFY" or x.from_inside or state is None:
        return
    if x.message.text(state).partition(b";")[0].strip().lower() == b"terminated":
        _clear(x, x.call_id)


def _clear(x: Exchange, name: bytes) -> None:
    keys = x.calls.registrations_at(x.inside.addr, x.remote.addr)
    for key in [key for key in keys if key[1] == name]:
        x.ended += x.calls.unregister(key)
        x.changes.append(f"binding of {key[3]} ends")


def _granted(x: Exchange, binding: Binding, asked: Asked) -> int:
    """For how many seconds the answer confirms a contact; 0 if it does not."""
    wanted = asked.expires if asked.expires is not None else binding.expires
    header = _expires(x)
    if binding.kind == "subscription" or not x.contacts:
        # Some registrars do not list the contacts, though section 10.3 step 8 asks for it.
        listed = header if header is not None else wanted
    else:
        listed = 0
        for contact in x.contacts:
            uri = contact.uri
            if uri is not None and _is_at(uri.host.addr, uri.host.number, asked.visible):
                said = contact.expires if contact.expires is not None else header
                listed = said if said is not None else wanted
    if wanted == 0:
        return 0
    granted = _DEFAULT if listed is None else listed
    return min(granted, int(x.settings.timers.registration))


def _is_at(addr: int | None, port: int, visible: Endpoint) -> bool:
    return addr == visible.addr and port == visible.port


def _bind(x: Exchange, binding: Binding, asked: Asked, key: RegistrationKey, granted: int) -> None:
    ledger = x.calls.ledger
    if ledger.visible(asked.proto, asked.listen) is not None:
        ledger.reserve(key, x.gateway, asked.proto, asked.listen)
    wanted = PinholeRequest(
        asked.proto,
        listener=x.facts.inside,
        listen=asked.listen,
        opener_addr=x.remote.addr,
        opener_port=None,
        lifetime=float(granted),
        max_flows=_FLOWS,
        label=f"sip {binding.kind}",
        inspect=True,
    )
    x.pinholes.append(ledger.pinhole(key, x.gateway, wanted, x.now))
    made = Registration(
        binding.kind,
        asked.listen,
        asked.proto,
        binding.aor,
        x.remote.addr,
        x.now + granted,
        x.now,
    )
    x.calls.register(key, made)
    x.changes.append(f"{binding.kind} of {asked.listen} for {granted} s")
