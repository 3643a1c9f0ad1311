"""S3 and S4: session descriptions, their holds and their pinholes."""

from typing import Unpack

import pytest

from p4alg.alg.sip.limits import Candidates, SipSettings
from tests.unit.alg.sip.harness import (
    UDP,
    Agent,
    Line,
    More,
    at,
    body,
    build,
    header,
    headers,
    sdp,
    world,
)

PHONE = "10.0.0.11:5060"
BOB = "sip:alice@example.com"


def ready(settings: SipSettings | None = None) -> tuple[Line, Agent, Agent]:
    return Line(*world(settings), PHONE), Agent("bob", PHONE), Agent("alice", "198.51.100.9:5060")


def offer(line: Line, phone: Agent, text: str, **more: Unpack[More]) -> bytes:
    """An INVITE of the phone, as the outside gets it."""
    return line.out(phone.request("INVITE", BOB, sdp=text, **more))


def agree(ours: str, theirs: str, settings: SipSettings | None = None) -> Line:
    """A call from inside, answered."""
    line, phone, alice = ready(settings)
    line.back(alice.answer(offer(line, phone, ours), 200, theirs))
    assert line.refusals() == []
    return line


def port(line: Line, inside: int) -> int:
    return line.nat.bindings[(UDP, at(f"10.0.0.11:{inside}"))].port


def lines(text: str) -> list[str]:
    return text.split("\r\n")


def test_S3_addresses_and_ports_of_every_stream_are_translated() -> None:
    line, phone, _ = ready()
    text = sdp(
        "10.0.0.11",
        "audio 40000 RTP/AVP 0 8\r\nc=IN IP4 10.0.0.11\r\na=rtpmap:0 PCMU/8000",
        "video 40010 RTP/AVP 96\r\nb=AS:256",
        "image 40020 udptl t38",
    )
    told = body(offer(line, phone, text))
    assert lines(told) == [
        "v=0",
        "o=- 1 1 IN IP4 203.0.113.2",
        "s=-",
        "c=IN IP4 203.0.113.2",
        "t=0 0",
        f"m=audio {port(line, 40000)} RTP/AVP 0 8",
        "c=IN IP4 203.0.113.2",
        "a=rtpmap:0 PCMU/8000",
        f"m=video {port(line, 40010)} RTP/AVP 96",
        "b=AS:256",
        f"m=image {port(line, 40020)} udptl t38",
        "",
    ]
    # T.38 has no RTCP (RFC 3362), the others have.
    pairs = [40000, 40001, 40010, 40011, 40020]
    assert line.nat.reserved() == {f"10.0.0.11:{number}" for number in pairs}
    assert line.nat.openings() == set()


def test_S4_rtp_and_rtcp_are_neighbours_and_parity_is_kept() -> None:
    line, phone, _ = ready()
    told = body(
        offer(line, phone, sdp("10.0.0.11", "audio 40000 RTP/AVP 0", "video 40003 RTP/AVP 96"))
    )
    assert port(line, 40000) % 2 == 0
    assert port(line, 40001) == port(line, 40000) + 1
    assert port(line, 40003) % 2 == 1
    assert f"m=video {port(line, 40003)} " in told
    assert "10.0.0.11:40004" in line.nat.reserved()


@pytest.mark.parametrize("extra", ["", "a=rtpmap:0 PCMU/8000\r\n"])
def test_S4_rtcp_that_cannot_be_the_next_port_is_announced(extra: str) -> None:
    line, phone, alice = ready()
    line.nat.bind(UDP, at("10.0.0.11:40000"))  # As by media of an earlier call.
    line.nat.bind(UDP, at("10.0.0.11:9000"))
    text = sdp("10.0.0.11", "audio 40000 RTP/AVP 0\r\nb=AS:64", extra=extra)
    request = offer(line, phone, text)
    assert port(line, 40001) != port(line, 40000) + 1
    assert body(request).endswith(f"b=AS:64\r\na=rtcp:{port(line, 40001)}\r\n{extra}")
    line.back(alice.answer(request, 200, sdp("198.51.100.20")))
    assert len(line.nat.media()) == 2


def test_S4_both_of_a_pair_open_to_the_other_end_only() -> None:
    line = agree(sdp("10.0.0.11"), sdp("198.51.100.20", "audio 6000 RTP/AVP 0"))
    assert line.nat.media() == {
        "udp 10.0.0.11:40000<-198.51.100.20",
        "udp 10.0.0.11:40001<-198.51.100.20",
    }
    timers = line.calls.settings.timers
    for request in line.nat.open.values():
        assert request.opener_port is None
        if "rtp" in request.label:
            assert (request.lifetime, request.flow_idle) == (timers.media_wait, timers.media_idle)
            assert request.max_flows == (1 if request.label.endswith("rtcp") else 2)
    assert set(line.pinholes()) == set(line.nat.open)


