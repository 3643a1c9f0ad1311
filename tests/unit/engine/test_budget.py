"""Packets of organisations: each has its part, and what is left is for who needs it."""

from __future__ import annotations

from p4alg.engine.budget import Budget


def asked(budget: Budget, organisation: int, times: int, now: float) -> int:
    return sum(budget.allows(organisation, now) for _ in range(times))


def test_one_that_floods_gets_its_part_and_what_is_for_all() -> None:
    budget = Budget({1: 0.75, 2: 0.25}, packets=1000)
    assert asked(budget, 1, 5000, 0.0) == 375 + 500
    # The other still has its own.
    assert asked(budget, 2, 5000, 0.0) == 125


def test_it_comes_back_with_time_and_no_more_than_a_second_is_kept() -> None:
    budget = Budget({1: 0.5, 2: 0.5}, packets=1000)
    asked(budget, 1, 5000, 0.0)
    assert asked(budget, 1, 5000, 0.1) == 25 + 50
    assert asked(budget, 1, 5000, 100.0) == 250 + 500


def test_the_smallest_part_is_a_packet_now_and_then() -> None:
    budget = Budget({1: 0.999, 2: 0.001}, packets=100)
    asked(budget, 1, 1000, 0.0)
    asked(budget, 2, 10, 0.0)
    assert asked(budget, 1, 1000, 18.0) > 0
    assert asked(budget, 2, 10, 18.0) == 0
    assert asked(budget, 1, 1000, 20.0) > 0
    assert asked(budget, 2, 10, 20.0) == 1


def test_a_clock_that_goes_back_gives_nothing() -> None:
    budget = Budget({1: 1.0}, packets=10)
    asked(budget, 1, 100, 50.0)
    assert asked(budget, 1, 100, 0.0) == 0


def test_writes_that_wait_are_bounded_by_the_part_of_each_and_what_is_for_all() -> None:
    budget = Budget({1: 0.75, 2: 0.25}, transactions=80)

    def begin(organisation: int) -> int:
        begun = 0
        while budget.may_write(organisation):
            budget.begun(organisation)
            begun += 1
        return begun

    assert begin(1) == 30 + 40
    # The other has its own, and gets more when the first one's are answered.
    assert begin(2) == 10
    for _ in range(5):
        budget.ended(1)
    assert begin(2) == 5
    assert not budget.may_write(1)


def test_the_smallest_part_may_write_one_by_one() -> None:
    budget = Budget({1: 0.999, 2: 0.001}, transactions=10)
    while budget.may_write(1):
        budget.begun(1)
    assert budget.may_write(2)
    budget.begun(2)
    assert not budget.may_write(2)
