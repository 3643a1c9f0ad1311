"""S6 and S7: whole calls."""

from dataclasses import dataclass
from typing import Unpack

import pytest

from p4alg.alg.sip.calls import SipCalls
from p4alg.alg.sip.limits import SipLimits, SipSettings
from tests.unit.alg.sip.harness import (
    TCP,
    UDP,
    Agent,
    InDialog,
    Line,
    More,
    Nat,
    Other,
    Relay,
    at,
    body,
    build,
    header,
    headers,
    sdp,
    start,
    world,
)

PHONE = "10.0.0.11:5060"
ALICE = "sip:alice@example.com"
OURS = sdp("10.0.0.11")
THEIRS = sdp("198.51.100.20", "audio 6000 RTP/AVP 0")
RTP = "udp 10.0.0.11:40000<-198.51.100.20"
RTCP = "udp 10.0.0.11:40001<-198.51.100.20"


@dataclass
class Talk:
    """A phone inside, its line, and somebody outside."""

    line: Line
    bob: Agent
    alice: Agent

    @property
    def nat(self) -> Nat:
        return self.line.nat

    def state(self) -> list[object]:
        return [row["state"] for row in self.line.calls.rows(self.line.now)]

    def dial(self, text: str = OURS, **more: Unpack[More]) -> bytes:
        """Bob's INVITE, as Alice gets it."""
        return self.line.out(self.bob.request("INVITE", ALICE, sdp=text, **more))

    def call(self, ours: str = OURS, theirs: str = THEIRS) -> bytes:
        """A call from inside that is answered; the INVITE as Alice got it."""
        invite = self.dial(ours)
        self.line.back(self.alice.answer(invite, 200, theirs))
        self.ack(invite)
        return invite

    def ack(self, invite: bytes, text: str = "") -> bytes:
        return self.within("ACK", invite, text, cseq=int(header(invite, "CSeq").split()[0]))

    def within(self, method: str, invite: bytes, text: str = "", cseq: int = 0) -> bytes:
        """A request of Bob within the call he made, as Alice gets it."""
        target = f"sip:alice@{self.alice.where}"
        request = self.bob.request(
            method, target, to_tag=self.alice.tag, to=f"<{ALICE}>", sdp=text, cseq=cseq
        )
        assert header(request, "Call-ID").partition("@")[0] in header(invite, "Call-ID")
        return self.line.out(request)

    def from_alice(
        self, method: str, invite: bytes, text: str = "", **more: Unpack[Other]
    ) -> bytes:
        """A request of Alice within the call that Bob made, as Bob gets it."""
        return self.line.back(
            self.alice.request(
                method,
                f"sip:bob@{self.line.seen}",
                call=header(invite, "Call-ID"),
                to_tag=self.bob.tag,
                sdp=text,
                **more,
            )
        )

    def is_clean(self) -> bool:
        """Nothing is left of any call."""
        calls = self.line.calls
        return not (self.nat.open or self.nat.reserved() or calls.calls or len(calls.ledger))


@pytest.fixture
def talk() -> Talk:
    return Talk(Line(*world(), PHONE), Agent("bob", PHONE), Agent("alice", "198.51.100.9:5060"))


def test_S6_an_outbound_call_from_invite_to_bye(talk: Talk) -> None:
    invite = talk.dial()
    assert talk.nat.openings() == set()
    assert talk.nat.reserved() == {"10.0.0.11:40000", "10.0.0.11:40001"}
    assert talk.state() == ["calling"]
    talk.line.back(talk.alice.answer(invite, 100, tag="", contact=""))
    talk.line.back(talk.alice.answer(invite, 180))
    assert talk.nat.openings() == set()
    assert talk.state() == ["ringing"]
    told = talk.line.back(talk.alice.answer(invite, 200, THEIRS))
    assert body(told) == THEIRS
    assert talk.nat.media() == {RTP, RTCP}
    assert talk.state() == ["answered"]
    talk.ack(invite)
    held = set(talk.nat.reservations)
    bye = talk.within("BYE", invite)
    assert talk.state() == ["ending"]
    assert talk.nat.media() == {RTP, RTCP}
    talk.line.back(talk.alice.answer(bye, 200))
    assert talk.is_clean()
    # First what is open, then the ports it was open at.
    media = [n for n in talk.nat.ended if n in held]
    assert talk.nat.ended.index(media[0]) >= 2


