"""What the RTSP ALG rewrites, opens and refuses."""

from __future__ import annotations

import pytest

from p4alg.alg.contract import Detach, Forward
from p4alg.alg.rtsp.limits import RtspLimits
from tests.unit.alg.rtsp.harness import OPEN, TOLD, URL, C, Gate, S, Wire, message, ready, transport

# R2: a client inside


def test_R2_client_port_is_a_pair_outside_and_the_clients_own_in_the_answer() -> None:
    wire = ready()
    asked, told = wire.set_up()
    assert asked == b"RTP/AVP;unicast;client_port=60000-60001"
    assert told == b"RTP/AVP;unicast;client_port=5000-5001;server_port=6970-6971"
    assert wire.gate.opened() == OPEN
    assert wire.refusals() == []


def test_R2_nothing_is_open_before_the_server_agrees() -> None:
    wire = ready()
    wire.ask(b"SETUP", b"Transport: RTP/AVP;client_port=5000-5001")
    assert wire.gate.opened() == set()
    assert wire.gate.holds
    wire.answer(b"Session: 1", b"Transport: " + TOLD, status=b"461 Unsupported Transport")
    assert wire.gate.opened() == set()
    assert wire.gate.holds == {}


def test_R2_the_answer_waits_for_its_pinholes() -> None:
    wire = ready()
    wire.set_up()
    last = wire.steps[-1]
    assert isinstance(last, Forward)
    assert set(last.grants) == set(wire.gate.pinholes)


def test_R2_every_alternative_is_rewritten_and_the_one_taken_is_opened() -> None:
    wire = ready()
    asked, told = wire.set_up(
        b'RTP/AVPF;unicast;client_port=5002-5003;mode="PLAY,RECORD", RTP/AVP/UDP;unicast;'
        b"client_port=5000-5001,RTP/AVP/TCP;unicast;interleaved=0-1",
        b"RTP/AVP/UDP;unicast;client_port=60002-60003;server_port=6970-6971;ssrc=DEADBEEF",
    )
    assert asked == (
        b'RTP/AVPF;unicast;client_port=60000-60001;mode="PLAY,RECORD", RTP/AVP/UDP;unicast;'
        b"client_port=60002-60003,RTP/AVP/TCP;unicast;interleaved=0-1"
    )
    assert told.startswith(b"RTP/AVP/UDP;unicast;client_port=5000-5001;")
    assert wire.gate.opened() == OPEN
    # What the server did not take is given back.
    assert list(wire.gate.holds.values()) == [(5000, 5001)]


def test_R2_alternatives_with_the_same_ports_share_what_is_reserved() -> None:
    wire = ready()
    asked = b"RTP/AVP;unicast;client_port=5000-5001,RTP/AVPF;unicast;client_port=5000-5001"
    assert wire.ask(b"SETUP", b"Transport: " + asked).count(b"60000-60001") == 2
    assert list(wire.gate.holds.values()) == [(5000, 5001)]


def test_R2_transport_in_two_headers_is_as_good_as_in_one() -> None:
    wire = ready()
    out = wire.ask(
        b"SETUP",
        b"Transport: RTP/AVP;unicast;client_port=5000-5001",
        b"transport:RTP/AVPF;unicast;client_port=5002-5003",
    )
    assert b"client_port=60000-60001\r\ntransport:RTP/AVPF;unicast;client_port=60002-60003" in out


@pytest.mark.parametrize(
    ("asked", "seen", "told", "own"),
    [
        # A single port: RTCP is known to be at the next one.
        (b"5000", b"60000", b"60000-60001", b"5000-5001"),
        (b"5000", b"60000", b"60000", b"5000"),
        # Not an even port and the next: no neighbours outside either, but both are told.
        (b"5001-5002", b"60000-60001", b"60000-60001", b"5001-5002"),
        (b"5000-5007", b"60000-60001", b"60000-60001", b"5000-5007"),
        # RTP and RTCP on one port.
        (b"5001-5001", b"60000-60000", b"60000-60000", b"5001-5001"),
        (b"5000-5000", b"60000-60000", b"60000", b"5000-5000"),
    ],
)
def test_R2_forms_of_client_port(asked: bytes, seen: bytes, told: bytes, own: bytes) -> None:
    wire = ready()
    out, back = wire.set_up(
        b"RTP/AVP;unicast;client_port=" + asked, b"RTP/AVP;unicast;client_port=" + told
    )
    assert out == b"RTP/AVP;unicast;client_port=" + seen
    assert back == b"RTP/AVP;unicast;client_port=" + own


