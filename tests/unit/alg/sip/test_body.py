"""Bodies: where SDP is in them, and the Content-Length of each part around it (RFC 2046, 5621)."""

import pytest

from p4alg.alg.sip.body import find_sdp
from p4alg.alg.sip.limits import SipLimits
from p4alg.alg.sip.message import SipError, parse_message
from tests.unit.alg.invariant import HOSTILE_NUMBERS
from tests.unit.alg.sip.harness import Agent, Line, build, headers, sdp, world

PHONE = "10.0.0.11:5060"
OUR_SDP = sdp("10.0.0.11").encode()


def part(*lines: bytes, body: bytes = OUR_SDP, kind: bytes = b"application/sdp") -> bytes:
    """A part of a multipart body, from behind its boundary to before the next."""
    return b"\r\n".join([b"", b"Content-Type: " + kind, *lines, b"", body])


def multipart(*parts: bytes, boundary: bytes = b"b") -> bytes:
    mark = b"--" + boundary
    return b"\r\n".join(mark + found for found in parts) + b"\r\n" + mark + b"--\r\n"


def invite(body: bytes, kind: str = "multipart/mixed;boundary=b") -> bytes:
    """An INVITE of the inside phone with such a body."""
    request = Agent("bob", PHONE).request("INVITE", "sip:alice@example.com", call="m")
    kept = [pair for pair in headers(request) if pair[0] != "Content-Length"]
    head = build("INVITE sip:alice@example.com SIP/2.0", [*kept, ("Content-Type", kind)])
    return head.replace(b"Content-Length: 0", b"Content-Length: %d" % len(body)) + body


def found(
    body: bytes, limits: SipLimits | None = None, kind: str = "multipart/mixed;boundary=b"
) -> list[bytes]:
    """The SDP that is found in such a body."""
    limits = limits or SipLimits()
    message = parse_message(invite(body, kind), limits)
    return [message.data[sdp.start : sdp.end] for sdp in find_sdp(message, limits)]


NOT_NUMBERS = [text for text in HOSTILE_NUMBERS if not text.isdigit() or len(text) > 9]


@pytest.mark.parametrize("text", NOT_NUMBERS, ids=lambda text: repr(text[:12]))
def test_G9_a_part_whose_length_is_no_number_refuses_the_message(text: bytes) -> None:
    line = Line(*world(), PHONE)
    line.out(invite(multipart(part(b"Content-Length: " + text))))
    # A line break in the value makes what follows it a header, which has to have a colon.
    assert line.refusals() in (["bad-length"], ["bad-header"])
    assert not line.nat.open
    assert not line.nat.reserved()
    assert len(line.calls.ledger) == 0
    assert not line.calls.calls
    assert not line.calls.transactions


@pytest.mark.parametrize("level", ["outer", "inner"])
def test_G9_the_length_of_every_part_around_the_sdp_is_read(level: str) -> None:
    inner = part(b"l: x" if level == "inner" else b"l: 7")
    outer = multipart(inner, boundary=b"in")
    wrong = b"Content-Length: x" if level == "outer" else b"Content-Length: 7"
    line = Line(*world(), PHONE)
    line.out(invite(multipart(part(wrong, body=outer, kind=b"multipart/mixed;boundary=in"))))
    assert line.refusals() == ["bad-length"]


def test_G9_the_length_of_a_part_without_sdp_is_not_ours_to_read() -> None:
    line = Line(*world(), PHONE)
    text = part(b"Content-Length: x", body=b"hello", kind=b"text/plain")
    told = line.out(invite(multipart(text, part())))
    assert line.refusals() == []
    assert b"Content-Length: x" in told
    assert b"10.0.0.11" not in told.partition(b"\r\n\r\n")[2]


def test_G9_the_response_from_outside_is_refused_in_the_same_way() -> None:
    line = Line(*world(), PHONE)
    asked = line.out(invite(OUR_SDP, "application/sdp"))
    answer = Agent("alice", "198.51.100.9:5060").answer(asked, 200)
    body = multipart(part(b"Content-Length: x", body=sdp("198.51.100.9").encode()))
    size = b"Content-Type: multipart/mixed;boundary=b\r\nContent-Length: %d" % len(body)
    line.back(answer.replace(b"Content-Length: 0", size) + body)
    assert line.refusals() == ["bad-length"]
    assert not line.nat.media()


def test_S3_lengths_of_parts_follow_what_is_edited_at_every_level() -> None:
    line = Line(*world(), PHONE)
    inner = multipart(part(b"Content-Length: %d" % len(OUR_SDP)), boundary=b"in")
    kind = b"multipart/alternative;boundary=in"
    outer = multipart(part(b"Content-Length: %d" % len(inner), body=inner, kind=kind))
    told = line.out(invite(outer)).partition(b"\r\n\r\n")[2]
    longer = len(told) - len(outer)
    # None of the lengths needs more digits than before.
    assert b"Content-Length: %d\r\n\r\nv=0" % (len(OUR_SDP) + longer) in told
    assert b"Content-Length: %d\r\n\r\n--in" % (len(inner) + longer) in told


