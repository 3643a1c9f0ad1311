"""What is read from the head of a message."""

from __future__ import annotations

import pytest

from p4alg.alg.rtsp.limits import RtspLimits
from p4alg.alg.rtsp.message import Message, RtspError, Session, may_begin, parse_head
from tests.unit.alg.rtsp.harness import message

LIMITS = RtspLimits()


def read(start: bytes, *headers: bytes) -> Message:
    data = message(start, *headers)
    return Message(data, parse_head(data, LIMITS))


def test_R1_a_request_and_a_response_are_told_apart() -> None:
    request = read(b"SETUP rtsp://h/a RTSP/1.0", b"cseq: 7")
    assert (request.head.method, request.head.uri, request.head.code) == (
        b"SETUP",
        b"rtsp://h/a",
        0,
    )
    assert request.is_request
    assert request.cseq() == 7
    response = read(b"RTSP/1.0 404 Not Found")
    assert (response.head.method, response.head.code) == (b"", 404)
    assert not response.is_request
    assert not response.is_success
    assert response.cseq() is None


@pytest.mark.parametrize(
    "line",
    [
        b"OPTIONS * RTSP/1.0",
        b"GET_PARAMETER rtsp://h/a?b RTSP/2.0",
        b"RTSP/1.0 200 OK",
        b"RTSP/1.0 200",
        b"PLAY_NOTIFY rtsp://h/ RTSP/2.0",
    ],
)
def test_R8_the_beginning_of_a_start_line_may_become_one(line: bytes) -> None:
    for end in range(len(line)):
        assert may_begin(line[:end], LIMITS)
    assert may_begin(line + b"\r\nCSeq", LIMITS)


@pytest.mark.parametrize(
    ("line", "decided"),
    [
        (b"GET / HTTP/1.1", 4),
        (b"POST / HTTP/1.1", 2),
        (b"OPTIONS * HTTP/1.1\r\n", 20),
        (b"options * RTSP/1.0", 1),
        (b"RTSP/1.1 200 OK", 8),
        (b"RTSP/1.0 600 No\r\n", 17),
        (b"SETUPX", 6),
        (b"220 ftp", 1),
    ],
)
def test_R8_another_protocol_is_recognised_as_soon_as_it_differs(line: bytes, decided: int) -> None:
    assert may_begin(line[: decided - 1], LIMITS)
    for end in range(decided, len(line) + 1):
        assert not may_begin(line[:end], LIMITS)


@pytest.mark.parametrize(
    ("value", "session"),
    [
        (b"12345678", Session(b"12345678", None)),
        (b"12345678;timeout=60", Session(b"12345678", 60)),
        (b"12345678 ; Timeout = 60", Session(b"12345678", 60)),
        (b"a$-_.+;timeout=99999999999999999999", Session(b"a$-_.+", 7200)),
        (b"1;timeout=x", Session(b"1", None)),
    ],
)
def test_R4_a_session_and_its_timeout(value: bytes, session: Session) -> None:
    assert read(b"RTSP/1.0 200 OK", b"Session: " + value).session(LIMITS) == session


def test_R6_a_session_that_cannot_be_one_is_an_error() -> None:
    for value in (b";timeout=5", b"x" * 129, b"\x01"):
        with pytest.raises(RtspError, match="bad-session"):
            read(b"RTSP/1.0 200 OK", b"Session: " + value).session(LIMITS)