def test_R2_ports_that_had_mappings_before_are_told_as_they_are() -> None:
    gate = Gate()
    gate.bindings = {5001: 40007}
    wire = ready(gate=gate)
    asked, _ = wire.set_up(told=b"RTP/AVP;unicast;client_port=60000-40007;server_port=6970-6971")
    assert asked == b"RTP/AVP;unicast;client_port=60000-40007"
    assert gate.opened() == OPEN


def test_R2_both_ports_are_reserved_also_where_neighbours_happen_to_be() -> None:
    gate = Gate()
    gate.bindings = {5002: 60001}
    wire = ready(gate=gate)
    asked = wire.ask(b"SETUP", b"Transport: RTP/AVP;unicast;client_port=5001-5002")
    assert transport(asked) == b"RTP/AVP;unicast;client_port=60000-60001"
    assert sorted(gate.holds.values()) == [(5001,), (5002,)]


def test_R2_without_server_port_any_port_of_the_server_may_send() -> None:
    wire = ready()
    wire.set_up(told=b"RTP/AVP;unicast;client_port=60000-60001")
    assert wire.gate.opened() == {
        "198.51.100.11:* -> 10.0.0.11:5000",
        "198.51.100.11:* -> 10.0.0.11:5001",
    }


def test_R2_an_answer_that_repeats_no_ports_means_those_asked_for() -> None:
    wire = ready()
    wire.set_up(told=b"RTP/AVP;unicast;server_port=6970-6971")
    assert wire.gate.opened() == OPEN


def test_R2_data_that_is_not_RTP_has_one_port() -> None:
    wire = ready()
    asked, told = wire.set_up(
        b"RAW/RAW/UDP;unicast;client_port=5000", b"RAW/RAW/UDP;unicast;client_port=60000"
    )
    assert (asked, told) == (
        b"RAW/RAW/UDP;unicast;client_port=60000",
        b"RAW/RAW/UDP;unicast;client_port=5000",
    )
    assert wire.gate.opened() == {"198.51.100.11:* -> 10.0.0.11:5000"}


def test_R2_destination_of_the_client_itself_is_translated_both_ways() -> None:
    wire = ready()
    asked, told = wire.set_up(
        b"RTP/AVP;unicast;destination=10.0.0.11;client_port=5000-5001",
        b"RTP/AVP;unicast;destination=203.0.113.5;source=198.51.100.11;client_port=60000-60001",
    )
    assert asked == b"RTP/AVP;unicast;destination=203.0.113.5;client_port=60000-60001"
    assert told == (
        b"RTP/AVP;unicast;destination=10.0.0.11;source=198.51.100.11;client_port=5000-5001"
    )


def test_R2_a_source_elsewhere_lets_nobody_else_in() -> None:
    wire = ready()
    wire.set_up(told=TOLD + b";source=198.51.100.12")
    assert wire.gate.opened() == OPEN
    assert wire.events() == ["other-source"]


def test_R2_a_source_elsewhere_is_let_in_if_configured() -> None:
    for source, addr in {
        b"198.51.100.12": "198.51.100.12",
        b"198.51.100.11": "198.51.100.11",
        b"224.0.0.1": "198.51.100.11",
        b"127.0.0.1": "198.51.100.11",
        b"0.0.0.0": "198.51.100.11",
        b"host.example": "198.51.100.11",
    }.items():
        wire = ready(follow_source=True)
        wire.set_up(told=TOLD + b";source=" + source)
        assert wire.gate.opened() == {line.replace("198.51.100.11", addr) for line in OPEN}


def test_R2_recording_opens_what_playing_does() -> None:
    wire = ready()
    body = b"v=0\r\no=- 0 0 IN IP4 10.0.0.11\r\nc=IN IP4 198.51.100.11\r\n"
    wire.cseq += 1
    sent = message(
        b"ANNOUNCE " + URL + b" RTSP/1.0",
        b"CSeq: %d" % wire.cseq,
        b"Content-Type: application/sdp",
        body=body,
    )
    out = wire.say(C, sent)
    assert b"o=- 0 0 IN IP4 203.0.113.5\r\n" in out
    assert b"Content-Length: %d\r\n" % (len(body) + 2) in out
    wire.answer()
    wire.set_up(b"RTP/AVP/UDP;unicast;client_port=5000-5001;mode=record")
    assert wire.gate.opened() == OPEN


