"""What is kept to be repeated, and the offsets of both sides, against a list of every byte."""

from hypothesis import given
from hypothesis import strategies as st

from p4alg.stream.history import MAX_RESIZES, MAX_WHOLE, Chunk, History, Resize


def history(limit: int = 1000) -> History:
    return History(limit)


def test_parts_of_plain_chunks_and_all_of_whole_ones_are_repeated() -> None:
    found = history()
    found.add(Chunk(1, 5, 1, b"abcd"))
    found.add(Chunk(5, 8, 5, b"EDITED", whole=True))
    found.add(Chunk(8, 12, 11, b"efgh"))
    assert found.overlapping(2, 4) == [Chunk(2, 4, 2, b"bc")]
    assert found.overlapping(7, 9) == [
        Chunk(5, 8, 5, b"EDITED", whole=True),
        Chunk(8, 9, 11, b"e"),
    ]
    assert found.overlapping(12, 99) == []
    assert found.overlapping(5, 5) == []


def test_acknowledged_chunks_are_forgotten_and_partly_acknowledged_ones_kept() -> None:
    found = history()
    found.add(Chunk(1, 5, 1, b"abcd"))
    found.add(Chunk(5, 8, 5, b"EDITED", whole=True))
    found.acknowledged(4)
    assert found.size == 10
    found.acknowledged(5)
    assert found.size == 6
    found.acknowledged(7)
    assert found.overlapping(5, 8) == [Chunk(5, 8, 5, b"EDITED", whole=True)]
    found.acknowledged(8)
    assert found.size == 0


def test_G4_the_oldest_plain_chunks_make_room_and_whole_ones_stay() -> None:
    found = history(limit=10)
    found.add(Chunk(1, 2, 1, b"EDITED", whole=True))
    for n in range(5):
        assert found.add(Chunk(2 + 4 * n, 6 + 4 * n, 7 + 4 * n, b"abcd"))
    assert [chunk.start for chunk in found.overlapping(0, 99)] == [1, 14, 18]
    assert found.size == 6 + 8


def test_G4_more_whole_chunks_than_allowed_are_told() -> None:
    found = history()
    for n in range(MAX_WHOLE):
        assert found.add(Chunk(n, n + 1, n, b"x", whole=True))
    found.add(Chunk(MAX_WHOLE, MAX_WHOLE + 1, MAX_WHOLE, b"plain"))
    assert not found.add(Chunk(99, 100, 99, b"x", whole=True))
    assert [chunk.start for chunk in found.overlapping(0, 3)] == [1, 2]
    assert found.overlapping(MAX_WHOLE, MAX_WHOLE + 1)


def test_without_resizes_both_offsets_are_the_same() -> None:
    found = history()
    assert (found.last_resize, found.shift_at(7), found.in_offset(7)) == (None, 0, 7)
    assert not found.resized_after(0)


def test_G6_an_acknowledgement_inside_a_resized_message_counts_as_nothing_of_it() -> None:
    found = history()
    found.resized(Resize(10, 20, 0, 5))
    assert [found.in_offset(out) for out in (9, 10, 11, 24, 25, 26)] == [9, 10, 10, 10, 20, 21]
    assert [found.shift_at(at) for at in (9, 10, 19, 20, 21)] == [0, 0, 0, 5, 5]
    assert [found.resized_after(at) for at in (9, 19, 20)] == [True, True, False]


def test_a_resize_that_is_undone_has_left_nothing() -> None:
    found = history()
    found.resized(Resize(10, 20, 0, 5))
    found.resized(Resize(30, 40, 5, 2))
    found.undo_resize()
    assert found.last_resize == Resize(10, 20, 0, 5)
    assert found.shift_at(50) == 5


def test_G4_the_oldest_resizes_are_forgotten_and_the_rest_is_still_right() -> None:
    found = history()
    for n in range(MAX_RESIZES + 3):
        found.resized(Resize(10 * n, 10 * n + 5, n, n + 1))
    assert found.shift_at(30) == 3
    assert found.shift_at(10 * MAX_RESIZES) == MAX_RESIZES
    assert found.in_offset(10 * MAX_RESIZES + 5 + MAX_RESIZES + 1) == 10 * MAX_RESIZES + 5


messages = st.lists(
    st.tuples(st.integers(1, 9), st.one_of(st.none(), st.integers(0, 12))), max_size=12
)


@given(messages)
def test_G6_offsets_are_converted_as_a_list_of_every_message_says(
    found: list[tuple[int, int | None]],
) -> None:
    """Each message is its length in, and its length out if it was resized."""
    kept, at, out = history(), 1, 1
    ends = [(1, 1)]
    inside: dict[int, int] = {}
    for size, resized in found:
        new = size if resized is None else resized
        if new != size:
            shift = out - at
            kept.resized(Resize(at, at + size, shift, shift + new - size))
            # A part of a resized message counts as nothing of it.
            inside.update({out + n: at for n in range(1, new)})
        else:
            ends += [(at + n, out + n) for n in range(1, size)]
        at, out = at + size, out + new
        ends.append((at, out))
    for had, given_out in ends:
        # Where a message was deleted, two in offsets have one out offset: the later counts.
        latest = max(one for one, two in ends if two == given_out)
        assert kept.in_offset(given_out) == latest
        assert kept.shift_at(had) == given_out - had
    for given_out, start in inside.items():
        assert kept.in_offset(given_out) == start
