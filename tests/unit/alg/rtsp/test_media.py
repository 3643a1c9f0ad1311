"""How long media may come: what renews it, and what ends it."""

from __future__ import annotations

import pytest

from p4alg.alg.contract import Forward
from tests.unit.alg.rtsp.harness import OPEN, URL, Wire, ready


def streams(wire: Wire) -> None:
    """Two streams in one session, and one in another."""
    wire.set_up(url=URL + b"/stream=0")
    wire.set_up(
        b"RTP/AVP;client_port=5002-5003", b"RTP/AVP;client_port=60002-60003", url=URL + b"/stream=1"
    )
    wire.set_up(
        b"RTP/AVP;client_port=5004-5005",
        b"RTP/AVP;client_port=60004-60005",
        session=b"other",
        url=b"rtsp://198.51.100.11/b",
    )


def ports(wire: Wire) -> list[int]:
    """The inside ports that something is open to."""
    return sorted(int(line.rpartition(":")[2]) for line in wire.gate.opened())


def test_R4_a_teardown_ends_all_streams_of_its_session() -> None:
    wire = ready()
    streams(wire)
    assert ports(wire) == [5000, 5001, 5002, 5003, 5004, 5005]
    wire.ask(b"TEARDOWN", b"Session: 12345678")
    assert len(ports(wire)) == 6
    wire.answer(b"Session: 12345678")
    assert ports(wire) == [5004, 5005]
    assert list(wire.gate.holds.values()) == [(5004, 5005)]


def test_R4_a_teardown_of_one_stream_leaves_the_others() -> None:
    wire = ready()
    streams(wire)
    wire.ask(b"TEARDOWN", b"Session: 12345678", url=URL + b"/stream=1")
    wire.answer()
    assert ports(wire) == [5000, 5001, 5004, 5005]


def test_R4_a_teardown_opens_nothing_anew() -> None:
    wire = ready()
    wire.set_up()
    wire.gate.use_up(5000)
    wire.ask(b"TEARDOWN", b"Session: 12345678")
    assert ports(wire) == [5001]


def test_R4_a_refused_teardown_ends_nothing_but_an_unknown_session_does() -> None:
    wire = ready()
    streams(wire)
    wire.ask(b"TEARDOWN", b"Session: other")
    wire.answer(status=b"455 Method Not Valid in This State")
    assert len(ports(wire)) == 6
    wire.ask(b"TEARDOWN", b"Session: other")
    wire.answer(status=b"454 Session Not Found")
    assert ports(wire) == [5000, 5001, 5002, 5003]


def test_R4_streams_at_the_same_ports_do_not_end_each_other() -> None:
    wire = ready()
    wire.set_up(session=b"old")
    wire.set_up(session=b"new")
    wire.ask(b"PLAY", b"Session: old")
    wire.answer()
    wire.ask(b"TEARDOWN", b"Session: old")
    wire.answer()
    assert wire.gate.opened() == OPEN
    wire.alg.ended(wire.gate)
    assert wire.gate.pinholes == {}
    assert wire.gate.holds == {}


def test_R4_the_end_of_the_connection_ends_everything() -> None:
    wire = ready()
    streams(wire)
    wire.ask(b"SETUP", b"Transport: RTP/AVP;client_port=5006-5007")
    wire.alg.ended(wire.gate)
    assert wire.gate.pinholes == {}
    assert wire.gate.holds == {}
    assert wire.gate.bindings == {}


def test_R4_a_second_setup_of_a_stream_takes_the_place_of_the_first() -> None:
    wire = ready()
    wire.set_up()
    first = set(wire.gate.pinholes)
    wire.set_up(b"RTP/AVP;client_port=5002-5003", b"RTP/AVP;client_port=60002-60003")
    assert ports(wire) == [5002, 5003]
    assert not first & set(wire.gate.pinholes)
    assert list(wire.gate.holds.values()) == [(5002, 5003)]


def test_R4_a_second_setup_of_the_same_ports_keeps_them_open() -> None:
    wire = ready()
    wire.set_up()
    wire.set_up()
    assert wire.gate.opened() == OPEN
    wire.ask(b"TEARDOWN", b"Session: 12345678")
    wire.answer()
    assert wire.gate.pinholes == {}
    assert wire.gate.bindings == {}


def test_R4_requests_keep_a_session_and_its_timeout_ends_it() -> None:
    wire = ready()
    wire.set_up(session=b"12345678;timeout=20")
    assert {request.lifetime for request in wire.gate.pinholes.values()} == {50.0}
    wire.now = 49.0
    wire.ask(b"GET_PARAMETER", b"Session: 12345678")
    wire.tick(51.0)
    assert wire.gate.opened() == OPEN
    assert wire.gate.holds
    wire.tick(100.0)
    assert wire.gate.opened() == set()
    assert wire.gate.holds == {}
    # Media that still comes goes on until the connection ends.
    assert wire.gate.pinholes
    wire.alg.ended(wire.gate)
    assert wire.gate.pinholes == {}


@pytest.mark.parametrize(
    ("named", "lifetime"),
    [(b"", 90.0), (b";timeout=0", 40.0), (b";timeout=99999999999", 7230.0), (b";x=1", 90.0)],
)
def test_R4_timeouts_are_bounded(named: bytes, lifetime: float) -> None:
    wire = ready()
    wire.set_up(session=b"12345678" + named)
    assert {request.lifetime for request in wire.gate.pinholes.values()} == {lifetime}


def test_R4_media_that_was_silent_for_long_is_let_in_again_before_PLAY_goes_on() -> None:
    wire = ready()
    wire.set_up()
    wire.gate.use_up(5000)
    assert ports(wire) == [5001]
    wire.ask(b"PLAY", b"Session: 12345678")
    assert wire.gate.opened() == OPEN
    last = wire.steps[-1]
    assert isinstance(last, Forward)
    assert len(last.grants) == 1
    wire.answer()
    wire.ask(b"TEARDOWN", b"Session: 12345678")
    wire.answer()
    assert wire.gate.pinholes == {}
