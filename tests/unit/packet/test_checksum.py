"""The Internet checksum, against a sum taken word by word."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from p4alg.packet.checksum import checksum, total, transport_checksum
from tests.unit.packet.frames import DST, SRC, TCP, UDP, internet_sum, pseudo_header

ports = st.integers(0, 65535)


@given(st.binary(max_size=99))
def test_the_sum_is_that_of_words_with_end_around_carry(data: bytes) -> None:
    assert total(data) == internet_sum(data)


def test_the_example_of_rfc_1071_section_3() -> None:
    assert total(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D


@given(st.binary(max_size=60))
def test_data_with_its_checksum_sums_to_all_ones(data: bytes) -> None:
    padded = data + b"\0" * (len(data) % 2)
    assert total(padded + checksum(padded).to_bytes(2, "big")) == 0xFFFF


@given(st.binary(min_size=20, max_size=60), st.sampled_from([TCP, UDP]))
def test_a_transport_checksum_covers_the_addresses(body: bytes, proto: int) -> None:
    pseudo = pseudo_header(SRC, DST, proto, len(body))
    check = transport_checksum(SRC, DST, proto, body)
    expected = 0xFFFF ^ internet_sum(pseudo + body)
    assert check == (expected or (0xFFFF if proto == UDP else 0))
    assert transport_checksum(SRC ^ 1, DST, proto, body) != check


def test_a_udp_checksum_that_is_computed_is_never_zero() -> None:
    # The last word is what makes the sum all ones.
    body = struct.pack("!HHHH", 5000, 69, 10, 0)
    last = 0xFFFF ^ internet_sum(pseudo_header(SRC, DST, UDP, 10) + body)
    assert transport_checksum(SRC, DST, UDP, body + last.to_bytes(2, "big")) == 0xFFFF


@given(ports, ports, st.binary(max_size=50))
def test_no_udp_datagram_gets_the_checksum_that_means_none(
    source: int, target: int, data: bytes
) -> None:
    body = struct.pack("!HHHH", source, target, 8 + len(data), 0) + data
    assert transport_checksum(SRC, DST, UDP, body) != 0
