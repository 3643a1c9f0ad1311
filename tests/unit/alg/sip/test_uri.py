"""URIs, hosts and lists of values: where the addresses in them are (S2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.sip.message import SipError
from p4alg.alg.sip.uri import (
    params,
    read_addr,
    read_port,
    read_sent_by,
    read_uri,
    read_value,
    split,
)
from tests.unit.alg.invariant import HOSTILE_NUMBERS
from tests.unit.alg.sip.harness import UDP, ip


def test_S1_addresses_are_plain_dotted_quads() -> None:
    assert read_addr(b"10.0.0.11") == ip("10.0.0.11")
    for odd in (b"010.0.0.11", b"10.0.0", b"10.0.0.256", b"0x0a.0.0.1", b"1.2.3.4.5", b"a.b.c.d"):
        assert read_addr(odd) is None
    assert read_port(b"65535") == 65535
    for odd in (b"65536", b"100000"):
        with pytest.raises(SipError):
            read_port(odd)


@pytest.mark.parametrize(
    ("text", "addr", "port", "proto", "default"),
    [
        (b"sip:10.0.0.11", "10.0.0.11", None, 17, 5060),
        (b"SIP:a:b@10.0.0.11:7;transport=TCP", "10.0.0.11", 7, 6, 5060),
        (b"sips:a@10.0.0.11", "10.0.0.11", None, 6, 5061),
        (b"sip:a;x@10.0.0.11?h=1", "10.0.0.11", None, 17, 5060),
        (b"sip:a?b@10.0.0.11", "10.0.0.11", None, 17, 5060),
        (b"sip:a@[::1]:7", None, 7, 17, 5060),
        (b"sip:a@example.com:7;transport=ws", None, 7, 17, 5060),
    ],
)
def test_S2_uris(text: bytes, addr: str | None, port: int | None, proto: int, default: int) -> None:
    uri = read_uri(text, 0, len(text))
    assert uri is not None
    host = uri.host
    assert (host.addr, host.port) == (None if addr is None else ip(addr), port)
    assert (host.proto, host.default) == (proto, default)


def test_S2_what_is_no_sip_uri_is_left_alone() -> None:
    for text in (b"tel:+1", b"http://10.0.0.11/", b"sip:", b"sip:a b@c", b"mailto:a@10.0.0.11"):
        assert read_uri(text, 0, len(text)) is None


def test_S2_commas_in_quotes_and_brackets_separate_nothing() -> None:
    text = b'"a,\\"b" <sip:a,b@c>, <sip:d;x="e,f">'
    assert [text[a:b] for a, b in split(text, 0, len(text))] == [
        b'"a,\\"b" <sip:a,b@c>',
        b' <sip:d;x="e,f">',
    ]


def test_S2_maddr_takes_the_place_of_the_host_at_the_port_of_the_uri() -> None:
    text = b"sip:a@example.com:5070;lr;MADDR=10.0.0.11;transport=tcp?x=1"
    uri = read_uri(text, 0, len(text))
    assert uri is not None
    assert uri.maddr is not None
    assert (uri.maddr.addr, uri.maddr.number, uri.maddr.proto) == (ip("10.0.0.11"), 5070, 6)
    assert text[uri.maddr.start : uri.maddr.end] == b"10.0.0.11"
    assert text[slice(*uri.headers)] == b"?x=1"


def test_S2_parameters_have_names_in_lower_case_and_perhaps_a_value() -> None:
    text = b';Branch = z9 ; rport;x="a;b" ;y=1,z'
    found = [(name, text[start:end]) for name, start, end in params(text, 0, len(text))]
    assert found == [(b"branch", b"z9"), (b"rport", b""), (b"x", b'"a;b"'), (b"y", b"1")]


def test_S2_without_brackets_parameters_are_those_of_the_header() -> None:
    for text, uri in (
        (b'"a <b>" <sip:c@d;e>;tag=1', b"sip:c@d;e"),
        (b" sip:c@d;tag=1", b"sip:c@d"),
        (b"sip:c@d?h=1", b"sip:c@d"),
        (b"", b""),
    ):
        assert text[slice(*read_value(text, 0, len(text)).uri)] == uri


def test_S2_a_sent_by_may_have_spaces_around_its_colon() -> None:
    text = b"10.0.0.11 : 5070;rport"
    host = read_sent_by(text, 0, len(text), UDP, 5060)
    assert host is not None
    assert (host.addr, host.number, text[host.end :]) == (ip("10.0.0.11"), 5070, b";rport")
    assert read_sent_by(b";x", 0, 2, UDP, 5060) is None


@pytest.mark.parametrize("text", HOSTILE_NUMBERS, ids=lambda text: repr(text[:9]))
def test_G9_a_hostile_port_is_an_error_of_the_protocol(text: bytes) -> None:
    if text.isdigit() and len(text) < 6 and int(text) < 65536:
        assert read_port(text) == int(text)
    else:
        with pytest.raises(SipError, match="bad-port"):
            read_port(text)
    assert read_addr(b"10.0.0." + text) in (None, ip("10.0.0.0"), ip("10.0.0.255"))


PIECES = st.lists(
    st.sampled_from([b"sip:", b"a@", b"10.0.0.11", b":", b"5060", b";", b"maddr=", b"<", b">"])
    | st.sampled_from([b'"', b"\\", b",", b"?", b"[::1]", b" ", b"\xff", b"="])
)


@given(PIECES)
def test_G9_any_pieces_are_read_within_their_span_or_refused(pieces: list[bytes]) -> None:
    text = b"<x>" + b"".join(pieces) + b"@10.0.0.12;maddr=10.0.0.13"
    start, end = 3, 3 + sum(map(len, pieces))
    try:
        values = split(text, start, end)
        uris = [read_uri(text, *read_value(text, *value).uri) for value in values]
    except SipError as error:
        word = error.word
    else:
        word = ""
    assert word in ("", "bad-quote", "bad-port")
    if word:
        return
    assert values[0][0] == start
    assert values[-1][1] == end
    for uri in uris:
        if uri is not None:
            assert start <= uri.host.start <= uri.host.end <= uri.headers[1] <= end
            assert uri.maddr is None or uri.maddr.end <= end