# R3: a server inside


def test_R3_server_port_is_a_pair_outside_open_to_the_client() -> None:
    wire = ready(S)
    asked, told = wire.set_up(
        told=b"RTP/AVP;unicast;client_port=5000-5001;server_port=6970-6971;source=10.0.0.11"
    )
    assert asked == b"RTP/AVP;unicast;client_port=5000-5001"
    assert told == (
        b"RTP/AVP;unicast;client_port=5000-5001;server_port=60000-60001;source=203.0.113.5"
    )
    assert wire.gate.opened() == {
        "198.51.100.11:* -> 10.0.0.11:6970",
        "198.51.100.11:* -> 10.0.0.11:6971",
    }


# R5: several hosts and several sessions


def test_R5_G8_equal_ports_of_two_connections_do_not_meet() -> None:
    gate = Gate()
    one, other = ready(gate=gate), ready(gate=gate)
    one.set_up()
    other.set_up(session=b"87654321")
    assert gate.opened() == OPEN
    one.alg.ended(gate)
    assert list(gate.holds.values()) == [(5000, 5001)]


# R6: what is refused


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (b"RTP/AVP;unicast;destination=198.51.100.12;client_port=5000-5001", "bounce"),
        (b"RTP/AVP;unicast;destination=10.0.0.12;client_port=5000-5001", "bounce"),
        (b"RTP/AVP;unicast;destination=host.example;client_port=5000-5001", "bounce"),
        (b"RTP/AVP;unicast;destination=010.0.0.11;client_port=5000-5001", "bounce"),
        (b"RTP/AVP;unicast;client_port=1023-1024", "low-port"),
        (b"RTP/AVP;unicast;client_port=0", "bad-id"),
        (b"RTP/AVP;unicast;client_port=6000-6001", "denied-port"),
        (b"RTP/AVP;unicast;client_port=5999-6000", "denied-port"),
        (b"RTP/AVP;unicast;client_port=5000-22", "low-port"),
        (b"RTP/AVP;unicast;client_port=65536-65537", "bad-syntax"),
        (b"RTP/AVP;unicast;client_port=999999999999", "bad-syntax"),
        (b"RTP/AVP;unicast;client_port=a-b", "bad-syntax"),
        (b"RTP/AVP;unicast;client_port", "bad-syntax"),
        (b"RTP/AVP;unicast;client_port=5000-5001;client_port=22-23", "bad-syntax"),
        (b"", "bad-syntax"),
        (b"RTP/AVP;client_port=5000-5001,", "bad-syntax"),
        (b'RTP/AVP;mode="PLAY', "bad-syntax"),
        (b"RTP/AVP;=5", "bad-syntax"),
        (b",".join([b"RTP/AVP/TCP"] * 9), "too-many-transports"),
        (b"RTP/AVP;client_port=5000-5001,RTP/AVP;client_port=80-81", "low-port"),
    ],
)
def test_R6_a_SETUP_that_must_not_take_effect_is_refused(asked: bytes, reason: str) -> None:
    wire = ready()
    assert wire.ask(b"SETUP", b"Transport: " + asked) == b""
    assert wire.refusals() == [reason]
    assert wire.gate.holds == {}
    assert wire.gate.bindings == {}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (b"RTP/AVP;unicast;client_port=5000-5001", "no-offer"),
        (b"RTP/AVP;unicast;client_port=60000-60009", "no-offer"),
        (b"RTP/AVP;unicast;client_port=60000-60001;destination=198.51.100.12", "bounce"),
        (b"RTP/AVP;unicast;client_port=60000-60001;server_port=70000-70001", "bad-syntax"),
        (b"RTP/AVP;client_port=60000-60001,RTP/AVP;client_port=60000-60001", "bad-syntax"),
    ],
)
def test_R6_an_answer_that_was_not_asked_for_opens_nothing(told: bytes, reason: str) -> None:
    wire = ready()
    wire.set_up(told=told)
    assert wire.refusals() == [reason]
    assert wire.gate.pinholes == {}
    assert wire.gate.holds == {}


