"""G9 for SIP: `tests.unit.alg.invariant`, and what the ALG edits is SIP again.

Any bytes give the same bytes, an edited message that parses again and whose length is that
of its body, or a counted protocol error; the work is linear in their size.
"""

import random
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import Detach, Forward, Peer
from p4alg.alg.sip.headers import contacts, vias
from p4alg.alg.sip.limits import Candidates, SipLimits, SipSettings
from p4alg.alg.sip.message import parse_message
from tests.conftest import examples
from tests.unit.alg.invariant import HOSTILE_NUMBERS, check_refusal, check_steps
from tests.unit.alg.sip.harness import (
    TCP,
    Agent,
    InDialog,
    Line,
    Relay,
    at,
    build,
    header,
    headers,
    sdp,
    world,
)

PHONE = "10.0.0.11:5060"
LIMITS = SipLimits()
Step = tuple[bool, bytes]


def corpus() -> list[Step]:
    """Calls as phones make them: (from inside?, the bytes as their sender writes them)."""
    said: list[Step] = []
    line = Line(*world(), PHONE)
    bob, alice = Agent("bob", PHONE), Agent("alice", "198.51.100.9:5060")
    relay = Relay()

    def out(data: bytes) -> bytes:
        said.append((True, data))
        return line.out(data)

    def back(data: bytes) -> bytes:
        said.append((False, data))
        return line.back(data)

    asked = out(
        bob.request("REGISTER", "sip:r", to="<sip:bob@10.0.0.11>", extra=[("Expires", "60")])
    )
    back(Agent("r", "198.51.100.1:5060").answer(asked, 200, contact=header(asked, "Contact")))
    rich = sdp(
        "10.0.0.11",
        "audio 40000 RTP/AVP 0\r\na=rtcp:40001 IN IP4 10.0.0.11\r\n"
        "a=candidate:1 1 UDP 21 10.0.0.11 40000 typ host",
        "video 40010/2 RTP/AVP 96\r\nc=IN IP4 10.0.0.11\r\na=rtcp-mux",
        "image 0 udptl t38",
    )
    extra = [
        ("Record-Route", "<sip:10.0.0.11;lr>, <sip:192.0.2.1;lr;maddr=10.0.0.11>"),
        ("P-Asserted-Identity", '"A, \\"b" <sip:bob@10.0.0.11>, <tel:+1>'),
        ("Refer-To", "<sip:c@10.0.0.11?Replaces=a%4010.0.0.11%3Bto-tag%3D1>"),
    ]
    invite = out(
        bob.request("INVITE", "sip:alice@example.com", call="c@10.0.0.11", sdp=rich, extra=extra)
    )
    back(alice.answer(invite, 100, tag="", contact=""))
    back(
        alice.answer(
            invite,
            183,
            sdp("198.51.100.20", "audio 6000 RTP/AVP 0", "video 7000 RTP/AVP 96\r\na=rtcp-mux"),
        )
    )
    back(alice.answer(invite, 200))
    more: InDialog = {"call": "c@10.0.0.11", "to_tag": alice.tag}
    out(bob.request("ACK", "sip:alice@198.51.100.9", cseq=2, **more))
    held = out(
        bob.request(
            "INVITE", "sip:alice@198.51.100.9", sdp=sdp("10.0.0.11", extra="a=sendonly\r\n"), **more
        )
    )
    back(alice.answer(held, 200, sdp("0.0.0.0")))
    bye = out(bob.request("BYE", "sip:alice@198.51.100.9", **more))
    back(alice.answer(bye, 200))
    inbound = relay.request(
        alice.request("INVITE", "sip:bob@x", call="d", sdp=sdp("198.51.100.20")),
        f"sip:bob@{line.seen}",
    )
    got = back(inbound)
    out(bob.answer(got, 180))
    out(bob.answer(got, 200, sdp("10.0.0.11")))
    back(alice.request("CANCEL", f"sip:bob@{line.seen}", call="d", cseq=1))
    parts = "--b\r\nContent-Type: application/sdp\r\nContent-Length: 9\r\n\r\n{}\r\n--b--\r\n"
    kept = [
        p for p in headers(bob.request("INVITE", "sip:a@b", call="e")) if p[0] != "Content-Length"
    ]
    out(build("INVITE sip:a@b SIP/2.0", kept, parts.format(rich), "multipart/mixed;boundary=b"))
    out(
        b"OPTIONS sip:a@example.com SIP/2.0\r\n"
        b"v: SIP/2.0/UDP\r\n 10.0.0.11:5060\r\n\t;branch=z9hG4bK1\r\n"
        b"f: <sip:bob@10.0.0.11>;tag=1\r\nTO: <sip:a@example.com>\r\ni : 5@10.0.0.11\r\n"
        b"cSEQ: 1\r\n OPTIONS\r\n"
        b"m:\r\n <sip:bob@10.0.0.11>\r\n ,<sip:b2@10.0.0.11:5070>\r\nl: 0\r\n\r\n"
    )
    assert line.refusals() == []
    return said