def test_S6_an_inbound_call_that_the_caller_ends(talk: Talk) -> None:
    invite = talk.alice.request("INVITE", f"sip:bob@{talk.line.seen}", sdp=THEIRS)
    got = talk.line.back(invite)
    assert start(got) == f"INVITE sip:bob@{PHONE} SIP/2.0"
    talk.line.out(talk.bob.answer(got, 180))
    assert talk.nat.media() == set()
    ok = talk.line.out(talk.bob.answer(got, 200, OURS))
    assert talk.nat.media() == {RTP, RTCP}
    assert header(ok, "Contact") == f"<sip:bob@{talk.line.seen}>"
    call = header(invite, "Call-ID")
    more: InDialog = {"call": call, "to_tag": talk.bob.tag}
    talk.line.back(talk.alice.request("ACK", f"sip:bob@{talk.line.seen}", cseq=1, **more))
    bye = talk.line.back(talk.alice.request("BYE", f"sip:bob@{talk.line.seen}", **more))
    assert start(bye) == f"BYE sip:bob@{PHONE} SIP/2.0"
    talk.line.out(talk.bob.answer(bye, 200))
    assert talk.is_clean()


def test_S6_register_then_an_inbound_call(talk: Talk) -> None:
    asked = talk.line.out(
        talk.bob.request("REGISTER", "sip:r", call="reg", extra=[("Expires", "60")])
    )
    registrar = Agent("registrar", "198.51.100.1:5060")
    talk.line.back(registrar.answer(asked, 200, contact=header(asked, "Contact")))
    registration = set(talk.nat.openings())
    inbound = Line(
        talk.nat, talk.line.calls, PHONE, at("198.51.100.1:5099"), opened_by_inside=False
    )
    invite = Relay().request(
        talk.alice.request("INVITE", "sip:bob@example.com", sdp=THEIRS), f"sip:bob@{talk.line.seen}"
    )
    got = inbound.back(invite)
    assert start(got) == f"INVITE sip:bob@{PHONE} SIP/2.0"
    ok = inbound.out(talk.bob.answer(got, 200, OURS))
    assert header(ok, "Record-Route") == "<sip:198.51.100.1:5060;lr>"
    assert talk.nat.media() == {RTP, RTCP}
    bye = talk.bob.request(
        "BYE", "sip:alice@198.51.100.9", call=header(invite, "Call-ID"), to_tag=talk.alice.tag
    )
    talk.line.back(talk.alice.answer(talk.line.out(bye), 200))
    assert talk.nat.openings() == registration
    # The call did not let it live longer, nor would the registration shorten a call.
    talk.line.tick(61.0)
    assert talk.nat.openings() == set()


def test_S5_a_renewed_registration_does_not_shorten_a_call(talk: Talk) -> None:
    talk.call()
    asked = talk.line.out(
        talk.bob.request("REGISTER", "sip:r", call="reg", extra=[("Expires", "60")])
    )
    registrar = Agent("registrar", "198.51.100.1:5060")
    talk.line.back(registrar.answer(asked, 200, contact=header(asked, "Contact")))
    (shared,) = [r for r in talk.nat.open.values() if r.opener_addr == talk.line.remote.addr]
    assert shared.lifetime == talk.line.calls.settings.timers.call
    talk.line.tick(61.0)
    assert f"udp {PHONE}<-198.51.100.1 sip dialog" in talk.nat.openings()


def test_S6_early_media_with_prack(talk: Talk) -> None:
    invite = talk.dial()
    reliable = [("Require", "100rel"), ("RSeq", "1")]
    talk.line.back(talk.alice.answer(invite, 183, THEIRS, reliable))
    assert talk.nat.media() == {RTP, RTCP}
    assert talk.state() == ["early"]
    prack = talk.within("PRACK", invite)
    talk.line.back(talk.alice.answer(prack, 200))
    talk.line.back(talk.alice.answer(invite, 180))
    ids = {n for n, r in talk.nat.open.items() if "rt" in r.label}
    talk.line.back(talk.alice.answer(invite, 200))  # No SDP: the early answer holds.
    assert talk.nat.media() == {RTP, RTCP}
    assert ids <= set(talk.nat.open)
    bye = talk.within("BYE", invite)
    talk.line.back(talk.alice.answer(bye, 200))
    assert talk.is_clean()


def test_S6_a_second_offer_in_prack(talk: Talk) -> None:
    invite = talk.dial()
    talk.line.back(talk.alice.answer(invite, 183, THEIRS))
    prack = talk.within("PRACK", invite, sdp("10.0.0.11", "audio 42000 RTP/AVP 0"))
    assert "10.0.0.11" not in body(prack)
    talk.line.back(talk.alice.answer(prack, 200, THEIRS))
    assert talk.nat.media() == {RTP.replace("40000", "42000"), RTCP.replace("40001", "42001")}


def test_S6_an_early_answer_from_inside(talk: Talk) -> None:
    got = talk.line.back(talk.alice.request("INVITE", f"sip:bob@{talk.line.seen}", sdp=THEIRS))
    early = talk.line.out(talk.bob.answer(got, 183, OURS))
    assert "10.0.0.11" not in body(early)
    assert talk.nat.media() == {RTP, RTCP}
    final = talk.line.out(talk.bob.answer(got, 200, OURS))
    assert body(final) == body(early)


