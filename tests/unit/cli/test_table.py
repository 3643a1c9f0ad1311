"""Rows are aligned below their headings, and values are shown as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_a_cell_cannot_write_to_the_terminal() -> None:
    rows = [{"from": "\x1b[31mevil\u202e\n", "list": ["\x07"]}]
    assert all(line.isprintable() for line in render(rows, {"from": "FROM", "list": "LIST"}))
