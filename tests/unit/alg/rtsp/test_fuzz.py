"""Nothing that either end sends makes the ALG raise, or open what it must not (G9, G7).

Besides `tests.unit.alg.invariant`, which all fuzzers check, what RTSP adds to it.
"""

from __future__ import annotations

import re

from hypothesis import given, target
from hypothesis import strategies as st

from p4alg.alg.contract import Detach, Endpoint, Peer, SessionFacts
from p4alg.alg.rtsp.alg import RtspAlg
from p4alg.alg.rtsp.limits import RtspLimits
from tests.conftest import examples
from tests.unit.alg.invariant import HOSTILE_NUMBERS, Gateway, check_feed
from tests.unit.alg.rtsp.harness import INSIDE, OUTSIDE, REMOTE, Wire, frame, message

_LIMITS = RtspLimits(message=1200, line=300, streams=3, pending=4, headers=8)

_peers = st.sampled_from(list(Peer))
_numbers = st.sampled_from([b"1", b"2", b"3", b"", b"-1", b"99999999999"])
_addrs = st.sampled_from([b"10.0.0.11", b"203.0.113.5", b"198.51.100.11", b"198.51.100.12", b"h"])
_good_ports = st.sampled_from([b"5000-5001", b"60000-60001", b"60002-60003", b"5001", b"5000-5000"])
_bad_ports = st.sampled_from([b"80-81", b"70000", b"x", b""])
_ports = st.one_of(_good_ports, _good_ports, _good_ports, _bad_ports)


