"""UDP datagrams, with checksums that the tests compute themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.packet.udp import is_intact, parse_udp, replace_udp
from tests.unit.packet.frames import (
    UDP,
    ip,
    ip_header_is_right,
    transport_is_right,
    udp_datagram,
    with_checksum,
)


def test_a_datagram_is_read() -> None:
    udp = parse_udp(parse_ipv4(udp_datagram(b"hello")))
    assert (udp.src_port, udp.dst_port, udp.payload) == (5000, 69, b"hello")
    assert not udp.has_checksum


def test_what_follows_a_datagram_is_no_part_of_it() -> None:
    body = parse_ipv4(udp_datagram(b"hello")).payload
    assert parse_udp(ip(UDP, body + b"more")).payload == b"hello"


@pytest.mark.parametrize("payload", [b"", b"x", b"longer than before"])
def test_a_replaced_payload_has_a_right_checksum(payload: bytes) -> None:
    packet = parse_ipv4(replace_udp(parse_ipv4(udp_datagram(b"hello", b"\x12\x34")), payload))
    assert parse_udp(packet).payload == payload
    assert is_intact(packet)
    assert transport_is_right(packet)
    assert ip_header_is_right(packet)


def test_no_checksum_stays_none() -> None:
    packet = parse_ipv4(replace_udp(parse_ipv4(udp_datagram(b"hello")), b"bye"))
    assert packet.payload[6:8] == b"\0\0"
    assert is_intact(packet)


@given(st.binary(max_size=30), st.integers(0, 37), st.integers(1, 255))
def test_G7_damage_is_seen(payload: bytes, at: int, change: int) -> None:
    body = bytearray(with_checksum(parse_ipv4(udp_datagram(payload)).payload, 6, UDP))
    assert is_intact(ip(UDP, bytes(body)))
    # Not in the length, which says how much is covered, or in the checksum, which could become 0.
    at = at % len(body) if at % len(body) not in (4, 5, 6, 7) else 0
    body[at] ^= change
    assert not is_intact(ip(UDP, bytes(body)))


@pytest.mark.parametrize("body", [b"", b"\0" * 7, b"\0\1\0\2\0\7\0\0", b"\0\1\0\2\0\x09\0\0"])
def test_G9_lengths_that_do_not_fit_are_refused(body: bytes) -> None:
    with pytest.raises(PacketError):
        parse_udp(ip(UDP, body))


def test_G7_a_fragment_is_not_read() -> None:
    frame = bytearray(udp_datagram(b"hello"))
    frame[20] = 0x20
    with pytest.raises(PacketError):
        parse_udp(parse_ipv4(bytes(frame)))


def test_a_payload_beyond_a_datagram_is_refused() -> None:
    packet = parse_ipv4(udp_datagram(b"hello"))
    with pytest.raises(PacketError):
        replace_udp(packet, bytes(65508))
    assert len(parse_udp(parse_ipv4(replace_udp(packet, bytes(65507)))).payload) == 65507
