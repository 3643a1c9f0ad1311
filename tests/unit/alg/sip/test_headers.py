"""Headers with addresses: Via, Contact and all others, and what each address is for (S2, S5)."""

import pytest

from p4alg.alg.sip.headers import Role, aor, call_id_spans, contacts, places, seconds, vias
from p4alg.alg.sip.limits import SipLimits
from p4alg.alg.sip.message import Message, SipError, parse_message
from tests.unit.alg.invariant import HOSTILE_NUMBERS
from tests.unit.alg.sip.harness import TCP, UDP, Agent, ip

LIMITS = SipLimits()


def message(*lines: tuple[str, str], contact: str = "", to: str = "") -> Message:
    agent = Agent("bob", "10.0.0.11:5060")
    data = agent.request("OPTIONS", "sip:x@10.0.0.7", extra=lines, contact=contact, to=to)
    return parse_message(data, LIMITS)


def test_S5_seconds() -> None:
    assert [seconds(text) for text in (b"60", b" 0 ", b"-1", b"", b"x", b"9" * 100)] == [
        60, 0, None, None, None, 2**32 - 1,
    ]  # fmt: skip


def test_S2_every_via_is_read_topmost_first_from_several_headers_and_values() -> None:
    found = vias(
        message(
            ("v", "SIP / 2.0 / TCP 192.0.2.1:7 ;branch=b1;received=10.0.0.11;rport=9"),
            ("Via", "SIP/2.0/TLS example.com;maddr=10.0.0.12, SIP/2.0/udp 192.0.2.3;rport"),
        ),
        LIMITS,
    )
    assert [via.branch for via in found] == [b"z9hG4bK-bob-1", b"b1", b"", b""]
    assert [(via.sent_by.proto, via.sent_by.number) for via in found] == [
        (UDP, 5060), (TCP, 7), (TCP, 5061), (UDP, 5060),
    ]  # fmt: skip
    one, two, three = found[1:]
    assert one.received is not None
    assert one.rport is not None
    assert (one.received.addr, one.rport.port) == (ip("10.0.0.11"), 9)
    assert two.maddr is not None
    assert two.maddr.addr == ip("10.0.0.12")
    assert three.rport is None


@pytest.mark.parametrize("number", HOSTILE_NUMBERS, ids=lambda text: repr(text[:9]))
@pytest.mark.parametrize("place", [";rport=", ":", ";x="])
def test_G9_a_via_with_a_hostile_number_is_refused_with_a_word(place: str, number: bytes) -> None:
    if b"\0" in number or b"\n" in number or len(number) > 1000:
        return  # Refused with the head of the message.
    line = "SIP/2.0/UDP 10.0.0.11" + place + number.decode("latin-1")
    data = message(("Via", "@")).data.replace(b"Via: @", b"Via: " + line.encode("latin-1"))
    try:
        found = vias(parse_message(data, LIMITS), LIMITS)
    except SipError as error:
        word = error.word
    else:
        word = ""
    assert word in ("", "bad-via", "bad-port")
    if word:
        return
    assert 0 <= found[-1].sent_by.number <= 0xFFFF
    assert found[-1].rport is None or 0 <= (found[-1].rport.port or 0) <= 0xFFFF


def test_S5_contacts_have_their_seconds_and_a_star_means_all() -> None:
    text = '"a, b" <sip:bob@10.0.0.11>;expires=60, <tel:+1>;expires="9", sip:c@d;q=1;expires=x'
    found = contacts(message(contact=text), LIMITS)
    assert [contact.expires for contact in found] == [60, None, None]
    assert [contact.uri is None for contact in found] == [False, True, False]
    (star,) = contacts(message(contact="*"), LIMITS)
    assert star.wildcard
    assert not any(contact.wildcard for contact in found)


def test_S2_the_role_of_an_address_is_that_of_its_header() -> None:
    found = message(
        ("Record-Route", "<sip:10.0.0.1;lr>, <sip:10.0.0.2;lr;maddr=10.0.0.3>"),
        ("Path", "<sip:10.0.0.4>"),
        ("Route", "<sip:10.0.0.5>"),
        ("P-Asserted-Identity", "<sip:bob@10.0.0.6>, <tel:+1>"),
        contact="<sip:bob@10.0.0.11>",
        to="<sip:to@10.0.0.8>",
    )
    told = {
        (place.header, place.role, place.host.addr and place.host.addr & 255)
        for place in places(found, contacts(found, LIMITS), LIMITS)
    }
    assert told == {
        (b"", Role.ROUTE, 7),
        (b"contact", Role.REACH, 11),
        (b"from", Role.IDENTITY, None),
        (b"to", Role.IDENTITY, 8),
        (b"record-route", Role.REACH, 1),
        (b"record-route", Role.REACH, 2),
        (b"record-route", Role.MADDR, 3),
        (b"path", Role.REACH, 4),
        (b"route", Role.ROUTE, 5),
        (b"p-asserted-identity", Role.IDENTITY, 6),
    }


def test_S5_an_address_of_record_has_no_parameters_and_no_capitals() -> None:
    found = message(to='"Bob" <SIP:Bob@Example.com;user=phone>;tag=1')
    assert aor(found, b"to") == b"sip:bob@example.com"
    assert aor(found, b"reply-to") == b""


def test_S2_call_ids_are_found_in_their_headers_and_in_a_refer_to() -> None:
    found = message(
        ("Replaces", "r@10.0.0.11;to-tag=1"),
        ("Refer-To", "<sip:c@d?Replaces=a%4010.0.0.11>"),
        ("In-Reply-To", "i"),
    )
    spans = [found.data[start:end] for start, end in call_id_spans(found)]
    assert spans == [
        b"bob-call@10.0.0.11",
        b"r@10.0.0.11;to-tag=1",
        b"i",
        b"?Replaces=a%4010.0.0.11",
    ]
