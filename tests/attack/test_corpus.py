"""Every case of the corpus, through the whole engine, however it is cut into segments (G7)."""

from __future__ import annotations

import re

import pytest

from p4alg.alg.contract import Peer
from p4alg.protocols import TCP, UDP
from tests.attack.corpus import Case, Play, cases

CASES = cases()
SIZES = (None, 1460, 7, 1)
C, S = Peer.CLIENT, Peer.SERVER


@pytest.mark.parametrize("size", SIZES, ids=["whole", "1460", "7", "1"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_G7_nothing_opens_but_for_honest_messages(case: Case, size: int | None) -> None:
    played = Play(case, size)
    assert bool(played.opened) is case.opens, played.opened
    assert not played.faults
    if case.unread is not None:
        assert played.is_read is not case.unread


REGISTER = (
    b"REGISTER sip:198.51.100.11;transport=UDP SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 10.0.0.11:5060;branch=z9hG4bK1\r\n"
    b"From: <sip:a@10.0.0.11>;tag=a\r\nTo: <sip:a@10.0.0.11>\r\nCall-ID: 1\r\n"
    b"CSeq: 1 REGISTER\r\nContact: <sip:a@10.0.0.11:3306;transport=UDP>\r\n"
    b"Expires: 600\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
SETUP = (
    b"SETUP rtsp://198.51.100.11/a RTSP/1.0\r\nCSeq: 1\r\n"
    b"Transport: RTP/AVP;unicast;client_port=5000-5001\r\n\r\n"
)


def _accepted(heard: bytes) -> bytes:
    return b"SIP/2.0 200 OK" + heard[heard.index(b"\r\n") :]


def _set_up(heard: bytes) -> bytes:
    found = re.search(rb"client_port=([0-9-]+)", heard)
    assert found is not None
    transport = b"RTP/AVP;unicast;client_port=" + found[1] + b";server_port=6000-6001"
    return b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nSession: 1\r\nTransport: " + transport + b"\r\n\r\n"


def _call(kind: int, body: bytes, size: int) -> bytes:
    head = size.to_bytes(2, "big") + b"\0\1\x1a\x2b\x3c\x4d" + kind.to_bytes(2, "big") + b"\0\0"
    return (head + body).ljust(size, b"\0")


def _call_accepted(heard: bytes) -> bytes:
    return _call(8, b"\0\x09" + heard[12:14] + b"\1\0", 32)


HONEST = [
    Case(
        "sip",
        "sip",
        TCP,
        5060,
        C,
        True,
        False,
        ((C, REGISTER.replace(b"UDP", b"TCP")), (S, _accepted)),
    ),
    Case("sip-udp", "sip", UDP, 5060, C, True, False, ((C, REGISTER), (S, _accepted))),
    Case("rtsp", "rtsp", TCP, 554, C, True, False, ((C, SETUP), (S, _set_up))),
    Case(
        "pptp",
        "pptp",
        TCP,
        1723,
        C,
        True,
        False,
        (
            (C, _call(1, b"\1\0", 156)),
            (S, _call(2, b"\1\0\1\0", 156)),
            (C, _call(7, b"\0\5\0\1", 168)),
            (S, _call_accepted),
        ),
    ),
]


@pytest.mark.parametrize("case", HONEST, ids=lambda case: case.name)
def test_G7_what_the_attacks_smuggle_would_open_something(case: Case) -> None:
    """Without this the attacks on these protocols could fail for another reason."""
    played = Play(case, None)
    assert played.opened
    assert played.is_read
