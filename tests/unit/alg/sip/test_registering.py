"""S5: registrations, and who may call in."""

import pytest

from p4alg.alg.sip.limits import SipLimits, SipSettings
from tests.unit.alg.sip.harness import (
    TCP,
    Agent,
    Line,
    at,
    header,
    headers,
    start,
    world,
)

PHONE = "10.0.0.11:5060"


def phone_line(settings: SipSettings | None = None) -> tuple[Line, Agent]:
    return Line(*world(settings), PHONE), Agent("bob", PHONE)


def register(
    phone: Agent, expires: str = "3600", contact: str | None = None, cseq: int = 0
) -> bytes:
    return phone.request(
        "REGISTER",
        "sip:example.com",
        to="<sip:bob@example.com>",
        cseq=cseq,
        extra=[("Expires", expires)] if expires else [],
        contact=contact,
    )


def accept(request: bytes, contact: str | None = None, extra: str = "") -> bytes:
    """The registrar's 200, which lists the contact it got."""
    listed = header(request, "Contact") if contact is None else contact
    registrar = Agent("registrar", "198.51.100.1:5060")
    return registrar.answer(request, 200, contact=listed, extra=[("Expires", extra)])


def test_S5_the_binding_opens_on_the_2xx_and_no_sooner() -> None:
    line, phone = phone_line()
    asked = line.out(register(phone))
    assert header(asked, "Contact") == f"<sip:bob@{line.seen}>"
    assert line.nat.openings() == set()
    line.back(Agent("registrar", "198.51.100.1:5060").answer(asked, 401, contact=""))
    assert line.nat.openings() == set()
    told = line.back(accept(asked))
    assert line.nat.openings() == {f"udp {PHONE}<-198.51.100.1 sip registration"}
    assert [r.lifetime for r in line.nat.open.values()] == [3600]
    assert line.pinholes() == list(line.nat.open)
    assert header(told, "Contact") == f"<sip:bob@{PHONE}>"


@pytest.mark.parametrize(
    ("asked", "answer", "header_says", "seconds"),
    [
        ("<{}>", "<{}>", "", 3600),
        ("<{}>", "<{}>", "1800", 1800),
        ("<{}>", "<{}>;expires=60", "1800", 60),
        ("<{}>;expires=600", "<{}>;expires=300;q=0.5", "", 300),
        ('"B, ob" <{};ob>;expires=600', "<{};ob>", "", 600),
        ("{};expires=500", "{};expires=99999999999999", "", 86400),
        ("<{}>;expires=600", "<sip:bob@192.0.2.9>;expires=9, <{}>;expires=70", "", 70),
        ("<{}>", "", "", 3600),
    ],
)
def test_S5_it_lives_as_long_as_the_registrar_says(
    asked: str, answer: str, header_says: str, seconds: int
) -> None:
    line, phone = phone_line()
    request = line.out(register(phone, contact=asked.format(f"sip:bob@{PHONE}")))
    assert str(line.seen) in header(request, "Contact")
    line.back(accept(request, answer.format(f"sip:bob@{line.seen}"), header_says))
    assert [r.lifetime for r in line.nat.open.values()] == [seconds]


def test_S5_a_contact_that_the_registrar_does_not_list_opens_nothing() -> None:
    line, phone = phone_line()
    request = line.out(register(phone))
    line.back(accept(request, "<sip:bob@192.0.2.9>;expires=60"))
    assert line.nat.openings() == set()


def test_S5_it_is_renewed_and_ends_by_the_clock() -> None:
    line, phone = phone_line()
    line.back(accept(line.out(register(phone, "100"))))
    first = list(line.nat.open)
    line.now = 90.0
    line.back(accept(line.out(register(phone, "100"))))
    assert list(line.nat.open) == first
    line.tick(150.0)
    assert len(line.nat.open) == 1
    line.tick(190.1)
    assert line.nat.openings() == set()
    assert not line.calls.registrations


@pytest.mark.parametrize("contact", [None, f"<sip:bob@{PHONE}>;expires=0", "*"])
def test_S5_it_closes_on_expires_0(contact: str | None) -> None:
    line, phone = phone_line()
    line.back(accept(line.out(register(phone))))
    assert line.nat.openings()
    gone = line.out(register(phone, "0", contact))
    if contact == "*":
        assert header(gone, "Contact") == "*"
    assert line.nat.openings()  # Not before the registrar agrees.
    line.back(accept(gone, ""))
    assert line.nat.openings() == set()
    assert line.calls.registration_rows(line.now) == []


