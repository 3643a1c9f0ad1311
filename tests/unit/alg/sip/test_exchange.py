"""One message in the ALG: what is gathered for it, and what it leaves when it goes on or not."""

import pytest

from p4alg.alg.contract import Forward, Notice, Refuse, apply_edits
from p4alg.alg.sip.body import find_sdp
from p4alg.alg.sip.exchange import Exchange
from p4alg.alg.sip.limits import SipLimits
from p4alg.alg.sip.message import SipError, parse_message
from tests.unit.alg.sip.harness import UDP, Agent, Line, at, sdp, world

PHONE = "10.0.0.11:5060"
BOB, ALICE = Agent("bob", PHONE), Agent("alice", "198.51.100.9:5060")
LIMITS = SipLimits()


def exchange(line: Line, data: bytes, from_inside: bool = True) -> Exchange:
    message = parse_message(data, LIMITS)
    return Exchange(line.facts, line.calls, line.gateway, 0.0, message, from_inside)


@pytest.fixture
def line() -> Line:
    return Line(*world(), PHONE)


def test_S2_a_call_id_is_one_from_both_sides(line: Line) -> None:
    request = BOB.request("INVITE", "sip:a@b", call="c-10.0.0.11@10.0.0.110;10.0.0.11")
    out = exchange(line, request)
    seen = out.call_id
    assert seen == b"c-203.0.113.2@10.0.0.110;203.0.113.2"
    back = exchange(line, ALICE.answer(request.replace(b"c-10.0.0.11", b"c-x"), 200), False)
    assert back.call_id == b"c-x@10.0.0.110;10.0.0.11"


def test_S6_tags_are_those_of_the_ends_and_not_of_the_headers(line: Line) -> None:
    request = BOB.request("INVITE", "sip:a@b", to_tag="theirs")
    answer = ALICE.answer(request, 200)
    for x in (exchange(line, request), exchange(line, answer, False)):
        assert (x.local_tag, x.remote_tag) == (b"tag-bob", b"theirs")
    inbound = exchange(line, ALICE.request("BYE", "sip:b@c", to_tag="ours"), False)
    assert (inbound.local_tag, inbound.remote_tag) == (b"ours", b"tag-alice")


def test_S6_a_response_has_the_transaction_of_its_request(line: Line) -> None:
    request = BOB.request("INVITE", "sip:a@b", call="c")
    asked, answered = exchange(line, request), exchange(line, ALICE.answer(request, 200), False)
    assert asked.transaction == answered.transaction
    assert asked.transaction.by_inside
    assert asked.branch == answered.branch
    assert exchange(line, request, False).transaction != asked.transaction


def test_S2_edits_are_put_in_order_and_what_is_right_already_is_none(line: Line) -> None:
    data = BOB.request("INVITE", "sip:a@b", sdp=sdp("10.0.0.11"))
    x = exchange(line, data)
    (part,) = find_sdp(x.message, LIMITS)
    last, first = data.rfind(b"10.0.0.11"), data.find(b"bob")
    x.edit_body(last, last + 9, b"203.0.113.222", part.lengths)
    x.edit(first, first + 3, b"rob")
    x.edit(0, 6, b"INVITE")
    (step,) = x.forward(len(data))
    assert isinstance(step, Forward)
    assert step.edits[0].data == b"rob"
    out = apply_edits(data, step.edits)
    size = len(sdp("10.0.0.11"))
    assert len(step.edits) == 3
    assert b"Content-Length: %d\r\n" % (size + 4) in out
    assert len(out) == len(data) + 4


def test_S2_a_length_of_a_part_is_never_negative(line: Line) -> None:
    body = "--b\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n\r\n--b--"
    data = BOB.request("INVITE", "sip:a@b", sdp=body, kind="multipart/mixed;boundary=b")
    x = exchange(line, data)
    (part,) = find_sdp(x.message, LIMITS)
    assert [length.value for length in part.lengths] == [5, len(body)]
    # It said less than there was, and now less than nothing is left of that.
    x.edit_body(part.start - 4, part.end, b"", part.lengths)
    (step,) = x.forward(len(data))
    assert isinstance(step, Forward)
    assert b"Content-Length: 0" in apply_edits(data, step.edits)


def test_G9_nothing_is_ended_before_the_message_goes_on(line: Line) -> None:
    x = exchange(line, BOB.request("OPTIONS", "sip:a@b"))
    line.calls.ledger.begin()
    line.calls.ledger.reserve("old", line.gateway, UDP, at("10.0.0.11:40000"))
    x.ended += line.calls.ledger.release("old")
    x.notice("word", "said")
    assert line.nat.reserved() == {"10.0.0.11:40000"}
    notice, step = x.forward(9)
    assert notice == Notice("word", "said")
    assert isinstance(step, Forward)
    assert line.nat.reserved() == set()


def test_G9_a_refused_message_gives_back_what_was_reserved_for_it(line: Line) -> None:
    x = exchange(line, BOB.request("INVITE", "sip:a@b", call="c"))
    line.calls.ledger.begin()
    _, x.is_new = line.calls.remember(x.transaction, x.branch, 0.0)
    line.calls.ledger.reserve("new", line.gateway, UDP, at("10.0.0.11:40000"))
    (step,) = x.refuse(7, "some-reason", b"said")
    assert isinstance(step, Refuse)
    assert (step.length, step.reason, step.answer) == (7, "some-reason", b"said")
    assert step.summary.startswith("INVITE c")
    assert line.nat.reserved() == set()
    assert not line.calls.transactions


def test_G7_a_port_that_nothing_may_lead_to_is_refused_with_the_gateways_word(line: Line) -> None:
    x = exchange(line, BOB.request("OPTIONS", "sip:a@b"))
    with pytest.raises(SipError, match="low-port"):
        x.check_port(1023)
    x.check_port(1024)