def test_S6_an_early_answer_that_the_final_one_replaces(talk: Talk) -> None:
    invite = talk.dial()
    talk.line.back(talk.alice.answer(invite, 183, THEIRS))
    first = {n for n, r in talk.nat.open.items() if "rt" in r.label}
    talk.line.back(talk.alice.answer(invite, 200, sdp("198.51.100.77")))
    assert talk.nat.media() == {o.replace(".20", ".77") for o in (RTP, RTCP)}
    assert first <= set(talk.nat.ended)


def test_S6_a_late_offer_is_answered_in_the_ack(talk: Talk) -> None:
    invite = talk.dial("")
    ok = talk.line.back(talk.alice.answer(invite, 200, THEIRS))
    assert body(ok) == THEIRS
    assert talk.nat.media() == set()
    ack = talk.ack(invite, OURS)
    assert "c=IN IP4 203.0.113.2" in body(ack)
    assert talk.nat.media() == {RTP, RTCP}
    assert set(talk.line.pinholes()) <= {*talk.nat.open, *talk.nat.reservations}
    talk.line.back(talk.alice.answer(talk.within("BYE", invite), 200))
    assert talk.is_clean()


def test_S6_a_late_offer_from_inside(talk: Talk) -> None:
    got = talk.line.back(talk.alice.request("INVITE", f"sip:bob@{talk.line.seen}"))
    ok = talk.line.out(talk.bob.answer(got, 200, OURS))
    assert "10.0.0.11" not in body(ok)
    assert talk.nat.media() == set()
    ack = talk.alice.request(
        "ACK", f"sip:bob@{talk.line.seen}", cseq=1, to_tag=talk.bob.tag, sdp=THEIRS
    )
    talk.line.back(ack)
    assert talk.nat.media() == {RTP, RTCP}
    talk.line.back(ack)  # Repeated.
    assert talk.nat.media() == {RTP, RTCP}


def test_S6_hold_and_resume(talk: Talk) -> None:
    invite = talk.call()
    ids = set(talk.nat.open)
    hold = talk.within("INVITE", invite, OURS + "a=sendonly\r\n")
    talk.line.back(talk.alice.answer(hold, 200, THEIRS + "a=recvonly\r\n"))
    talk.ack(hold)
    assert talk.state() == ["held"]
    assert talk.nat.media() == {RTP, RTCP}
    assert set(talk.nat.open) == ids
    resume = talk.within("INVITE", invite, OURS)
    assert body(resume) == body(invite)  # The same outside ports.
    talk.line.back(talk.alice.answer(resume, 200, THEIRS))
    talk.ack(resume)
    assert talk.state() == ["answered"]
    idle = talk.line.calls.settings.timers.media_idle
    assert {r.flow_idle for r in talk.nat.open.values() if "rt" in r.label} == {idle}


def test_S6_hold_by_the_other_end(talk: Talk) -> None:
    invite = talk.call()
    got = talk.from_alice("INVITE", invite, THEIRS + "a=inactive\r\n")
    talk.line.out(talk.bob.answer(got, 200, OURS + "a=inactive\r\n"))
    assert talk.state() == ["held"]


def test_S6_new_sdp_replaces_the_old_pinholes(talk: Talk) -> None:
    invite = talk.call()
    again = talk.within("INVITE", invite, sdp("10.0.0.11", "audio 44000 RTP/AVP 0"))
    assert talk.nat.media() == {RTP, RTCP}  # Until it is agreed.
    talk.line.back(talk.alice.answer(again, 200, sdp("198.51.100.30")))
    assert talk.nat.media() == {
        "udp 10.0.0.11:44000<-198.51.100.30",
        "udp 10.0.0.11:44001<-198.51.100.30",
    }
    assert talk.nat.reserved() == {"10.0.0.11:44000", "10.0.0.11:44001"}


def test_S6_a_reinvite_that_is_turned_down_changes_nothing(talk: Talk) -> None:
    invite = talk.call()
    before = set(talk.nat.open)
    again = talk.within("INVITE", invite, sdp("10.0.0.11", "audio 44000 RTP/AVP 0"))
    assert "10.0.0.11:44000" in talk.nat.reserved()
    talk.line.back(talk.alice.answer(again, 488))
    assert set(talk.nat.open) == before
    assert talk.nat.reserved() == {"10.0.0.11:40000", "10.0.0.11:40001"}
    assert talk.state() == ["answered"]


def test_S6_update_moves_media(talk: Talk) -> None:
    invite = talk.call()
    got = talk.from_alice("UPDATE", invite, sdp("198.51.100.40"))
    talk.line.out(talk.bob.answer(got, 200, OURS))
    assert talk.nat.media() == {o.replace(".20", ".40") for o in (RTP, RTCP)}