def test_S5_star_ends_every_contact_of_the_address_and_no_other() -> None:
    line, phone = phone_line()
    for port in (5060, 5070):
        line.back(accept(line.out(register(phone, contact=f"<sip:bob@10.0.0.11:{port}>"))))
    other = Agent("eve", PHONE)
    line.back(accept(line.out(other.request("REGISTER", "sip:x", to="<sip:eve@x>"))))
    assert len(line.calls.registrations) == 3
    line.back(accept(line.out(register(phone, "0", "*")), ""))
    assert [row["address"] for row in line.calls.registration_rows(0.0)] == ["sip:eve@x"]


def test_S5_several_contacts_are_all_rewritten_and_opened() -> None:
    line, phone = phone_line()
    both = f"<sip:bob@{PHONE}>, <sip:bob@10.0.0.11:5070;transport=TCP>;q=0.1"
    request = line.out(register(phone, contact=both))
    assert "10.0.0.11" not in header(request, "Contact")
    line.back(accept(request))
    assert line.nat.openings() == {
        "udp 10.0.0.11:5060<-198.51.100.1 sip registration",
        "tcp 10.0.0.11:5070<-198.51.100.1 sip registration",
    }


def test_S5_a_contact_port_of_its_own_is_held_while_it_is_registered() -> None:
    line, phone = phone_line()
    request = line.out(register(phone, "5000", "<sip:bob@10.0.0.11:5070>"))
    line.back(accept(request))
    line.tick(4000.0)
    assert line.nat.reserved() == {"10.0.0.11:5070"}
    assert str(line.nat.bindings[(17, at("10.0.0.11:5070"))]) in header(request, "Contact")
    line.tick(5001.0)
    assert line.nat.reserved() == set()


def test_S5_an_inbound_call_over_tcp_reaches_the_port_that_was_registered() -> None:
    nat, calls = world()
    line = Line(nat, calls, "10.0.0.11:41000", proto=TCP)
    phone = Agent("bob", PHONE, "TCP")
    request = line.out(register(phone))
    shown = nat.bindings[(TCP, at(PHONE))]
    assert header(request, "Contact") == f"<sip:bob@{shown};transport=tcp>"
    assert header(request, "Via").startswith(f"SIP/2.0/TCP {shown};")
    line.back(accept(request))
    assert nat.openings() == {f"tcp {PHONE}<-198.51.100.1 sip registration"}
    inbound = Line(nat, calls, PHONE, at("198.51.100.1:33333"), TCP, opened_by_inside=False)
    call = Agent("alice", "198.51.100.9:5060").request("INVITE", f"sip:bob@{shown}")
    assert start(inbound.back(call)) == f"INVITE sip:bob@{PHONE} SIP/2.0"


def test_S5_inbound_requests_come_only_from_the_registrar() -> None:
    nat, calls = world()
    line, phone = Line(nat, calls, PHONE), Agent("bob", PHONE)
    call = Agent("alice", "198.51.100.9:5060").request("INVITE", f"sip:bob@{line.seen}")
    registrar = Line(nat, calls, PHONE, at("198.51.100.1:5099"), opened_by_inside=False)
    stranger = Line(nat, calls, PHONE, at("198.51.100.9:5060"), opened_by_inside=False)
    for inbound in (registrar, stranger):
        assert inbound.back(call) == b""
        assert inbound.refusals() == ["unregistered-source"]
    line.back(accept(line.out(register(phone))))
    assert start(registrar.back(call)) == f"INVITE sip:bob@{PHONE} SIP/2.0"
    assert stranger.back(call) == b""
    # The flow that the phone opened is its server's.
    assert start(line.back(call)) == f"INVITE sip:bob@{PHONE} SIP/2.0"
    registrar.now = 3601.0
    assert registrar.back(call.replace(b"z9hG4bK", b"z9hG4bK2")) == b""


def test_S5_inbound_requests_from_anyone_if_configured() -> None:
    nat, calls = world(SipSettings(inbound_from_anyone=True))
    line = Line(nat, calls, PHONE, at("198.51.100.9:5060"), opened_by_inside=False)
    call = Agent("alice", "198.51.100.9:5060").request("INVITE", f"sip:bob@{line.seen}")
    assert start(line.back(call)) == f"INVITE sip:bob@{PHONE} SIP/2.0"


def test_S5_an_outside_phone_registers_with_a_server_inside() -> None:
    nat, calls = world(SipSettings(inbound_from_anyone=True))
    line = Line(nat, calls, PHONE, at("198.51.100.9:5060"), opened_by_inside=False)
    alice = Agent("alice", "198.51.100.9:5060")
    request = line.back(alice.request("REGISTER", f"sip:{line.seen}"))
    assert start(request) == f"REGISTER sip:{PHONE} SIP/2.0"
    assert header(request, "Contact") == alice.contact
    answer = line.out(Agent("pbx", PHONE).answer(request, 200, contact=alice.contact))
    assert header(answer, "Contact") == alice.contact
    assert nat.openings() == set()


