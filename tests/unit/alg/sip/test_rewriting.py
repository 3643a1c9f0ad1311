"""S2: addresses in headers, outward and back; G7: whose they may be."""

import pytest

from tests.unit.alg.sip.harness import (
    UDP,
    Agent,
    Line,
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
REMOTE = Agent("alice", "198.51.100.9:5060")


@pytest.fixture
def line() -> Line:
    return Line(*world(), PHONE)


BASE = (
    ("Via", f"SIP/2.0/UDP {PHONE};branch=z9hG4bK1"),
    ("From", "<sip:bob@example.com>;tag=1"),
    ("To", "<sip:alice@example.com>"),
    ("Call-ID", "call1"),
    ("CSeq", "1 OPTIONS"),
)


def options(target: str = "sip:alice@example.com", **extra: str) -> bytes:
    """An OPTIONS of the phone; keywords replace or add headers."""
    wanted = dict(BASE) | {name.replace("_", "-"): value for name, value in extra.items()}
    return build(f"OPTIONS {target} SIP/2.0", list(wanted.items()))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("Contact", "<sip:bob@10.0.0.11>", "<sip:bob@{seen}>"),
        ("Contact", "<sip:10.0.0.11:5060>", "<sip:{seen}>"),
        ("Contact", "sip:bob@10.0.0.11:5060", "sip:bob@{seen}"),
        ("Contact", "sip:bob@10.0.0.11;q=0.1", "sip:bob@{seen};q=0.1"),
        ("Contact", '"A <b>, \\"c" <sip:b;x=1@10.0.0.11:5060;ob>;q=1', None),
        ("Contact", "<sip:bob@10.0.0.11;maddr=10.0.0.11;lr>", "<sip:bob@{seen};maddr={addr};lr>"),
        ("Contact", "<tel:+1>, Bob <sip:bob@10.0.0.11>", "<tel:+1>, Bob <sip:bob@{seen}>"),
        ("Record-Route", "<sip:10.0.0.11;lr>,<sip:p@10.0.0.11:5060;lr>", None),
        ("Route", "<sip:192.0.2.1;lr>, <sip:10.0.0.11:5060;lr>", None),
        ("Path", "<sip:10.0.0.11;lr>", "<sip:{seen};lr>"),
        ("From", "sip:bob@10.0.0.11;tag=1", "sip:bob@{addr};tag=1"),
        ("From", "Bob <sip:bob@10.0.0.11:5060>;tag=1", "Bob <sip:bob@{seen}>;tag=1"),
        ("To", "<sip:bob@10.0.0.11>", "<sip:bob@{addr}>"),
        ("Call-ID", "1234@10.0.0.11", "1234@{addr}"),
        ("Call-ID", "10.0.0.11-1234", "{addr}-1234"),
        ("Refer-To", "<sip:bob@10.0.0.11:5060?Replaces=7%4010.0.0.11%3Bto-tag%3D1>", None),
        ("Referred-By", "<sip:bob@10.0.0.11>;cid=x", "<sip:bob@{addr}>;cid=x"),
        ("P-Asserted-Identity", '"B" <sip:bob@10.0.0.11>, <tel:+1>', None),
        ("Remote-Party-ID", "<sip:bob@10.0.0.11>;party=calling", None),
        ("Replaces", "7@10.0.0.11;to-tag=1;from-tag=2", "7@{addr};to-tag=1;from-tag=2"),
        ("Contact", "<sips:bob@10.0.0.11>", "<sips:bob@203.0.113.2:{sips}>"),
    ],
)
def test_S2_the_inside_host_is_named_as_the_outside_sees_it(
    line: Line, name: str, value: str, told: str | None
) -> None:
    out = line.out(options(**{name.replace("-", "_"): value}))
    seen = str(line.seen)
    sips = line.nat.bindings.get((6, at("10.0.0.11:5061")), line.seen).port
    if told is None:
        told = value.replace("10.0.0.11:5060", "10.0.0.11")
        told = told.replace("%4010.0.0.11", "%40{addr}")
        told = told.replace(
            "10.0.0.11", "{addr}" if name[0] == "P" or "Party" in name else "{seen}"
        )
    assert header(out, name) == told.format(seen=seen, addr="203.0.113.2", sips=sips)
    assert b"10.0.0.11" not in out


