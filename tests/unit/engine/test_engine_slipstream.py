"""NAT Slipstreaming and its kin open nothing, and the counters say why (G7)."""

import struct

import pytest

from p4alg.alg.contract import Peer
from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.packet.ipv4 import build_ipv4
from tests.unit.engine.dialogue import Dialogue
from tests.unit.engine.harness import (
    HOST_MAC,
    IN_MAC,
    IN_PORT,
    INSIDE,
    REMOTE,
    TCP,
    UDP,
    AlgSettings,
    Bench,
    PortSpan,
)

C, S = Peer.CLIENT, Peer.SERVER
SIP = 2
MSS = 1460
REGISTER = (
    b"REGISTER sip:198.51.100.11;transport=TCP SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP 10.0.0.11:5060;branch=z9hG4bK1\r\n"
    b"From: <sip:a@10.0.0.11>;tag=a\r\nTo: <sip:a@10.0.0.11>\r\nCall-ID: 1\r\n"
    b"CSeq: 1 REGISTER\r\nContact: <sip:a@10.0.0.11:3306;transport=TCP>\r\n"
    b"Expires: 600\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
ACCEPTED = REGISTER.replace(
    b"REGISTER sip:198.51.100.11;transport=TCP SIP/2.0", b"SIP/2.0 200 OK"
).replace(b"To: <sip:a@10.0.0.11>", b"To: <sip:a@10.0.0.11>;tag=b")


def bench() -> Bench:
    return Bench(
        services={"sip": (PortSpan(UDP, 5060, 5060), PortSpan(TCP, 5060, 5060))},
        algs=(AlgSettings(algs()["sip"], True, ("sip",)),),
        forwards=(),
        filter_mode=t.FilterMode.ENDPOINT_INDEPENDENT,
    )


def nothing_is_open(made: Bench) -> bool:
    strict = t.FilterMode.ADDRESS_AND_PORT
    own = (40000, 5060)
    maps = [e for e in made.of(t.MapIn) if e.inside_id not in own and e.filter_mode is not strict]
    return not made.of(t.PinholeEntry) and not maps and made.show("calls") == []


def test_a_REGISTER_in_an_HTTP_request_is_not_read() -> None:
    """Padded so that it begins a segment of its own (samy kamkar, 2020)."""
    made = bench()
    talk = Dialogue(made, C, SIP)
    head = b"POST / HTTP/1.1\r\nHost: 198.51.100.11:5060\r\nContent-Length: 9999\r\n\r\n"
    talk.client(head.ljust(MSS, b"x"), MSS)
    assert talk.client(REGISTER, MSS) == REGISTER
    talk.server(ACCEPTED)
    assert nothing_is_open(made)
    assert made.counter("alg.sip.protocol-errors.not-sip") == 1


def test_a_200_in_an_HTTP_answer_opens_nothing() -> None:
    made = bench()
    talk = Dialogue(made, C, SIP)
    talk.client(REGISTER)
    talk.server(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + ACCEPTED)
    assert nothing_is_open(made)
    assert made.counter("alg.sip.protocol-errors.not-sip") == 1


@pytest.mark.parametrize("port", [22, 3306])
def test_a_real_REGISTER_for_a_guarded_port_opens_nothing(port: int) -> None:
    made = Bench(
        services={"sip": (PortSpan(UDP, 5060, 5060), PortSpan(TCP, 5060, 5060))},
        algs=(AlgSettings(algs()["sip"], True, ("sip",)),),
        forwards=(),
        denied_ports=frozenset({3306}),
    )
    talk = Dialogue(made, C, SIP)
    talk.client(REGISTER.replace(b":3306", b":%d" % port))
    assert nothing_is_open(made)
    refused = made.counter("alg.sip.client.refused.low-port")
    assert refused + made.counter("alg.sip.client.refused.denied-port") == 1


def test_a_fragment_that_looks_like_SIP_is_not_read() -> None:
    """A datagram so large that its second fragment begins with a UDP header and a message."""
    made = bench()
    message = REGISTER.replace(b"TCP", b"UDP")
    later = struct.pack("!HHHH", 5060, 5060, 8 + len(message), 0) + message
    first = struct.pack("!HHHH", 5060, 5060, 8 + 1400 + len(later), 0) + b"x" * 1400
    for offset, body, more in ((0, first, 0x2000), (1408 // 8, later, 0)):
        frame = bytearray(build_ipv4((IN_MAC, HOST_MAC), 0, INSIDE, REMOTE, UDP, body))
        struct.pack_into("!HH", frame, 14 + 4, 4711, more | offset)
        if offset:
            made.punt(ev.Reason.FRAGMENT, bytes(frame), IN_PORT)
        else:
            made.new(bytes(frame), IN_PORT, alg_id=2)
    assert nothing_is_open(made)
    assert made.counter("fragments.unread") == 1
    assert made.counter("alg.sip.client.messages") == 0
