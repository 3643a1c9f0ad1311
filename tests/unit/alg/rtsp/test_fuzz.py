"""Nothing that either end sends makes the ALG raise, or open what it must not (G9, G7)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from p4alg.alg.contract import Peer
from p4alg.alg.rtsp.limits import RtspLimits
from tests.unit.alg.rtsp.harness import INSIDE, REMOTE, Wire, frame, message

_LIMITS = RtspLimits(message=400, line=120, streams=3, pending=4, headers=8)

_peers = st.sampled_from(list(Peer))
_methods = st.sampled_from(
    [b"SETUP", b"PLAY", b"TEARDOWN", b"DESCRIBE", b"REDIRECT", b"ANNOUNCE", b"GET", b"OPTIONS"]
)
_numbers = st.sampled_from([b"1", b"2", b"3", b"", b"-1", b"99999999999"])
_ports = st.sampled_from(
    [b"5000-5001", b"60000-60001", b"6970-6971", b"5001", b"80-81", b"70000", b"5000-5000", b"x"]
)
_addrs = st.sampled_from([b"10.0.0.11", b"203.0.113.5", b"198.51.100.11", b"198.51.100.12", b"h"])
_param = st.one_of(
    st.sampled_from(
        [b"unicast", b"multicast", b"interleaved=0-1", b"", b'mode="PLAY"', b'dest_addr=":5"/":6"']
    ),
    st.builds(lambda name, value: name + value, st.just(b"client_port="), _ports),
    st.builds(lambda name, value: name + value, st.just(b"server_port="), _ports),
    st.builds(lambda name, value: name + value, st.just(b"destination="), _addrs),
    st.builds(lambda name, value: name + value, st.just(b"source="), _addrs),
    st.binary(max_size=6),
)
_spec = st.builds(
    lambda first, rest: b";".join([first, *rest]),
    st.sampled_from([b"RTP/AVP", b"RTP/AVP/TCP", b"RAW/RAW/UDP", b""]),
    st.lists(_param, max_size=4),
)
_header = st.one_of(
    st.builds(lambda specs: b"Transport: " + b",".join(specs), st.lists(_spec, max_size=3)),
    st.builds(lambda n: b"CSeq: " + n, _numbers),
    st.builds(
        lambda n, rest: b"Session: " + n + rest,
        _numbers,
        st.sampled_from([b"", b";timeout=5", b";timeout=99999999999999999999"]),
    ),
    st.builds(lambda a: b"Content-Base: rtsp://" + a + b":554/x", _addrs),
    st.sampled_from([b"Content-Type: application/sdp", b"Content-Length: 7", b"X"]),
    st.binary(max_size=20),
)
_sdp = st.builds(
    lambda a: b"v=0\r\no=- 0 0 IN IP4 " + a + b"\r\na=control:rtsp://" + a + b"/\r\n", _addrs
)
_message = st.builds(
    lambda start, cseq, headers, body: message(start, b"CSeq: " + cseq, *headers, body=body),
    st.one_of(
        st.builds(lambda method: method + b" rtsp://h/s RTSP/1.0", _methods),
        st.sampled_from([b"RTSP/1.0 200 OK", b"RTSP/1.0 404 No", b"RTSP/1.0 100", b"RTSP/2.0 2"]),
    ),
    _numbers,
    st.lists(_header, max_size=4),
    st.one_of(st.just(b""), _sdp, st.binary(max_size=30)),
)
_chunk = st.one_of(
    _message, st.builds(frame, st.integers(0, 300)), st.binary(max_size=60), st.just(b"\r\n")
)
_talk = st.lists(st.tuples(_peers, _chunk, st.integers(0, 9)), max_size=12)


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
        wire.alg.tick(wire.gate, wire.now)
        check(wire)
    return out


@given(_peers, _talk, st.booleans())
@settings(max_examples=300, deadline=None)
def test_G9_nothing_raises_and_nothing_is_left(
    inside: Peer, said: list[tuple[Peer, bytes, int]], greeted: bool
) -> None:
    wire = Wire(inside, _LIMITS)
    if greeted:
        wire.greet()
    talk(wire, said)
    wire.alg.ended(wire.gate)
    assert wire.gate.pinholes == {}
    assert wire.gate.holds == {}


@given(_peers, _talk)
@settings(max_examples=200, deadline=None)
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
