"""The calls of a whole gateway: what ends by a timer (S8), and limits of the tables (G4)."""

import pytest

from p4alg.alg.sip.limits import SipLimits, SipSettings, SipTimers
from tests.unit.alg.sip.harness import (
    Agent,
    InDialog,
    Line,
    header,
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


def is_clean(line: Line) -> bool:
    return not (line.nat.open or line.nat.reserved() or line.calls.calls)


def test_S8_ringing_ends_by_timer_c_which_each_provisional_response_begins_again() -> None:
    line, phone, alice = ready()
    invite = call(line, phone, alice, 183)
    line.now = 150.0
    line.back(alice.answer(invite, 180))
    line.tick(TIMERS.ringing + 100)
    assert len(line.nat.media()) == 2
    line.tick(150 + TIMERS.ringing)
    assert is_clean(line)
    assert line.calls.transactions == {}


def test_S8_an_answered_call_lasts_up_to_the_longest_length() -> None:
    line, phone, alice = ready()
    call(line, phone, alice)
    line.tick(TIMERS.call - 1)
    assert len(line.nat.media()) == 2
    line.tick(TIMERS.call)
    assert is_clean(line)


def test_S8_a_call_on_hold_gives_its_pinholes_back_and_gets_them_again() -> None:
    line, phone, alice = ready()
    invite = call(line, phone, alice)
    line.now = 10.0
    more: InDialog = {"call": "c", "to_tag": alice.tag}
    held = line.out(
        phone.request("INVITE", ALICE, sdp=sdp("10.0.0.11", extra="a=sendonly\r\n"), **more)
    )
    line.back(alice.answer(held, 200, sdp("198.51.100.20", extra="a=recvonly\r\n")))
    line.tick(9 + TIMERS.hold)
    assert len(line.nat.media()) == 2
    line.tick(10 + TIMERS.hold)
    assert line.nat.media() == set()
    assert [row["state"] for row in line.calls.rows(line.now)] == ["held"]
    resumed = line.out(phone.request("INVITE", ALICE, sdp=sdp("10.0.0.11"), **more))
    line.back(alice.answer(resumed, 200, sdp("198.51.100.20")))
    assert len(line.nat.media()) == 2
    assert header(resumed, "Call-ID") == header(invite, "Call-ID")


def test_S8_bye_and_cancel_without_an_answer_end_the_call_too() -> None:
    for code, method in ((200, "BYE"), (183, "CANCEL")):
        line, phone, alice = ready()
        call(line, phone, alice, code)
        line.out(phone.request(method, ALICE, call="c", to_tag=alice.tag))
        line.tick(TIMERS.transaction - 1)
        assert len(line.nat.media()) == 2
        line.tick(TIMERS.transaction + 1)
        assert is_clean(line)


def test_S8_media_say_how_long_they_may_be_silent() -> None:
    line, phone, alice = ready(SipSettings(timers=SipTimers(media_idle=17.0, media_wait=23.0)))
    call(line, phone, alice)
    media = [r for r in line.nat.open.values() if "rt" in r.label]
    assert {(r.flow_idle, r.lifetime) for r in media} == {(17.0, 23.0)}


def test_S8_transactions_are_forgotten() -> None:
    line, phone, _ = ready()
    line.out(phone.request("OPTIONS", ALICE))
    assert len(line.calls.transactions) == 1
    line.tick(TIMERS.transaction + 1)
    assert len(line.calls.transactions) == 0


def test_S8_messages_carry_the_clock_on_without_a_tick() -> None:
    line, phone, alice = ready()
    call(line, phone, alice, 183)
    line.now = 1000.0
    line.out(phone.request("OPTIONS", ALICE, call="other"))
    assert line.nat.media() == set()


def test_G4_what_has_ended_makes_room_for_the_new() -> None:
    line, phone, alice = ready(SipSettings(SipLimits(calls_per_host=2)))
    for turn in range(3):
        invites = [call(line, phone, alice, 183, f"c{turn}-{n}") for n in range(2)]
        assert all(invites)
        for invite in invites:
            line.back(alice.answer(invite, 486))
    assert is_clean(line)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (SipLimits(calls=2), "call-limit"),
        (SipLimits(calls_per_host=2), "call-limit"),
        (SipLimits(transactions=2), "transaction-limit"),
        (SipLimits(transactions_per_host=2), "transaction-limit"),
        (SipLimits(resources=2), "resource-limit"),
    ],
)
def test_G4_at_a_limit_the_new_is_refused_and_the_old_kept(limits: SipLimits, reason: str) -> None:
    line, phone, alice = ready(SipSettings(limits))
    invites = []
    for n in range(3):
        text = sdp("10.0.0.11", f"audio {40000 + 2 * n} RTP/AVP 0")
        invites.append(line.out(phone.request("INVITE", ALICE, call=f"c{n}", sdp=text)))
    assert invites[:2] != [b"", b""]
    assert invites[2] == b""
    assert line.refusals() == [reason]
    assert len(line.calls.calls) == 2
    if reason != "resource-limit":
        line.back(alice.answer(invites[0], 200, sdp("198.51.100.20")))
        assert line.refusals() == []
        assert len(line.nat.media()) == 2
