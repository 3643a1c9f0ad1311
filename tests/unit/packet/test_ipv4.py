"""IPv4 datagrams: reading, replacing their payload, fragmenting."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import (
    Ipv4,
    allow_fragments,
    build_ipv4,
    fragment_ipv4,
    parse_ipv4,
    replace_ipv4,
)
from tests.unit.packet.frames import DST, MACS, SRC, UDP, ip, ip_header_is_right

addresses = st.integers(0x01000000, 0x7EFFFFFF)


@given(addresses, addresses, st.integers(0, 4095), st.binary(max_size=99), st.binary(max_size=99))
def test_building_and_replacing(
    src: int, dst: int, vlan: int, payload: bytes, other: bytes
) -> None:
    packet = parse_ipv4(build_ipv4(MACS, vlan, src, dst, UDP, payload) + b"padding")
    assert (packet.src, packet.dst, packet.eth.vlan_id) == (src, dst, vlan)
    assert packet.payload == payload
    changed = parse_ipv4(replace_ipv4(packet, other))
    assert changed.payload == other
    assert ip_header_is_right(changed)


def test_replacing_the_payload_keeps_options_and_all_else() -> None:
    packet = with_options(ip(UDP, b"payload"))
    changed = parse_ipv4(replace_ipv4(packet, b"other"))
    assert changed.frame[: changed.l3 + 2] == packet.frame[: packet.l3 + 2]
    assert changed.frame[changed.l3 + 4 : changed.l3 + 10] == packet.frame[18:24]
    assert changed.frame[changed.l3 + 12 : changed.l4] == packet.frame[26 : packet.l4]
    assert changed.payload == b"other"


def test_a_built_datagram_forbids_fragments() -> None:
    packet = ip(UDP, b"")
    assert packet.dont_fragment
    assert not packet.is_fragment
    assert packet.ttl == 64


@given(st.binary(max_size=200))
def test_G9_no_bytes_raise_anything_but_a_packet_error(data: bytes) -> None:
    try:
        parse_ipv4(data)
    except PacketError:
        return


@pytest.mark.parametrize(
    ("at", "value"),
    [
        pytest.param(12, 0x86, id="another ether type"),
        pytest.param(14, 0x65, id="another version"),
        pytest.param(14, 0x44, id="header shorter than its least"),
        pytest.param(16, 0xFF, id="longer than the frame"),
        pytest.param(17, 19, id="shorter than the header"),
    ],
)
def test_G9_a_header_that_does_not_fit_is_refused(at: int, value: int) -> None:
    frame = bytearray(build_ipv4(MACS, 0, SRC, DST, UDP, b""))
    frame[at] = value
    with pytest.raises(PacketError):
        parse_ipv4(bytes(frame))


@given(st.binary(min_size=1, max_size=4000), st.integers(68, 1500), st.booleans())
def test_N4787_13_fragments_join_to_the_datagram(
    payload: bytes, mtu: int, has_options: bool
) -> None:
    packet = may_be_fragmented(ip(UDP, payload))
    if has_options:
        packet = with_options(packet)
    pieces = [parse_ipv4(piece) for piece in fragment_ipv4(packet, mtu)]
    joined = bytearray(len(payload))
    for piece in pieces:
        assert piece.end - piece.l3 <= mtu
        assert ip_header_is_right(piece)
        joined[piece.offset : piece.offset + len(piece.payload)] = piece.payload
    assert bytes(joined) == payload
    assert [piece.more_fragments for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    if has_options and len(pieces) > 1:
        later = pieces[1]
        assert later.frame[later.l3 + 20 : later.l4] == bytes([0x83, 3, 4, 0])


def test_N4787_13_a_fragment_is_fragmented_further() -> None:
    whole = may_be_fragmented(ip(UDP, bytes(range(256)) * 8))
    first, last = (parse_ipv4(piece) for piece in fragment_ipv4(whole, 1500))
    pieces = [parse_ipv4(piece) for part in (first, last) for piece in fragment_ipv4(part, 600)]
    assert b"".join(piece.payload for piece in pieces) == whole.payload
    assert [piece.more_fragments for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert pieces[-1].is_fragment


def test_what_must_not_be_fragmented_is_not() -> None:
    packet = ip(UDP, bytes(2000))
    with pytest.raises(PacketError):
        fragment_ipv4(packet, 1500)
    with pytest.raises(PacketError):
        fragment_ipv4(may_be_fragmented(packet), 67)


def test_a_datagram_that_may_be_fragmented_has_an_identification() -> None:
    packet = ip(UDP, b"payload")
    assert packet.ident == 0
    allowed = parse_ipv4(allow_fragments(packet))
    assert not allowed.dont_fragment
    assert allowed.ident != 0
    assert allowed.payload == b"payload"
    assert ip_header_is_right(allowed)
    other = parse_ipv4(allow_fragments(ip(UDP, b"another")))
    assert other.ident != allowed.ident


def test_an_identification_is_kept() -> None:
    frame = bytearray(ip(UDP, b"payload").frame)
    frame[18:20] = b"\x12\x34"
    assert parse_ipv4(allow_fragments(parse_ipv4(bytes(frame)))).ident == 0x1234


def may_be_fragmented(packet: Ipv4) -> Ipv4:
    frame = bytearray(packet.frame)
    frame[20:22] = b"\0\0"
    return parse_ipv4(bytes(frame))


def with_options(packet: Ipv4) -> Ipv4:
    """With an option that every fragment repeats (loose source route), and one that none does."""
    head = bytearray(packet.frame[:34]) + bytes([0x83, 3, 4, 7, 4, 5, 0, 0])
    head[14] = 0x47
    struct.pack_into("!H", head, 16, len(head) - 14 + len(packet.payload))
    return parse_ipv4(bytes(head) + packet.payload)
