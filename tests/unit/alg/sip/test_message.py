"""The parsers by themselves: spans, forms and limits (S1, G9)."""

import pytest

from p4alg.alg.sip.body import find_sdp
from p4alg.alg.sip.headers import contacts, places, seconds, vias
from p4alg.alg.sip.limits import SipLimits
from p4alg.alg.sip.message import SipError, may_begin_sip, parse_message
from p4alg.alg.sip.sdp import read_sdp
from p4alg.alg.sip.uri import read_addr, read_port, read_uri, split
from tests.unit.alg.sip.harness import Agent, build, headers, ip, sdp

LIMITS = SipLimits()
GOOD = Agent("bob", "10.0.0.11:5060").request("INVITE", "sip:alice@example.com")


def parse(data: bytes, limits: SipLimits = LIMITS) -> str:
    """The word of the error, or nothing."""
    try:
        message = parse_message(data, limits)
        vias(message, limits)
        places(message, contacts(message, limits), limits)
        for part in find_sdp(message, limits):
            read_sdp(data, part.start, part.end, limits)
    except SipError as error:
        return error.word
    return ""


def test_S1_a_message_is_spans_over_its_bytes() -> None:
    message = parse_message(GOOD, LIMITS)
    assert message.is_request
    assert message.uri is not None
    assert GOOD[slice(*message.uri)] == b"sip:alice@example.com"
    assert (message.method, message.cseq, message.from_tag, message.to_tag) == (
        b"INVITE", 1, b"tag-bob", b"",
    )  # fmt: skip
    assert message.text(message.call_id) == b"bob-call@10.0.0.11"
    assert message.body == (len(GOOD), len(GOOD))


def test_S1_tags_are_those_of_the_header_and_not_of_the_uri() -> None:
    data = GOOD.replace(
        b"To: <sip:alice@example.com>", b'T: "a;tag=9" <sip:a;tag=7@x;tag=8> ; TAG = 5'
    )
    assert parse_message(data, LIMITS).to_tag == b"5"


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        (b"INVITE sip:alice@example.com SIP/2.0", b"INVITE  sip:a SIP/2.0", "bad-start"),
        (b"INVITE sip:alice@example.com SIP/2.0", b"SIP/2.0 2000 OK", "bad-start"),
        (b"INVITE sip:alice@example.com SIP/2.0", b"SIP/2.0 099 OK", "bad-start"),
        (b"INVITE sip:alice@example.com SIP/2.0", b"INVITE sip:a@ SIP/2.0", "bad-uri"),
        (b"\r\n\r\n", b"\r\n\r\n" + b"x" * 20000, "message-too-long"),
        (b"Max-Forwards: 70", b"Route: " + b"<sip:a>," * 100 + b"<sip:a>", "too-many-values"),
        (b"CSeq: 1 INVITE", b"CSeq: 1 BYE", "bad-cseq"),
        (b"CSeq: 1 INVITE", b"CSeq: 2147483648 INVITE", "bad-cseq"),
        (b"CSeq: 1 INVITE", b"CSeq: " + b"9" * 100 + b" INVITE", "bad-cseq"),
        (b"CSeq: 1 INVITE", b"CSeq: 1 INVITE\r\nCSeq: 2 INVITE", "twice"),
        (b"Call-ID: ", b"Call-ID: a\r\ni: ", "twice"),
        (b"Call-ID: bob-call@10.0.0.11", b"Call-ID:", "missing-header"),
        (b"Via: ", b"X-Via: ", "missing-header"),
        (b"SIP/2.0/UDP 10.0.0.11:5060;", b"SIP/2.0/UDP ;", "bad-via"),
        (b"SIP/2.0/UDP 10.0.0.11:5060;", b"SIP/2.0/UDP 10.0.0.11:5060 x;", "bad-via"),
        (b"SIP/2.0/UDP 10.0.0.11:5060;", b"SIP/2.0/UDP 10.0.0.11:99999;", "bad-port"),
        (b"10.0.0.11:5060;rport", b"10.0.0.11:" + b"9" * 100 + b";rport", "bad-port"),
        (b";rport;", b";rport=70000;", "bad-port"),
        (b";rport;", b";rport=x;", "bad-via"),
        (b";rport;", b";rport=1;rport=2;", "bad-via"),
        (b"<sip:bob@10.0.0.11:5060>", b"<sip:bob@10.0.0.11:" + b"9" * 100 + b">", "bad-port"),
        (b"<sip:bob@10.0.0.11:5060>", b"<sip:bob@10.0.0.11:5060", "bad-quote"),
        (b"<sip:bob@10.0.0.11:5060>", b'"bob <sip:bob@10.0.0.11:5060>', "bad-quote"),
        (b"<sip:bob@10.0.0.11:5060>", b"<sip:bob@>", "bad-uri"),
        (b"<sip:bob@10.0.0.11:5060>", b"<sip:bob@10.0.0.11:5060:7>", "bad-uri"),
        (b"Content-Length: 0", b"Content-Length: 1", "short-body"),
        (b"\r\n\r\n", b"\r\n", "no-end"),
        (b"Max-Forwards: 70", b" folded: at the start", ""),
        (b"Max-Forwards", b"", "bad-header"),
        (b"Contact: <sip:bob@10.0.0.11:5060>", b"m: " + b"<sip:a>," * 100 + b"<sip:a>",
         "too-many-values"),
    ],
)  # fmt: skip
def test_G9_what_is_wrong_has_a_word(old: bytes, new: bytes, word: str) -> None:
    assert old in GOOD
    assert parse(GOOD.replace(old, new, 1)) == word


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
    kept = [p for p in headers(GOOD) if p[0] != "Content-Length"]
    assert parse(build("INVITE sip:alice@example.com SIP/2.0", kept, text)) == word


