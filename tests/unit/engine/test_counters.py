"""Counters have names that are made when they are first counted, and no end of them."""

from __future__ import annotations

from p4alg.engine.counters import MAX_NAMES, Counters


def test_a_counter_is_there_once_it_was_counted() -> None:
    counters = Counters()
    assert counters.under("") == {}
    counters.count("alg.ftp.refused.bounce")
    counters.count("alg.ftp.refused.bounce")
    counters.count("alg.ftp.messages", 5)
    assert counters.under("") == {"alg.ftp.messages": 5, "alg.ftp.refused.bounce": 2}


def test_a_prefix_is_cut_off_and_the_rest_is_sorted() -> None:
    counters = Counters()
    for name in ("alg.sip.b", "alg.ftp.z", "alg.ftp.a", "nat.a"):
        counters.count(name)
    assert list(counters.under("alg.ftp.")) == ["a", "z"]
    assert counters.under("nosuch") == {}


def test_names_are_bounded_and_those_that_are_there_go_on() -> None:
    counters = Counters()
    for number in range(MAX_NAMES + 10):
        counters.count(f"name.{number}")
    counters.count("name.0")
    counts = counters.under("")
    assert len(counts) == MAX_NAMES
    assert counts["name.0"] == 2