def test_R6_an_inside_server_cannot_open_a_port_below_1024() -> None:
    wire = ready(S)
    wire.set_up(told=b"RTP/AVP;unicast;client_port=5000-5001;server_port=22-23")
    assert wire.refusals() == ["low-port"]
    assert wire.gate.pinholes == {}


def test_R6_a_response_without_a_request_opens_nothing() -> None:
    wire = ready()
    wire.cseq = 7
    wire.answer(b"Transport: " + TOLD, b"Session: 1")
    assert wire.refusals() == ["no-request"]
    wire.answer(b"Session: 1")
    assert wire.events() == ["unmatched-response"]
    assert wire.gate.pinholes == {}


def test_R6_a_second_answer_and_one_to_another_request_open_nothing() -> None:
    wire = ready()
    wire.set_up()
    wire.answer(b"Transport: " + TOLD, b"Session: 1")
    assert wire.refusals() == ["no-request"]
    wire = ready()
    wire.ask(b"PLAY", b"Session: 1")
    wire.answer(b"Transport: " + TOLD, b"Session: 1")
    assert wire.gate.pinholes == {}


def test_R6_a_client_cannot_answer_its_own_request() -> None:
    wire = ready()
    wire.ask(b"SETUP", b"Transport: RTP/AVP;client_port=5000-5001")
    wire.answer(b"Transport: " + TOLD, b"Session: 1", by=C)
    assert wire.refusals() == ["no-request"]
    assert wire.gate.pinholes == {}


def test_R6_a_provisional_answer_is_not_the_answer() -> None:
    wire = ready()
    wire.ask(b"SETUP", b"Transport: RTP/AVP;client_port=5000-5001")
    wire.answer(status=b"100 Continue")
    assert wire.gate.pinholes == {}
    wire.answer(b"Transport: " + TOLD, b"Session: 1")
    assert wire.gate.opened() == OPEN


@pytest.mark.parametrize("method", [b"SETUP", b"DESCRIBE", b"PLAY", b"PAUSE", b"RECORD"])
def test_R6_the_server_cannot_ask_what_only_clients_do(method: bytes) -> None:
    wire = ready()
    wire.ask(method, b"Transport: RTP/AVP;client_port=5000-5001", by=S)
    assert wire.refusals() == ["wrong-side"]


def test_R6_the_client_cannot_ask_what_only_servers_do() -> None:
    wire = ready()
    wire.ask(b"REDIRECT", by=C)
    assert wire.refusals() == ["wrong-side"]


def test_R6_a_request_needs_a_CSeq_that_is_free() -> None:
    for header in (b"CSeq: 5", b"CSeq: x", b"CSeq: 99999999999", b"X: y"):
        wire = ready()
        wire.say(C, message(b"OPTIONS * RTSP/1.0", b"CSeq: 5"))
        wire.say(C, message(b"PLAY * RTSP/1.0", header))
        assert wire.refusals() == ["bad-cseq"]


def test_R6_the_server_may_ask_and_the_client_answers() -> None:
    wire = ready()
    for method in (b"OPTIONS", b"ANNOUNCE", b"SET_PARAMETER", b"GET_PARAMETER", b"REDIRECT"):
        assert wire.ask(method, by=S)
        assert wire.answer(by=C)
    # The numbers of both ends have nothing to do with each other.
    wire.cseq = 100
    wire.ask(b"OPTIONS", by=S)
    wire.cseq = 99
    wire.set_up()
    assert wire.gate.opened() == OPEN
    assert wire.refusals() == []
    assert wire.events() == []


def test_R6_what_the_gateway_refuses_is_refused_with_its_reason() -> None:
    wire = ready()
    wire.gate.refuse = "subscriber-limit"
    wire.ask(b"SETUP", b"Transport: RTP/AVP;client_port=5000-5001")
    assert wire.refusals() == ["subscriber-limit"]
    wire = ready()
    wire.ask(b"SETUP", b"Transport: RTP/AVP;client_port=5000-5001")
    wire.gate.refuse = "denied-port"
    wire.answer(b"Transport: " + TOLD, b"Session: 1")
    assert wire.refusals() == ["denied-port"]
    assert wire.gate.pinholes == {}
    assert wire.gate.holds == {}


