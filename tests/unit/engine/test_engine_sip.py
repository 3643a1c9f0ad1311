"""SIP through the engine: held ports before the message, pinholes, ends, registrations."""

import re
from collections.abc import Iterable
from typing import Any

from p4alg.alg.contract import TCP, Peer
from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.settings import Limits
from p4alg.engine.tables import FlowKey
from p4alg.packet.ipv4 import fragment_ipv4, parse_ipv4
from p4alg.packet.udp import is_intact, parse_udp
from tests.unit.engine.dialogue import Dialogue
from tests.unit.engine.harness import (
    IN_PORT,
    INSIDE,
    OUT_PORT,
    REMOTE,
    UDP,
    AlgSettings,
    Bench,
    PortSpan,
    datagram,
    port_of,
)

SIP = 2
KEY = FlowKey(UDP, INSIDE, 5060, REMOTE, 5060)
SDP = "v=0\r\no=a 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio {1} RTP/AVP 0\r\n"


def bench(present: Iterable[t.Entry] = (), **changes: Any) -> Bench:
    values: dict[str, Any] = {
        "services": {"sip": (PortSpan(UDP, 5060, 5060),)},
        "algs": (AlgSettings(algs()["sip"], True, ("sip",)),),
        "forwards": (),
    }
    return Bench(present, **{**values, **changes})


def message(start: str, method: str, body: str = "", *, number: int = 1, more: str = "") -> bytes:
    kind = "Content-Type: application/sdp\r\n" if body else ""
    tag = ";tag=b" if start.startswith("SIP/2.0 2") or method == "BYE" else ""
    return (
        f"{start}\r\nVia: SIP/2.0/UDP 10.0.0.11:5060;branch=z9hG4bK{method}{number}\r\n"
        f"From: <sip:a@10.0.0.11>;tag=a\r\nTo: <sip:b@198.51.100.11>{tag}\r\n"
        f"Call-ID: 1@10.0.0.11\r\nCSeq: {number} {method}\r\nMax-Forwards: 70\r\n"
        f"{more}{kind}Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def client(made: Bench, data: bytes) -> bytes:
    """The inside phone says something; what the other side hears, as its payload."""
    frame = datagram(INSIDE, 5060, REMOTE, 5060, data)
    known = KEY in made.sessions()
    outs = made.punt(ev.Reason.ALG if known else ev.Reason.NEW_FLOW, frame, IN_PORT, SIP)
    carried = [out for out in outs if out.egress_port is None]
    return b"".join(parse_udp(parse_ipv4(out.frame)).payload for out in carried)


def test_S9_a_flood_is_answered_to_its_sender_at_the_port_where_it_came() -> None:
    made = bench(algs=(AlgSettings(algs()["sip"], True, ("sip",), {"calls_per_second": 1}),))
    for n in range(11):
        invite = message("INVITE sip:b@198.51.100.11 SIP/2.0", "INVITE", number=n)
        client(made, invite.replace(b"Call-ID: 1@", b"Call-ID: %d@" % n))
    (out,) = made.sent
    assert out.egress_port == IN_PORT
    packet = parse_ipv4(out.frame)
    assert (packet.src, packet.dst) == (REMOTE, INSIDE)
    told = parse_udp(packet)
    assert is_intact(packet)
    assert (told.src_port, told.dst_port) == (5060, 5060)
    assert told.payload.startswith(b"SIP/2.0 503 Service Unavailable\r\nVia: ")
    assert b"\r\nRetry-After: 10\r\n" in told.payload
    assert made.logs[-1].text.endswith("(algs.sip.calls_per_second) (call-flood)")


def server(made: Bench, sent: bytes, start: str, body: str = "", more: str = "") -> bytes:
    """The other side answers what it heard; what the phone hears."""
    kept = [
        line + (";tag=b" if line.startswith("To:") and "tag=" not in line else "")
        for line in sent.decode().split("\r\n")
        if re.match("Via|From|To|Call-ID|CSeq", line)
    ]
    kind = ["Content-Type: application/sdp"] if body else []
    extra = [more] if more else []
    lines = [start, *kept, "Contact: <sip:b@198.51.100.11:5060>", *extra, *kind]
    text = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])
    outside = made.outside_of(UDP, INSIDE, 5060)
    frame = datagram(REMOTE, 5060, *outside, text.encode())
    outs = made.punt(ev.Reason.ALG, frame, OUT_PORT, SIP)
    return b"".join(parse_udp(parse_ipv4(out.frame)).payload for out in outs)


CONTACT = "Contact: <sip:a@10.0.0.11:5060>\r\n"


