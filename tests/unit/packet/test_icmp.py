"""ICMP: what the gateway answers, and what it reports."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.packet.errors import PacketError
from p4alg.packet.ethernet import BROADCAST
from p4alg.packet.icmp import echo_reply, icmp_error, is_query, parse_icmp
from p4alg.packet.ipv4 import Ipv4, build_ipv4, parse_ipv4
from tests.unit.packet.frames import (
    DST,
    ICMP,
    MACS,
    SRC,
    TCP,
    UDP,
    icmp_query,
    internet_sum,
    ip,
    ip_header_is_right,
)


def test_echo_requests_are_answered() -> None:
    reply = parse_ipv4(echo_reply(icmp_query()))
    assert (reply.src, reply.dst, reply.eth.dst) == (DST, SRC, MACS[1])
    assert parse_icmp(reply) == (0, 0, 77, 5)
    assert reply.payload[8:] == b"data"
    assert internet_sum(reply.payload) == 0xFFFF
    assert ip_header_is_right(reply)


@pytest.mark.parametrize(("kind", "expected"), [(0, True), (8, True), (3, False), (11, False)])
def test_queries_are_told_from_errors(kind: int, expected: bool) -> None:
    assert is_query(kind) is expected


def test_errors_quote_the_packet_and_go_to_its_sender() -> None:
    packet = ip(UDP, bytes(1400), vlan=7)
    frame = icmp_error(packet, src_addr=9, type_=3, code=4, mtu=1300)
    assert frame is not None
    error = parse_ipv4(frame)
    assert (error.src, error.dst, error.eth.vlan_id) == (9, SRC, 7)
    assert error.end - error.l3 <= 576
    assert internet_sum(error.payload) == 0xFFFF
    assert error.payload[:2] == b"\3\4"
    assert error.payload[6:8] == (1300).to_bytes(2, "big")
    assert error.payload[8:28] == packet.frame[packet.l3 : packet.l3 + 20]


def error_about(frame: bytes) -> bytes | None:
    return icmp_error(parse_ipv4(frame), src_addr=1, type_=11, code=0)


def later_fragment() -> bytes:
    frame = bytearray(ip(UDP, b"x").frame)
    frame[20:22] = b"\0\x01"
    return bytes(frame)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(icmp_query(kind=3).frame, id="an ICMP error"),
        pytest.param(ip(ICMP, b"").frame, id="an ICMP message without a type"),
        pytest.param(later_fragment(), id="a later fragment"),
        pytest.param(build_ipv4((BROADCAST, MACS[1]), 0, SRC, DST, UDP, b""), id="a broadcast"),
        pytest.param(build_ipv4(MACS, 0, SRC, 0xE0000001, UDP, b""), id="a multicast"),
        pytest.param(build_ipv4(MACS, 0, 0, DST, UDP, b""), id="from no address"),
        pytest.param(build_ipv4(MACS, 0, 0x7F000001, DST, UDP, b""), id="from a loopback"),
        pytest.param(build_ipv4(MACS, 0, 0xE0000001, DST, UDP, b""), id="from a multicast"),
    ],
)
def test_no_errors_about_what_must_not_be_answered(frame: bytes) -> None:
    assert error_about(frame) is None


@pytest.mark.parametrize("packet", [ip(UDP, b"x"), ip(TCP, bytes(20)), icmp_query()])
def test_errors_about_what_one_host_sent_to_another(packet: Ipv4) -> None:
    assert error_about(packet.frame) is not None


def test_G9_a_truncated_message_is_refused() -> None:
    for body in (b"", struct.pack("!BBHHB", 8, 0, 0, 0, 0)):
        with pytest.raises(PacketError):
            parse_icmp(ip(ICMP, body))
    with pytest.raises(PacketError):
        parse_icmp(ip(UDP, bytes(8)))


@given(st.binary(max_size=120), st.integers(0, 255))
def test_G9_an_error_can_be_made_of_any_datagram(data: bytes, proto: int) -> None:
    error = icmp_error(ip(proto, data), src_addr=1, type_=3, code=1)
    assert error is None or parse_icmp(parse_ipv4(error)).type == 3
