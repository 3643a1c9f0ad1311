"""Numbers of subscribers: none twice, and cells that are shared as little as possible."""

import random
from itertools import combinations

import pytest

from p4alg.nat.numbers import CLASSES, HIGHEST, Cosets, Numbers, cell_index, tag
from p4alg.undo import UndoLog

REST = 1000.0


def numbers(size: int = 4096, slot_bits: int = 17, seed: int = 1) -> Numbers:
    return Numbers(size, slot_bits, REST, random.Random(seed), UndoLog())


def cells(number: int, base: int, size: int, slot_bits: int) -> set[int]:
    """The cells of all ports of a block, one by one."""
    return {
        cell_index(tag(kind, number, port), slot_bits)
        for kind in CLASSES
        for port in range(base, base + size)
    }


def test_a_tag_is_class_number_and_port_without_its_way() -> None:
    assert tag(2, 0x1234, 0xFFFF) == 0x9234FFF9
    # CRC-32 of the four bytes, highest first.
    assert cell_index(0x31323334, 32) == 0x9BE3E0A3


@pytest.mark.parametrize(("size", "slot_bits"), [(64, 17), (1024, 17), (4096, 17), (256, 8)])
def test_blocks_share_all_cells_of_a_class_or_none(size: int, slot_bits: int) -> None:
    rng, cosets = random.Random(7), Cosets(size, slot_bits)
    for _ in range(60):
        one, other = (
            (rng.choice(CLASSES), rng.randint(1, HIGHEST), size * rng.randrange(1, 65536 // size))
            for _ in range(2)
        )
        mine, theirs = (
            {cell_index(tag(kind, number, base + n), slot_bits) for n in range(size)}
            for kind, number, base in (one, other)
        )
        same = cosets.reduced(tag(*one)) == cosets.reduced(tag(*other))
        assert (mine == theirs) is same
        assert same or not mine & theirs


def test_numbers_are_drawn_such_that_no_cell_is_shared_while_that_can_be() -> None:
    size, slot_bits = 4096, 17
    found, taken = numbers(size, slot_bits), []
    for n in range(24):
        base = size * (1 + n % 15)
        number = found.take(base, 0.0)
        assert number is not None
        assert found.load(number, base) == 0
        found.count(number, base, 1)
        taken.append(cells(number, base, size, slot_bits))
    assert all(not a & b for a, b in combinations(taken, 2))


def test_what_must_be_shared_is_spread() -> None:
    found = numbers(4096, 12)
    loads = []
    for n in range(64):
        number = found.take(4096 * (1 + n % 15), 0.0)
        assert number is not None
        loads.append(found.load(number, 4096 * (1 + n % 15)))
        found.count(number, 4096 * (1 + n % 15), 1)
    # 2^12 cells and blocks of 2^10 tags: four cosets for 64 blocks of three classes.
    assert max(loads) <= 3 * 3 * 64 // 4


def test_a_block_that_is_gone_counts_no_more() -> None:
    found = numbers()
    number = found.take(4096, 0.0)
    assert number is not None
    found.count(number, 4096, 1)
    assert found.load(number, 4096) > 0
    found.count(number, 4096, -1)
    assert found.load(number, 4096) == 0


def test_every_number_is_given_out_once_and_then_none() -> None:
    found = numbers()
    taken = [found.take(None if n % 2 else 4096, 0.0) for n in range(HIGHEST)]
    assert sorted(n for n in taken if n is not None) == list(range(1, HIGHEST + 1))
    assert found.take(4096, 0.0) is None
    assert found.take(None, 0.0) is None


def test_N6888_8_a_number_rests_as_long_as_its_cells_may_live() -> None:
    found = numbers()
    for _ in range(HIGHEST):
        found.take(None, 0.0)
    found.release(77, 0.0)
    assert found.take(None, REST - 0.1) is None
    assert found.take(None, REST) == 77


def test_numbers_of_an_earlier_run_are_kept_if_they_are_free_and_possible() -> None:
    found = numbers()
    assert found.adopt(5, 0.0)
    assert not found.adopt(5, 0.0)
    assert not found.adopt(0, 0.0)
    assert not found.adopt(HIGHEST + 1, 0.0)
    found.release(5, 0.0)
    assert found.adopt(5, 1.0)


def test_N7857_9_numbers_differ_between_runs() -> None:
    assert len({numbers(seed=seed).take(4096, 0.0) for seed in range(30)}) > 20


def test_a_program_with_fewer_numbers_gets_no_higher_ones() -> None:
    found = Numbers(256, 10, REST, random.Random(1), UndoLog(), highest=100)
    assert not found.adopt(101, 0.0)
    taken = [found.take(None if n % 2 else 4096, 0.0) for n in range(100)]
    assert sorted(n for n in taken if n is not None) == list(range(1, 101))
    assert found.take(4096, 0.0) is None