def test_S3_a_part_whose_length_needs_one_more_digit_is_counted_by_those_around_it() -> None:
    line = Line(*world(), PHONE)
    filled = OUR_SDP + b"a=x:" + b"y" * (998 - len(OUR_SDP) - 6) + b"\r\n"
    assert len(filled) == 998
    inner = multipart(part(b"Content-Length: 998", body=filled), boundary=b"in")
    kind = b"multipart/alternative;boundary=in"
    outer = multipart(part(b"Content-Length: %d" % len(inner), body=inner, kind=kind))
    head, _, told = line.out(invite(outer)).partition(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(told) in head + b"\r\n"
    assert b"Content-Length: 1002\r\n\r\nv=0" in told
    assert b"Content-Length: %d\r\n\r\n--in" % (len(inner) + 4 + 1) in told
    assert len(told) == len(outer) + 4 + 1


@pytest.mark.parametrize("name", [b"Content-Type: text/plain", b"Content-Length: 5", b"l: 5"])
def test_G9_what_a_part_says_twice_is_refused(name: bytes) -> None:
    line = Line(*world(), PHONE)
    line.out(invite(multipart(part(b"Content-Length: 4", name))))
    assert line.refusals() == ["twice"]


@pytest.mark.parametrize(
    ("lines", "is_read"),
    [
        ((), True),
        ((b"Content-Encoding: identity",), True),
        ((b"Content-Encoding: gzip",), False),
        ((b"e: gzip",), False),
        ((b"Content-Encoding: gzip", b"Content-Encoding: identity"), False),
        ((b"Content-Disposition:\r\n session",), True),
    ],
)
def test_S3_encoded_parts_are_not_read(lines: tuple[bytes, ...], is_read: bool) -> None:
    assert found(multipart(part(*lines))) == ([OUR_SDP] if is_read else [])


def test_S3_every_sdp_part_is_found_between_others() -> None:
    other = part(body=b"--bx\r\nno boundary", kind=b"text/plain")
    assert found(multipart(other, part(body=b"v=1"), b"", part(body=b"v=2"))) == [b"v=1", b"v=2"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n", "bad-multipart"),
        (b"no boundary at all", "bad-multipart"),
        (b"--b\r\n\r\nx", "bad-multipart"),
        (b"--b\r\nno header\r\n--b--", "bad-multipart"),
        (b"--b\r\n\r\nx\r\n" * 20 + b"--b--", "too-many-parts"),
        (multipart(b"\r\nContent-Type: text/plain"), "bad-multipart"),
        (multipart(b"\r\nno colon\r\n\r\nx"), "bad-header"),
        (multipart(*[part()] * 9), "too-many-parts"),
        (multipart(part(kind=b"multipart/mixed", body=b"--x--")), "bad-multipart"),
        (multipart(b"\r\n" + b"A: b\r\n" * 200 + b"\r\nx"), "bad-multipart"),
    ],
)
def test_G9_multipart_bodies_that_break_off_or_are_too_many_are_refused(
    body: bytes, word: str
) -> None:
    with pytest.raises(SipError) as error:
        found(body)
    assert error.value.word == word


def test_G9_parts_within_parts_are_followed_to_a_depth() -> None:
    body, limits = OUR_SDP, SipLimits(depth=2)
    body = multipart(part(), boundary=b"c")
    body = multipart(part(body=body, kind=b"multipart/mixed;boundary=c"), boundary=b"a")
    assert found(multipart(part(), boundary=b"b")) == [OUR_SDP]
    with pytest.raises(SipError) as error:
        found(multipart(part(body=body, kind=b"multipart/mixed;boundary=a")), limits)
    assert error.value.word == "too-deep"


def test_S3_bodies_without_sdp_have_none() -> None:
    assert found(b"--b\r\n--b--") == []
    assert found(b"--b--") == []
    assert found(b"v=0\0", kind="application/octet-stream") == []
    assert found(OUR_SDP, kind="application/sdp;charset=utf-8") == [OUR_SDP]
    with pytest.raises(SipError, match="bad-multipart"):
        found(b"x", kind="multipart/mixed")


def test_G9_nesting_ends() -> None:
    text = "x"
    for _ in range(5):
        text = f"--b\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n{text}\r\n--b--"
    for depth in range(5, 0, -1):
        inner = f"Content-Type: multipart/mixed;boundary=c{depth + 1}\r\n\r\n{text}"
        text = f"--c{depth}\r\n{inner}\r\n--c{depth}--"
    with pytest.raises(SipError, match="too-deep"):
        found(text.encode(), kind="multipart/mixed;boundary=c1")


def test_G9_an_encoded_body_is_not_read() -> None:
    made = Agent("bob", PHONE).request("INVITE", "sip:a@b", sdp="\x1f", extra=[("e", "gzip")])
    limits = SipLimits()
    assert find_sdp(parse_message(made, limits), limits) == []
