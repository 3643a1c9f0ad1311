"""Media: what SDP announces, and the endpoints and pinholes for it (S3, S4; RFC 3264).

When two inside hosts call each other through an outside proxy, each is told the outside
endpoint of the other, as any remote end is. Their media then hairpin through the gateway.
No inside address is ever told to another host.
"""

from __future__ import annotations

from dataclasses import replace

from p4alg.alg.contract import Endpoint, PinholeRequest, format_addr
from p4alg.alg.sip.body import SdpPart
from p4alg.alg.sip.exchange import Exchange
from p4alg.alg.sip.ledger import Key, User, pinhole_key, reserved_key
from p4alg.alg.sip.limits import Candidates
from p4alg.alg.sip.message import SipError
from p4alg.alg.sip.records import Call, Dialog, Stream, Streams
from p4alg.alg.sip.sdp import AddrSpan, Candidate, Description, Media, read_sdp

_MULTICAST = 224 << 24
_LOOPBACK = 127
_HELD = (b"sendonly", b"inactive")
_MEDIA_FLOWS, _RTCP_FLOWS = 2, 1
"""How many flows may use a media pinhole, and an RTCP one. A media server that forwards a
call may go on from another port, so there is a second for media."""


def announce(x: Exchange, part: SdpPart, user: User | None, is_answer: bool) -> Streams:
    """Replace the endpoints in the inside host's description by outside ones.

    Returns its streams. The outside endpoints are reserved for `user`; without a user only
    addresses are translated, as in an answer to OPTIONS. Raises `SipError` if an endpoint
    cannot be reserved.
    """
    found = read_sdp(x.message.data, part.start, part.end, x.settings.limits)
    streams: list[Stream] = []
    shown: dict[AddrSpan, int] = {}
    for media in found.media:
        stream = _own_stream(x, part, found, media, user, is_answer)
        streams.append(stream)
        for span in media.connections or found.connections:
            # One c= line may be that of several streams, which must then have one address.
            visible = stream.visible
            if visible is not None and shown.setdefault(span, visible.addr) != visible.addr:
                raise SipError("split-address")
    hosts = {s.media.addr: s.visible.addr for s in streams if s.media and s.visible}
    spans = [*found.connections, *(span for media in found.media for span in media.connections)]
    if found.origin is not None:
        spans.append(found.origin)
    for span in spans:
        if span.addr == x.inside.addr or span.addr in hosts:
            _edit_addr(x, part, span, shown.get(span, hosts.get(span.addr, x.seen.addr)))
    return tuple(streams)


def _own_stream(
    x: Exchange,
    part: SdpPart,
    found: Description,
    media: Media,
    user: User | None,
    is_answer: bool,
) -> Stream:
    """Translate the ports of one stream of the inside host, and return the stream."""
    addr = found.addr_of(media)
    held = addr == 0 or media.direction in _HELD
    idle = Stream(media.kind, media.proto, None, None, is_held=held)
    host = x.inside.addr
    if addr is not None and x.calls.is_behind(host, addr, x.now):
        host = addr
    listen = Endpoint(host, media.port)
    if user is None or not media.listens or addr is None:
        return idle
    if addr not in (0, host):
        # A phone that uses STUN may have written its outside endpoint. Any other address
        # is that of another host, for which nothing is opened.
        known = x.gateway.inside_of(media.proto, Endpoint(addr, media.port))
        if known is None or known.addr != x.inside.addr:
            _say_elsewhere(x, media.kind, Endpoint(addr, media.port))
            return idle
        listen = known
    x.check_port(listen.port)
    is_ours = addr in (0, host)
    rtcp_port = _rtcp_port(x, media, listen, is_answer)
    is_pair = is_ours and rtcp_port == listen.port + 1 and listen.port % 2 == 0
    ledger, gateway = x.calls.ledger, x.gateway
    visible = ledger.reserve(user, gateway, media.proto, listen, pair=is_pair)
    rtcp, rtcp_visible = None, visible
    if rtcp_port is not None:
        x.check_port(rtcp_port)
        rtcp = Endpoint(listen.addr, rtcp_port)
        rtcp_visible = Endpoint(visible.addr, visible.port + 1)
        # If one of the two was in use before, they did not get neighbouring ports.
        is_pair = is_pair and gateway.inside_of(media.proto, rtcp_visible) == rtcp
        if not is_pair:
            rtcp_visible = ledger.reserve(user, gateway, media.proto, rtcp)
    if is_ours:
        _edit_ports(x, part, media, host, visible, rtcp_visible)
        _candidates(x, part, media, host, {rtcp or listen: rtcp_visible, listen: visible})
        x.changes.append(f"{media.kind} {listen} -> {visible}")
    return replace(
        idle,
        media=listen,
        rtcp=rtcp,
        visible=visible,
        is_rtp=media.is_rtp,
        is_pair=is_pair,
        has_mux=media.has_mux,
    )