def test_S6_an_update_that_is_turned_down_leaves_nothing_of_its_offer(talk: Talk) -> None:
    invite = talk.call()
    update = talk.within("UPDATE", invite, sdp("10.0.0.11", "audio 44000 RTP/AVP 0"))
    assert "10.0.0.11:44000" in talk.nat.reserved()
    talk.line.back(talk.alice.answer(update, 488))
    assert talk.nat.reserved() == {"10.0.0.11:40000", "10.0.0.11:40001"}
    assert talk.nat.media() == {RTP, RTCP}


def test_S6_what_a_late_offer_held_and_was_not_taken_is_given_back(talk: Talk) -> None:
    got = talk.line.back(talk.alice.request("INVITE", f"sip:bob@{talk.line.seen}"))
    both = sdp("10.0.0.11", "audio 40000 RTP/AVP 0", "video 40010 RTP/AVP 96")
    talk.line.out(talk.bob.answer(got, 200, both))
    assert len(talk.nat.reserved()) == 4
    answer = sdp("198.51.100.20", "audio 6000 RTP/AVP 0", "video 0 RTP/AVP 96")
    target = f"sip:bob@{talk.line.seen}"
    talk.line.back(talk.alice.request("ACK", target, cseq=1, to_tag=talk.bob.tag, sdp=answer))
    assert talk.nat.reserved() == {"10.0.0.11:40000", "10.0.0.11:40001"}
    (row,) = talk.line.calls.rows(0.0)
    assert [stream["media"] for stream in row["streams"]] == ["audio"]  # type: ignore[attr-defined]


def test_S6_video_is_added_and_dropped_beside_audio(talk: Talk) -> None:
    invite = talk.call()
    both = sdp("10.0.0.11", "audio 40000 RTP/AVP 0", "video 40010 RTP/AVP 96")
    theirs = sdp("198.51.100.20", "audio 6000 RTP/AVP 0", "video 6002 RTP/AVP 96")
    again = talk.within("INVITE", invite, both)
    talk.line.back(talk.alice.answer(again, 200, theirs))
    video = {"udp 10.0.0.11:40010<-198.51.100.20", "udp 10.0.0.11:40011<-198.51.100.20"}
    assert talk.nat.media() == {RTP, RTCP} | video
    without = sdp("10.0.0.11", "audio 40000 RTP/AVP 0", "video 0 RTP/AVP 96")
    again = talk.within("INVITE", invite, without)
    talk.line.back(talk.alice.answer(again, 200, theirs.replace("video 6002", "video 0")))
    assert talk.nat.media() == {RTP, RTCP}
    assert talk.nat.reserved() == {"10.0.0.11:40000", "10.0.0.11:40001"}


def test_S6_cancel_while_ringing(talk: Talk) -> None:
    invite = talk.dial(branch="z9hG4bK-i")
    talk.line.back(talk.alice.answer(invite, 183, THEIRS))
    cancel = talk.line.out(
        talk.bob.request("CANCEL", ALICE, cseq=1, branch="z9hG4bK-i", contact="")
    )
    talk.line.back(talk.alice.answer(cancel, 200))
    assert talk.nat.media() == {RTP, RTCP}
    talk.line.back(talk.alice.answer(invite, 487))
    assert talk.is_clean()


def test_S6_cancel_of_an_inbound_call(talk: Talk) -> None:
    target = f"sip:bob@{talk.line.seen}"
    got = talk.line.back(talk.alice.request("INVITE", target, branch="z9hG4bK-i", sdp=THEIRS))
    talk.line.out(talk.bob.answer(got, 183, OURS))
    cancel = talk.line.back(talk.alice.request("CANCEL", target, cseq=1, branch="z9hG4bK-i"))
    talk.line.out(talk.bob.answer(cancel, 200))
    talk.line.out(talk.bob.answer(got, 487))
    assert talk.is_clean()


def test_S6_cancel_that_comes_too_late_leaves_the_call(talk: Talk) -> None:
    invite = talk.dial(branch="z9hG4bK-i")
    talk.line.out(talk.bob.request("CANCEL", ALICE, cseq=1, branch="z9hG4bK-i"))
    talk.line.back(talk.alice.answer(invite, 200, THEIRS))
    talk.line.tick(100.0)
    assert talk.nat.media() == {RTP, RTCP}


@pytest.mark.parametrize("code", [301, 404, 480, 486, 500, 603])
def test_S6_final_errors_end_the_call(talk: Talk, code: int) -> None:
    invite = talk.dial()
    talk.line.back(talk.alice.answer(invite, 183, THEIRS))
    talk.line.back(talk.alice.answer(invite, code))
    assert talk.is_clean()


@pytest.mark.parametrize("code", [401, 407])
def test_S6_an_invite_comes_again_with_credentials(talk: Talk, code: int) -> None:
    invite = talk.dial()
    talk.line.back(talk.alice.answer(invite, code))
    again = talk.dial(OURS)
    assert body(again) == body(invite)
    talk.line.back(talk.alice.answer(again, 200, THEIRS))
    assert talk.nat.media() == {RTP, RTCP}
    talk.line.tick(100.0)
    assert talk.nat.media() == {RTP, RTCP}


