"""Numbers on the wire: a value within bounds, or None; never an exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.wire import read_decimal
from tests.unit.alg.invariant import HOSTILE_NUMBERS


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"0", 0), (b"5060", 5060), (b"65535", 65535), (b"00080", 80),
        (b"65536", None), (b"000080", None), (b"", None), (b" 80", None), (b"80 ", None),
        (b"-80", None), (b"+80", None), (b"8_0", None), (b"\xb2", None),
        ("\u0663".encode(), None), (b"9" * 5000, None), (b"0" * 5000, None),
    ],
)  # fmt: skip
def test_G9_a_number_is_ascii_digits_within_its_bounds(text: bytes, number: int | None) -> None:
    assert read_decimal(text, 65535) == number


@given(st.binary(max_size=30) | st.sampled_from(HOSTILE_NUMBERS), st.integers(0, 1 << 64))
def test_G9_any_text_is_a_number_in_bounds_or_none(text: bytes, largest: int) -> None:
    number = read_decimal(text, largest)
    if number is not None:
        assert 0 <= number <= largest
        assert int(text) == number
