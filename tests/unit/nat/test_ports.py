"""Outside identifiers: which are given out, to whom, and when again (RFC 4787, 6056, 6888)."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.nat.ports import Ports, Wanted, in_blocks, of_block, wanted_for
from p4alg.protocols import GRE, ICMP, TCP, UDP

REST = 120.0
WHOLE = of_block(4096, 8191, 0, is_own=False)


def ports() -> Ports:
    return Ports(REST)


def rng(seed: int = 1) -> random.Random:
    return random.Random(seed)


def all_of(found: Ports, wanted: Wanted, now: float = 0.0) -> list[int]:
    """Take identifiers until there are no more."""
    draw, taken = rng(), []
    while (number := found.take(wanted, draw, now)) is not None:
        taken.append(number)
    return taken


@pytest.mark.parametrize("proto", [TCP, UDP])
@pytest.mark.parametrize("inside_id", [0, 1, 21, 1022, 1023, 1024, 1025, 65535])
def test_N4787_3_and_4_a_port_keeps_its_range_and_parity(proto: int, inside_id: int) -> None:
    wanted = wanted_for(proto, inside_id)
    choice = range(wanted.first, wanted.last + 1, wanted.step)
    in_range = range(1, 1024) if inside_id < 1024 else range(1024, 65536)
    assert set(choice) == {n for n in in_range if n % 2 == inside_id % 2}


@pytest.mark.parametrize("proto", [ICMP, GRE])
def test_other_identifiers_may_be_any(proto: int) -> None:
    assert wanted_for(proto, 21) == Wanted(0, 65535, 1)


@given(st.integers(0, 1 << 30), st.integers(0, 40), st.integers(0, 40), st.integers(1, 3))
def test_every_identifier_is_given_out_once(seed: int, first: int, more: int, step: int) -> None:
    found, wanted, draw = ports(), Wanted(first, first + more, step), rng(seed)
    expected = list(range(first, first + more + 1, step))
    taken = [found.take(wanted, draw, 0.0) for _ in expected]
    assert sorted(n for n in taken if n is not None) == expected
    assert found.take(wanted, draw, 0.0) is None


def test_N7857_9_the_first_is_drawn_from_all() -> None:
    first = {ports().take(Wanted(1024, 65534, 2), rng(seed), 0.0) for seed in range(400)}
    assert len(first) > 390
    assert len({number // 8192 for number in first if number is not None}) == 8


def test_N6888_8_what_was_freed_rests() -> None:
    found, wanted = ports(), Wanted(10, 12, 1)
    assert sorted(all_of(found, wanted)) == [10, 11, 12]
    found.release(11, 50.0)
    assert all_of(found, wanted, 50.0 + REST - 0.1) == []
    assert all_of(found, wanted, 50.0 + REST) == [11]


def test_one_that_rests_may_be_taken_exactly_and_is_in_use_after_its_rest() -> None:
    found, wanted = ports(), Wanted(10, 10, 1)
    assert found.take_exactly(10)
    assert not found.take_exactly(10)
    found.release(10, 0.0)
    assert found.take_exactly(10)
    assert all_of(found, wanted, REST) == []
    found.release(10, REST)
    assert all_of(found, wanted, 2 * REST) == [10]


def test_releasing_what_is_not_in_use_changes_nothing() -> None:
    found, wanted = ports(), Wanted(10, 10, 1)
    found.release(10, 0.0)
    assert all_of(found, wanted) == [10]
    found.release(10, 1.0)
    found.release(10, 50.0)
    assert all_of(found, wanted, 1.0 + REST) == [10]


def test_S4_a_pair_is_even_and_the_next() -> None:
    for seed in range(100):
        found = ports()
        first = found.take_pair(WHOLE, rng(seed), 0.0)
        assert first is not None
        assert first % 2 == 0
        assert 4096 <= first < 8192
        assert not found.take_exactly(first)
        assert not found.take_exactly(first + 1)
        assert found.take_exactly(first + 2)


def test_S4_pairs_are_found_where_there_are_any_and_nowhere_else() -> None:
    found = ports()
    for number in range(4096, 8192):
        if number not in (5001, 5002, 6000, 6001, 8190, 8191):
            found.take_exactly(number)
    assert {found.take_pair(WHOLE, rng(seed), 0.0) for seed in range(3)} == {6000, 8190, None}


def test_S4_a_pair_of_which_one_rests_is_not_given_out() -> None:
    found = ports()
    for number in range(4096, 8192):
        found.take_exactly(number)
    found.release(6000, 0.0)
    found.release(6001, 9.0)
    assert found.take_pair(WHOLE, rng(), REST) is None
    assert found.take_pair(WHOLE, rng(), 9.0 + REST) == 6000


def test_S4_pairs_fit_into_the_controllers_way() -> None:
    found, wanted = ports(), of_block(4096, 8191, 0, is_own=True)
    firsts = [found.take_pair(wanted, rng(seed), 0.0) for seed in range(512)]
    assert sorted(n for n in firsts if n is not None) == list(range(4102, 8192, 8))
    assert found.take_pair(wanted, rng(), 0.0) is None


@pytest.mark.parametrize("parity", [0, 1])
def test_of_a_block_of_the_switch_only_one_way_is_the_controllers(parity: int) -> None:
    own = of_block(4096, 8191, parity, is_own=True)
    ours = {n for n in range(4096, 8192) if n & 6 == 6 and n % 2 == parity}
    assert set(range(own.first, own.last + 1, own.step)) == ours
    whole = of_block(4096, 8191, parity, is_own=False)
    assert set(range(whole.first, whole.last + 1, whole.step)) == set(range(4096 + parity, 8192, 2))


@pytest.mark.parametrize(
    ("proto", "number", "expected"),
    [(TCP, 1023, False), (UDP, 1024, True), (ICMP, 0, True), (GRE, 0x11000, False)],
)
def test_which_identifiers_are_of_blocks(proto: int, number: int, expected: bool) -> None:
    assert in_blocks(proto, number) is expected