def test_S2_request_uri_and_via_outward(line: Line) -> None:
    via = f"SIP/2.0/UDP {PHONE};rport;maddr=10.0.0.11;branch=z9hG4bK1"
    out = line.out(options("sip:x@10.0.0.11:5060;lr", Via=via))
    assert start(out) == f"OPTIONS sip:x@{line.seen};lr SIP/2.0"
    told = f"SIP/2.0/UDP {line.seen};rport;maddr=203.0.113.2;branch=z9hG4bK1"
    assert header(out, "Via") == told


def test_S2_a_via_of_another_transport_gets_a_port_of_its_own(line: Line) -> None:
    out = line.out(options(Via="SIP / 2.0 / TCP 10.0.0.11 : 5070 ;branch=z9hG4bK1"))
    shown = line.nat.bindings[(6, at("10.0.0.11:5070"))]
    assert header(out, "Via") == f"SIP / 2.0 / TCP {shown} ;branch=z9hG4bK1"
    assert line.nat.openings() == set()


def test_S2_what_the_outside_learnt_is_mapped_back(line: Line) -> None:
    via = f"SIP/2.0/UDP {PHONE};rport;branch=z9hG4bK1"
    asked = line.out(options(Via=via, From="<sip:bob@10.0.0.11>;tag=1", Call_ID="7@10.0.0.11"))
    seen = f";received=203.0.113.2;rport={line.seen.port};"
    answer = REMOTE.answer(asked, 200).replace(b";rport;", seen.encode())
    told = line.back(answer)
    assert header(told, "Via") == (
        f"SIP/2.0/UDP {PHONE};received=10.0.0.11;rport=5060;branch=z9hG4bK1"
    )
    assert header(told, "From") == "<sip:bob@10.0.0.11>;tag=1"
    assert header(told, "Call-ID") == "7@10.0.0.11"
    assert header(told, "Contact") == REMOTE.contact
    assert b"203.0.113.2" not in told


def test_S2_a_named_sent_by_learns_no_outside_endpoint_either(line: Line) -> None:
    asked = line.out(options(Via="SIP/2.0/UDP phone.local;rport;branch=z9hG4bK1"))
    seen = f";received=203.0.113.2;rport={line.seen.port};"
    told = line.back(REMOTE.answer(asked, 200).replace(b";rport;", seen.encode()))
    assert ";received=10.0.0.11;rport=5060;" in header(told, "Via")


@pytest.mark.parametrize("has_port", [True, False])
def test_S2_an_inbound_request_names_the_phone_as_it_names_itself(
    line: Line, has_port: bool
) -> None:
    own = PHONE if has_port else "10.0.0.11"
    line.out(options(Contact=f"<sip:bob@{own}>"))
    call = REMOTE.request(
        "MESSAGE",
        f"sip:bob@{line.seen};ob",
        to=f"<sip:bob@{line.seen}>",
        extra=[
            ("Route", f"<sip:{line.seen};lr>"),
            ("P-Called-Party-ID", "<sip:bob@example.com>"),
            ("Refer-To", f"<sip:bob@{line.seen}>"),
        ],
    )
    told = line.back(call)
    assert start(told) == f"MESSAGE sip:bob@{own};ob SIP/2.0"
    assert header(told, "To") == f"<sip:bob@{PHONE}>"
    assert header(told, "Route") == f"<sip:{PHONE};lr>"
    assert header(told, "Refer-To") == f"<sip:bob@{PHONE}>"
    answer = line.out(Agent("bob", PHONE).answer(told, 200))
    assert header(answer, "To").startswith(f"<sip:bob@{line.seen}>")
    assert header(answer, "Via") == header(call, "Via")