def test_S6_a_copy_of_an_error_says_nothing_of_the_invite_that_came_after_it(talk: Talk) -> None:
    first = talk.dial(call="again")
    refused = talk.alice.answer(first, 401)
    talk.line.back(refused)
    second = talk.dial(call="again")
    talk.line.back(talk.alice.answer(second, 180))
    # Its ACK was lost, so the proxy sends it once more.
    talk.line.back(refused)
    talk.line.tick(60.0)
    assert talk.state() == ["ringing"]
    talk.line.back(talk.alice.answer(second, 200, THEIRS))
    assert talk.nat.media() == {RTP, RTCP}


def test_S6_a_call_on_hold_is_still_on_hold_after_a_bye_that_wants_credentials(talk: Talk) -> None:
    invite = talk.call()
    held = talk.within("INVITE", invite, sdp("10.0.0.11", extra="a=sendonly\r\n"))
    talk.line.back(talk.alice.answer(held, 200, THEIRS))
    bye = talk.within("BYE", invite)
    talk.line.back(talk.alice.answer(bye, 407))
    assert talk.state() == ["held"]


def test_S6_bye_that_wants_credentials_ends_nothing_yet(talk: Talk) -> None:
    invite = talk.call()
    talk.line.back(talk.alice.answer(talk.within("BYE", invite), 407))
    talk.line.tick(60.0)
    assert talk.nat.media() == {RTP, RTCP}
    talk.line.back(talk.alice.answer(talk.within("BYE", invite), 481))
    assert talk.is_clean()


def test_S6_bye_of_a_dialog_that_is_not_ends_nothing(talk: Talk) -> None:
    invite = talk.call()
    talk.alice.tag = "other"
    got = talk.from_alice("BYE", invite)
    assert talk.state() == ["answered"]
    talk.line.out(talk.bob.answer(got, 481))
    talk.line.tick(60.0)
    assert talk.nat.media() == {RTP, RTCP}


def test_S6_a_dialog_that_the_other_end_does_not_know_any_more_ends(talk: Talk) -> None:
    for method in ("INVITE", "UPDATE"):
        invite = talk.call()
        again = talk.within(method, invite, OURS)
        talk.line.back(talk.alice.answer(again, 481))
        assert talk.is_clean()


def test_S6_retransmissions_change_nothing(talk: Talk) -> None:
    request = talk.bob.request("INVITE", ALICE, sdp=OURS)
    first = talk.line.out(request)
    assert talk.line.out(request) == first
    ok = talk.alice.answer(first, 200, THEIRS)
    assert talk.line.back(ok) == talk.line.back(ok)
    assert len(talk.line.calls.calls) == 1
    assert talk.nat.media() == {RTP, RTCP}
    assert len(talk.nat.reservations) == 1


def test_S6_refer_info_message_and_options_pass_translated(talk: Talk) -> None:
    invite = talk.call()
    before = talk.nat.openings()
    for method in ("INFO", "MESSAGE", "OPTIONS", "REFER", "NOTIFY", "PUBLISH"):
        got = talk.within(method, invite)
        assert header(got, "Contact") == f"<sip:bob@{talk.line.seen}>"
        told = talk.line.back(talk.alice.answer(got, 200))
        assert header(told, "Via").startswith(f"SIP/2.0/UDP {PHONE};")
    assert talk.nat.openings() == before


def test_S7_call_transfer_by_refer(talk: Talk) -> None:
    invite = talk.call()
    refer = talk.line.out(
        talk.bob.request(
            "REFER",
            f"sip:alice@{talk.alice.where}",
            to_tag=talk.alice.tag,
            extra=[
                ("Refer-To", f"<sip:carol@example.com?Replaces=x%40{talk.bob.addr}%3Bto-tag%3D1>"),
                ("Referred-By", "<sip:bob@10.0.0.11>"),
            ],
        )
    )
    assert "%40203.0.113.2%3B" in header(refer, "Refer-To")
    assert header(refer, "Referred-By") == "<sip:bob@203.0.113.2>"
    talk.line.back(talk.alice.answer(refer, 202))
    notify = talk.from_alice("NOTIFY", invite)
    talk.line.out(talk.bob.answer(notify, 200))
    assert talk.nat.media() == {RTP, RTCP}
    talk.line.back(talk.alice.answer(talk.within("BYE", invite), 200))
    assert talk.is_clean()


