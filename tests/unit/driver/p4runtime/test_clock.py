"""The time that a program without a clock is told."""

from __future__ import annotations

from p4alg.driver.p4runtime.clock import LAST, Clock
from p4alg.engine.cells import TICK_SECONDS


def test_time_goes_on_from_what_the_switch_was_told() -> None:
    clock = Clock(5000, 77.0)
    clock.rests(900, 77.0)
    assert clock.at(77.0) == (5000, 4100)
    assert clock.at(77.0 + 10.5 * TICK_SECONDS) == (5010, 4110)


def test_cells_that_were_never_used_have_rested() -> None:
    clock = Clock(0, 77.0)
    clock.rests(900, 77.0)
    now, rested = clock.at(77.0)
    assert (now, rested) == (901, 1)


def test_a_longer_rest_makes_time_go_forward_only() -> None:
    clock = Clock(1000, 0.0)
    clock.rests(900, 0.0)
    clock.rests(1200, 100 * TICK_SECONDS)
    assert clock.at(100.5 * TICK_SECONDS) == (1201, 1)
    clock.rests(100, 101.5 * TICK_SECONDS)
    assert clock.at(101.5 * TICK_SECONDS) == (1202, 1102)


def test_before_it_is_known_how_long_ports_rest_they_all_do() -> None:
    assert Clock(0, 0.0).at(0.0) == (0, 0)


def test_time_stands_still_where_it_has_no_more_bits() -> None:
    clock = Clock(LAST - 1, 0.0)
    assert clock.at(1000.0)[0] == LAST
