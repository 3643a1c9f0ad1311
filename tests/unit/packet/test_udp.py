"""UDP datagrams, checked against scapy-free arithmetic of their own checksums."""

import pytest

from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import build_ipv4, parse_ipv4
from p4alg.packet.udp import is_intact, parse_udp, replace_udp

SRC, DST = 0x0A00000B, 0xC633640B


def frame(body: bytes) -> bytes:
    return build_ipv4((2, 1), 0, SRC, DST, 17, body)


def datagram(payload: bytes, check: bytes = b"\0\0") -> bytes:
    size = (8 + len(payload)).to_bytes(2, "big")
    return frame(b"\x13\x88\x00\x45" + size + check + payload)


def test_a_datagram_is_read() -> None:
    udp = parse_udp(parse_ipv4(datagram(b"hello")))
    assert (udp.src_port, udp.dst_port, udp.payload) == (5000, 69, b"hello")
    assert not udp.has_checksum


@pytest.mark.parametrize("payload", [b"", b"x", b"longer than before"])
def test_a_replaced_payload_has_a_right_checksum(payload: bytes) -> None:
    packet = parse_ipv4(replace_udp(parse_ipv4(datagram(b"hello", b"\x12\x34")), payload))
    assert parse_udp(packet).payload == payload
    assert is_intact(packet)
    assert packet.payload[6:8] != b"\0\0"


def test_no_checksum_stays_none() -> None:
    packet = parse_ipv4(replace_udp(parse_ipv4(datagram(b"hello")), b"bye"))
    assert packet.payload[6:8] == b"\0\0"


def test_damage_is_seen() -> None:
    assert not is_intact(parse_ipv4(datagram(b"hello", b"\x12\x34")))


@pytest.mark.parametrize("body", [b"", b"\0" * 7, b"\0\1\0\2\0\7\0\0", b"\0\1\0\2\0\x09\0\0"])
def test_lengths_that_lie_are_refused(body: bytes) -> None:
    with pytest.raises(PacketError):
        parse_udp(parse_ipv4(frame(body)))


def test_a_payload_beyond_a_datagram_is_refused() -> None:
    with pytest.raises(PacketError):
        replace_udp(parse_ipv4(datagram(b"hello")), bytes(65536))