def test_S7_a_call_is_transferred_to_the_phone(talk: Talk) -> None:
    # Carol takes Alice's place: an INVITE that replaces the call by its outside name.
    invite = talk.call()
    carol = Agent("carol", "198.51.100.50:5060")
    replaces = f"{header(invite, 'Call-ID')};to-tag={talk.bob.tag};from-tag={talk.alice.tag}"
    got = talk.line.back(
        carol.request(
            "INVITE",
            f"sip:bob@{talk.line.seen}",
            extra=[("Replaces", replaces)],
            sdp=sdp("198.51.100.50"),
        )
    )
    assert header(got, "Replaces").startswith("bob-call@10.0.0.11;")
    talk.line.out(talk.bob.answer(got, 200, sdp("10.0.0.11", "audio 46000 RTP/AVP 0")))
    talk.line.back(talk.alice.answer(talk.within("BYE", invite), 200))
    assert talk.nat.media() == {
        "udp 10.0.0.11:46000<-198.51.100.50",
        "udp 10.0.0.11:46001<-198.51.100.50",
    }


def test_S7_forking_opens_for_every_branch_until_one_answers(talk: Talk) -> None:
    invite = talk.dial()
    forks = [Agent(f"fork{n}", f"198.51.100.{n}:5060") for n in (31, 32, 33)]
    for fork in forks:
        talk.line.back(fork.answer(invite, 183, sdp(fork.addr)))
    assert len(talk.nat.media()) == 6
    talk.line.back(forks[1].answer(invite, 200, sdp(forks[1].addr)))
    assert talk.nat.media() == {o.replace(".20", ".32") for o in (RTP, RTCP)}
    # A second answer counts too, until it gets its BYE (RFC 3261 section 13.2.2.4).
    talk.line.back(forks[2].answer(invite, 200, sdp(forks[2].addr)))
    assert len(talk.nat.media()) == 4
    bye = talk.line.out(talk.bob.request("BYE", ALICE, to_tag=forks[2].tag))
    talk.line.back(forks[2].answer(bye, 200))
    assert talk.nat.media() == {o.replace(".20", ".32") for o in (RTP, RTCP)}
    talk.line.tick(100.0)
    assert len(talk.nat.media()) == 2


def test_S7_forks_are_limited() -> None:
    talk = Talk(
        Line(*world(SipSettings(SipLimits(dialogs=2))), PHONE),
        Agent("bob", PHONE),
        Agent("alice", "198.51.100.9:5060"),
    )
    invite = talk.dial()
    refused = []
    for n in range(4):
        fork = Agent(f"fork{n}", f"198.51.100.{n + 30}:5060")
        talk.line.back(fork.answer(invite, 183, sdp(fork.addr)))
        refused += talk.line.refusals()
    assert refused == ["dialog-limit", "dialog-limit"]
    assert len(talk.nat.media()) == 4


def test_S7_several_calls_of_one_phone_are_apart(talk: Talk) -> None:
    for n in (1, 2):
        port = 40000 + 100 * n
        ours = sdp("10.0.0.11", f"audio {port} RTP/AVP 0")
        invite = talk.dial(ours, call=f"call{n}")
        talk.line.back(talk.alice.answer(invite, 200, THEIRS))
    assert len(talk.nat.media()) == 4
    signalling = {o for o in talk.nat.openings() if "dialog" in o}
    bye = talk.line.out(talk.bob.request("BYE", ALICE, call="call1", to_tag=talk.alice.tag))
    talk.line.back(talk.alice.answer(bye, 200))
    assert talk.nat.media() == {RTP.replace("40000", "40200"), RTCP.replace("40001", "40201")}
    assert {o for o in talk.nat.openings() if "dialog" in o} == signalling  # Shared by both.


def test_S7_a_direct_call_without_a_proxy() -> None:
    nat, calls = world()
    alice = Agent("alice", "198.51.100.9:5060")
    talk = Talk(Line(nat, calls, PHONE, at(alice.where)), Agent("bob", PHONE), alice)
    invite = talk.call()
    assert nat.media() == {RTP, RTCP}
    got = talk.from_alice("BYE", invite)
    talk.line.out(talk.bob.answer(got, 200))
    assert talk.is_clean()


def test_S7_requests_within_a_call_may_come_from_the_other_end_itself(talk: Talk) -> None:
    got = talk.line.back(talk.alice.request("INVITE", f"sip:bob@{talk.line.seen}", sdp=THEIRS))
    talk.line.out(talk.bob.answer(got, 200, OURS))
    assert f"udp {PHONE}<-198.51.100.9 sip dialog" in talk.nat.openings()
    direct = Line(talk.nat, talk.line.calls, PHONE, at(talk.alice.where), opened_by_inside=False)
    ack = talk.alice.request("ACK", f"sip:bob@{talk.line.seen}", cseq=1, to_tag=talk.bob.tag)
    assert start(direct.back(ack)) == f"ACK sip:bob@{PHONE} SIP/2.0"
    other = talk.alice.request("INVITE", f"sip:bob@{talk.line.seen}", call="another")
    assert direct.back(other) == b""
    assert direct.refusals() == ["unregistered-source"]