def test_S2_a_request_uri_without_port_is_the_phones_too(line: Line) -> None:
    told = line.back(REMOTE.request("MESSAGE", "sip:bob@203.0.113.2", to="<sip:b@203.0.113.2>"))
    assert start(told) == "MESSAGE sip:bob@10.0.0.11 SIP/2.0"
    assert header(told, "To") == "<sip:b@10.0.0.11>"


def test_S2_the_port_is_left_out_where_it_is_the_default_one() -> None:
    nat, calls = world()
    line = Line(nat, calls, PHONE, outside_port=5060)
    out = line.out(options(Contact="<sip:bob@10.0.0.11>"))
    assert header(out, "Contact") == "<sip:bob@203.0.113.2>"
    assert header(out, "Via").startswith("SIP/2.0/UDP 203.0.113.2:5060;")


def test_S2_register_gets_its_own_to_back(line: Line) -> None:
    asked = line.out(Agent("bob", PHONE).request("REGISTER", "sip:r", to="<sip:bob@10.0.0.11>"))
    assert header(asked, "To") == "<sip:bob@203.0.113.2>"
    told = line.back(Agent("r", "198.51.100.1:5060").answer(asked, 200))
    assert header(told, "To") == "<sip:bob@10.0.0.11>;tag=tag-r"


def test_S2_the_caller_of_an_inbound_call_keeps_its_name(line: Line) -> None:
    # Another inside host may well be seen at the same address.
    call = REMOTE.request(
        "INVITE", f"sip:bob@{line.seen}", call="9@203.0.113.2", sender="<sip:ann@203.0.113.2>"
    )
    told = line.back(call)
    assert header(told, "From") == header(call, "From")
    answer = line.out(Agent("bob", PHONE).answer(told, 486))
    assert header(answer, "From") == header(call, "From")
    assert header(answer, "Call-ID") == "9@203.0.113.2"


def test_S2_compact_forms_folded_lines_and_any_case(line: Line) -> None:
    out = line.out(
        b"OPTIONS sip:a@example.com SIP/2.0\r\n"
        b"v: SIP/2.0/UDP\r\n 10.0.0.11:5060\r\n\t;branch=z9hG4bK1\r\n"
        b"f: <sip:bob@10.0.0.11>;tag=1\r\nTO: <sip:a@example.com>\r\n"
        b"i : 5@10.0.0.11\r\ncSEQ: 1\r\n OPTIONS\r\n"
        b'm:\r\n "Bob\r\n B" <sip:bob@10.0.0.11>\r\n ,<sip:b2@10.0.0.11:5060>\r\nl: 0\r\n\r\n'
    )
    seen = str(line.seen).encode()
    assert b"10.0.0.11" not in out
    assert b"UDP\r\n " + seen + b"\r\n\t;branch" in out
    assert b"i : 5@203.0.113.2\r\n" in out
    assert b'"Bob\r\n B" <sip:bob@' + seen + b">\r\n ,<sip:b2@" + seen + b">\r\nl: 0" in out


def test_S2_content_length_follows_the_body(line: Line) -> None:
    phone = Agent("bob", PHONE)
    request = phone.request("INVITE", "sip:alice@example.com", sdp=sdp("10.0.0.11"))
    out = line.out(request)
    assert len(body(out)) != len(body(request))  # body() compares with Content-Length.
    # None is added where none was.
    bare = request.replace(b"Content-Length: %d\r\n" % len(body(request)), b"")
    bare = bare.replace(b"bob-1", b"bob-2")
    out = line.out(bare)
    assert headers(out, "Content-Length") == []
    assert b"c=IN IP4 203.0.113.2\r\n" in out


