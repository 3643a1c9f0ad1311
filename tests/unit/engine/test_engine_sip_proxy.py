"""A SIP proxy inside that relays no media: the phones behind it are called by their own ports."""

from __future__ import annotations

import re

import pytest

from p4alg.engine import tables as t
from tests.unit.engine.harness import INSIDE2, REMOTE, UDP, Bench
from tests.unit.engine.test_engine_sip import SDP, bench, client, message, server

PHONE = "10.0.0.12"
PROXY = "10.0.0.11"
MEDIA = 40000


def passed_on(data: bytes) -> bytes:
    """A message as the proxy passes it on for its phone: with the phone's Via below its own."""
    via = f"\r\nVia: SIP/2.0/UDP {PHONE}:5060;branch=z9hG4bKphone\r\nFrom:".encode()
    return data.replace(b"\r\nFrom:", via, 1)


def register(
    made: Bench, *, seconds: int = 600, contact: str = PHONE, through: bool = True
) -> None:
    """The phone registers outside, by way of the proxy, and the registrar agrees."""
    named = f"Contact: <sip:a@{contact}:5060>;expires={seconds}\r\n"
    request = message("REGISTER sip:198.51.100.11 SIP/2.0", "REGISTER", more=named)
    sent = client(made, passed_on(request) if through else request)
    server(made, sent, "SIP/2.0 200 OK", more=named.strip())


def offers(made: Bench, *, addr: str = PHONE, number: int = 5) -> bytes:
    """The proxy passes the phone's INVITE on, without relaying its media; what leaves."""
    offer = SDP.format(addr, MEDIA)
    invite = message(
        "INVITE sip:b@198.51.100.11 SIP/2.0",
        "INVITE",
        offer,
        number=number,
        more=f"Contact: <sip:a@{PHONE}:5060>\r\nRecord-Route: <sip:{PROXY}:5060;lr>\r\n",
    )
    return client(made, passed_on(invite))


def body_of(sent: bytes) -> bytes:
    return sent.partition(b"\r\n\r\n")[2]


def holes(made: Bench) -> set[tuple[int, int | None, int | None]]:
    return {
        (hole.inside_addr, hole.inside_id, hole.remote_addr)
        for hole in made.of(t.PinholeEntry)
        if hole.inside_id in (MEDIA, MEDIA + 1)
    }


def test_S3_media_of_a_phone_behind_an_inside_proxy_come_to_the_phone() -> None:
    made = bench()
    register(made)
    sent = offers(made)
    told = body_of(sent)
    assert PHONE.encode() not in told
    port = int(re.search(rb"m=audio (\d+)", told)[1])  # type: ignore[index]
    addr, number = made.outside_of(UDP, INSIDE2, MEDIA)
    assert number == port
    assert b"c=IN IP4 %d.%d.%d.%d" % tuple(addr.to_bytes(4, "big")) in told
    server(made, sent, "SIP/2.0 200 OK", SDP.format("198.51.100.11", 6000))
    assert holes(made) == {(INSIDE2, MEDIA, REMOTE), (INSIDE2, MEDIA + 1, REMOTE)}
    assert made.counter("alg.sip.media-elsewhere") == 0


@pytest.mark.parametrize(
    "known",
    ["nobody", "without its Via", "another contact", "ended"],
)
def test_S3_media_of_a_host_that_is_not_registered_through_the_sender_are_said(known: str) -> None:
    made = bench()
    if known == "without its Via":
        register(made, through=False)
    elif known == "another contact":
        register(made, contact="10.0.0.13")
    elif known == "ended":
        register(made)
        register(made, seconds=0)
    sent = offers(made)
    assert PHONE.encode() in body_of(sent)
    server(made, sent, "SIP/2.0 200 OK", SDP.format("198.51.100.11", 6000))
    assert holes(made) == set()
    assert made.counter("alg.sip.media-elsewhere") == 1
    said = [record.text for record in made.logs if "hears nothing" in record.text]
    assert f"{PHONE} has not registered through {PROXY}" in said[0]


def test_G7_nothing_opens_for_who_is_no_inside_host_whatever_is_registered() -> None:
    made = bench()
    for addr in ("198.51.100.77", "10.0.0.1"):
        named = f"Contact: <sip:a@{addr}:5060>;expires=600\r\n"
        request = message("REGISTER sip:198.51.100.11 SIP/2.0", "REGISTER", more=named)
        sent = client(made, passed_on(request).replace(PHONE.encode(), addr.encode()))
        server(made, sent, "SIP/2.0 200 OK", more=named.strip())
        sent = offers(made, addr=addr)
        server(made, sent, "SIP/2.0 200 OK", SDP.format("198.51.100.11", 6000))
        assert holes(made) == set()


def test_S3_a_registration_through_a_proxy_lasts_as_long_as_the_registrar_says() -> None:
    made = bench()
    register(made, seconds=60)
    made.tick(61.0)
    assert PHONE.encode() in body_of(offers(made))