def test_S7_a_proxy_that_stays_in_between_is_the_only_way_in(talk: Talk) -> None:
    relay = Relay()
    invite = relay.request(
        talk.alice.request("INVITE", "sip:bob@x", sdp=THEIRS), f"sip:bob@{talk.line.seen}"
    )
    talk.line.out(talk.bob.answer(talk.line.back(invite), 200, OURS))
    signalling = [o for o in talk.nat.openings() if "dialog" in o]
    assert signalling == [f"udp {PHONE}<-198.51.100.1 sip dialog"]


@dataclass
class Two:
    """Two inside phones and the proxy outside that both use."""

    nat: Nat
    calls: SipCalls
    lines: tuple[Line, Line]
    phones: tuple[Agent, Agent]


def two(second: str = "10.0.0.12:5060") -> Two:
    nat, calls = world()
    where = (PHONE, second)
    lines = (Line(nat, calls, where[0]), Line(nat, calls, where[1]))
    return Two(nat, calls, lines, (Agent("bob", where[0]), Agent("ann", where[1])))


@pytest.mark.parametrize("second", ["10.0.0.12:5060", "10.0.0.11:5070"])
def test_S7_two_inside_phones_call_each_other_and_their_media_hairpin(second: str) -> None:
    pair = two(second)
    (out, back), (bob, ann) = pair.lines, pair.phones
    relay = Relay()
    theirs = sdp(ann.addr, "audio 50000 RTP/AVP 0")
    own = "<sip:bob@10.0.0.11>"
    invite = out.out(bob.request("INVITE", "sip:ann@example.com", sdp=OURS, sender=own))
    got = back.back(relay.request(invite, f"sip:ann@{back.seen}"))
    assert start(got) == f"INVITE sip:ann@{second} SIP/2.0"
    assert "10.0.0.11" not in body(got)
    assert header(got, "From") == "<sip:bob@203.0.113.2>;tag=tag-bob"
    ok = back.out(ann.answer(got, 200, theirs))
    # Alone the answer of the called one opens its half.
    assert pair.nat.media() == {f"udp {ann.addr}:{n}<-203.0.113.2" for n in (50000, 50001)}
    told = out.back(relay.response(ok))
    assert pair.nat.media() == {
        f"udp {end}<-203.0.113.2"
        for end in (f"{ann.addr}:50000", f"{ann.addr}:50001", "10.0.0.11:40000", "10.0.0.11:40001")
    }
    assert header(told, "Call-ID") == "bob-call@10.0.0.11"
    assert header(told, "From") == f"{own};tag=tag-bob"
    for text, inside in ((body(got), "10.0.0.11:40000"), (body(told), f"{ann.addr}:50000")):
        shown = pair.nat.bindings[(UDP, at(inside))]
        assert f"m=audio {shown.port} RTP" in text
        assert "c=IN IP4 203.0.113.2" in text
    rows = pair.calls.rows(0.0)
    assert [row["direction"] for row in rows] == ["out", "in"]
    for row in rows:
        assert [stream["hairpin"] for stream in row["streams"]] == [True]  # type: ignore[attr-defined]
    # The called one hangs up.
    bye = back.out(
        ann.request(
            "BYE",
            header(got, "Contact").strip("<>"),
            call=header(got, "Call-ID"),
            to_tag=bob.tag,
            extra=[("Route", "<sip:198.51.100.1:5060;lr>")],
        )
    )
    got = out.back(relay.request(bye, f"sip:bob@{out.seen}"))
    assert start(got) == f"BYE sip:bob@{PHONE} SIP/2.0"
    assert header(got, "Call-ID") == "bob-call@10.0.0.11"
    back.back(relay.response(out.out(bob.answer(got, 200))))
    assert not pair.nat.open
    out.tick(1000.0)
    assert not pair.nat.reserved()
    assert not pair.calls.calls


def test_S1_the_same_call_over_tcp() -> None:
    nat, calls = world()
    line = Line(nat, calls, "10.0.0.11:41000", proto=TCP)
    bob, alice = Agent("bob", PHONE, "TCP"), Agent("alice", "198.51.100.9:5060", "TCP")
    talk = Talk(line, bob, alice)
    invite = talk.call()
    assert nat.media() == {RTP, RTCP}
    shown = nat.bindings[(TCP, at(PHONE))]
    assert header(invite, "Contact") == f"<sip:bob@{shown};transport=tcp>"
    assert f"tcp {PHONE}<-198.51.100.1 sip dialog" in nat.openings()
    # The port for signalling stays as long as the call, though nothing is said.
    line.stream.tick(line.gateway, 5000.0)
    assert PHONE in nat.reserved()
    line.now = 5000.0
    talk.line.back(talk.alice.answer(talk.within("BYE", invite), 200))
    assert nat.openings() == set()
    line.stream.tick(line.gateway, 5601.0)
    assert nat.reserved() == set()