def joined(first: bytes, strategy: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return strategy.map(lambda rest: first + rest)


_param = st.one_of(
    joined(b"client_port=", _ports),
    joined(b"server_port=", _ports),
    joined(b"source=", _addrs),
    joined(b"destination=", _addrs),
    st.sampled_from([b"unicast", b"multicast", b"interleaved=0-1", b"", b'dest_addr=":5"/":6"']),
    st.binary(max_size=6),
)
_transport = st.builds(
    lambda protocol, ports, rest: b";".join([protocol, b"client_port=" + ports, *rest]),
    st.sampled_from([b"RTP/AVP", b"RTP/AVP", b"RAW/RAW/UDP", b"RTP/AVP/TCP", b""]),
    _ports,
    st.lists(_param, max_size=2),
)
_usual = st.builds(
    lambda own, seen: b"RTP/AVP;client_port=" + own + b";server_port=" + seen,
    st.sampled_from([b"60000-60001", b"60000-60001", b"60002-60003", b"5000-5001"]),
    st.sampled_from([b"6970-6971", b"6972-6973", b"60000-60001"]),
)
_headers = st.fixed_dictionaries(
    {
        b"Transport": st.one_of(
            _usual, _usual, _usual, st.lists(_transport, min_size=1, max_size=2).map(b",".join)
        ),
        b"Session": st.builds(
            lambda n, rest: n + rest,
            st.sampled_from([b"1", b"1", b"2", b"3"]),
            st.sampled_from([b"", b";timeout=5", b";timeout=99999999999999999999"]),
        ),
    },
    optional={
        b"Content-Base": _addrs.map(lambda a: b"rtsp://" + a + b":554/x"),
        b"Content-Type": st.just(b"application/sdp"),
        b"X": st.one_of(st.just(b"y"), st.binary(max_size=20)),
    },
).map(lambda found: [name + b": " + value for name, value in found.items()])
_sdp = _addrs.map(lambda a: b"v=0\r\no=- 0 0 IN IP4 " + a + b"\r\na=control:rtsp://" + a + b"/\r\n")
_bodies = st.one_of(st.just(b""), st.just(b""), _sdp, st.binary(max_size=30))
_starts = st.sampled_from(
    [b"SETUP * RTSP/1.0", b"SETUP a RTSP/1.0", b"PLAY * RTSP/1.0", b"TEARDOWN * RTSP/1.0"]
)
_statuses = st.sampled_from(
    [b"RTSP/1.0 200 OK", b"RTSP/1.0 200 OK", b"RTSP/1.0 404 No", b"RTSP/1.0 100", b"RTSP/1.0 454 x"]
)


def turn(number: int) -> st.SearchStrategy[list[tuple[Peer, bytes, int]]]:
    """A request of the client and the server's answer, with the CSeq `number`."""

    def said(
        start: bytes, asked: list[bytes], status: bytes, told: list[bytes], body: bytes
    ) -> list[tuple[Peer, bytes, int]]:
        cseq = b"CSeq: %d" % number
        request, response = message(start, cseq, *asked), message(status, cseq, *told, body=body)
        return [(Peer.CLIENT, request, 3), (Peer.SERVER, response, 5)]

    return st.builds(said, _starts, _headers, _statuses, _headers, _bodies)


_noise = st.tuples(
    _peers,
    st.one_of(
        st.integers(0, 300).map(frame),
        st.binary(max_size=60),
        st.builds(
            lambda start, n, headers: message(start, b"CSeq: " + n, *headers),
            st.one_of(_starts, _statuses),
            _numbers,
            _headers,
        ),
    ),
    st.integers(0, 9),
)
_talk = st.builds(
    lambda turns, noise: [*turns[0], *turns[1], *noise[:1], *turns[2], *noise[1:], *turns[3]],
    st.tuples(*(turn(number) for number in range(10, 14))),
    st.lists(_noise, max_size=3),
)


def check(wire: Wire) -> None:
    for request in wire.gate.pinholes.values():
        assert request.listen.addr == INSIDE
        assert request.listen.port >= 1024
        assert request.opener_addr == REMOTE
        assert 0 < request.lifetime <= 7230
    assert len(wire.gate.pinholes) <= 2 * 4 * _LIMITS.streams
    for held in wire.held.values():
        assert len(held) <= _LIMITS.message + 4


def talk(wire: Wire, said: list[tuple[Peer, bytes, int]]) -> dict[Peer, bytes]:
    out = {peer: b"" for peer in Peer}
    for peer, data, size in said:
        if data:
            out[peer] += wire.say(peer, data, size)
        wire.now += 10
        wire.tick(wire.now)
        check(wire)
    return out


@given(_peers, _talk, st.booleans())
@examples(100)
def test_G9_nothing_raises_and_nothing_is_left(
    inside: Peer, said: list[tuple[Peer, bytes, int]], greeted: bool
) -> None:
    wire = Wire(inside, _LIMITS)
    if greeted:
        wire.greet()
    talk(wire, said)
    target(float(len(wire.gate.pinholes)))
    wire.alg.ended(wire.gate)
    assert wire.gate.pinholes == {}
    assert wire.gate.holds == {}


@given(_peers, _talk)
@examples(50)
def test_G5_segments_make_no_difference(inside: Peer, said: list[tuple[Peer, bytes, int]]) -> None:
    whole, cut = Wire(inside, _LIMITS), Wire(inside, _LIMITS)
    for wire in (whole, cut):
        wire.greet()
    one = talk(whole, [(peer, data, 0) for peer, data, _ in said])
    other = talk(cut, [(peer, data, 1) for peer, data, _ in said])
    # What was refused is cut where the error was seen; all before it is the same.
    if not whole.refusals():
        assert one == other
    assert whole.refusals() == cut.refusals()
    assert whole.gate.opened() == cut.gate.opened()


@given(st.lists(st.tuples(_peers, st.binary(max_size=80)), max_size=20))
def test_G9_any_bytes_are_taken(said: list[tuple[Peer, bytes]]) -> None:
    talk(Wire(limits=_LIMITS), [(peer, data, 0) for peer, data in said])


_BREAKS = st.one_of(st.sampled_from(HOSTILE_NUMBERS), st.binary(max_size=4))


@given(st.data())
@examples(100)
def test_G9_broken_messages_and_refusals_keep_the_invariant(data: st.DataObject) -> None:
    inside = data.draw(_peers)
    ends = (INSIDE, REMOTE) if inside is Peer.CLIENT else (REMOTE, INSIDE)
    facts = SessionFacts(
        6, Endpoint(ends[0], 4000), Endpoint(ends[1], 554), inside, Endpoint(OUTSIDE, 4000)
    )
    gateway = Gateway(facts, data.draw(st.frozensets(st.integers(0, 12))))
    alg = RtspAlg(facts, _LIMITS)
    # What the invariant's gateway shows for the first port that is reserved.
    said = [
        (peer, whole.replace(b"60000-60001", b"30000-30001")) for peer, whole, _ in data.draw(_talk)
    ]
    for index in data.draw(st.lists(st.integers(0, len(said) - 1), max_size=2)):
        peer, whole = said[index]
        numbers = [found.span() for found in re.finditer(rb"[0-9]+", whole)] or [(0, 0)]
        start, end = data.draw(st.sampled_from(numbers))
        said[index] = (peer, whole[:start] + data.draw(_BREAKS) + whole[end:])
    held = {peer: b"" for peer in Peer}
    cut = data.draw(st.integers(1, 300))
    for peer, whole in said:
        for at in range(0, len(whole), cut):
            held[peer] += whole[at : at + cut]
            before = set(gateway.reserved)
            steps = alg.feed(peer, held[peer], gateway, 0.0)
            check_feed(gateway, before, held[peer], steps, is_datagram=False)
            if any(isinstance(step, Detach) for step in steps):
                break
            held[peer] = held[peer][sum(step.length for step in steps) :]
        else:
            continue
        break
    alg.tick(gateway, 1000.0)
    alg.ended(gateway)
    assert not gateway.reserved
