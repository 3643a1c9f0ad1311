"""Flood protection (S9): meters, and the INVITEs and registrations that they stop."""

import pytest

from p4alg.alg.sip.flood import RateMeter
from p4alg.alg.sip.limits import SipFlood, SipSettings, SipTimers
from tests.unit.alg.sip.harness import (
    Agent,
    Line,
    Relay,
    at,
    sdp,
    world,
)

PHONE = "10.0.0.11:5060"
ALICE = "sip:alice@example.com"
TIMERS = SipTimers()


def ready(settings: SipSettings | None = None) -> tuple[Line, Agent, Agent]:
    return Line(*world(settings), PHONE), Agent("bob", PHONE), Agent("alice", "198.51.100.9:5060")


def call(line: Line, phone: Agent, alice: Agent, code: int = 200, name: str = "c") -> bytes:
    invite = line.out(phone.request("INVITE", ALICE, call=name, sdp=sdp("10.0.0.11")))
    line.back(alice.answer(invite, code, sdp("198.51.100.20")))
    return invite


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


def test_S9_an_invite_that_is_rejected_again_and_again_is_dropped() -> None:
    line, phone, alice = ready(SipSettings(flood=SipFlood(rejections=3)))
    for n in range(3):
        call(line, phone, alice, 403, f"call{n}")
        assert line.refusals() == []
    assert line.out(phone.request("INVITE", ALICE, call="more")) == b""
    assert line.refusals() == ["rejected-before"]
    assert line.out(phone.request("INVITE", "sip:carol@example.com", call="more2"))
    line.now = 31.0
    assert line.out(phone.request("INVITE", ALICE, call="later"))


@pytest.mark.parametrize("code", [401, 407, 487, 302, 200])
def test_S9_credentials_and_cancelled_calls_are_no_rejections(code: int) -> None:
    line, phone, alice = ready(SipSettings(flood=SipFlood(rejections=2)))
    for n in range(5):
        call(line, phone, alice, code, f"call{n}")
    assert line.out(phone.request("INVITE", ALICE, call="more"))


def test_S9_copies_of_one_rejection_count_once() -> None:
    line, phone, alice = ready(SipSettings(flood=SipFlood(rejections=2)))
    invite = call(line, phone, alice, 486)
    for _ in range(5):
        line.back(alice.answer(invite, 486))
    assert line.out(phone.request("INVITE", ALICE, call="more"))


def test_S9_rejections_of_an_inbound_caller_count_at_any_flow() -> None:
    line, phone, alice = ready(SipSettings(flood=SipFlood(rejections=2)))
    for n in range(2):
        target = f"sip:bob@{line.seen}"
        got = line.back(Relay().request(alice.request("INVITE", target, call=f"c{n}")))
        line.out(phone.answer(got, 486))
    assert line.back(alice.request("INVITE", f"sip:bob@{line.seen}", call="c9")) == b""
    assert line.refusals() == ["rejected-before"]


def test_S9_the_meters_are_bounded() -> None:
    meter = RateMeter(3)
    for source in range(100):
        meter.count(source, 10.0, 0.0)
    assert len(meter) == 3
    assert meter.count(99, 10.0, 1.0) == 2