def call(made: Bench) -> bytes:
    offer = SDP.format("10.0.0.11", 40000)
    return client(
        made, message("INVITE sip:b@198.51.100.11 SIP/2.0", "INVITE", offer, more=CONTACT)
    )


def answered(made: Bench) -> None:
    sent = call(made)
    server(made, sent, "SIP/2.0 200 OK", SDP.format("198.51.100.11", 6000))


def media_holes(made: Bench) -> set[tuple[int, int | None, int | None]]:
    return {
        (hole.inside_id, hole.remote_addr, hole.remote_id)
        for hole in made.of(t.PinholeEntry)
        if hole.inside_id in (40000, 40001)
    }


def test_S3_S4_the_offer_leaves_behind_the_ports_it_names() -> None:
    made = bench()
    sent = call(made)
    port = int(re.search(rb"m=audio (\d+)", sent)[1])  # type: ignore[index]
    assert made.outside_of(UDP, INSIDE, 40000)[1] == port
    assert made.outside_of(UDP, INSIDE, 40001)[1] == port + 1
    assert port % 2 == 0
    assert b"10.0.0.11" not in sent
    assert not media_holes(made)


def test_S4_the_answer_opens_media_from_the_other_side_only() -> None:
    made = bench()
    answered(made)
    assert media_holes(made) == {(40000, REMOTE, None), (40001, REMOTE, None)}
    (row,) = made.show("calls")
    assert row["state"] == "answered"
    assert len(row["streams"]) == 1


def test_S6_BYE_ends_it_with_its_media_flows() -> None:
    made = bench()
    answered(made)
    holes = [h for h in made.of(t.PinholeEntry) if h.inside_id in (40000, 40001)]
    for hole in holes:
        made.event(
            ev.PinholeHit(FlowKey(UDP, INSIDE, port_of(hole), REMOTE, 6000), hole.pinhole_id)
        )
    assert FlowKey(UDP, INSIDE, 40000, REMOTE, 6000) in made.sessions()
    sent = client(made, message("BYE sip:b@198.51.100.11:5060 SIP/2.0", "BYE", number=2))
    server(made, sent, "SIP/2.0 200 OK")
    made.tick(60.0)
    assert made.show("calls") == []
    assert set(made.sessions()) == {KEY}
    assert {e.inside_id for e in made.of(t.MapOut) if e.proto == UDP} == {5060}


def test_a_refused_message_leaves_nothing_and_deletes_nothing() -> None:
    made = bench(denied_ports=frozenset({40000}))
    sent = call(made)
    assert b"40000" not in sent or not media_holes(made)
    assert not [e for e in made.of(t.MapOut) if e.inside_id in (40000, 40001)]


def test_rule_2_an_offer_whose_ports_cannot_be_had_does_not_leave() -> None:
    made = bench()
    made.refuses = lambda update: (
        isinstance(update.entry, t.MapIn) and (update.entry.inside_id == 40000)
    )
    assert call(made) == b""
    assert made.counter("alg.sip.refused.tables") == 1


def test_S5_an_inbound_call_through_the_registration_is_read() -> None:
    made = bench()
    text = message(
        "REGISTER sip:198.51.100.11 SIP/2.0", "REGISTER", more=CONTACT + "Expires: 300\r\n"
    )
    sent = client(made, text)
    told = re.search(rb"Contact: (.*)\r", sent)[1].decode()  # type: ignore[index]
    server(made, sent, "SIP/2.0 200 OK", more=f"Contact: {told};expires=300\r\nExpires: 300")
    made.event(ev.SessionIdle(KEY))
    (hole,) = made.of(t.PinholeEntry)
    assert (hole.inside_id, hole.remote_addr, hole.alg_id) == (5060, REMOTE, SIP)
    outside = made.outside_of(UDP, INSIDE, 5060)
    invite = message("INVITE sip:a@{}:{} SIP/2.0".format("203.0.113.5", outside[1]), "INVITE")
    frame = datagram(REMOTE, 7000, *outside, invite)
    outs = made.new(frame, OUT_PORT, SIP)
    assert len(outs) == 1
    key = FlowKey(UDP, INSIDE, 5060, REMOTE, 7000)
    assert made.sessions()[key].alg_id == SIP


def test_G1_switched_off_its_pinholes_close_and_calls_are_forgotten() -> None:
    made = bench()
    answered(made)
    made.switch("sip", False)
    made.tick(5.0)
    assert made.of(t.PinholeEntry) == []
    assert made.show("calls") == []
    assert made.sessions()[KEY].alg_id == 0


