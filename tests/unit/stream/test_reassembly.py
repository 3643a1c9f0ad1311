"""Bytes in order from segments in any order, against a model that knows every byte."""

from hypothesis import given
from hypothesis import strategies as st

from p4alg.stream.reassembly import MAX_AHEAD, MAX_SEGMENTS, Reassembly


def begun(limit: int = 65536) -> Reassembly:
    found = Reassembly(limit)
    found.next = 1
    return found


def test_segments_in_order_are_passed_at_once() -> None:
    found = begun()
    assert found.add(1, b"abc") == (b"abc", "")
    assert found.add(4, b"de") == (b"de", "")
    assert (found.next, found.size) == (6, 0)


def test_G5_a_gap_keeps_what_follows_until_it_is_filled() -> None:
    found = begun()
    assert found.add(4, b"def") == (b"", "")
    assert found.add(9, b"i") == (b"", "")
    assert found.size == 4
    assert found.add(1, b"abc") == (b"abcdef", "")
    assert found.add(7, b"gh") == (b"ghi", "")
    assert found.size == 0


def test_G5_of_bytes_that_differ_the_first_to_come_count() -> None:
    found = begun()
    found.add(4, b"DEF")
    found.add(3, b"cxxxg")
    assert found.add(1, b"ab") == (b"abcDEFg", "")
    assert found.add(1, b"ZZZZZZZ") == (b"", "")
    assert found.add(5, b"ZZZh") == (b"h", "")


def test_nothing_and_what_is_old_give_nothing() -> None:
    found = begun()
    assert found.add(1, b"") == (b"", "")
    assert found.add(9, b"") == (b"", "")
    found.add(1, b"abc")
    assert found.add(0, b"xab") == (b"", "")
    assert (found.next, found.size) == (4, 0)


def test_G4_what_reaches_too_far_is_dropped() -> None:
    found = begun()
    assert found.add(MAX_AHEAD, b"a") == (b"", "")
    assert found.add(MAX_AHEAD, b"ab") == (b"", "out-of-window")
    assert found.size == 1


def test_G4_bytes_and_pieces_out_of_order_are_bounded() -> None:
    found = begun(limit=10)
    assert found.add(5, b"x" * 10) == (b"", "")
    assert found.add(50, b"x") == (b"", "out-of-order-limit")
    assert found.size == 10
    pieces = begun()
    for n in range(MAX_SEGMENTS):
        assert pieces.add(3 + 2 * n, b"x") == (b"", "")
    assert pieces.add(3 + 2 * MAX_SEGMENTS, b"x") == (b"", "out-of-order-limit")
    # What is next in order is never refused.
    data, reason = pieces.add(1, b"abc")
    assert (data, reason) == (b"abx", "") or data.startswith(b"ab")


STREAM = bytes(range(1, 61))
segments = st.lists(st.tuples(st.integers(0, 59), st.integers(0, 20), st.booleans()), max_size=40)


@given(segments)
def test_G5_any_segments_give_each_byte_once_and_as_it_came_first(
    parts: list[tuple[int, int, bool]],
) -> None:
    found, passed = begun(), bytearray()
    first: dict[int, int] = {}
    for at, size, differs in parts:
        data = STREAM[at : at + size]
        if differs:
            data = bytes(255 - byte for byte in data)
        for offset, byte in enumerate(data, at):
            first.setdefault(offset, byte)
        got, reason = found.add(1 + at, data)
        assert reason == ""
        passed += got
        assert found.next == 1 + len(passed)
        reached = next((n for n in range(61) if n not in first), 61)
        assert len(passed) == reached
        assert found.size == len([n for n in first if n >= reached])
    assert bytes(passed) == bytes(first[n] for n in range(len(passed)))