def test_S4_an_inbound_call_opens_with_the_answer_from_inside() -> None:
    line, phone, alice = ready()
    told = line.back(
        alice.request(
            "INVITE", f"sip:bob@{line.seen}", sdp=sdp("198.51.100.20", "audio 6000 RTP/AVP 0")
        )
    )
    assert "c=IN IP4 198.51.100.20" in body(told)
    assert "m=audio 6000 " in body(told)
    assert line.nat.reserved() == set()
    answer = line.out(phone.answer(told, 200, sdp("10.0.0.11")))
    assert f"m=audio {port(line, 40000)} " in body(answer)
    assert line.nat.media() == {
        "udp 10.0.0.11:40000<-198.51.100.20",
        "udp 10.0.0.11:40001<-198.51.100.20",
    }


def test_S3_media_level_addresses_count_before_the_sessions() -> None:
    theirs = sdp("198.51.100.20", "audio 6000 RTP/AVP 0\r\nc=IN IP4 198.51.100.30/127")
    line = agree(sdp("192.0.2.1", "audio 40000 RTP/AVP 0\r\nc=IN IP4 10.0.0.11"), theirs)
    assert line.nat.media() == {
        "udp 10.0.0.11:40000<-198.51.100.30",
        "udp 10.0.0.11:40001<-198.51.100.30",
    }


@pytest.mark.parametrize(
    ("ours", "theirs", "opened", "told"),
    [
        ("a=rtcp:40001", "", {40000: 20, 40001: 20}, "a=rtcp:{1}"),
        ("a=rtcp:40001 IN IP4 10.0.0.11", "", {40000: 20, 40001: 20}, "a=rtcp:{1} IN IP4 {addr}"),
        ("a=rtcp:40100", "", {40000: 20, 40100: 20}, "a=rtcp:{100}"),
        ("a=rtcp:40100 IN IP4 10.0.0.11", "a=rtcp:7 IN IP4 198.51.100.21",
         {40000: 20, 40100: 21}, "a=rtcp:{100} IN IP4 {addr}"),
        ("a=rtcp:41000 IN IP4 10.0.0.12", "", {40000: 20}, "a=rtcp:41000 IN IP4 10.0.0.12"),
        ("a=rtcp-mux", "a=rtcp-mux", {40000: 20}, "a=rtcp-mux"),
        ("a=rtcp-mux", "", {40000: 20, 40001: 20}, "a=rtcp-mux"),
        ("a=rtcp-mux\r\na=rtcp:40000", "a=rtcp-mux", {40000: 20}, "a=rtcp:{0}"),
    ],
)  # fmt: skip
def test_S3_rtcp_elsewhere_and_muxed(
    ours: str, theirs: str, opened: dict[int, int], told: str
) -> None:
    line, phone, alice = ready()
    request = offer(line, phone, sdp("10.0.0.11", extra=ours + "\r\n"))
    numbers = {
        n: port(line, 40000 + n)
        for n in (0, 1, 100)
        if (UDP, at(f"10.0.0.11:{40000 + n}")) in line.nat.bindings
    }
    for number, shown in numbers.items():
        told = told.replace(f"{{{number}}}", str(shown))
    assert told.replace("{addr}", "203.0.113.2") in lines(body(request))
    answer = sdp("198.51.100.20", "audio 6000 RTP/AVP 0", extra=theirs + "\r\n" if theirs else "")
    line.back(alice.answer(request, 200, answer))
    assert line.nat.media() == {
        f"udp 10.0.0.11:{number}<-198.51.100.{host}" for number, host in opened.items()
    }
    assert {f"10.0.0.11:{number}" for number in opened} <= line.nat.reserved()


def test_S3_an_answer_with_rtcp_mux_takes_no_second_port() -> None:
    line, phone, alice = ready()
    theirs = sdp("198.51.100.20", extra="a=rtcp-mux\r\n")
    told = line.back(alice.request("INVITE", f"sip:bob@{line.seen}", sdp=theirs))
    line.out(phone.answer(told, 200, sdp("10.0.0.11", extra="a=rtcp-mux\r\n")))
    assert line.nat.reserved() == {"10.0.0.11:40000"}
    assert line.nat.media() == {"udp 10.0.0.11:40000<-198.51.100.20"}