def _say_elsewhere(x: Exchange, kind: str, where: Endpoint) -> None:
    """Tell that media are announced at another host, for which nothing is opened."""
    text = f"{kind} at {where}: not the sender's, nothing opened"
    is_inside = not x.gateway.objection(x.facts.proto, where)
    if is_inside:
        proxy = format_addr(x.inside.addr)
        text += f"; {format_addr(where.addr)} has not registered through {proxy}, and hears nothing"
    x.notice("media-elsewhere", text, is_warning=is_inside)


def _rtcp_port(x: Exchange, media: Media, listen: Endpoint, is_answer: bool) -> int | None:
    """The port at which the inside host receives RTCP of a stream, if it is not the media's.

    None if there is none, or if RTCP is received at another host. In an offer the port
    counts in spite of rtcp-mux, since the answer may turn that down (RFC 5761 section 5.1.1);
    in an answer rtcp-mux is final.
    """
    if not media.is_rtp or (media.has_mux and is_answer):
        return None
    if media.rtcp is None:
        return listen.port + 1 if listen.port < 0xFFFF else None
    host = media.rtcp.host
    if host is not None and host.addr not in (0, listen.addr):
        return None
    return media.rtcp.port if media.rtcp.port != listen.port else None


def _edit_ports(
    x: Exchange, part: SdpPart, media: Media, inside: int, visible: Endpoint, rtcp: Endpoint
) -> None:
    _edit(x, part, media.port_span, b"%d" % visible.port)
    if media.rtcp is None:
        if rtcp.port not in (visible.port, visible.port + 1) and media.attributes_at is not None:
            # RTCP is not at the next port, where it would be expected (RFC 3605 section 2.1).
            at = media.attributes_at
            _edit(x, part, (at, at), b"a=rtcp:%d\r\n" % rtcp.port)
        return
    host = media.rtcp.host
    if host is None or host.addr in (0, inside):
        _edit(x, part, media.rtcp.span, b"%d" % rtcp.port)
    if host is not None and host.addr == inside:
        _edit_addr(x, part, host, rtcp.addr)


def _candidates(
    x: Exchange, part: SdpPart, media: Media, inside: int, known: dict[Endpoint, Endpoint]
) -> None:
    for candidate in media.candidates:
        shown = _shown(candidate, known)
        if x.settings.candidates is Candidates.REMOVE or shown is None:
            _edit(x, part, candidate.line, b"")
            continue
        _edit_addr(x, part, candidate.host, shown.addr)
        _edit(x, part, candidate.port, b"%d" % shown.port)
        if candidate.related is not None and candidate.related[0].addr == inside:
            # A related address that is kept secret is 0.0.0.0 and port 9 (RFC 8839 section 5.1).
            _edit_addr(x, part, candidate.related[0], 0)
            _edit(x, part, candidate.related[1], b"9")


def _shown(candidate: Candidate, known: dict[Endpoint, Endpoint]) -> Endpoint | None:
    if candidate.host.addr is None or not candidate.is_udp:
        return None
    told = Endpoint(candidate.host.addr, candidate.number)
    return told if told in known.values() else known.get(told)


def _edit(x: Exchange, part: SdpPart, span: tuple[int, int], text: bytes) -> None:
    x.edit_body(*span, text, part.lengths)


def _edit_addr(x: Exchange, part: SdpPart, span: AddrSpan, addr: int) -> None:
    _edit(x, part, (span.start, span.end), format_addr(addr).encode())


