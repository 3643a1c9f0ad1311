"""The parsers by themselves: spans, forms and limits (S1, G9)."""

import pytest

from p4alg.alg.sip.body import find_sdp
from p4alg.alg.sip.headers import contacts, places, vias
from p4alg.alg.sip.limits import SipLimits
from p4alg.alg.sip.message import SipError, may_begin_sip, parse_message
from p4alg.alg.sip.sdp import read_sdp
from tests.unit.alg.sip.harness import Agent

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
        (b"\r\n\r\n", b"\r\n\r\n" + b"x" * 70000, "message-too-long"),
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


def test_G7_a_beginning_is_judged_as_soon_as_it_can_be() -> None:
    assert may_begin_sip(b"", 100)
    assert may_begin_sip(b"INV", 100)
    assert may_begin_sip(b"SIP/2.0 2", 100)
    assert not may_begin_sip(b"{", 100)
    assert not may_begin_sip(b"A" * 257, 1000)
    assert not may_begin_sip(b"GET / HTTP/1.1\r\n", 100)
    assert not may_begin_sip(b"OPTIONS " + b"a" * 100, 100)