CANDIDATES = (
    "a=candidate:1 1 UDP 2130706431 10.0.0.11 40000 typ host\r\n"
    "a=candidate:1 2 UDP 2130706430 10.0.0.11 40001 typ host\r\n"
    "a=candidate:2 1 UDP 1694498815 192.0.2.3 40000 typ srflx raddr 10.0.0.11 rport 40000\r\n"
    "a=candidate:3 1 TCP 1 10.0.0.11 9 typ host tcptype active\r\n"
    "a=ice-ufrag:8hhY\r\n"
)


def test_S3_ice_candidates_are_removed() -> None:
    line, phone, _ = ready()
    told = body(offer(line, phone, sdp("10.0.0.11", extra=CANDIDATES)))
    assert "candidate" not in told
    assert told.endswith("RTP/AVP 0\r\na=ice-ufrag:8hhY\r\n")


def test_S3_ice_candidates_are_rewritten_if_configured() -> None:
    line, phone, _ = ready(SipSettings(candidates=Candidates.REWRITE))
    told = body(offer(line, phone, sdp("10.0.0.11", extra=CANDIDATES)))
    first = port(line, 40000)
    assert [text for text in lines(told) if "candidate" in text] == [
        f"a=candidate:1 1 UDP 2130706431 203.0.113.2 {first} typ host",
        f"a=candidate:1 2 UDP 2130706430 203.0.113.2 {first + 1} typ host",
    ]
    assert "10.0.0.11" not in told


def test_S3_a_reflexive_candidate_of_our_own_port_stays_and_tells_no_inside_address() -> None:
    line, phone, _ = ready(SipSettings(candidates=Candidates.REWRITE))
    shown = line.nat.bind(UDP, at("10.0.0.11:40000"))
    line.nat.bind(UDP, at("10.0.0.11:40001"))
    reflexive = f"a=candidate:2 1 UDP 1 {shown.__str__().replace(':', ' ')} typ srflx "
    extra = reflexive + "raddr 10.0.0.11 rport 40000\r\n"
    told = body(offer(line, phone, sdp("10.0.0.11", extra=extra)))
    assert reflexive + "raddr 0.0.0.0 rport 9" in lines(told)


def test_S3_a_rejected_stream_has_no_ports() -> None:
    line, phone, alice = ready()
    ours = sdp("10.0.0.11", "audio 40000 RTP/AVP 0", "video 0 RTP/AVP 96", "image 40020 udptl t38")
    request = offer(line, phone, ours)
    assert "m=video 0 " in body(request)
    theirs = sdp(
        "198.51.100.20", "audio 6000 RTP/AVP 0", "video 6002 RTP/AVP 96", "image 0 udptl t38"
    )
    line.back(alice.answer(request, 200, theirs))
    assert line.nat.media() == {
        "udp 10.0.0.11:40000<-198.51.100.20",
        "udp 10.0.0.11:40001<-198.51.100.20",
    }
    assert line.nat.reserved() == {"10.0.0.11:40000", "10.0.0.11:40001"}


@pytest.mark.parametrize("how", ["sendonly", "inactive"])
def test_S3_hold_keeps_the_pinholes_longer(how: str) -> None:
    line = agree(
        sdp("10.0.0.11", extra=f"a={how}\r\n"), sdp("198.51.100.20", extra="a=recvonly\r\n")
    )
    hold = line.calls.settings.timers.hold
    assert {r.flow_idle for r in line.nat.open.values() if "rtp" in r.label} == {hold}
    assert [row["state"] for row in line.calls.rows(0.0)] == ["held"]


def test_S3_hold_with_0_0_0_0_of_either_end() -> None:
    line, phone, alice = ready()
    ours = sdp("10.0.0.11").replace("c=IN IP4 10.0.0.11", "c=IN IP4 0.0.0.0")
    request = offer(line, phone, ours)
    assert "c=IN IP4 0.0.0.0\r\n" in body(request)
    assert "o=- 1 1 IN IP4 203.0.113.2" in body(request)
    assert f"m=audio {port(line, 40000)} " in body(request)
    theirs = sdp("198.51.100.20")
    line.back(alice.answer(request, 200, theirs))
    both = {"udp 10.0.0.11:40000<-198.51.100.20", "udp 10.0.0.11:40001<-198.51.100.20"}
    assert line.nat.media() == both
    again = alice.request(
        "INVITE", f"sip:bob@{line.seen}", call=header(request, "Call-ID"), to_tag=phone.tag,
        sdp=theirs.replace("198.51.100.20", "0.0.0.0"),
    )  # fmt: skip
    line.out(phone.answer(line.back(again), 200, sdp("10.0.0.11")))
    # Nothing says where the media come from now: they come from where they did.
    assert line.nat.media() == both