def hear(x: Exchange, part: SdpPart) -> Streams:
    """The streams of the remote end's description."""
    found = read_sdp(x.message.data, part.start, part.end, x.settings.limits)
    streams: list[Stream] = []
    for media in found.media:
        addr = found.addr_of(media)
        held = addr == 0 or media.direction in _HELD
        stream = Stream(media.kind, media.proto, None, None, is_held=held, has_mux=media.has_mux)
        if media.port != 0:
            # For a name or an IPv6 address it is not known where the media will come from.
            addr = addr or 0
            rtcp = Endpoint(addr, min(media.port + 1, 0xFFFF))
            if media.rtcp is not None:
                host = media.rtcp.host
                there = addr if host is None or host.addr is None else host.addr
                rtcp = Endpoint(there, media.rtcp.port)
            listen = Endpoint(addr, media.port)
            inside = x.gateway.inside_of(media.proto, listen)
            stream = replace(stream, media=listen, rtcp=rtcp, is_hairpin=inside is not None)
        streams.append(stream)
    return tuple(streams)


def connect(x: Exchange, call: Call, tag: bytes, local: Streams, remote: Streams) -> None:
    """Open the media on which offer and answer of a dialog agree, and end all others it has.

    Raises `SipError` if something cannot be reserved or opened.
    """
    dialog = dialog_of(x, call, tag)
    user = call.user(tag)
    held = _is_held(local) or _is_held(remote)
    known = list(remote)
    keep: set[Key] = set()
    for index, (mine, theirs) in enumerate(zip(local, remote, strict=False)):
        if mine.media is None or theirs.media is None:
            continue
        before = dialog.remote[index] if index < len(dialog.remote) else None
        if theirs.media.addr == 0 and before is not None and before.media is not None:
            # A call put on hold in the manner of RFC 2543; its media stay where they were.
            theirs = known[index] = replace(before, is_held=True)
        x.calls.ledger.reserve(user, x.gateway, mine.proto, mine.media, pair=mine.is_pair)
        keep.add(reserved_key(mine.proto, mine.media))
        if mine.rtcp is not None and not mine.is_pair:
            x.calls.ledger.reserve(user, x.gateway, mine.proto, mine.rtcp)
            keep.add(reserved_key(mine.proto, mine.rtcp))
        keep |= _open(x, user, mine, theirs, held)
    dialog.local, dialog.remote = local, tuple(known)
    if not held:
        dialog.held_since = None
    elif dialog.held_since is None:
        dialog.held_since = x.now
    x.ended += x.calls.ledger.release(user, keep)


def dialog_of(x: Exchange, call: Call, tag: bytes) -> Dialog:
    """The dialog with a remote end, made if there is none; raises `SipError` at the limit."""
    dialog = call.dialogs.get(tag)
    if dialog is None:
        if len(call.dialogs) >= x.settings.limits.dialogs:
            raise SipError("dialog-limit")
        dialog = call.dialogs[tag] = Dialog()
    return dialog


def _is_held(streams: Streams) -> bool:
    active = [stream for stream in streams if stream.media is not None]
    return bool(active) and all(stream.is_held for stream in active)


def _open(x: Exchange, user: User, mine: Stream, theirs: Stream, held: bool) -> set[Key]:
    """Open the pinholes of one stream, if both ends listen; returns their keys."""
    if mine.media is None or theirs.media is None:
        return set()
    wanted = [(mine.media, theirs.media.addr, "rtp" if mine.is_rtp else "media", _MEDIA_FLOWS)]
    if mine.rtcp is not None and not (mine.has_mux and theirs.has_mux):
        addr = theirs.rtcp.addr if theirs.rtcp is not None else theirs.media.addr
        wanted.append((mine.rtcp, addr, "rtcp", _RTCP_FLOWS))
    timers = x.settings.timers
    kept: set[Key] = set()
    for listen, opener, what, flows in wanted:
        if opener == 0 or opener >= _MULTICAST or opener >> 24 == _LOOPBACK:
            x.notice("no-address", f"{mine.kind}: no media can come from {format_addr(opener)}")
            continue
        request = PinholeRequest(
            mine.proto,
            listener=x.facts.inside,
            listen=listen,
            opener_addr=opener,
            opener_port=None,
            lifetime=timers.hold if held else timers.media_wait,
            max_flows=flows,
            label=f"sip {mine.kind} {what}",
            flow_idle=timers.hold if held else timers.media_idle,
        )
        x.pinholes.append(x.calls.ledger.pinhole(user, x.gateway, request, x.now))
        kept.add(pinhole_key(mine.proto, listen, opener))
    return kept