def test_S5_the_answer_has_to_match_a_request() -> None:
    line, phone = phone_line()
    asked = line.out(register(phone))
    for forged in (
        accept(asked).replace(b"branch=z9hG4bK-bob-1", b"branch=z9hG4bK-x"),
        accept(asked).replace(b"1 REGISTER", b"2 REGISTER"),
        accept(asked).replace(b"Call-ID: bob", b"Call-ID: bib"),
    ):
        line.back(forged)
        assert line.nat.openings() == set()
        assert line.events() == ["unmatched-response"]
    line.now = 33.0  # The transaction is over (64*T1).
    line.back(accept(asked))
    assert line.nat.openings() == set()


def test_S6_subscribe_lets_notify_in_until_it_is_terminated() -> None:
    line, phone = phone_line()
    asked = line.out(phone.request("SUBSCRIBE", "sip:bob@example.com", extra=[("Expires", "600")]))
    server = Agent("server", "198.51.100.1:5060")
    line.back(server.answer(asked, 202, extra=[("Expires", "300")]))
    assert line.nat.openings() == {f"udp {PHONE}<-198.51.100.1 sip subscription"}
    assert [r.lifetime for r in line.nat.open.values()] == [300]
    inbound = Line(line.nat, line.calls, PHONE, at("198.51.100.1:5099"), opened_by_inside=False)
    notify = server.request(
        "NOTIFY",
        f"sip:bob@{line.seen}",
        call=header(asked, "Call-ID"),
        extra=[("Subscription-State", "active;expires=300")],
    )
    assert start(inbound.back(notify)) == f"NOTIFY sip:bob@{PHONE} SIP/2.0"
    assert line.nat.openings()
    inbound.back(notify.replace(b"active;", b"terminated;").replace(b"server-1", b"server-2"))
    assert line.nat.openings() == set()


def test_G4_registrations_are_limited_and_the_old_kept() -> None:
    line, phone = phone_line(SipSettings(SipLimits(registrations_per_host=2)))
    for port in (5070, 5071):
        line.back(accept(line.out(register(phone, contact=f"<sip:bob@10.0.0.11:{port}>"))))
    request = line.out(register(phone, contact="<sip:bob@10.0.0.11:5072>"))
    line.back(accept(request))
    assert line.refusals() == ["registration-limit"]
    assert len(line.nat.open) == 2
    line.back(accept(line.out(register(phone, contact="<sip:bob@10.0.0.11:5070>"))))
    assert line.refusals() == []


def test_G4_a_refused_pinhole_refuses_the_answer_and_leaves_nothing() -> None:
    line, phone = phone_line()
    asked = line.out(register(phone))
    line.nat.refuse_with = "pinhole-limit"
    line.back(accept(asked))
    assert line.refusals() == ["pinhole-limit"]
    assert not line.calls.registrations
    assert len(line.calls.ledger) == 0
    line.nat.refuse_with = ""
    line.back(accept(asked))  # As the registrar repeats it.
    assert len(line.nat.open) == 1


def test_S5_an_answer_keeps_what_the_phone_wrote_of_itself() -> None:
    for contact in ("<sip:bob@10.0.0.11>", "<sip:bob@10.0.0.11:5060>"):
        line, phone = phone_line()
        told = line.back(accept(line.out(register(phone, contact=contact))))
        assert header(told, "Contact") == contact
        assert "10.0.0.11" in headers(told, "Via")[0][1]


def test_S5_keepalives_are_no_messages() -> None:
    line, _ = phone_line()
    for ping in (b"\r\n\r\n", b"\0", b"", b"jaK\0", b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12)):
        assert line.out(ping) == ping
        assert line.events() == line.refusals() == []


def test_S5_a_phone_that_knows_its_outside_endpoint_registers_with_it() -> None:
    line, phone = phone_line()
    contact = f"<sip:bob@{line.seen}>"
    asked = line.out(register(phone, contact=contact))
    assert header(asked, "Contact") == contact
    line.back(accept(asked))
    assert line.nat.openings() == {f"udp {PHONE}<-198.51.100.1 sip registration"}


@pytest.mark.parametrize(("port", "reason"), [(80, "low-port"), (6000, "denied-port")])
def test_G7_a_contact_at_a_low_or_denied_port_is_refused(port: int, reason: str) -> None:
    line, phone = phone_line()
    line.nat.denied = frozenset({6000})
    assert line.out(register(phone, contact=f"<sip:bob@10.0.0.11:{port}>")) == b""
    assert line.refusals() == [reason]
    assert line.nat.reserved() == set()