def test_S3_an_address_that_is_a_name_opens_nothing_and_holds_what_was_announced() -> None:
    line = agree(sdp("10.0.0.11"), sdp("media.example.com"))
    assert line.nat.media() == set()
    assert line.events() == ["no-address", "no-address"]
    assert line.nat.reserved() == {"10.0.0.11:40000", "10.0.0.11:40001"}


MULTIPART = (
    "preamble\r\n--xx\r\nContent-Type: text/plain\r\n\r\n10.0.0.11\r\n"
    "--xx\r\nContent-ID: <1>\r\nContent-Type:\r\n application/sdp;charset=utf-8\r\n"
    "Content-Length: {size}\r\n\r\n{sdp}\r\n--xx--\r\nepilogue"
)


def test_S3_sdp_in_a_multipart_body() -> None:
    line, phone, alice = ready()
    text = sdp("10.0.0.11")
    request = phone.request("INVITE", BOB)
    whole = MULTIPART.format(size=len(text), sdp=text)
    kept = [pair for pair in headers(request) if pair[0] != "Content-Length"]
    made = build(f"INVITE {BOB} SIP/2.0", kept, whole, 'Multipart/Mixed; boundary="xx"')
    told = line.out(made)
    new = text.replace("10.0.0.11", "203.0.113.2").replace("40000", str(port(line, 40000)))
    assert body(told) == MULTIPART.format(size=len(new), sdp=new)
    line.back(alice.answer(told, 200, sdp("198.51.100.20")))
    assert len(line.nat.media()) == 2


def test_S3_multipart_within_multipart() -> None:
    line, phone, _ = ready()
    inner = "--in\r\nContent-Type: application/sdp\r\n\r\n" + sdp("10.0.0.11") + "\r\n--in--\r\n"
    whole = (
        "--out\r\nContent-Type: multipart/alternative;boundary=in\r\n\r\n" + inner + "\r\n--out--"
    )
    kept = [p for p in headers(phone.request("INVITE", BOB)) if p[0] != "Content-Length"]
    told = line.out(build(f"INVITE {BOB} SIP/2.0", kept, whole, "multipart/mixed; boundary=out"))
    assert "10.0.0.11" not in body(told)


def test_S3_a_phone_that_knows_its_outside_endpoint_needs_no_rewriting() -> None:
    line, phone, alice = ready()
    shown = line.nat.bind(UDP, at("10.0.0.11:40000"))
    line.nat.bind(UDP, at("10.0.0.11:40001"))
    text = sdp("203.0.113.2", f"audio {shown.port} RTP/AVP 0")
    request = offer(line, phone, text)
    assert body(request) == text
    line.back(alice.answer(request, 200, sdp("198.51.100.20")))
    assert line.nat.media() == {
        "udp 10.0.0.11:40000<-198.51.100.20",
        "udp 10.0.0.11:40001<-198.51.100.20",
    }


def test_S3_several_ports_of_a_stream_become_one() -> None:
    line, phone, _ = ready()
    told = body(offer(line, phone, sdp("10.0.0.11", "video 40000/2 RTP/AVP 31")))
    assert f"m=video {port(line, 40000)} RTP/AVP 31" in told


def test_S3_media_over_tcp_is_opened_for_the_side_that_waits() -> None:
    ours = sdp(
        "10.0.0.11",
        "application 40000 TCP/BFCP *\r\na=setup:passive",
        "application 9 TCP/BFCP *\r\na=setup:active",
        "application 40010 TCP/BFCP *\r\na=setup:active",
    )
    answers = [f"application {n} TCP/BFCP *" for n in (9, 7000, 7001)]
    theirs = sdp("198.51.100.20", *answers)
    line = agree(ours, theirs)
    opened = {o for o in line.nat.openings() if "dialog" not in o}
    assert opened == {"tcp 10.0.0.11:40000<-198.51.100.20 sip application media"}


def test_S3_ice_that_tells_its_addresses_later_is_left_alone() -> None:
    line, phone, _ = ready()
    text = sdp("0.0.0.0", "audio 9 UDP/TLS/RTP/SAVPF 111")
    assert body(offer(line, phone, text)) == text


