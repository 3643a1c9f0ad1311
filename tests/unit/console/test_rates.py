"""How often something may happen."""

from __future__ import annotations

import pytest

from p4alg.console.rates import Rate


def test_so_often_at_once_and_then_so_often_a_second() -> None:
    rate = Rate(per_second=2.0, burst=3)
    assert [rate.take("a", 0.0) for _ in range(3)] == [0, 0, 0]
    assert rate.take("a", 0.0) == pytest.approx(0.5)
    assert rate.take("a", 0.4) == pytest.approx(0.1)
    assert rate.take("a", 0.5) == 0
    assert rate.take("a", 0.5) > 0


def test_who_waits_has_no_more_than_the_burst() -> None:
    rate = Rate(per_second=2.0, burst=3)
    rate.take("a", 0.0)
    assert [bool(rate.take("a", 1000.0)) for _ in range(4)] == [False, False, False, True]


def test_keys_do_not_share() -> None:
    rate = Rate(per_second=1.0, burst=1)
    assert rate.take("a", 0.0) == 0
    assert rate.take("b", 0.0) == 0
    assert rate.take("a", 0.0) > 0


def test_what_is_given_back_may_be_taken_again_but_not_more() -> None:
    rate = Rate(per_second=1.0, burst=1)
    rate.take("a", 0.0)
    for _ in range(3):
        rate.give_back("a")
    rate.give_back("b")
    assert [bool(rate.take("a", 0.0)) for _ in range(2)] == [False, True]


def test_it_keeps_so_many_keys_and_forgets_the_one_used_longest_ago() -> None:
    rate = Rate(per_second=0.001, burst=1, most=2)
    for key in ("a", "b", "a", "c"):
        rate.take(key, 0.0)
    assert len(rate._kept) == 2
    assert rate.take("a", 0.0) > 0
    assert rate.take("b", 0.0) == 0
