"""Where an inside host is named as it is seen outside: URLs and SDP."""

from __future__ import annotations

import pytest

from tests.unit.alg.rtsp.harness import C, S, message, ready

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 10.0.0.11\r\ns=x\r\nc=IN IP4 10.0.0.11/127\r\n"
    b"a=control:rtsp://10.0.0.11/test/\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\n"
    b"a=control:rtsp://10.0.0.11:554/test/stream=0\r\na=note:rtsp://10.0.0.11/\r\n"
)


@pytest.mark.parametrize("port", [554, 8554])
def test_R3_an_inside_server_is_named_as_it_is_seen(port: int) -> None:
    wire = ready(S, port=port)
    wire.ask(b"DESCRIBE", b"Accept: application/sdp", url=b"rtsp://203.0.113.5/test")
    told = message(
        b"RTSP/1.0 200 OK",
        b"CSeq: 2",
        b"Content-Base: rtsp://10.0.0.11/test/",
        b"Content-Type: application/sdp;charset=utf-8",
        b"Server: 10.0.0.11",
        body=SDP,
    )
    out = wire.say(S, told)
    head, _, body = out.partition(b"\r\n\r\n")
    base = b"rtsp://203.0.113.5" + (b"" if port == 554 else b":8554")
    assert b"Content-Base: " + base + b"/test/\r\n" in head
    assert b"Server: 10.0.0.11\r\n" in head
    assert b"Content-Length: %d" % len(body) in head
    assert body == (
        b"v=0\r\no=- 1 1 IN IP4 203.0.113.5\r\ns=x\r\nc=IN IP4 203.0.113.5/127\r\n"
        b"a=control:" + base + b"/test/\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\n"
        b"a=control:rtsp://203.0.113.5:%d/test/stream=0\r\na=note:rtsp://10.0.0.11/\r\n" % port
    )


def test_R3_RTP_info_and_locations_are_mapped() -> None:
    wire = ready(S)
    wire.ask(b"PLAY", b"Session: 1")
    out = wire.answer(
        b"RTP-Info: url=rtsp://10.0.0.11/a;seq=1;rtptime=2,url=rtsp://u:p@10.0.0.11:554/b;seq=3",
        b"Location: rtsp://10.0.0.11:8000/c",
        b"Content-Location: rtsp://10.0.0.110/d",
    )
    assert b"url=rtsp://203.0.113.5/a;seq=1;rtptime=2,url=rtsp://u:p@203.0.113.5:554/b;" in out
    # Of another port it is not known where it is seen.
    assert b"Location: rtsp://203.0.113.5:8000/c\r\n" in out
    assert b"Content-Location: rtsp://10.0.0.110/d\r\n" in out


def test_R3_an_encoded_body_is_left_as_it_is() -> None:
    wire = ready(S)
    wire.ask(b"DESCRIBE")
    told = message(
        b"RTSP/1.0 200 OK",
        b"CSeq: 2",
        b"Content-Type: application/sdp",
        b"Content-Encoding: gzip",
        body=SDP,
    )
    assert wire.say(S, told) == told


def test_R3_nothing_is_mapped_on_the_way_in() -> None:
    wire = ready(S)
    assert b"rtsp://203.0.113.5/test" in wire.ask(b"DESCRIBE", url=b"rtsp://203.0.113.5/test")
    wire = ready(C)
    wire.ask(b"DESCRIBE")
    told = message(b"RTSP/1.0 200 OK", b"CSeq: 2", b"Content-Type: application/sdp", body=SDP)
    assert wire.say(S, told) == told