CORPUS = corpus()
PIECES = [
    b"\r\n", b"\r\n\r\n", b"\n", b"\0", b'"', b"\\", b"<", b">", b",", b";", b"@", b":", b"=", b"?",
    b"10.0.0.11", b"203.0.113.2", b":5060", b":99999999999", b"[::1]", b"0.0.0.0", b"9" * 120,
    b"Content-Length: 4294967296\r\n", b"l: 5\r\n", b"Via: SIP/2.0/UDP 10.0.0.11\r\n", b" ", b"\t",
    b"Contact: *\r\n", b"m: <sip:a@10.0.0.11>\r\n", b"m=audio 1 RTP/AVP 0\r\n", b"m=audio 4000",
    b"c=IN IP4 10.0.0.11\r\n", b"a=rtcp:5 IN IP4 10.0.0.11\r\n", b"a=candidate:", b"--b\r\n",
    b"--b--", b"Content-Type: multipart/mixed;boundary=b\r\n", b";expires=0", b";maddr=10.0.0.11",
    b"SIP/2.0", b"INVITE sip:", b";tag=", b"%40", b"\xff", b"o=- 1 1 IN IP4 10.0.0.11\r\n",
]  # fmt: skip
CONFIGURED = SipSettings(
    limits=SipLimits(calls=20, transactions=40, registrations=10, resources=60, sources=8),
    candidates=Candidates.REWRITE,
)


def check(line: Line, sender: Peer, data: bytes) -> None:
    """Feed a datagram and hold the ALG to its invariant."""
    before = {*line.nat.reservations, *line.nat.open}
    steps = line.datagrams.receive(sender, data, line.gateway, line.now)
    out = check_steps(data, steps, is_datagram=True)
    check_refusal(steps, before, {*line.nat.reservations, *line.nat.open})
    for step in steps:
        if isinstance(step, Forward):
            assert set(step.grants) <= set(range(line.nat.last + 1))
            if step.edits:
                message = parse_message(out, SipLimits(message=1 << 20, line=1 << 20))
                vias(message, LIMITS)
                contacts(message, LIMITS)
                # Bytes behind the body of a datagram are no part of it, before or after.
                was = parse_message(data, LIMITS)
                assert len(data) - was.body[1] == len(out) - message.body[1]
    assert len(line.calls.ledger) <= line.calls.settings.limits.resources


def fresh() -> Line:
    line = Line(*world(CONFIGURED), PHONE)
    line.nat.bind(17, at("10.0.0.12:5060"))
    # It has begun as SIP, so that nothing detaches.
    line.out(Agent("first", PHONE).request("OPTIONS", "sip:x"))
    return line


def peer(from_inside: bool) -> Peer:
    return Peer.CLIENT if from_inside else Peer.SERVER


