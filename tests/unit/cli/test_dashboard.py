"""The screen of `p4alg top` fits the terminal and shows what grows fastest first."""

from __future__ import annotations

from typing import Any

import pytest

from p4alg.cli.dashboard import MIN_HEIGHT, MIN_WIDTH, SORTS, Look, Sample, screen, si


def host(number: int, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "address": f"10.0.0.{number}",
        "outside": "203.0.113.1",
        "organisation": "default",
        **{"packets_out": 0, "bytes_out": 0, "packets_in": 0, "bytes_in": 0},
        **{"sessions": 0, "bindings": 0, "pinholes": 1},
    }
    return {**values, **changes}


def sample(clock: float, **changes: Any) -> Sample:
    values: dict[str, Any] = {
        "time": "13:20:01",
        "counters": {"nat.one": 1, "nat.two": 2, "switch.punts.arp": 5, "switch.drops.ttl": 1},
        "algs": [{"name": "ftp", "sessions": 3}, {"name": "sip", "sessions": 0}],
        "subscribers": [host(1), host(2), host(3)],
        "tables": {"session": {"entries": 512, "size": 1024}, "route": {"entries": 3, "size": 64}},
        "program": "p4alg",
    }
    return Sample(clock, **{**values, **changes})


BEFORE = sample(100.0)
AFTER = sample(
    102.0,
    counters={"nat.one": 1, "nat.two": 22, "switch.punts.arp": 9, "switch.drops.ttl": 5},
    subscribers=[
        host(1, bytes_out=250, packets_out=8),
        host(2, bytes_in=2_500_000, packets_in=4, sessions=7),
        host(3, bindings=9),
    ],
)


def text(before: Sample | None, after: Sample, look: Look) -> list[str]:
    return [line for line, _ in screen(before, after, look)]


def row(lines: list[str], word: str) -> list[str]:
    (found,) = [line for line in lines if word in line]
    return found.split()


@pytest.mark.parametrize("width", [MIN_WIDTH, 81, 200])
@pytest.mark.parametrize("height", [MIN_HEIGHT, 24, 25, 70])
def test_it_fits_any_terminal(width: int, height: int) -> None:
    many = sample(
        5.0,
        counters={f"alg.sip.client.refused.some-long-reason-{n}": 10**n for n in range(60)},
        subscribers=[
            host(n, organisation="a-name-of-an-organisation", bytes_in=10**12) for n in range(90)
        ],
        tables={f"a_table_with_a_long_name_{n}": {"entries": n, "size": 9} for n in range(40)},
    )
    lines = text(BEFORE, many, Look(width, height))
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    assert lines[-1].startswith("q quit")


@pytest.mark.parametrize(("width", "height"), [(MIN_WIDTH - 1, 24), (80, MIN_HEIGHT - 1), (5, 1)])
def test_a_terminal_that_is_too_small_says_so(width: int, height: int) -> None:
    (line,) = text(BEFORE, AFTER, Look(width, height))
    assert "too small: 80x12 at least".startswith(line)


def test_rates_are_of_the_time_in_between() -> None:
    lines = text(BEFORE, AFTER, Look(80, 24))
    assert row(lines, "nat.two")[:3] == ["nat.two", "10", "22"]
    assert row(lines, "switch.drops.ttl")[1:3] == ["2", "5"]
    assert lines[2] == "punts/s 2   arp 2"
    # The fastest first, and what stands still behind it.
    order = [line.split()[0] for line in lines[5:8]]
    assert order == ["nat.two", "switch.drops.ttl", "nat.one"]


def test_without_an_earlier_sample_no_rate_is_known() -> None:
    lines = text(None, AFTER, Look(80, 24))
    assert lines[2] == "punts/s -"
    assert row(lines, "nat.two")[1] == "-"


def test_a_counter_that_began_again_has_no_negative_rate() -> None:
    lines = text(AFTER, sample(104.0, counters={"nat.two": 4}), Look(80, 24))
    assert row(lines, "nat.two")[1] == "2"


def test_the_fullest_table_comes_first() -> None:
    lines = text(BEFORE, AFTER, Look(80, 24))
    assert lines[5].split()[-4:] == ["session", "512", "1.0k", "50%"]
    assert lines[6].split()[-4:] == ["route", "3", "64", "5%"]


@pytest.mark.parametrize(
    ("sort", "first"),
    [("bits", "10.0.0.2"), ("packets", "10.0.0.1"), ("sessions", "10.0.0.2")],
)
def test_subscribers_are_in_the_chosen_order(sort: str, first: str) -> None:
    lines = text(BEFORE, AFTER, Look(80, 24, sort))
    (head,) = [n for n, line in enumerate(lines) if line.startswith("SUBSCRIBER")]
    assert lines[head + 1].split()[0] == first
    assert f"by {sort}" in lines[-1]
    assert row(lines, "10.0.0.2")[2:] == ["0", "10M", "0", "2", "7"]


def test_there_are_as_many_orders_as_are_told() -> None:
    assert {screen(BEFORE, AFTER, Look(80, 24, sort))[-1][0] for sort in SORTS} == {
        f"q quit   s sort (by {sort})   p pause" for sort in SORTS
    }


def test_the_head_sums_up() -> None:
    lines = text(BEFORE, AFTER, Look(80, 24, paused=True))
    assert lines[0].endswith("paused")
    assert lines[1] == "subscribers 3   ALG sessions 3 (ftp 3)   pinholes 3"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        *((0, "0"), (0.5, "0.5"), (2.0, "2"), (999, "999"), (1000, "1.0k"), (12345, "12k")),
        *((999_499, "999k"), (999_600, "1.0M"), (5e9, "5.0G"), (2e15, "2000T")),
    ],
)
def test_numbers_are_short(value: float, told: str) -> None:
    assert si(value) == told
