"""PPTP messages: their framing, and the fields that the ALG reads (RFC 2637 section 2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.pptp.messages import HEADER_SIZE, SIZES, Kind, Message, read_length

MARK = b"\0\1\x1a\x2b\x3c\x4d"


def head(length: int, kind: int) -> bytes:
    return length.to_bytes(2, "big") + MARK + kind.to_bytes(2, "big") + b"\0\0"


@pytest.mark.parametrize("kind", list(Kind))
def test_P1_each_kind_has_one_length(kind: Kind) -> None:
    assert read_length(head(SIZES[kind], kind), 0, 2048) == SIZES[kind]
    assert read_length(b"xx" + head(SIZES[kind], kind), 2, 2048) == SIZES[kind]
    for wrong in (0, 11, SIZES[kind] - 1, SIZES[kind] + 1, 0xFFFF):
        assert read_length(head(wrong, kind), 0, 0xFFFF) == "bad-length"


def test_P1_a_kind_to_come_is_as_long_as_it_says_up_to_the_limit() -> None:
    assert read_length(head(40, 99), 0, 100) == 40
    assert read_length(head(HEADER_SIZE, 0), 0, 100) == HEADER_SIZE
    assert read_length(head(HEADER_SIZE - 1, 99), 0, 100) == "bad-length"
    assert read_length(head(101, 99), 0, 100) == "bad-length"


def test_G9_what_is_no_message_is_told_as_soon_as_it_is_known() -> None:
    assert read_length(b"\0\x9c\0\2", 0, 100) == "bad-type"
    assert read_length(b"\0\x9c\0\1\x1b", 0, 100) == "bad-cookie"
    whole = head(156, 1)
    for size in range(10):
        assert read_length(whole[:size], 0, 100) is None
    assert read_length(whole[:10], 0, 100) == 156


def test_P1_the_fields_of_a_call_are_where_the_rfc_has_them() -> None:
    data = head(32, 8) + b"\x01\x02\x03\x04\x01" + bytes(15)
    message = Message(data)
    assert (message.kind, message.title) == (Kind.OUTGOING_CALL_REPLY, "Outgoing-Call-Reply")
    assert (message.first_id, message.second_id) == (0x0102, 0x0304)
    assert message.call_is_accepted
    assert not Message(data[:16] + b"\2" + data[17:]).call_is_accepted
    assert Message(head(40, 14)).title == "WAN-Error-Notify"
    assert (Message(head(40, 99)).kind, Message(head(40, 99)).title) == (None, "type 99")


@pytest.mark.parametrize(("result", "accepted"), [(0, True), (1, True), (2, False), (5, False)])
def test_P1_a_control_connection_is_accepted_by_1_and_by_0_of_old_servers(
    result: int, accepted: bool
) -> None:
    assert Message(head(156, 2) + b"\1\0" + bytes([result])).start_is_accepted is accepted


@given(st.binary(max_size=20), st.integers(0, 4))
def test_G9_any_bytes_have_a_length_within_the_limit_or_none(data: bytes, at: int) -> None:
    length = read_length(data, at, 300)
    if isinstance(length, int):
        assert HEADER_SIZE <= length <= 300
    else:
        assert length in (None, "bad-type", "bad-cookie", "bad-length")