@pytest.mark.parametrize(
    ("kind", "text", "word"),
    [
        ("multipart/mixed", "x", "bad-multipart"),
        ("multipart/mixed;boundary=b", "--b\r\n\r\nx", "bad-multipart"),
        ("multipart/mixed;boundary=b", "--b\r\nno header\r\n--b--", "bad-multipart"),
        ("multipart/mixed;boundary=b", "--b\r\n\r\nx\r\n" * 20 + "--b--", "too-many-parts"),
        ("multipart/mixed;boundary=b", "--b\r\n--b--", ""),
        ("multipart/mixed;boundary=b", "--b--", ""),
        ("application/octet-stream", "v=0\0", ""),
    ],
)
def test_G9_what_is_wrong_in_a_multipart_body_has_a_word(kind: str, text: str, word: str) -> None:
    kept = [p for p in headers(GOOD) if p[0] != "Content-Length"]
    assert parse(build("INVITE sip:alice@example.com SIP/2.0", kept, text, kind)) == word


def test_G9_nesting_ends() -> None:
    text = "x"
    for _ in range(5):
        text = f"--b\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n{text}\r\n--b--"
    for depth in range(5, 0, -1):
        inner = f"Content-Type: multipart/mixed;boundary=c{depth + 1}\r\n\r\n{text}"
        text = f"--c{depth}\r\n{inner}\r\n--c{depth}--"
    kept = [p for p in headers(GOOD) if p[0] != "Content-Length"]
    made = build("INVITE sip:alice@example.com SIP/2.0", kept, text, "multipart/mixed;boundary=c1")
    assert parse(made) == "too-deep"


def test_G9_an_encoded_body_is_not_read() -> None:
    made = Agent("bob", "10.0.0.11:5060").request(
        "INVITE", "sip:a@b", sdp="\x1f\x1f", extra=[("e", "gzip")]
    )
    assert find_sdp(parse_message(made, LIMITS), LIMITS) == []


def test_S1_addresses_are_plain_dotted_quads() -> None:
    assert read_addr(b"10.0.0.11") == ip("10.0.0.11")
    for odd in (b"010.0.0.11", b"10.0.0", b"10.0.0.256", b"0x0a.0.0.1", b"1.2.3.4.5", b"a.b.c.d"):
        assert read_addr(odd) is None
    assert read_port(b"65535") == 65535
    for odd in (b"65536", b"100000"):
        with pytest.raises(SipError):
            read_port(odd)


@pytest.mark.parametrize(
    ("text", "addr", "port", "proto", "default"),
    [
        (b"sip:10.0.0.11", "10.0.0.11", None, 17, 5060),
        (b"SIP:a:b@10.0.0.11:7;transport=TCP", "10.0.0.11", 7, 6, 5060),
        (b"sips:a@10.0.0.11", "10.0.0.11", None, 6, 5061),
        (b"sip:a;x@10.0.0.11?h=1", "10.0.0.11", None, 17, 5060),
        (b"sip:a?b@10.0.0.11", "10.0.0.11", None, 17, 5060),
        (b"sip:a@[::1]:7", None, 7, 17, 5060),
        (b"sip:a@example.com:7;transport=ws", None, 7, 17, 5060),
    ],
)
def test_S2_uris(text: bytes, addr: str | None, port: int | None, proto: int, default: int) -> None:
    uri = read_uri(text, 0, len(text))
    assert uri is not None
    host = uri.host
    assert (host.addr, host.port) == (None if addr is None else ip(addr), port)
    assert (host.proto, host.default) == (proto, default)


def test_S2_what_is_no_sip_uri_is_left_alone() -> None:
    for text in (b"tel:+1", b"http://10.0.0.11/", b"sip:", b"sip:a b@c", b"mailto:a@10.0.0.11"):
        assert read_uri(text, 0, len(text)) is None


def test_S2_commas_in_quotes_and_brackets_separate_nothing() -> None:
    text = b'"a,\\"b" <sip:a,b@c>, <sip:d;x="e,f">'
    assert [text[a:b] for a, b in split(text, 0, len(text))] == [
        b'"a,\\"b" <sip:a,b@c>',
        b' <sip:d;x="e,f">',
    ]


def test_S5_seconds() -> None:
    assert [seconds(text) for text in (b"60", b" 0 ", b"-1", b"", b"x", b"9" * 100)] == [
        60, 0, None, None, None, 2**32 - 1,
    ]  # fmt: skip


def test_G7_a_beginning_is_judged_as_soon_as_it_can_be() -> None:
    assert may_begin_sip(b"", 100)
    assert may_begin_sip(b"INV", 100)
    assert may_begin_sip(b"SIP/2.0 2", 100)
    assert not may_begin_sip(b"{", 100)
    assert not may_begin_sip(b"A" * 33, 100)
    assert not may_begin_sip(b"GET / HTTP/1.1\r\n", 100)
    assert not may_begin_sip(b"OPTIONS " + b"a" * 100, 100)