@given(st.binary(max_size=400), st.booleans())
def test_G9_any_bytes(data: bytes, from_inside: bool) -> None:
    check(Line(*world(), PHONE), peer(from_inside), data)
    check(fresh(), peer(from_inside), data)


Change = st.tuples(
    st.integers(0, 1 << 16),
    st.integers(0, 40),
    st.sampled_from([b"", *PIECES]) | st.binary(max_size=9),
)


def change(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for where, size, piece in changes:
        start = where % (len(data) + 1)
        data = data[:start] + piece + data[start + size :]
    return data


@examples(300)
@given(st.data())
def test_G9_calls_with_mutated_messages(data: st.DataObject) -> None:
    line = fresh()
    chosen = data.draw(st.sets(st.integers(0, len(CORPUS) - 1), max_size=4))
    for index, (from_inside, message) in enumerate(CORPUS):
        if index in chosen:
            message = change(message, data.draw(st.lists(Change, min_size=1, max_size=4)))
        check(line, peer(from_inside), message)
    line.tick(100000.0)
    assert line.nat.open == {}
    assert line.nat.reserved() == set()
    assert len(line.calls.ledger) == 0


NUMBERS = st.sampled_from(HOSTILE_NUMBERS) | st.integers(0, 70000).map(lambda n: b"%d" % n)
PORTS = NUMBERS | st.sampled_from([b"40000", b"40002", b"6000", b"9", b"80"])
BOUNDARIES = st.sampled_from([b"b", b"b", b"in", b"b-", b"(.*)", b"", b"b\r\n", b"x" * 71, b"\xff"])
ADDRESSES = st.sampled_from([b"10.0.0.11", b"203.0.113.2", b"0.0.0.0", b"10.0.0.12", b"1.2.3.256"])


@st.composite
def descriptions(draw: st.DrawFn) -> bytes:
    """SDP with hostile numbers where ports and addresses are."""
    addr = draw(ADDRESSES)
    lines = [b"v=0", b"o=- " + draw(NUMBERS) + b" 1 IN IP4 " + addr, b"s=-", b"c=IN IP4 " + addr]
    for _ in range(draw(st.integers(0, 3))):
        lines.append(
            b"m=audio " + draw(PORTS) + draw(st.sampled_from([b"", b"/2"])) + b" RTP/AVP 0"
        )
        attributes = [
            b"a=rtcp:" + draw(PORTS),
            b"a=rtcp:40009 IN IP4 " + draw(ADDRESSES),
            b"a=candidate:1 1 UDP 1 " + draw(ADDRESSES) + b" " + draw(PORTS) + b" typ host",
            b"a=candidate:1 1 UDP 1 10.0.0.11 40000 typ srflx raddr 10.0.0.11 rport " + draw(PORTS),
            b"a=sendonly",
            b"c=IN IP4 " + draw(ADDRESSES),
            b"\xff\xfe=",
        ]
        lines += draw(st.lists(st.sampled_from(attributes), max_size=3))
    return draw(st.sampled_from([b"\r\n", b"\r\n", b"\n"])).join([*lines, b""])


@st.composite
def bodies(draw: st.DrawFn, depth: int = 3) -> tuple[bytes, bytes]:
    """A body and its Content-Type: SDP, or parts with lengths, encodings and boundaries broken."""
    if depth == 0 or draw(st.integers(0, 2)) == 0:
        return draw(descriptions()), draw(
            st.sampled_from([b"application/sdp", b"application/sdp", b"text/plain", b""])
        )
    boundary = draw(BOUNDARIES)
    out = b""
    for _ in range(draw(st.integers(0, 3))):
        body, kind = draw(bodies(depth - 1))
        size = draw(st.just(b"%d" % len(body)) | NUMBERS)
        lines = [
            b"Content-Type: " + kind,
            b"Content-Length: " + size,
            b"l : " + size,
            b"Content-Encoding: " + draw(st.sampled_from([b"identity", b"gzip", b"\xff"])),
            b"Content-Transfer-Encoding:\r\n base64",
            b"no colon",
        ]
        chosen = [lines[0], *draw(st.lists(st.sampled_from(lines[1:-1]), max_size=2, unique=True))]
        if draw(st.integers(0, 9)) == 0:
            chosen.append(lines[-1])
        mark = draw(st.just(boundary) | BOUNDARIES)
        out += b"--" + mark + b"\r\n" + b"\r\n".join([*chosen, b"", body]) + b"\r\n"
    out += draw(st.just(b"--" + boundary + b"--\r\n") | st.sampled_from([b"", b"--b", b"--b--"]))
    quoted = draw(st.sampled_from([b"%s", b'"%s"', b'"%s']))
    return out, b"multipart/mixed;boundary=" + quoted % boundary


@examples(300)
@given(st.lists(st.tuples(bodies(), NUMBERS, st.integers(0, 9)), min_size=1, max_size=4))
def test_G9_bodies_with_broken_lengths_boundaries_and_encodings(
    said: list[tuple[tuple[bytes, bytes], bytes, int]],
) -> None:
    """An offer and its answers, from both sides, each with a body that is broken somewhere."""
    line = fresh()
    bob, alice = Agent("bob", PHONE), Agent("alice", "198.51.100.9:5060")
    for (body, kind), number, breaks in said:
        size = number if breaks == 0 else b"%d" % len(body)
        more = b"Content-Type: " + kind + b"\r\nContent-Length: " + size + b"\r\n\r\n" + body
        request = bob.request("INVITE", "sip:alice@example.com", call="f")
        sent = request.replace(b"Content-Length: 0\r\n\r\n", more)
        check(line, Peer.CLIENT, sent)
        answer = alice.answer(request, 183 if breaks % 2 else 200)
        check(line, Peer.SERVER, answer.replace(b"Content-Length: 0\r\n\r\n", more))
    line.tick(100000.0)
    assert line.nat.open == {}
    assert line.nat.reserved() == set()


@examples(300)
@given(NUMBERS, st.booleans(), st.data())
def test_G9_headers_with_hostile_numbers(
    number: bytes, from_inside: bool, data: st.DataObject
) -> None:
    """A number of some message is another; wherever it stands, the ALG has a word for it."""
    line = fresh()
    said = [message for is_ours, message in CORPUS if is_ours == from_inside]
    message = data.draw(st.sampled_from(said))
    digits = [found.span() for found in re.finditer(rb"[0-9]+", message)]
    start, end = data.draw(st.sampled_from(digits))
    check(line, peer(from_inside), message[:start] + number + message[end:])


def test_G9_many_mutations_leave_nothing_behind() -> None:
    rng = random.Random(7)
    line = fresh()
    for turn in range(4000):
        from_inside, message = rng.choice(CORPUS)
        for _ in range(rng.randrange(4)):
            start = rng.randrange(len(message) + 1)
            message = message[:start] + rng.choice(PIECES) + message[start + rng.randrange(9) :]
        line.now = turn / 10
        check(line, peer(from_inside), message)
    line.tick(1e6)
    assert line.nat.open == {}
    assert line.nat.reserved() == set()
    assert len(line.calls.ledger) == 0
    assert not line.calls.calls
    assert not line.calls.transactions
    assert not line.calls.registrations


@given(st.data())
def test_G5_cut_anywhere_a_stream_gives_the_same(data: st.DataObject) -> None:
    sent = b"".join(m for from_inside, m in CORPUS if from_inside)
    sent = change(sent, data.draw(st.lists(Change, max_size=2)))

    def run(cuts: list[int]) -> tuple[bytes, bool]:
        """What comes out, and whether the stream was lost on the way."""
        line = Line(*world(), "10.0.0.11:41000", proto=TCP)
        out, start, is_lost = b"", 0, False
        for end in [*sorted(cuts), len(sent)]:
            out += line.out(sent[start:end])
            is_lost = is_lost or any(isinstance(step, Detach) for step in line.steps)
            start = end
        return out, is_lost

    whole, is_lost = run([])
    pieces, was_lost = run(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    assert is_lost == was_lost
    # Once the stream is lost, what has not come yet is not the ALG's.
    assert pieces == whole or (is_lost and whole.startswith(pieces))


SEEDS = {
    "length beyond the message": b"Content-Length: 500\r\n",
    "length beyond any integer": b"Content-Length: " + b"9" * 4000 + b"\r\n",
    "thousands of headers": b"X: y\r\n" * 2500,
    "thousands of contacts": b"Contact: " + b"<sip:a@10.0.0.11>," * 800 + b"<sip:b@c>\r\n",
    "a hundred-digit port": b"Contact: <sip:a@10.0.0.11:" + b"1" * 100 + b">\r\n",
    "quotes without an end": b'Contact: "' + b'\\"' * 1800 + b"\r\n",
    "brackets without an end": b"Contact: " + b"<" * 3900 + b"\r\n",
    "semicolons": b"Contact: <sip:a@b>" + b"; " * 1900 + b"\r\n",
    "commas": b"Route: " + b"," * 3900 + b"\r\n",
    "many ats": b"Contact: <sip:" + b"@" * 3900 + b">\r\n",
    "dots": b"Call-Info: x\r\nReplaces: " + b"10.0.0." * 550 + b"\r\n",
    "folds": b"Subject: a" + b"\r\n " * 1200 + b"\r\n",
}


@pytest.mark.parametrize("name", SEEDS)
@pytest.mark.parametrize("proto", [17, TCP])
def test_G9_hostile_headers_are_answered_by_a_word_or_passed(name: str, proto: int) -> None:
    line = Line(*world(), PHONE, proto=proto)
    message = Agent("bob", PHONE).request("OPTIONS", "sip:a@b", contact="")
    line.out(message)
    hostile = message.replace(b"Content-Length: 0\r\n", SEEDS[name])
    line.out(hostile)
    if proto == 17:
        check(line, Peer.CLIENT, hostile)


def test_G9_a_body_without_headers() -> None:
    for start in (b"", b"INVITE sip:a SIP/2.0\r\n", b"\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n"):
        line = fresh()
        assert b"10.0.0.11" not in line.out(start + sdp("10.0.0.11").encode())
        assert line.refusals() in (["not-sip"], ["no-end"], ["missing-header"])


def cost(make: bytes) -> float:
    """Seconds to handle a message, the best of some runs."""
    best = 9.0
    for _ in range(3):
        line = fresh()
        begun = time.perf_counter()
        check(line, Peer.CLIENT, make)
        best = min(best, time.perf_counter() - begun)
    return best


@pytest.mark.parametrize("name", [*SEEDS, "sdp", "parts"])
def test_G9_work_is_bounded_for_the_largest_messages(name: str) -> None:
    base = Agent("bob", PHONE).request("INVITE", "sip:a@b", contact="")
    if name == "sdp":
        kept = [p for p in headers(base) if p[0] != "Content-Length"]
        made = build(
            "INVITE sip:a@b SIP/2.0", kept, sdp("10.0.0.11", extra="a=candidate:" + "1 " * 6000)
        )
    elif name == "parts":
        kept = [p for p in headers(base) if p[0] != "Content-Length"]
        made = build("INVITE sip:a@b SIP/2.0", kept, "\r\n--b" * 3000, "multipart/mixed;boundary=b")
    else:
        made = base.replace(b"Content-Length: 0\r\n", SEEDS[name])
    # A quadratic scan of 16 KiB takes seconds; a slow machine is allowed for.
    assert cost(made) < 0.25
