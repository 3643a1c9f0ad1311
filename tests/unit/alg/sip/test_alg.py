"""The two machines of SIP: what each takes for a message, and what lasts beyond a flow (S1)."""

import pytest

from p4alg.alg.contract import Detach, Forward, Lasting, Peer, Refuse
from tests.unit.alg.sip.harness import TCP, Agent, Line, sdp, world

PHONE = "10.0.0.11:5060"
STUN = b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12)
OPTIONS = Agent("bob", PHONE).request("OPTIONS", "sip:a@b")


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n", b"\0\0", b"hi", bytes(30), STUN])
def test_S1_what_keeps_a_flow_alive_passes_and_is_no_message(data: bytes) -> None:
    line = Line(*world(), PHONE)
    for _ in range(2):
        assert line.out(data) == data
        assert line.steps == [Forward(len(data), is_message=False)]
        line.out(OPTIONS)


def test_G7_a_flow_that_begins_with_another_protocol_is_not_read() -> None:
    line, data = Line(*world(), PHONE), b"\x16\x03\x01\0\x05hello"
    assert line.out(data) == data
    assert line.steps == [Detach("not-sip", True)]


@pytest.mark.parametrize("data", [b"     ", b"hello", b"\xff" * 40, b"ping 12345\r\n"])
def test_S1_keep_alives_that_are_not_sip_pass_both_ways(data: bytes) -> None:
    line = Line(*world(), PHONE)
    line.out(OPTIONS)
    for carried in (line.out, line.back):
        assert carried(data) == data
        assert line.steps == [Forward(len(data), is_message=False)]


@pytest.mark.parametrize("data", [b"     ", b"hello"])
def test_S1_a_flow_may_begin_with_such_a_keep_alive(data: bytes) -> None:
    line = Line(*world(), PHONE)
    assert line.out(data) == data
    assert b"10.0.0.11" not in line.out(OPTIONS)


def test_S2_a_message_that_cannot_be_read_leaks_no_address_even_on_a_new_flow() -> None:
    line = Line(*world(), PHONE)
    for data in (
        OPTIONS.replace(b"OPTIONS", b"O" * 300),
        OPTIONS.replace(b"SIP/2.0\r", b"SIP/7.0\r", 1),
    ):
        assert line.out(data) == b""
        assert line.steps == [Refuse(len(data), "not-sip")]
    assert b"10.0.0.11" not in line.out(OPTIONS)


def test_S1_methods_and_names_of_headers_may_be_long() -> None:
    """RFC 4475 sections 3.1.1.2 (intmeth) and 3.1.1.7 (longreq)."""
    method = b"!interesting-Method0123456789_*+`.%indeed'~"
    line = Line(*world(), PHONE)
    sent = line.out(OPTIONS.replace(b"OPTIONS", method))
    assert sent.startswith(method + b" ")
    assert b"10.0.0.11" not in sent
    name = b"Unknown-" + b"Long" * 20 + b"-Name: x\r\nVia:"
    assert name in line.out(OPTIONS.replace(b"Via:", name, 1))


def test_S1_bodies_may_be_as_long_as_a_datagram() -> None:
    for proto in (17, TCP):
        line = Line(*world(), PHONE, proto=proto)
        message = Agent("bob", PHONE).request("MESSAGE", "sip:a@b", sdp="x" * 40000)
        message = message.replace(b"application/sdp", b"text/plain")
        assert line.out(message).endswith(b"x" * 40000)


def test_S1_a_bad_request_on_a_stream_is_answered_and_the_stream_goes_on() -> None:
    line = Line(*world(), "10.0.0.11:41000", proto=TCP)
    line.out(OPTIONS)
    bad = OPTIONS.replace(b"CSeq: ", b"CSeq: x")
    assert line.out(bad) == b""
    (step,) = line.steps
    assert isinstance(step, Refuse)
    assert (step.reason, (step.answer or b"")[:28]) == (
        "bad-cseq",
        b"SIP/2.0 400 Bad Request\r\nVia",
    )
    assert line.out(OPTIONS)


def test_S1_a_bad_response_on_a_stream_is_dropped_and_the_stream_goes_on() -> None:
    line = Line(*world(), "10.0.0.11:41000", proto=TCP)
    sent = line.out(OPTIONS)
    good = Agent("a", "198.51.100.1:5060").answer(sent, 200)
    line.back(good.replace(b"CSeq: ", b"CSeq: x"))
    (step,) = line.steps
    assert isinstance(step, Refuse)
    assert (step.reason, step.answer) == ("bad-cseq", b"")
    assert line.back(good)


def test_S1_what_cannot_be_framed_has_no_answer() -> None:
    line = Line(*world(), "10.0.0.11:41000", proto=TCP)
    line.out(OPTIONS)
    line.out(OPTIONS.replace(b"Content-Length: 0", b"Content-Length: x"))
    assert isinstance(line.steps[0], Refuse)
    assert line.steps[0].answer is None


def test_S2_the_response_names_a_port_in_Via_as_its_own_request_did() -> None:
    line, bob = Line(*world(), PHONE), Agent("bob", PHONE)
    alice = Agent("a", "198.51.100.1:5060")
    with_port = bob.request("OPTIONS", "sip:a@b", call="one")
    without = bob.request("OPTIONS", "sip:a@b", call="two")
    without = without.replace(b"10.0.0.11:5060;rport", b"10.0.0.11;rport")
    sent = [line.out(with_port), line.out(without)]
    told = [line.back(alice.answer(request, 200)) for request in sent]
    assert b"UDP 10.0.0.11:5060;" in told[0]
    assert b"UDP 10.0.0.11;" in told[1]


def test_S1_a_stream_that_is_lost_is_read_no_more() -> None:
    line = Line(*world(), "10.0.0.11:41000", proto=TCP)
    line.out(OPTIONS)
    line.out(b"\xff\xfenot a message\r\n\r\n")
    assert line.steps[-1] == Detach("bad-start", True)
    assert line.stream.feed(Peer.CLIENT, OPTIONS, line.gateway, 0.0) == []
    assert line.stream.feed(Peer.SERVER, OPTIONS, line.gateway, 0.0) == []


@pytest.mark.parametrize("proto", [17, TCP])
def test_S6_a_call_outlives_its_flow_and_ends_by_its_timer(proto: int) -> None:
    line = Line(*world(), PHONE, proto=proto)
    bob, alice = Agent("bob", PHONE), Agent("alice", "198.51.100.9:5060")
    invite = line.out(bob.request("INVITE", "sip:alice@example.com", sdp=sdp("10.0.0.11")))
    line.back(alice.answer(invite, 200, sdp("198.51.100.20")))
    machine = line.stream if proto == TCP else line.datagrams
    assert isinstance(machine, Lasting)
    machine.ended(line.gateway)
    assert len(line.nat.media()) == 2
    machine.tick(line.gateway, 1e6)
    assert line.nat.open == {}
    assert not line.calls.calls