def test_nothing_is_left_an_hour_after_the_last_call() -> None:
    made = bench()
    answered(made)
    sent = client(made, message("BYE sip:b@198.51.100.11:5060 SIP/2.0", "BYE", number=2))
    server(made, sent, "SIP/2.0 200 OK")
    made.idle_everything()
    made.tick(3600.0)
    assert made.dynamic() == set()


def test_a_thousand_calls_leave_nothing_an_hour_after_the_last_BYE() -> None:
    made = bench(limits=Limits(pinholes_per_subscriber=8192))
    for number in range(1000):
        offer = SDP.format("10.0.0.11", 20000 + 2 * number)
        start = "INVITE sip:b@198.51.100.11 SIP/2.0"
        text = message(start, "INVITE", offer, more=CONTACT)
        sent = client(made, text.replace(b"1@10.0.0.11", b"%d@10.0.0.11" % number))
        server(made, sent, "SIP/2.0 200 OK", SDP.format("198.51.100.11", 6000))
        made.tick(0.02)
    assert len(made.show("calls")) == 1000
    assert len(made.of(t.PinholeEntry)) >= 2000
    for number in range(1000):
        text = message("BYE sip:b@198.51.100.11:5060 SIP/2.0", "BYE", number=2)
        sent = client(made, text.replace(b"1@10.0.0.11", b"%d@10.0.0.11" % number))
        server(made, sent, "SIP/2.0 200 OK")
    made.idle_everything()
    made.tick(3600.0)
    assert made.show("calls") == []
    assert made.dynamic() == set()


def test_S1_a_bad_request_on_TCP_is_answered_and_the_other_calls_go_on() -> None:
    made = bench(services={"sip": (PortSpan(TCP, 5060, 5060),)})
    talk = Dialogue(made, Peer.CLIENT, SIP)
    good = message("OPTIONS sip:b@198.51.100.11 SIP/2.0", "OPTIONS").replace(b"UDP", b"TCP")
    assert talk.client(good)
    bad = good.replace(b"CSeq: 1", b"CSeq: one")
    assert talk.client(bad, 50) == b""
    told = talk.heard(Peer.CLIENT)
    assert told.startswith(b"SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/TCP 10.0.0.11:5060;")
    assert made.counter("alg.sip.client.refused.bad-cseq") == 1
    assert made.counter("alg.sip.closed.bad-cseq") == 0
    assert talk.client(good).startswith(b"OPTIONS ")
    answer = good.replace(b"OPTIONS sip:b@198.51.100.11 SIP/2.0", b"SIP/2.0 200 OK")
    assert talk.server(answer).startswith(b"SIP/2.0 200 OK")


def test_S1_a_connection_whose_answer_the_switch_cannot_carry_is_reset() -> None:
    made = bench(services={"sip": (PortSpan(TCP, 5060, 5060),)})
    talk = Dialogue(made, Peer.CLIENT, SIP)
    good = message("OPTIONS sip:b@198.51.100.11 SIP/2.0", "OPTIONS").replace(b"UDP", b"TCP")
    made.refuses = lambda update: isinstance(update.entry, t.Sequence)
    talk.client(good.replace(b"CSeq: 1", b"CSeq: one"))
    assert all(end.reset for end in talk.ends.values())


def test_N4787_14_a_long_INVITE_in_fragments_from_another_port_of_the_registrar_arrives() -> None:
    made = bench()
    named = "Contact: <sip:a@10.0.0.11:5060>;expires=600\r\n"
    request = message("REGISTER sip:198.51.100.11 SIP/2.0", "REGISTER", more=named)
    sent = client(made, request)
    shown = re.search(rb"Contact: <sip:a@([0-9.]+):(\d+)>", sent)
    assert shown is not None
    told = f"Contact: <{shown[0].decode().partition('<')[2]};expires=600"
    server(made, sent, "SIP/2.0 200 OK", more=told)
    outside = made.outside_of(UDP, INSIDE, 5060)
    whole = datagram(REMOTE, 5070, *outside, b"INVITE sip:a@203.0.113.5 SIP/2.0\r\n" + bytes(2200))
    whole = whole[:18] + b"\0\7\0\0" + whole[22:]
    first, second = fragment_ipv4(parse_ipv4(whole), 1500)
    (out,) = made.punt(ev.Reason.NEW_FLOW, first, OUT_PORT, SIP)
    assert (out.frame, out.ingress_port) == (first, OUT_PORT)
    assert FlowKey(UDP, INSIDE, 5060, REMOTE, 5070) in made.sessions()
    # The switch has the ports of the first one by then. One that overtook it is held.
    assert made.punt(ev.Reason.FRAGMENT, second, OUT_PORT) == []
    assert [o.frame for o in made.tick(1.0)] == [second]
