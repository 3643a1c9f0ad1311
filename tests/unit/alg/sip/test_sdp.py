"""Session descriptions: which lines are read, and where in them addresses and ports are (S3)."""

import pytest

from p4alg.alg.sip.limits import SipLimits
from p4alg.alg.sip.message import SipError
from p4alg.alg.sip.sdp import Description, read_sdp
from tests.unit.alg.invariant import HOSTILE_NUMBERS
from tests.unit.alg.sip.harness import TCP, UDP, ip, sdp

LIMITS = SipLimits()


def read(text: str | bytes, before: bytes = b"") -> tuple[Description, bytes]:
    """A description behind other bytes, with all of them."""
    data = before + (text.encode() if isinstance(text, str) else text)
    return read_sdp(data, len(before), len(data), LIMITS), data


def parse(text: str) -> str:
    """The word of the error, or nothing."""
    try:
        read(text)
    except SipError as error:
        return error.word
    return ""


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (sdp("10.0.0.11", "audio " + "9" * 100 + " RTP/AVP 0"), "bad-port"),
        (sdp("10.0.0.11", "audio 65536 RTP/AVP 0"), "bad-port"),
        (sdp("10.0.0.11", "audio -1 RTP/AVP 0"), "bad-sdp"),
        (sdp("10.0.0.11", extra="a=rtcp:x\r\n"), "bad-sdp"),
        (sdp("10.0.0.11", extra="a=rtcp:1\r\na=rtcp:2\r\n"), "bad-sdp"),
        (sdp("10.0.0.11", extra="a=candidate:\r\n"), "bad-sdp"),
        (sdp("10.0.0.11", extra="c=10.0.0.11\r\n"), "bad-sdp"),
        (sdp("10.0.0.11", *["audio 40000 RTP/AVP 0"] * 9), "too-many-media"),
        (sdp("10.0.0.11", extra="a=x\r\n" * 600), "too-many-lines"),
        ("garbage", "bad-sdp"),
        (sdp("10.0.0.11").replace("\r\n", "\n") + "\n\n", ""),
        (sdp("::1").replace("IP4", "IP6"), ""),
    ],
)
def test_G9_what_is_wrong_in_sdp_has_a_word(text: str, word: str) -> None:
    assert parse(text) == word


def test_S3_spans_are_places_in_the_whole_message() -> None:
    found, data = read(
        sdp("10.0.0.11", "audio 40000 RTP/AVP 0\r\na=rtcp:40009 IN IP4 10.0.0.12"), b"head\r\n\r\n"
    )
    assert found.origin is not None
    assert [data[span.start : span.end] for span in (found.origin, *found.connections)] == [
        b"10.0.0.11",
        b"10.0.0.11",
    ]
    (media,) = found.media
    assert (media.kind, media.port, media.proto, media.is_rtp) == ("audio", 40000, UDP, True)
    assert data[slice(*media.port_span)] == b"40000"
    assert media.rtcp is not None
    assert media.rtcp.host is not None
    assert (media.rtcp.port, media.rtcp.host.addr) == (40009, ip("10.0.0.12"))
    assert data[slice(*media.rtcp.span)] == b"40009"


def test_S3_a_stream_has_its_own_address_and_direction_or_those_of_the_session() -> None:
    text = sdp("10.0.0.11", "audio 1 RTP/AVP 0", "video 2 RTP/AVP 0\r\nc=IN IP4 10.0.0.12")
    found, _ = read(text.replace("t=0 0\r\n", "t=0 0\r\na=sendonly\r\n") + "a=inactive\r\n")
    assert [found.addr_of(media) for media in found.media] == [ip("10.0.0.11"), ip("10.0.0.12")]
    assert [media.direction for media in found.media] == [b"sendonly", b"inactive"]
    nowhere, _ = read("v=0\r\nm=audio 1 RTP/AVP 0\r\n")
    assert nowhere.addr_of(nowhere.media[0]) is None


@pytest.mark.parametrize(
    ("line", "proto", "is_rtp", "listens"),
    [
        ("audio 40000 RTP/SAVPF 0", UDP, True, True),
        ("audio 0 RTP/AVP 0", UDP, True, False),
        ("audio 9 UDP/TLS/RTP/SAVPF 0", UDP, True, False),
        ("image 40000 udptl t38", UDP, False, True),
        ("message 40000 TCP/MSRP *", TCP, False, True),
        ("message 40000 TCP/MSRP *\r\na=setup:active", TCP, False, False),
        ("application 40000/2 UDP/DTLS/SCTP x", UDP, False, True),
    ],
)
def test_S3_what_listens_and_by_which_protocol(
    line: str, proto: int, is_rtp: bool, listens: bool
) -> None:
    (media,) = read(sdp("10.0.0.11", line))[0].media
    assert (media.proto, media.is_rtp, media.listens) == (proto, is_rtp, listens)


def test_S3_an_attribute_may_be_put_in_before_the_first_one() -> None:
    found, data = read("v=0\r\nm=audio 1 RTP/AVP 0\r\ni=x\r\na=y\r\na=z\r\nm=audio 2 RTP/AVP 0")
    first, second = found.media
    assert first.attributes_at is not None
    assert data[first.attributes_at :].startswith(b"a=y")
    # Its line does not end, so nothing can follow it.
    assert second.attributes_at is None


def test_S3_candidates_have_an_address_a_port_and_perhaps_related_ones() -> None:
    lines = (
        "a=candidate:1 1 udp 21 10.0.0.11 40000 typ srflx raddr 10.0.0.12 rport 40001 x y\r\n"
        "a=candidate:2 1 TCP 20 ::1 9 typ host tcptype active\r\n"
    )
    found, data = read(sdp("10.0.0.11", extra=lines))
    one, two = found.media[0].candidates
    assert (one.is_udp, one.host.addr, one.number) == (True, ip("10.0.0.11"), 40000)
    assert one.related is not None
    assert one.related[0].addr == ip("10.0.0.12")
    assert data[slice(*one.related[1])] == b"40001"
    assert data[slice(*one.line)] + data[slice(*two.line)] == lines.encode()
    assert (two.is_udp, two.host.addr, two.related) == (False, None, None)


PLACES = [
    b"m=audio %s RTP/AVP 0\r\n",
    b"m=audio 1/%s RTP/AVP 0\r\n",
    b"m=audio 1 RTP/AVP 0\r\na=rtcp:%s\r\n",
    b"m=audio 1 RTP/AVP 0\r\na=candidate:1 1 UDP 1 10.0.0.11 %s typ host\r\n",
    b"m=audio 1 RTP/AVP 0\r\na=candidate:1 %s UDP 1 10.0.0.11 2 typ x raddr 1.2.3.4 rport %s\r\n",
    b"c=IN IP4 10.0.0.%s\r\n",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", HOSTILE_NUMBERS, ids=lambda text: repr(text[:9]))
def test_G9_hostile_numbers_are_errors_of_the_protocol(place: bytes, number: bytes) -> None:
    try:
        found, _ = read(b"v=0\r\n" + place.replace(b"%s", number))
    except SipError as error:
        word, ports = error.word, []
    else:
        word, ports = "", [media.port for media in found.media]
    assert word in ("", "bad-sdp", "bad-port")
    assert all(0 <= port <= 0xFFFF for port in ports)
