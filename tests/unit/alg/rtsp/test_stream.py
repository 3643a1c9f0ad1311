"""How RTSP messages and interleaved frames are cut out of a TCP stream (R1)."""

from __future__ import annotations

import pytest

from p4alg.alg.contract import Forward
from p4alg.alg.rtsp.limits import RtspLimits
from tests.unit.alg.rtsp.harness import (
    OPEN,
    TOLD,
    URL,
    C,
    S,
    Wire,
    frame,
    message,
    ready,
    transport,
)

SETUP = message(
    b"SETUP " + URL + b"/stream=0 RTSP/1.0",
    b"CSeq: 2",
    b"Transport: RTP/AVP;unicast;client_port=5000-5001",
)
ANSWER = message(b"RTSP/1.0 200 OK", b"CSeq: 2", b"Transport: " + TOLD, b"Session: 1")


def forwards(wire: Wire) -> list[Forward]:
    return [step for step in wire.steps if isinstance(step, Forward)]


@pytest.mark.parametrize("size", [1, 2, 7, 100, 0])
def test_R1_however_a_message_is_cut_the_result_is_the_same(size: int) -> None:
    wire = ready()
    before = len(forwards(wire))
    out = wire.say(C, SETUP, size)
    assert transport(out) == b"RTP/AVP;unicast;client_port=60000-60001"
    assert transport(wire.say(S, ANSWER, size)).startswith(b"RTP/AVP;unicast;client_port=5000-5001")
    assert wire.gate.opened() == OPEN
    assert len(forwards(wire)) == before + 2


def test_R1_a_body_is_a_part_of_its_message() -> None:
    wire = ready()
    # The body looks like a message of its own.
    sent = message(
        b"SET_PARAMETER * RTSP/1.0", b"CSeq: 2", b"Content-Type: text/parameters", body=SETUP
    )
    assert wire.say(C, sent, 3) == sent
    assert wire.gate.holds == {}
    assert len(forwards(wire)) == 3


def test_R1_requests_may_follow_each_other_without_waiting() -> None:
    wire = ready()
    second = SETUP.replace(b"CSeq: 2", b"CSeq: 3").replace(b"5000-5001", b"5002-5003")
    out = wire.say(C, SETUP + second.replace(b"stream=0", b"stream=1"))
    assert out.count(b"client_port=6000") == 2
    # Answers may come in another order (CSeq joins them).
    last = ANSWER.replace(b"CSeq: 2", b"CSeq: 3").replace(b"60000-60001", b"60002-60003")
    back = wire.say(S, last + ANSWER)
    assert back.index(b"5002-5003") < back.index(b"5000-5001")
    assert len(wire.gate.opened()) == 4


def test_R1_header_case_folding_and_empty_lines_are_understood() -> None:
    wire = ready()
    sent = (
        b"\r\n\r\nSETUP " + URL + b" RTSP/1.0\r\ncseq:2\r\n"
        b"TRANSPORT:\r\n RTP/AVP ; unicast\t;\r\n  Client_Port=5000-5001 \r\n\r\n"
    )
    out = wire.say(C, sent)
    assert out == sent.replace(b"5000-5001", b"60000-60001")
    assert [step.is_message for step in forwards(wire)][-2:] == [False, True]


@pytest.mark.parametrize("length", [0, 1, 1400, 65535])
@pytest.mark.parametrize("size", [1, 1460, 0])
def test_R1_interleaved_frames_of_any_size_pass_and_are_not_read(length: int, size: int) -> None:
    for peer in (C, S):
        wire = ready()
        # A message in a frame is none.
        data = frame(length, 1) + frame(len(SETUP))[:4] + SETUP + frame(3)
        assert wire.say(peer, data, size) == data
        assert wire.gate.holds == {}
        assert not any(step.is_message for step in forwards(wire)[2:])
        assert wire.refusals() == []
        assert wire.held[peer] == b""


def test_R1_messages_between_frames_are_read() -> None:
    for size in (1, 5, 0):
        wire = ready()
        out = wire.say(C, frame(9) + SETUP + frame(70), size)
        assert out == frame(9) + SETUP.replace(b"5000-5001", b"60000-60001") + frame(70)


def test_R1_of_a_frame_no_more_is_held_than_its_header() -> None:
    wire = ready()
    wire.say(S, b"$\0\xff")
    assert wire.held[S] == b"$\0\xff"
    wire.say(S, b"\xff" + b"x" * 100)
    assert wire.held[S] == b""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PLAY * RTSP/1.0\nCSeq: 2\n\n\r\n\r\n", "bad-start"),
        (b"PLAY * RTSP/1.0\r\nCSeq: 2\nX: y\r\n\r\n", "bare-newline"),
        (b"PLAY * RTSP/1.0\r\nCSeq: 2\rX: y\r\n\r\n", "bare-newline"),
        (b"PLAY * RTSP/1.0\r\nCSeq: 2\0\r\n\r\n", "bad-header"),
        (b"PLAY * RTSP/1.0\r\nCSeq\r\n\r\n", "bad-header"),
        (b"PLAY * RTSP/1.0\r\nCSeq : 2\r\n\r\n", "bad-header"),
        (b"PLAY * RTSP/1.0\r\nCSeq: 2\r\nCSeq: 2\r\n\r\n", "twice"),
        (b"PLAY * RTSP/1.0\r\nContent-Length: 0\r\ncontent-length: 5\r\n\r\n", "twice"),
        (b"PLAY * RTSP/1.0\r\nContent-Length: -1\r\n\r\n", "bad-length"),
        (b"PLAY * RTSP/1.0\r\nContent-Length: 0x5\r\n\r\n", "bad-length"),
        # More than 32 bits: neither cut off nor believed.
        (b"PLAY * RTSP/1.0\r\nContent-Length: 4294967296\r\n\r\n", "bad-length"),
        (b"PLAY * RTSP/1.0\r\nContent-Length: 99999\r\n\r\n", "message-too-long"),
        (b"PLAY * RTSP/1.0\r\nX: " + b"y" * 5000 + b"\r\n\r\n", "line-too-long"),
        (b"PLAY * RTSP/1.0\r\n" + b"X: y\r\n" * 65 + b"\r\n", "too-many-headers"),
        (b"PLAY " + b"x" * 5000 + b" RTSP/1.0\r\n\r\n", "bad-start"),
        (b"PLAY * RTSP/1.0\r\n" + b"X: y\r\n" * 3000, "message-too-long"),
        (b"LAUNCH * RTSP/1.0\r\n\r\n", "bad-start"),
    ],
)
@pytest.mark.parametrize("size", [1, 0])
def test_R1_where_a_message_ends_must_be_beyond_doubt(data: bytes, reason: str, size: int) -> None:
    wire = ready()
    wire.say(C, data, size)
    assert wire.refusals() == [reason]
    assert wire.events() == [reason]
    # Nothing is read any more.
    assert wire.say(C, SETUP) == SETUP
    assert wire.gate.holds == {}


def test_R1_a_message_is_held_up_to_its_limit_and_no_further() -> None:
    limits = RtspLimits(message=200)
    wire = ready(limits=limits)
    fits = message(b"PLAY * RTSP/1.0", b"CSeq: 2", body=b"x" * 120)
    assert len(fits) <= 200
    assert wire.say(C, fits, 1) == fits
    wire.say(C, message(b"PLAY * RTSP/1.0", b"CSeq: 3", body=b"x" * 190))
    assert wire.refusals() == ["message-too-long"]
