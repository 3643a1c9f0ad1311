"""Flood protection (S9): meters, and the INVITEs and registrations that they stop."""

import re

import pytest

from p4alg.alg.contract import Refuse
from p4alg.alg.sip.flood import RateMeter
from p4alg.alg.sip.limits import SipFlood, SipSettings
from p4alg.alg.sip.message import parse_message
from tests.unit.alg.sip.harness import (
    Agent,
    Line,
    at,
    header,
    sdp,
    world,
)

PHONE = "10.0.0.11:5060"
ALICE = "sip:alice@example.com"


def ready(settings: SipSettings | None = None) -> tuple[Line, Agent, Agent]:
    return Line(*world(settings), PHONE), Agent("bob", PHONE), Agent("alice", "198.51.100.9:5060")


def test_S9_new_calls_are_limited_by_source_and_window() -> None:
    settings = SipSettings(flood=SipFlood(calls=3, window=10.0))
    line, phone, alice = ready(settings)

    def begin(n: int) -> list[str]:
        line.out(phone.request("INVITE", ALICE, call=f"call{n}"))
        return line.refusals()

    assert [begin(n) for n in range(5)] == [[], [], [], ["call-flood"], ["call-flood"]]
    assert len(line.calls.calls) == 3
    # Calls that are on go on.
    assert line.out(phone.request("INFO", ALICE, call="call1", to_tag=alice.tag))
    other = Line(line.nat, line.calls, "10.0.0.12:5060")
    assert other.out(Agent("ann", "10.0.0.12:5060").request("INVITE", ALICE))
    line.now = 10.0
    assert begin(9) == []


def test_S9_retransmissions_are_no_new_calls() -> None:
    line, phone, _ = ready(SipSettings(flood=SipFlood(calls=2, registrations=2)))
    for request in (phone.request("INVITE", ALICE), phone.request("REGISTER", "sip:r")):
        for _ in range(9):
            assert line.out(request)


def test_S9_new_registrations_are_limited_by_source() -> None:
    line, phone, _ = ready(SipSettings(flood=SipFlood(registrations=2)))
    refused = []
    for n in range(4):
        line.out(phone.request("REGISTER", "sip:r", call=f"r{n}"))
        refused += line.refusals()
    assert refused == ["registration-flood", "registration-flood"]
    assert len(line.calls.transactions) == 2


def test_S9_floods_from_outside_are_counted_by_their_source() -> None:
    nat, calls = world(SipSettings(flood=SipFlood(calls=1), inbound_from_anyone=True))
    for host in (7, 8):
        where = f"198.51.100.{host}:5060"
        line = Line(nat, calls, PHONE, at(where), opened_by_inside=False)
        caller = Agent(f"x{host}", where)
        for n, refused in enumerate([[], ["call-flood"]]):
            line.back(caller.request("INVITE", f"sip:bob@{line.seen}", call=f"{host}-{n}"))
            assert line.refusals() == refused


def rejected(line: Line, phone: Agent, alice: Agent, code: int, name: str = "c") -> bytes:
    """An INVITE that was turned down, which the phone has acknowledged; the INVITE."""
    invite = phone.request("INVITE", ALICE, call=name, sdp=sdp("10.0.0.11"))
    answer = line.back(alice.answer(line.out(invite), code))
    to = header(answer, "To")
    ack = phone.request("ACK", ALICE, call=name)
    cseq = header(invite, "CSeq").split()[0]
    ack = re.sub(rb"CSeq: \d+", b"CSeq: " + cseq.encode(), ack)
    ack = re.sub(rb"To: [^\r]*", b"To: " + to.encode(), ack)
    assert line.out(ack)
    return invite


@pytest.mark.parametrize("code", [486, 403, 404, 503, 603])
def test_S9_rejected_callers_may_call_again_however_often(code: int) -> None:
    """A trunk with one identity, whose callees are busy, must not look dead."""
    line, phone, alice = ready()
    for n in range(50):
        rejected(line, phone, alice, code, f"call{n}")
        assert line.refusals() == []
    assert line.out(phone.request("INVITE", ALICE, call="more"))


def test_S9_a_call_that_comes_again_after_its_rejection_is_dropped() -> None:
    line, phone, alice = ready()
    invite = rejected(line, phone, alice, 486)
    assert line.out(invite) == b""
    (step,) = line.steps
    assert isinstance(step, Refuse)
    assert (step.reason, step.answer) == ("rejected-before", b"")
    line.now = 40.0
    assert line.out(invite), "much later it is another call"


def test_S9_another_branch_of_a_rejected_call_is_none_of_its_repeats() -> None:
    line, phone, alice = ready()
    invite = rejected(line, phone, alice, 486)
    other = invite.replace(b"INVITE " + ALICE.encode(), b"INVITE sip:desk@example.com")
    assert line.out(other)


def test_S9_a_rejected_call_may_be_repeated_until_its_rejection_has_arrived() -> None:
    line, phone, alice = ready()
    invite = phone.request("INVITE", ALICE)
    line.back(alice.answer(line.out(invite), 486))
    assert line.out(invite)


def test_S9_a_source_that_calls_too_often_is_told_when_to_try_again() -> None:
    line, phone, _ = ready(SipSettings(flood=SipFlood(calls=1)))
    line.out(phone.request("INVITE", ALICE, call="one"))
    request = phone.request("INVITE", ALICE, call="two")
    assert line.out(request) == b""
    (step,) = line.steps
    assert isinstance(step, Refuse)
    assert "(algs.sip.calls_per_second)" in step.summary
    answer = parse_message(step.answer or b"", SipSettings().limits)
    assert answer.code == 503
    assert header(answer.data, "Retry-After") == "10"
    for name in ("Via", "From", "Call-ID", "CSeq"):
        assert header(answer.data, name) == header(request, name)
    assert answer.to_tag
    ack = re.sub(rb"To: [^\r]*", b"To: " + header(answer.data, "To").encode(), request)
    ack = ack.replace(b"INVITE", b"ACK").replace(b"ACK sip", b"ACK sip", 1)
    assert line.out(ack) == b""
    assert line.refusals() == ["answered-here"]


def test_S9_the_meters_are_bounded() -> None:
    meter = RateMeter(3)
    for source in range(100):
        meter.count(source, 10.0, 0.0)
    assert len(meter) == 3
    assert meter.count(99, 10.0, 1.0) == 2
