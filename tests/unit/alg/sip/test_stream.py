"""S1 and G5: messages on TCP, whatever the segments; S10: what is not SIP is left alone."""

import pytest

from p4alg.alg.contract import Detach, Forward, Refuse
from p4alg.alg.sip.limits import SipLimits, SipSettings
from p4alg.alg.sip.stream import Framer, Piece
from tests.unit.alg.sip.harness import TCP, Agent, Line, body, header, sdp, world

PHONE = "10.0.0.11:5060"
ALICE = "sip:alice@example.com"


def ready(settings: SipSettings | None = None) -> tuple[Line, Agent]:
    return Line(*world(settings), "10.0.0.11:41000", proto=TCP), Agent("bob", PHONE, "TCP")


def say(line: Line, data: bytes, size: int) -> bytes:
    return b"".join(line.out(data[at : at + size]) for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10000])
def test_S1_messages_are_framed_by_content_length_whatever_the_segments(size: int) -> None:
    line, phone = ready()
    sent = (
        b"\r\n\r\n"
        + phone.request("INVITE", ALICE, sdp=sdp("10.0.0.11"))
        + phone.request("MESSAGE", ALICE, sdp="INVITE sip:a@b SIP/2.0\r\n\r\n", kind="text/plain")
        + b"\r\n"
        + phone.request("OPTIONS", ALICE)
    )
    whole_line, _ = ready()
    whole = whole_line.out(sent)
    assert say(line, sent, size) == whole
    assert b"10.0.0.11" not in whole
    assert whole.count(b"Call-ID: bob-call@203.0.113.2\r\n") == 3
    assert b"INVITE sip:a@b SIP/2.0\r\n\r\n\r\nOPTIONS" in whole
    assert line.nat.reserved() == whole_line.nat.reserved()


def test_S1_each_message_is_a_step_of_its_own_and_an_incomplete_one_waits() -> None:
    line, phone = ready()
    first, second = phone.request("OPTIONS", ALICE), phone.request("OPTIONS", ALICE)
    line.out(first + second + b"\r\n" + first[:100])
    lengths = [(s.length, s.is_message) for s in line.steps if isinstance(s, Forward)]
    assert lengths == [(len(first), True), (len(second), True), (2, False)]
    line.out(first[100:])
    assert [step.length for step in line.steps] == [len(first)]


def test_S1_compact_length_and_folding_frame_too() -> None:
    line, phone = ready()
    message = phone.request("INVITE", ALICE, sdp=sdp("10.0.0.11"))
    message = message.replace(b"Content-Length: ", b"L:\r\n  ")
    out = line.out(message + message[:10])
    assert b"m=audio" in out
    size = int(out.split(b"L:\r\n  ")[1].split(b"\r\n")[0])
    assert size == len(out.partition(b"\r\n\r\n")[2])


def test_G5_a_message_that_comes_byte_by_byte_is_searched_once() -> None:
    data = b"OPTIONS sip:a SIP/2.0\r\n" + b"X: y\r\n" * 100 + b"Content-Length: 3\r\n\r\nabc"
    framer = Framer(SipLimits())
    for end in range(1, len(data)):
        assert framer.piece(data[:end], 0) is None
    assert framer.piece(data, 0) == Piece(len(data), True)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + b"A" * 2000 + b"\r\n\r\nREGISTER sip:x SIP/2.0\r\n",
        b"\0\1\0\x08!\x12\xa4B" + b"x" * 20,
        b"\x80\x2e\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"A" * 300,
        b"OPTIONS " + b"x" * 5000,
        b"OPTIONS sip:a SIP/3.0\r\n",
        b"OPTIONS sip:a sip:b SIP/2.0\r\n",
    ],
)
def test_G7_what_does_not_begin_as_sip_ends_alg_work(data: bytes) -> None:
    for cut in (1, len(data)):
        line, phone = ready()
        for at in range(0, len(data), cut):
            line.out(data[at : at + cut])
            if line.steps:
                break
        assert line.steps == [Detach("not-sip", True)]
        # Nothing is read any more, though it looks like SIP.
        line.out(phone.request("REGISTER", "sip:r"))
        assert line.steps == []
        assert line.nat.reserved() == set()


def test_G7_a_server_that_does_not_speak_sip_ends_alg_work() -> None:
    line, phone = ready()
    asked = line.out(phone.request("REGISTER", "sip:r"))
    answer = Agent("r", "198.51.100.1:5060").answer(asked, 200, contact=header(asked, "Contact"))
    line.back(b"HTTP/1.1 200 OK\r\n\r\n" + answer)
    assert line.steps == [Detach("not-sip", True)]
    assert line.nat.openings() == set()