def test_S7_rows_tell_the_operator_what_a_call_is(talk: Talk) -> None:
    talk.call()
    talk.line.now = 5.0
    shown = {n: str(talk.nat.bindings[(UDP, at(f"10.0.0.11:{n}"))]) for n in (40000,)}
    (row,) = talk.line.calls.rows(5.0)
    assert row == {
        "call_id": "bob-call@203.0.113.2",
        "inside": "10.0.0.11",
        "direction": "out",
        "from": "sip:bob@example.com",
        "to": ALICE,
        "state": "answered",
        "age": 5.0,
        "streams": [
            {
                "media": "audio",
                "inside": "10.0.0.11:40000",
                "outside": shown[40000],
                "remote": "198.51.100.20:6000",
                "hairpin": False,
            }
        ],
        "pinholes": sorted([*talk.nat.open, *talk.nat.reservations]),
    }


def test_G7_nothing_opens_before_both_have_spoken(talk: Talk) -> None:
    # An INVITE with everything in it, and an ACK or PRACK nobody asked for.
    invite = talk.dial()
    for method in ("ACK", "PRACK"):
        talk.within(method, invite, OURS)
    assert talk.nat.openings() == set()
    for forged in (
        talk.alice.answer(invite, 200, THEIRS).replace(b"bK-bob-1", b"bK-bob-9"),
        talk.alice.answer(invite, 200, THEIRS).replace(b"CSeq: 1 ", b"CSeq: 7 "),
    ):
        talk.line.back(forged)
        assert talk.line.events() == ["unmatched-response"]
        assert talk.nat.openings() == set()


def test_G7_an_answer_of_the_caller_itself_opens_nothing(talk: Talk) -> None:
    request = talk.bob.request("INVITE", ALICE, sdp=OURS)
    talk.line.out(request)
    talk.line.out(talk.bob.answer(request, 200, THEIRS))
    assert talk.nat.openings() == set()


def test_S6_a_call_whose_beginning_was_not_seen_is_followed_from_its_next_offer(talk: Talk) -> None:
    # After an outage the table is empty; a re-INVITE (session timer) fills it.
    invite = talk.call()
    nat, calls = world()
    later = Talk(Line(nat, calls, PHONE), talk.bob, talk.alice)
    again = later.within("INVITE", invite, OURS)
    later.line.back(later.alice.answer(again, 200, THEIRS))
    assert nat.media() == {RTP, RTCP}
    later.line.back(later.alice.answer(later.within("BYE", invite), 200))
    assert later.is_clean()


def test_S6_a_caller_that_begins_anew_with_the_same_call_id(talk: Talk) -> None:
    talk.call()
    before = set(talk.nat.open)
    talk.bob.tag = "other"
    talk.dial()
    assert len(talk.line.calls.calls) == 1
    assert before <= set(talk.nat.ended)
    assert talk.nat.openings() == set()


def test_S6_an_answer_in_a_body_of_several_parts(talk: Talk) -> None:
    invite = talk.dial()
    kept = [p for p in headers(talk.alice.answer(invite, 200)) if p[0] != "Content-Length"]
    whole = f"--b\r\nContent-Type: application/sdp\r\n\r\n{THEIRS}\r\n--b--\r\n"
    talk.line.back(build("SIP/2.0 200 OK", kept, whole, "multipart/mixed;boundary=b"))
    assert talk.nat.media() == {RTP, RTCP}


def test_G4_a_call_works_without_a_way_in_for_later_requests(talk: Talk) -> None:
    talk.nat.refuse_with, talk.nat.refuse_only = "pinhole-limit", "dialog"
    talk.call()
    assert talk.nat.openings() == {f"{RTP} sip audio rtp", f"{RTCP} sip audio rtcp"}
    ok = talk.line.calls.rows(0.0)
    assert [row["state"] for row in ok] == ["answered"]


def test_G4_no_way_in_leads_to_a_denied_port() -> None:
    nat, calls = world(denied=frozenset({5060}))
    talk = Talk(Line(nat, calls, PHONE), Agent("bob", PHONE), Agent("alice", "198.51.100.9:5060"))
    talk.call()
    assert nat.media() == {RTP, RTCP}
    assert not [o for o in nat.openings() if "dialog" in o]


def test_S7_answers_beyond_the_limit_of_forks_are_refused() -> None:
    nat, calls = world(SipSettings(SipLimits(dialogs=1)))
    talk = Talk(Line(nat, calls, PHONE), Agent("bob", PHONE), Agent("alice", "198.51.100.9:5060"))
    invite = talk.dial("")
    talk.line.back(talk.alice.answer(invite, 200))
    talk.line.back(Agent("other", "198.51.100.8:5060").answer(invite, 200))
    assert talk.line.refusals() == ["dialog-limit"]
