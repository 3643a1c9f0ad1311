"""TCP segments: reading, replacing numbers and payload, sanitising a SYN."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.packet import tcp
from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import build_ipv4, parse_ipv4
from tests.unit.packet.frames import (
    DST,
    MACS,
    SRC,
    TCP,
    UDP,
    ip,
    ip_header_is_right,
    tcp_segment,
    transport_is_right,
)

numbers = st.integers(0, 2**32 - 1)
TIMESTAMPS = b"\x01\x01\x08\x0a" + bytes(8)


def test_a_segment_is_read() -> None:
    found = tcp.parse_tcp(tcp_segment(options=TIMESTAMPS, payload=b"data", urgent=3))
    assert (found.src_port, found.dst_port, found.seq, found.ack) == (40000, 21, 1, 2)
    assert (found.flags, found.window, found.header_len) == (tcp.ACK, 501, 32)
    assert found.payload == b"data"


def test_an_urgent_pointer_counts_only_with_its_flag() -> None:
    assert tcp.parse_tcp(tcp_segment(urgent=3)).urgent == 0
    assert tcp.parse_tcp(tcp_segment(urgent=3, flags=tcp.ACK | tcp.URG)).urgent == 3


@given(numbers, numbers, st.binary(max_size=300), st.integers(0, 65535))
def test_replaced_segments_have_right_checksums(
    seq: int, ack: int, payload: bytes, urgent: int
) -> None:
    packet = tcp_segment(options=TIMESTAMPS, payload=b"old")
    frame = tcp.replace_tcp(
        packet, seq=seq, ack=ack, flags=tcp.ACK | tcp.PSH, payload=payload, urgent=urgent
    )
    changed = parse_ipv4(frame)
    found = tcp.parse_tcp(changed)
    assert (found.seq, found.ack, found.payload, found.header_len) == (seq, ack, payload, 20)
    assert found.flags == tcp.ACK | tcp.PSH | (tcp.URG if urgent else 0)
    assert (found.urgent, found.window) == (urgent, 501)
    assert transport_is_right(changed)
    assert ip_header_is_right(changed)


def test_without_ack_flag_there_is_no_acknowledgement_number() -> None:
    frame = tcp.replace_tcp(tcp_segment(), seq=5, ack=6, flags=tcp.RST, payload=b"")
    assert tcp.parse_tcp(parse_ipv4(frame)).ack == 0


@pytest.mark.parametrize("options", [b"", TIMESTAMPS])
def test_a_model_gives_the_same_segments_as_the_packet_it_is_of(options: bytes) -> None:
    packet = tcp_segment(options=options, payload=b"x" * 1000)
    model = tcp.tcp_model(packet)
    assert len(model.frame) == 14 + 20 + 20
    of_packet = tcp.replace_tcp(packet, seq=8, ack=9, flags=tcp.ACK, payload=b"new")
    assert tcp.replace_tcp(model, seq=8, ack=9, flags=tcp.ACK, payload=b"new") == of_packet


def test_G6_a_syn_keeps_mss_and_window_scale_and_nothing_else() -> None:
    options = b"\x02\x04\x05\xb4" + b"\x04\x02" + b"\x08\x0a" + bytes(8) + b"\x01\x03\x03\x07"
    packet = tcp_segment(options=options, payload=b"fast open", flags=tcp.SYN)
    clean = parse_ipv4(tcp.sanitised_syn(packet))
    assert clean.payload[20:] == b"\x02\x04\x05\xb4" + b"\x01" * 13 + b"\x03\x03\x07"
    assert tcp.mss_option(clean) == 1460
    assert transport_is_right(clean)


@given(st.binary(max_size=40).map(lambda data: data + b"\0" * (-len(data) % 4)))
def test_G6_malformed_options_never_survive_as_sack(options: bytes) -> None:
    packet = tcp_segment(options=options, flags=tcp.SYN)
    body = parse_ipv4(tcp.sanitised_syn(packet)).payload
    at = 20
    while at < len(body):
        assert body[at] in (1, 2, 3)
        at += 1 if body[at] == 1 else body[at + 1]


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (b"", None),
        (b"\x01\x01\x02\x04\x02\x00\x00\x00", 512),
        (b"\x02\x03\x02\x00", None),
        (b"\x00\x00\x00\x00\x02\x04\x02\x00", None),
        (b"\x01\x01\x02\x04", None),
    ],
)
def test_the_segment_size_is_read_from_a_well_formed_option(
    options: bytes, size: int | None
) -> None:
    assert tcp.mss_option(tcp_segment(options=options, flags=tcp.SYN)) == size


def test_G9_what_is_no_segment_is_refused() -> None:
    whole = tcp_segment().payload
    fragment = bytearray(tcp_segment().frame)
    fragment[20] = 0x20
    for packet in (
        ip(UDP, whole),
        ip(TCP, whole[:19]),
        ip(TCP, whole[:12] + b"\x40" + whole[13:]),
        ip(TCP, whole[:12] + b"\x60" + whole[13:]),
        parse_ipv4(bytes(fragment)),
    ):
        with pytest.raises(PacketError):
            tcp.parse_tcp(packet)


@given(st.binary(max_size=120), st.integers(0, 255))
def test_G9_no_datagram_raises_anything_but_a_packet_error(data: bytes, proto: int) -> None:
    packet = parse_ipv4(build_ipv4(MACS, 0, SRC, DST, proto, data))
    for read in (tcp.parse_tcp, tcp.sanitised_syn, tcp.mss_option):
        try:
            read(packet)
        except PacketError:
            continue
