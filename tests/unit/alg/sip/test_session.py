"""One message of a session: who is let in, and what is left when a message is refused (S5, G9)."""

import pytest

from p4alg.alg.contract import Forward, Peer, Refuse
from p4alg.alg.sip.limits import SipSettings
from p4alg.alg.sip.session import SipSession
from tests.unit.alg.sip.harness import Agent, Line, at, header, sdp, world

PHONE, ALICE_AT = "10.0.0.11:5060", "198.51.100.9:5060"


def stranger(settings: SipSettings | None = None) -> tuple[Line, Agent]:
    """A line that an outside host opened to a phone behind a static mapping."""
    nat, calls = world(settings)
    line = Line(nat, calls, PHONE, at(ALICE_AT), opened_by_inside=False, outside_port=5060)
    return line, Agent("alice", ALICE_AT)


def test_S1_a_message_is_one_step_of_its_whole_length() -> None:
    line = Line(*world(), PHONE)
    session = SipSession(line.facts, line.calls)
    data = Agent("bob", PHONE).request("OPTIONS", "sip:a@b")
    (step,) = session.handle(Peer.CLIENT, data, line.gateway, 0.0)
    assert isinstance(step, Forward)
    assert (step.length, step.is_message) == (len(data), True)
    (refused,) = session.handle(Peer.CLIENT, data[:40], line.gateway, 0.0)
    assert refused == Refuse(40, "no-end")


def test_S5_a_stranger_gets_no_request_in() -> None:
    line, alice = stranger()
    assert line.back(alice.request("INVITE", f"sip:bob@{line.seen}")) == b""
    assert line.refusals() == ["unregistered-source"]
    assert not line.calls.calls
    assert not line.calls.transactions


def test_S5_a_stranger_gets_in_where_anyone_may_call() -> None:
    line, alice = stranger(SipSettings(inbound_from_anyone=True))
    assert line.back(alice.request("INVITE", f"sip:bob@{line.seen}"))
    assert line.refusals() == []


def test_S5_the_other_end_of_a_call_gets_requests_of_the_call_in_and_no_others() -> None:
    line, alice = stranger()
    proxy = Line(line.nat, line.calls, PHONE)
    bob = Agent("bob", PHONE)
    invite = proxy.out(bob.request("INVITE", "sip:alice@example.com", sdp=sdp("10.0.0.11")))
    proxy.back(alice.answer(invite, 200, sdp("198.51.100.20")))
    target, name = f"sip:bob@{line.seen}", header(invite, "Call-ID")
    assert line.back(alice.request("INFO", target, call=name, to_tag=bob.tag))
    assert line.back(alice.request("INFO", target, call=name)) == b""
    assert line.refusals() == ["unregistered-source"]
    elsewhere = Line(line.nat, line.calls, PHONE, at("198.51.100.66:5060"), opened_by_inside=False)
    mallory = Agent("mallory", "198.51.100.66:5060")
    assert elsewhere.back(mallory.request("BYE", target, call=name, to_tag=bob.tag)) == b""


def test_G7_a_response_without_a_request_is_translated_and_opens_nothing() -> None:
    line = Line(*world(), PHONE)
    alice = Agent("alice", ALICE_AT)
    forged = alice.answer(
        Agent("bob", str(line.seen)).request("INVITE", "sip:a@b"), 200, sdp("198.51.100.20")
    )
    told = line.back(forged)
    assert line.events() == ["unmatched-response"]
    assert b"Via: SIP/2.0/UDP 10.0.0.11:5060" in told
    assert line.nat.media() == set()


@pytest.mark.parametrize("word", ["port-limit", "pinhole-limit"])
def test_G9_what_the_gateway_refuses_is_the_reason_of_the_message(word: str) -> None:
    line = Line(*world(), PHONE)
    line.nat.refuse_with = word
    request = Agent("bob", PHONE).request("INVITE", "sip:a@b", sdp=sdp("10.0.0.11"))
    assert line.out(request) == b""
    assert line.refusals() == [word]
    assert len(line.calls.ledger) == 0
    line.nat.refuse_with = ""
    assert line.out(request)
