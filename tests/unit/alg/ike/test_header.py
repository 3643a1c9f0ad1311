"""IKE headers: what is read of them, and why a datagram is none (RFC 2408, 7296, 3948)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.ike.header import IkeHeader, Malformed, Natt, read_header, read_natt


def message(
    initiator: int = 1,
    responder: int = 0,
    version: int = 0x20,
    kind: int = 34,
    length: int | None = None,
    body: bytes = b"",
) -> bytes:
    size = 28 + len(body) if length is None else length
    spis = initiator.to_bytes(8, "big") + responder.to_bytes(8, "big")
    return spis + bytes([33, version, kind, 8]) + b"\0\0\0\5" + size.to_bytes(4, "big") + body


def test_K1_every_field_of_a_header_is_read() -> None:
    data = message(0x0102030405060708, 9, 0x21, 36, body=b"xyz")
    assert read_header(data) == IkeHeader(0x0102030405060708, 9, 33, 2, 1, 36, 8, 5, 31)
    assert str(read_header(data)) == "IKEv2 CREATE_CHILD_SA, initiator SPI 0102030405060708"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (message()[:27], "truncated"),
        (message(version=0x30), "bad-version"),
        (message(version=0x00), "bad-version"),
        (message(initiator=0), "zero-spi"),
        (message(length=27), "bad-length"),
        (message(length=29), "bad-length"),
        (message(length=0xFFFFFFFF), "bad-length"),
        (message(kind=33), "bad-exchange"),
        (message(version=0x10, kind=34), "bad-exchange"),
        (message(kind=35), "zero-responder-spi"),
    ],
)
def test_G9_what_is_no_message_has_its_reason(data: bytes, reason: str) -> None:
    assert read_header(data) == Malformed(reason)
    assert read_natt(bytes(4) + data) == Malformed(reason)


def test_K4_port_4500_carries_esp_and_keepalives_too() -> None:
    assert read_natt(b"\xff") is Natt.KEEPALIVE
    assert read_natt(b"\0\0\1\0" + bytes(4)) is Natt.ESP
    assert read_natt(b"\0\0\1\0" + bytes(3)) == Malformed("truncated")
    assert read_natt(b"") == Malformed("truncated")
    assert isinstance(read_natt(bytes(4) + message()), IkeHeader)


@given(st.binary(max_size=64))
def test_G9_any_bytes_are_a_header_of_their_own_length_or_have_a_reason(data: bytes) -> None:
    found = read_header(data)
    assert isinstance(found, Malformed) or found.length == len(data)
    assert isinstance(read_natt(data), IkeHeader | Natt | Malformed)
