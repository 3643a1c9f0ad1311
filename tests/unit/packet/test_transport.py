"""The identifiers of a packet's flow."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.packet.ipv4 import Ipv4, parse_ipv4
from p4alg.packet.transport import CALL_FLAG, transport_ids
from tests.unit.packet.frames import (
    ESP,
    GRE,
    ICMP,
    TCP,
    UDP,
    icmp_query,
    ip,
    tcp_segment,
    udp_datagram,
)


def gre(flags: int, proto: int, call_id: int) -> Ipv4:
    return ip(GRE, struct.pack("!HHHH", flags, proto, 0, call_id) + bytes(4))


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        pytest.param(tcp_segment(), (40000, 21), id="ports of TCP"),
        pytest.param(parse_ipv4(udp_datagram(b"")), (5000, 69), id="ports of UDP"),
        pytest.param(icmp_query(), (77, 77), id="ICMP query"),
        pytest.param(icmp_query(kind=3), None, id="ICMP error"),
        pytest.param(gre(0x3001, 0x880B, 7), (0, CALL_FLAG | 7), id="GRE call"),
        pytest.param(gre(0x3081, 0x880B, 0), (0, CALL_FLAG), id="GRE call 0"),
        pytest.param(gre(0x3000, 0x880B, 7), None, id="GRE that is not enhanced"),
        pytest.param(gre(0x3001, 0x0800, 7), None, id="GRE with something else than PPP"),
        pytest.param(ip(ESP, b"\xde\xad\xbe\xef" + bytes(4)), (0, 0xDEADBEEF), id="SPI of ESP"),
        pytest.param(ip(89, bytes(20)), None, id="another protocol"),
    ],
)
def test_identifiers(packet: Ipv4, expected: tuple[int, int] | None) -> None:
    assert transport_ids(packet) == expected


def test_the_first_fragment_has_them_and_later_ones_do_not() -> None:
    frame = bytearray(udp_datagram(b"data"))
    frame[20:22] = b"\x20\0"
    assert transport_ids(parse_ipv4(bytes(frame))) == (5000, 69)
    frame[20:22] = b"\x20\1"
    assert transport_ids(parse_ipv4(bytes(frame))) is None


@pytest.mark.parametrize(("proto", "least"), [(TCP, 4), (UDP, 4), (ICMP, 8), (GRE, 8), (ESP, 8)])
def test_G9_what_is_too_short_has_none(proto: int, least: int) -> None:
    body = struct.pack("!HHHH", 0x3001, 0x880B, 0, 0)
    if proto == ICMP:
        body = b"\x08" + body[1:]
    assert transport_ids(ip(proto, body[: least - 1])) is None
    assert transport_ids(ip(proto, body[:least])) is not None


@given(st.binary(max_size=40), st.integers(0, 255))
def test_G9_no_datagram_raises(data: bytes, proto: int) -> None:
    transport_ids(ip(proto, data))