def test_R6_limits_refuse_the_new_and_keep_the_old() -> None:
    wire = ready(limits=RtspLimits(streams=1))
    wire.set_up()
    wire.ask(b"SETUP", b"Transport: RTP/AVP;client_port=5002-5003", url=URL + b"/stream=1")
    assert wire.refusals() == ["too-many-streams"]
    assert wire.gate.opened() == OPEN
    wire = ready(limits=RtspLimits(pending=2))
    for _ in range(3):
        wire.ask(b"OPTIONS")
    assert wire.refusals() == ["too-many-pending"]


def test_R6_a_session_that_cannot_be_one_is_refused() -> None:
    for session in (b"a b c;timeout=5", b"x" * 129, b";timeout=5"):
        wire = ready()
        wire.ask(b"PLAY", b"Session: " + session)
        assert wire.refusals() == (["bad-session"] if session != b"a b c;timeout=5" else [])


def test_R6_a_flood_of_notices_ends() -> None:
    wire = ready(limits=RtspLimits(notices=2))
    wire.cseq = 50
    for _ in range(5):
        wire.answer()
    assert wire.events() == ["unmatched-response"] * 2


# R7: what is not touched


@pytest.mark.parametrize(
    "value",
    [
        b"RTP/AVP;multicast;destination=224.2.0.1;port=3456-3457;ttl=16",
        b"RTP/AVP/TCP;unicast;interleaved=0-1",
    ],
)
def test_R7_multicast_and_interleaved_pass_as_they_are(value: bytes) -> None:
    for inside in (C, S):
        wire = ready(inside)
        assert wire.set_up(value, value) == (value, value)
        assert wire.gate.holds == {}
        assert wire.gate.pinholes == {}
        assert wire.refusals() == []


def test_R7_the_endpoints_of_RTSP_2_pass_as_they_are_with_nothing_opened() -> None:
    value = b'RTP/AVP;unicast;dest_addr="10.0.0.11:5000"/"10.0.0.11:5001"'
    wire = ready()
    assert wire.set_up(value, value + b';src_addr="198.51.100.11:6970"')[0] == value
    assert wire.gate.holds == {}
    assert wire.gate.pinholes == {}
    assert wire.events() == ["rtsp-2"]


# R8: RTSP, or nothing


@pytest.mark.parametrize(
    "line",
    [
        b"GET /stream HTTP/1.0\r\n",
        b"POST / HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"OPTIONS * RTSP/3.0\r\n",
        b"setup * RTSP/1.0\r\n",
        b"SETUP  * RTSP/1.0\r\n",
        b"RTSP/1.0 200 OK\r\n",
        b"$\0\0\1x",
        b"\r\n",
        b"REGISTER sip:x SIP/2.0\r\n",
        b"O" * 5000,
    ],
)
def test_G7_a_connection_that_does_not_begin_as_RTSP_is_left_alone(line: bytes) -> None:
    wire = Wire()
    rest = b"CSeq: 1\r\n\r\n" + message(
        b"SETUP * RTSP/1.0", b"CSeq: 2", b"Transport: RTP/AVP;client_port=5000-5001"
    )
    assert wire.say(C, line + rest) == line + rest
    assert wire.events() == ["not-rtsp"]
    assert wire.gate.holds == {}


def test_G7_a_server_that_answers_with_something_else_opens_nothing() -> None:
    for said in (
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"220 ftp\r\n",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    ):
        wire = Wire()
        wire.ask(b"SETUP", b"Transport: RTP/AVP;client_port=5000-5001")
        wire.say(S, said + message(b"RTSP/1.0 200 OK", b"CSeq: 1", b"Transport: " + TOLD))
        assert wire.events() == ["not-rtsp"]
        assert wire.gate.pinholes == {}


def test_G7_a_server_that_speaks_first_is_no_RTSP_server() -> None:
    wire = Wire()
    wire.say(S, message(b"RTSP/1.0 200 OK", b"CSeq: 1"))
    assert wire.events() == ["not-rtsp"]


def test_R8_TLS_is_an_orderly_end() -> None:
    wire = Wire()
    wire.say(C, b"\x16\x03\x01\x02\x00\x01")
    assert wire.steps == [Detach("tls", False)]


def test_R8_RTSP_may_end_in_the_middle_of_a_connection() -> None:
    wire = ready()
    wire.say(C, b"GET / HTTP/1.1\r\n\r\n")
    assert wire.refusals() == ["bad-start"]
    assert wire.events() == ["bad-start"]
