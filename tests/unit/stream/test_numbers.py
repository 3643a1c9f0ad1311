"""Sequence numbers and offsets (RFC 9293 section 3.4)."""

from hypothesis import given
from hypothesis import strategies as st

from p4alg.stream.numbers import offset_of, wire

numbers = st.integers(0, 2**32 - 1)


def test_G6_numbers_wrap_and_offsets_do_not() -> None:
    assert wire(2**32 - 2, 1) == 2**32 - 1
    assert wire(2**32 - 2, 2) == 0
    assert offset_of(2**32 - 2, 0, 1) == 2
    assert offset_of(2**32 - 2, 5, 2**32) == 2**32 + 7


@given(numbers, st.integers(0, 2**40), st.integers(-(2**31), 2**31 - 1))
def test_G6_an_offset_is_found_again_from_within_half_the_number_space(
    initial: int, near: int, distance: int
) -> None:
    offset = near + distance
    assert offset_of(initial, wire(initial, offset), near) == offset


@given(numbers, numbers, st.integers(0, 2**40))
def test_G6_of_all_offsets_of_a_number_the_nearest_is_taken(
    initial: int, number: int, near: int
) -> None:
    offset = offset_of(initial, number, near)
    assert wire(initial, offset) == number
    assert abs(offset - near) <= 2**31