def test_S2_what_is_not_understood_survives(line: Line) -> None:
    odd = b'X-Odd:   \xff\xfe  <not a uri> 10.0.0.12 \r\nSubject:\r\nWarning: 399 10.0.0.12 "x"\r\n'
    request = options(Contact="<sip:bob@10.0.0.11>").replace(b"CSeq:", odd + b"CSeq:")
    assert odd in line.out(request)


def test_G7_addresses_of_other_inside_hosts_are_left_alone(line: Line) -> None:
    nat = line.nat
    nat.bind(UDP, at("10.0.0.12:5060"))
    other = str(nat.bindings[(UDP, at("10.0.0.12:5060"))])
    contact = "<sip:ann@10.0.0.12:5060>"
    phone = Agent("bob", PHONE)
    asked = line.out(phone.request("REGISTER", "sip:r", contact=contact))
    assert header(asked, "Contact") == contact
    line.back(Agent("r", "198.51.100.1:5060").answer(asked, 200, contact=contact))
    assert nat.openings() == set()
    # Nor is the other's outside endpoint translated for this one.
    told = line.back(REMOTE.request("MESSAGE", f"sip:ann@{other}", contact=f"<sip:{other}>"))
    assert start(told) == f"MESSAGE sip:ann@{other} SIP/2.0"
    assert header(told, "Contact") == f"<sip:{other}>"


def test_G8_two_phones_with_the_same_inside_port_and_names_do_not_meet() -> None:
    nat, calls = world()
    lines = [Line(nat, calls, f"10.0.0.{n}:5060") for n in (11, 12)]
    for line in lines:
        phone = Agent("bob", str(line.inside))
        asked = line.out(phone.request("REGISTER", "sip:r"))
        assert header(asked, "Contact") == f"<sip:bob@{line.seen}>"
        told = line.back(
            Agent("r", "198.51.100.1:5060").answer(asked, 200, contact=header(asked, "Contact"))
        )
        assert header(told, "Contact") == phone.contact
    assert lines[0].seen != lines[1].seen
    assert len(nat.open) == 2
    for line in lines:
        told = line.back(Relay().request(REMOTE.request("OPTIONS", f"sip:bob@{line.seen}")))
        assert start(told) == f"OPTIONS sip:bob@{line.inside} SIP/2.0"


def test_S2_a_server_inside_is_reached_and_answers_by_its_outside_endpoint() -> None:
    nat, calls = world()
    line = Line(nat, calls, PHONE)
    call = REMOTE.request("OPTIONS", f"sip:{line.seen}")
    told = line.back(call)
    answer = Agent("pbx", PHONE).answer(told, 200, extra=[("Record-Route", f"<sip:{PHONE};lr>")])
    out = line.out(answer)
    assert header(out, "Record-Route") == f"<sip:{line.seen};lr>"
    assert header(out, "Contact") == f"<sip:pbx@{line.seen}>"
    then = line.back(
        REMOTE.request(
            "OPTIONS", f"sip:pbx@{line.seen}", extra=[("Route", f"<sip:{line.seen};lr>")]
        )
    )
    assert header(then, "Route") == f"<sip:{PHONE};lr>"


def test_S2_a_port_that_is_not_held_is_kept_where_nothing_is_sent_to_it(line: Line) -> None:
    out = line.out(options("sip:x@10.0.0.11:7777", From="<sip:b@10.0.0.11:7000>;tag=1"))
    assert start(out) == "OPTIONS sip:x@203.0.113.2:7777 SIP/2.0"
    assert header(out, "From") == "<sip:b@203.0.113.2:7000>;tag=1"
    assert line.nat.reserved() == set()


def test_S2_what_a_server_inside_received_itself_is_translated(line: Line) -> None:
    via = f"SIP/2.0/UDP pbx.local;received=10.0.0.11;rport={line.inside.port};branch=z9hG4bK1"
    out = line.out(options(Via=via))
    assert f";received=203.0.113.2;rport={line.seen.port};" in header(out, "Via")
