"""Translates the addresses in headers, outward and inward (S2).

In a message to the outside, the inside host's own address is replaced by the outside
endpoint. Other addresses are left alone, those of other inside hosts included (G7). In a
message to the inside, an outside endpoint is replaced if it leads to this inside host.

Where the outside will send messages to (Contact, Via, Record-Route), the outside endpoint is
reserved, so that it stays the same as long as it is needed.
"""

from __future__ import annotations

from p4alg.alg.contract import Endpoint, format_addr
from p4alg.alg.sip.exchange import Exchange
from p4alg.alg.sip.headers import Place, Role, Via, call_id_spans, places
from p4alg.alg.sip.uri import HostPort


def rewrite_headers(x: Exchange, maps_to: bool) -> bool:
    """Edit every address of the start line and the headers.

    Returns whether To names the inside host. `maps_to` tells whether it did in the request
    that this message answers. Raises `SipError` if an endpoint cannot be reserved.
    """
    found = places(x.message, x.contacts, x.settings.limits)
    if x.from_inside:
        for via in x.vias:
            _via_outward(x, via)
        for place in found:
            _outward(x, place)
    else:
        for via in x.vias:
            _via_inward(x, via)
        for place in found:
            _inward(x, place, maps_to)
    there = format_addr(x.seen.addr if x.from_inside else x.inside.addr).encode()
    for start, end in call_id_spans(x.message):
        for span in x.name_spans(start, end):
            x.edit(*span, there)
    return any(p.header == b"to" and p.host.addr == x.inside.addr for p in found)


def outside_of(x: Exchange, host: HostPort, *, may_reserve: bool) -> Endpoint | None:
    """The outside endpoint of what a message of the inside host calls `host`.

    Without `may_reserve` it is None unless one is reserved already.
    """
    listen = Endpoint(x.inside.addr, host.number)
    if listen == x.inside and host.proto == x.facts.proto:
        return x.seen
    if not may_reserve:
        return x.calls.ledger.visible(host.proto, listen)
    x.check_port(listen.port)
    user = x.calls.use_signalling(host.proto, listen, x.now)
    return x.calls.ledger.reserve(user, x.gateway, host.proto, listen)


def inside_of(x: Exchange, host: HostPort) -> tuple[int, Endpoint] | None:
    """The protocol and the inside host's endpoint that `host` leads to; None if to none."""
    if host.addr is None:
        return None
    told = Endpoint(host.addr, host.number)
    for proto in dict.fromkeys((host.proto, x.facts.proto)):
        if told == x.seen and proto == x.facts.proto:
            return proto, x.inside
        found = x.gateway.inside_of(proto, told)
        if found is not None and found.addr == x.inside.addr:
            return proto, found
    return None


def _outward(x: Exchange, place: Place) -> None:
    host = place.host
    if host.addr != x.inside.addr:
        return
    if place.role is Role.MADDR or (place.role is Role.IDENTITY and host.port is None):
        _write(x, host, x.seen, has_port=False)
        return
    visible = outside_of(x, host, may_reserve=place.role is Role.REACH)
    if visible is None:
        _write(x, host, Endpoint(x.seen.addr, host.number), has_port=host.port is not None)
        return
    if place.role is Role.REACH:
        listen = Endpoint(x.inside.addr, host.number)
        x.calls.wrote(place.header, host.proto, listen, host.port is not None)
        x.changes.append(f"{place.header.decode()} {listen} -> {visible}")
    _write(x, host, visible, has_port=host.port is not None or visible.port != host.default)


def _inward(x: Exchange, place: Place, maps_to: bool) -> None:
    host = place.host
    if place.header in (b"from", b"to"):
        # From of a request and To of a response are the remote end's name. It is not changed,
        # even if both ends have the same outside address.
        own = b"to" if x.message.is_request else b"from"
        if place.header != own and not (maps_to and place.header == b"to"):
            return
    is_name = host.port is None and place.header in (b"from", b"to", b"")
    if place.role is Role.MADDR or is_name:
        if host.addr == x.seen.addr:
            _write(x, host, x.inside, has_port=False)
        return
    found = inside_of(x, host)
    if found is None:
        return
    proto, inside = found
    kept = x.calls.writes_port(place.header or b"contact", proto, inside)
    has_port = inside.port != host.default or (kept and host.port is not None)
    _write(x, host, inside, has_port=has_port)


def _via_outward(x: Exchange, via: Via) -> None:
    if via.sent_by.addr == x.inside.addr:
        visible = outside_of(x, via.sent_by, may_reserve=True)
        if visible is not None:
            listen = Endpoint(x.inside.addr, via.sent_by.number)
            has_port = via.sent_by.port is not None
            x.calls.wrote(b"via", via.sent_by.proto, listen, has_port)
            wants_port = has_port or visible.port != via.sent_by.default
            _write(x, via.sent_by, visible, has_port=wants_port)
    for param in (via.received, via.maddr):
        if param is not None and param.addr == x.inside.addr:
            _write(x, param, x.seen, has_port=False)
            if param is via.received and via.rport and via.rport.port == x.inside.port:
                x.edit(via.rport.start, via.rport.end, b"%d" % x.seen.port)


def _via_inward(x: Exchange, via: Via) -> None:
    found = inside_of(x, via.sent_by)
    if found is not None:
        proto, inside = found
        kept = x.calls.writes_port(b"via", proto, inside)
        if via is x.vias[0] and x.via_has_port is not None:
            # The same host may write it in one request and not in another.
            kept = x.via_has_port
        wants_port = inside.port != via.sent_by.default or (kept and via.sent_by.port is not None)
        _write(x, via.sent_by, inside, has_port=wants_port)
    elif via is not x.vias[0] or x.message.is_request:
        return  # This Via is not the inside host's, and so its parameters are not either.
    for param in (via.received, via.maddr):
        if param is not None and param.addr == x.seen.addr:
            _write(x, param, x.inside, has_port=False)
    if via.rport is not None and via.rport.port == x.seen.port:
        # The server writes the port it saw (RFC 3581); the phone would take it for its own.
        x.edit(via.rport.start, via.rport.end, b"%d" % x.inside.port)


def _write(x: Exchange, host: HostPort, shown: Endpoint, *, has_port: bool) -> None:
    addr = format_addr(shown.addr)
    said = f"{addr}:{shown.port}" if has_port else addr
    x.edit(host.start, host.end, said.encode())
