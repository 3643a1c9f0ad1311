"""Points of plots: rates, quantiles and table fill between two readings."""

from __future__ import annotations

from typing import Any

import pytest

from p4alg.console.past import MAX_POINTS, Past, Reading, quantile


def reading(clock: float, **more: Any) -> Reading:
    given: dict[str, Any] = {"counters": {}, "latency": {}, "algs": [], "tables": {}, **more}
    return Reading(clock=clock, time=f"at {clock}", **given)


def test_a_rate_is_what_was_counted_between_two_readings() -> None:
    past = Past()
    before = {"alg.ftp.client.messages": 10, "alg.sip.server.messages": 5, "switch.punts.arp": 1}
    assert past.add(reading(0.0, counters=before))["rates"]["messages"] is None
    after = {**before, "alg.ftp.client.messages": 30, "switch.punts.alg": 4, "other": 7}
    point = past.add(reading(5.0, counters=after))
    assert point["rates"]["messages"] == 4.0
    assert point["rates"]["punts"] == 0.8
    assert point["rates"]["drops"] == 0.0


def test_a_controller_that_was_started_again_has_no_rate() -> None:
    past = Past()
    past.add(reading(0.0, counters={"nat.sessions.opened": 100}))
    assert past.add(reading(5.0, counters={"nat.sessions.opened": 1}))["rates"]["sessions"] is None


def test_what_was_not_watched_has_no_rate() -> None:
    past = Past()
    past.add(reading(0.0, counters={"nat.sessions.opened": 1}))
    past.interrupt()
    assert past.add(reading(5.0, counters={"nat.sessions.opened": 9}))["rates"]["sessions"] is None


def test_so_many_points_are_kept() -> None:
    past = Past()
    for n in range(MAX_POINTS + 10):
        past.add(reading(float(n)))
    assert len(past.points) == MAX_POINTS
    assert past.points[-1]["time"] == f"at {float(MAX_POINTS + 9)}"


def test_control_sessions_are_added_up_over_organisations_and_tables_are_shares() -> None:
    algs = [{"name": "ftp", "sessions": 2}, {"name": "ftp", "sessions": 3}]
    tables = {"session": {"entries": 50, "size": 200}, "odd": {"entries": 0, "size": 0}}
    point = Past().add(reading(0.0, algs=algs, tables=tables))
    assert point["controls"] == {"ftp": 5}
    assert point["tables"] == {"session": 0.25, "odd": 0.0}


@pytest.mark.parametrize(
    ("share", "bound"), [(0.5, 0.1), (0.9, 0.1), (0.91, 1.0), (0.95, 1.0), (0.96, None)]
)
def test_a_quantile_is_the_bound_of_what_came_between(share: float, bound: float | None) -> None:
    before = [(0.1, 1000), (1.0, 1000), (None, 1000)]
    after = [(0.1, 1090), (1.0, 1095), (None, 1100)]
    assert quantile(before, after, share) == bound


def test_where_nothing_was_counted_there_is_no_quantile() -> None:
    buckets = [(0.1, 5), (None, 5)]
    assert quantile(buckets, buckets, 0.5) is None
    assert quantile(None, buckets, 0.5) is None
    assert quantile([(0.1, 5)], buckets, 0.5) is None
