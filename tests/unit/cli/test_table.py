"""Tables are aligned, and the widest usual rows fit a terminal of 80 columns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.cli import show
from p4alg.cli.table import Row, render, text

COLUMNS = {"name": "NAME", "value": "VALUE"}
CELLS = st.one_of(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=20),
    st.integers(),
    st.booleans(),
    st.none(),
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("ftp", "ftp"),
        ("", "-"),
        (None, "-"),
        ([], "-"),
        (["ftp", "ftp-alt"], "ftp, ftp-alt"),
        (("a", 1), "a, 1"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (0.0, "0"),
        (57.7, "57.7"),
        (60.0, "60"),
    ],
)
def test_a_value_is_shown_as_a_person_reads_it(value: object, shown: str) -> None:
    assert text(value) == shown


def test_columns_are_aligned_below_their_headings() -> None:
    rows: list[Row] = [
        {"name": "a", "value": 1},
        {"name": "longer than its heading", "value": None},
    ]
    assert render(rows, COLUMNS) == [
        "NAME                     VALUE",
        "a                        1",
        "longer than its heading  -",
    ]


def test_a_missing_key_is_an_empty_cell_and_others_are_not_shown() -> None:
    assert render([{"name": "a", "more": "x"}], COLUMNS) == ["NAME  VALUE", "a     -"]


def test_no_rows_are_a_heading() -> None:
    assert render([], COLUMNS) == ["NAME  VALUE"]


@given(st.lists(st.fixed_dictionaries({"name": CELLS, "value": CELLS})))
def test_every_cell_begins_where_its_heading_does(rows: list[dict[str, object]]) -> None:
    lines = render(rows, COLUMNS)
    assert len(lines) == len(rows) + 1
    at = lines[0].index("VALUE")
    for row, line in zip(rows, lines[1:], strict=True):
        assert line[: at - 2].rstrip() == text(row["name"])
        assert line[at:] == text(row["value"])
        assert line == line.rstrip()


SESSION = {
    "proto": "tcp",
    "inside": "10.0.0.11:52733",
    "outside": "203.0.113.15:65535",
    "remote": "198.51.100.11:2121",
    "state": "established",
    "alg": "ftp",
    "label": "control",
}
WIDE: dict[str, dict[str, Any]] = {
    "sessions": SESSION,
    "bindings": {
        "proto": "icmp",
        "inside": "192.168.100.111:65535",
        "outside": "203.0.113.115:65535",
        "kind": "dynamic",
        "sessions": 12345,
        "age": 86400.5,
    },
    "pinholes": {
        "inside": "10.0.0.11:52733",
        "outside": "203.0.113.15:65535",
        "remote": "198.51.100.111:65535",
        "label": "ftp PORT",
        "expires_in": 57.7,
    },
    "subscribers": {
        "address": "192.168.100.111",
        "outside": "203.0.113.115",
        "bindings": 32768,
        "sessions": 65536,
        "pinholes": 1024,
        "controls": 256,
    },
    "algs": {
        "name": "ftp",
        "enabled": True,
        "services": ["ftp", "ftp-alt"],
        "ports": ["tcp/21", "tcp/2121"],
        "sessions": 4,
    },
}


@pytest.mark.parametrize("what", WIDE)
def test_the_widest_rows_of_a_lab_fit_80_columns(what: str) -> None:
    for line in show.lines(what, [WIDE[what]]):
        assert len(line) <= 80, line


@pytest.mark.parametrize("what", ["algs", "sessions", "bindings", "pinholes", "events"])
def test_an_empty_view_says_so(what: str) -> None:
    assert show.lines(what, []) == [f"no {what}"]


def test_counters_are_aligned_and_none_are_told() -> None:
    assert show.lines("counters", {"a": 1, "long.name": 22}) == ["a          1", "long.name  22"]
    assert show.lines("counters", {}) == ["no counters yet"]