def test_G7_udp_that_does_not_begin_as_sip_ends_alg_work() -> None:
    line = Line(*world(), PHONE)
    line.out(b"POST / HTTP/1.1\r\n\r\n")
    assert line.steps == [Detach("not-sip", True)]
    for odd in (b"\0\1\0\0" + b"x" * 16, b"POST\x21\x12\xa4\x42 sip:x SIP/2.0\r\n"):
        line = Line(*world(), PHONE)
        line.out(odd)
        assert line.steps == [Detach("not-sip", True)]


def test_G7_udp_that_goes_on_otherwise_is_dropped() -> None:
    line, phone = Line(*world(), PHONE), Agent("bob", PHONE)
    line.out(phone.request("OPTIONS", ALICE))
    assert line.out(b"POST / HTTP/1.1\r\n\r\n") == b""
    assert line.refusals() == ["not-sip"]


def test_S10_tls_on_the_plain_port_is_passed_as_plain_nat() -> None:
    line, _ = ready()
    line.out(b"\x16\x03\x01\x02\x00\x01\x00")
    assert line.steps == [Detach("tls", False)]


def test_S10_sips_uris_are_translated_but_nothing_is_opened_for_tls() -> None:
    line, phone = ready()
    out = line.out(phone.request("MESSAGE", ALICE, contact="<sips:bob@10.0.0.11:5061>"))
    assert "10.0.0.11" not in header(out, "Contact")
    assert line.nat.openings() == set()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"Content-Length: 0", b"Content-Length: 99999999999999999999999", "bad-length"),
        (b"Content-Length: 0", b"Content-Length: 4294967297", "bad-length"),
        (b"Content-Length: 0", b"Content-Length: 999999999", "body-too-long"),
        (b"Content-Length: 0", b"Content-Length: -1", "bad-length"),
        (b"Content-Length: 0", b"Content-Length: 0x10", "bad-length"),
        (b"Content-Length: 0", b"Content-Length: ", "bad-length"),
        (b"Content-Length: 0", b"Content-Length: 0\r\nl: 5", "twice"),
        (b"Content-Length: 0", b"X: y", "no-length"),
        (b"Max-Forwards: 70", b"X: " + b"a" * 5000, "line-too-long"),
        (b"Max-Forwards: 70", b"X: y\r\n" * 200 + b"X: y", "too-many-headers"),
        (b"Max-Forwards: 70", b"bad header", "bad-header"),
        (b"Max-Forwards: 70", b"X: a\nContent-Length: 7", "bare-newline"),
        (b"Max-Forwards: 70", b"X: a\rb", "bare-newline"),
        (b"Max-Forwards: 70", b"X: a\0b", "bad-header"),
    ],
)
def test_G9_where_a_message_ends_is_never_guessed(old: bytes, new: bytes, reason: str) -> None:
    line, phone = ready()
    line.out(phone.request("OPTIONS", ALICE))
    message = phone.request("OPTIONS", ALICE).replace(old, new)
    line.out(message)
    assert line.refusals() == [reason]
    assert line.events() == [reason]
    refused = [step for step in line.steps if isinstance(step, Refuse)]
    assert refused[0].length == len(message)
    line.out(phone.request("OPTIONS", ALICE))
    assert line.steps == []


def test_G4_a_message_that_does_not_end_is_given_up_at_the_limit() -> None:
    line, phone = ready(SipSettings(SipLimits(message=2000, line=5000)))
    begun = phone.request("OPTIONS", ALICE)[:-2]
    line.out(begun)
    assert line.steps == []
    line.out(b"X: y\r\n" * 400)
    assert line.refusals() == ["message-too-long"]


def test_G4_a_body_over_the_limit_is_not_waited_for() -> None:
    line, phone = ready(SipSettings(SipLimits(message=2000)))
    message = phone.request("MESSAGE", ALICE, sdp="x" * 3000)
    line.out(message[:600])
    assert line.refusals() == ["body-too-long"]


def test_S1_a_refused_message_does_not_lose_the_next_one() -> None:
    line, phone = ready()
    bad = phone.request("OPTIONS", ALICE).replace(b"Call-ID", b"X-Call-ID")
    good = phone.request("MESSAGE", ALICE, sdp="hello", kind="text/plain")
    out = line.out(bad + good)
    assert line.refusals() == ["missing-header"]
    assert body(out) == "hello"


def test_S1_both_directions_are_framed_apart() -> None:
    line, phone = ready()
    alice = Agent("alice", "198.51.100.9:5060", "TCP")
    asked = line.out(phone.request("OPTIONS", ALICE))
    answer = alice.answer(asked, 200)
    request = alice.request("OPTIONS", f"sip:bob@{line.seen};transport=tcp")
    half = len(answer) - 4
    assert line.back(answer[:half]) == b""
    line.out(phone.request("OPTIONS", ALICE)[:50])
    assert b"SIP/2.0 200" in line.back(answer[half:] + request)
    assert len(line.steps) == 2
