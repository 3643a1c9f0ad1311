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


def test_G7_a_datagram_that_is_not_sip_is_refused_only_where_sip_was_spoken() -> None:
    line, data = Line(*world(), PHONE), b"\x16\x03\x01\0\x05hello"
    assert line.out(data) == data
    assert line.steps == [Detach("not-sip", True)]
    line.out(OPTIONS)
    assert line.out(data) == b""
    assert line.steps == [Refuse(len(data), "not-sip")]


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