def test_G7_media_of_another_inside_host_are_neither_translated_nor_opened() -> None:
    line, phone, alice = ready()
    line.nat.bind(UDP, at("10.0.0.12:40000"))
    text = sdp("10.0.0.12").replace("o=- 1 1 IN IP4 10.0.0.12", "o=- 1 1 IN IP4 10.0.0.11")
    request = offer(line, phone, text)
    assert "c=IN IP4 10.0.0.12\r\n" in body(request)
    assert "m=audio 40000 " in body(request)
    assert line.events() == ["media-elsewhere"]
    line.back(alice.answer(request, 200, sdp("198.51.100.20")))
    assert line.nat.media() == set()


@pytest.mark.parametrize(
    ("media", "reason"),
    [
        ("audio 22 RTP/AVP 0", "low-port"),
        ("audio 1023 RTP/AVP 0", "low-port"),
        ("audio 6000 RTP/AVP 0", "denied-port"),
        ("audio 5999 RTP/AVP 0", "denied-port"),  # Its RTCP.
        ("audio 40000 RTP/AVP 0\r\na=rtcp:80", "low-port"),
    ],
)
def test_G7_no_port_below_1024_and_none_on_the_deny_list(media: str, reason: str) -> None:
    line, phone, _ = ready()
    line.nat.denied = frozenset({6000})
    assert offer(line, phone, sdp("10.0.0.11", "audio 40000 RTP/AVP 0", media)) == b""
    assert line.refusals() == [reason]
    assert line.nat.reserved() == set()
    assert line.calls.rows(0.0) == []


@pytest.mark.parametrize("addr", ["224.0.0.1", "127.0.0.1", "255.255.255.255"])
def test_G7_nothing_is_opened_to_addresses_nobody_has(addr: str) -> None:
    line = agree(sdp("10.0.0.11"), sdp(addr))
    assert line.nat.media() == set()


def test_G4_holds_that_are_refused_refuse_the_message_and_leave_nothing() -> None:
    line, phone, alice = ready()
    line.nat.refuse_with = "control-limit"
    assert offer(line, phone, sdp("10.0.0.11"), branch="z9hG4bK-r") == b""
    assert line.refusals() == ["control-limit"]
    line.nat.refuse_with = ""
    request = offer(line, phone, sdp("10.0.0.11"), branch="z9hG4bK-r")
    line.nat.refuse_with = "subscriber-limit"
    answer = alice.answer(request, 200, sdp("198.51.100.20"))
    assert line.back(answer) == b""
    assert line.refusals() == ["subscriber-limit"]
    assert line.nat.open == {}
    line.nat.refuse_with = ""
    assert line.back(answer) != b""
    assert len(line.nat.media()) == 2


def test_S6_sdp_outside_of_calls_has_its_addresses_translated_and_opens_nothing() -> None:
    line, phone, alice = ready()
    asked = line.back(alice.request("OPTIONS", f"sip:bob@{line.seen}"))
    told = body(line.out(phone.answer(asked, 200, sdp("10.0.0.11", "audio 0 RTP/AVP 0"))))
    assert "c=IN IP4 203.0.113.2" in told
    assert "10.0.0.11" not in told
    assert line.nat.reserved() == set()


def test_S3_the_direction_of_the_session_is_that_of_its_streams() -> None:
    whole = sdp("10.0.0.11").replace("t=0 0\r\n", "t=0 0\r\na=inactive\r\n")
    line = agree(whole, sdp("198.51.100.20"))
    assert [row["state"] for row in line.calls.rows(0.0)] == ["held"]


def test_S3_one_address_for_streams_at_several_is_refused() -> None:
    line, phone, _ = ready()
    text = sdp("10.0.0.11", "audio 40000 RTP/AVP 0", "video 40010 RTP/AVP 96")
    line.nat.bindings[(UDP, at("10.0.0.11:40010"))] = at("203.0.113.9:40010")
    line.nat.uses[(UDP, at("10.0.0.11:40010"))] = 1
    assert offer(line, phone, text) == b""
    assert line.refusals() == ["split-address"]
    assert line.nat.reserved() == set()


def test_S4_what_was_announced_is_what_is_opened_or_nothing_is() -> None:
    line, phone, alice = ready()
    line.nat.answer_with = at("203.0.113.2:39998")
    request = offer(line, phone, sdp("10.0.0.11"))
    assert "m=audio 39998 " in body(request)
    line.back(alice.answer(request, 200, sdp("198.51.100.20")))
    assert line.refusals() == ["port-moved"]
    assert line.nat.open == {}
