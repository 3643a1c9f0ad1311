"""One value of a text is changed, and every other character stays as it is."""

from __future__ import annotations

import difflib
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from p4alg.config.editing import get_value, set_value, unset
from p4alg.config.errors import UsageError

EXAMPLE = (Path(__file__).parents[3] / "topologies" / "nat.config.yaml").read_text()
BLOCKS = """\
# Top
a:   # of a
    b: 1     # of b
    # before c
    c:
    - x   # of x
    - k: v
      m: n

    # before d
    d: |
      text
e: {f: [1, 2],  g: 'h'}
i:
"""


def changed(before: str, after: str) -> list[str]:
    """The lines that differ."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in lines if line[0] in "+-"]


@pytest.mark.parametrize(
    ("path", "value", "lines"),
    [
        ("a.b", 2, ["-     b: 1     # of b", "+     b: 2     # of b"]),
        ("a.c.0", "y", ["-     - x   # of x", "+     - y   # of x"]),
        ("a.c.1.m", [1], ["-       m: n", "+       m: [1]"]),
        ("a.c.1.o", True, ["+       o: true"]),
        ("a.c.+", {"z": "1"}, ["+     - {z: '1'}"]),
        ("a.d", "t", ["-     d: |", "+     d: t", "-       text"]),
        ("a.n", 1, ["+     n: 1"]),
        ("e.f.+", 3, ["- e: {f: [1, 2],  g: 'h'}", "+ e: {f: [1, 2, 3],  g: 'h'}"]),
        ("e.g", "a, b", ["- e: {f: [1, 2],  g: 'h'}", "+ e: {f: [1, 2],  g: 'a, b'}"]),
        ("e.x.y", 1, ["- e: {f: [1, 2],  g: 'h'}", "+ e: {f: [1, 2],  g: 'h', x: {y: 1}}"]),
        ("i.j", False, ["- i:", "+ i: {j: false}"]),
        ("k.l.m", 1, ["+ k:", "+   l: {m: 1}"]),
        ("n.+", {"o": 1}, ["+ n:", "+   - {o: 1}"]),
        ("p", [21, "22-23"], ["+ p: [21, 22-23]"]),
        # What YAML would take for something else is quoted.
        ("p", "yes", ["+ p: 'yes'"]),
        ("p", "2026-01-02", ["+ p: '2026-01-02'"]),
    ],
)
def test_a_value_is_set_where_it_belongs(path: str, value: object, lines: list[str]) -> None:
    after = set_value(BLOCKS, path, value)
    assert changed(BLOCKS, after) == lines
    shown = get_value(after, path.replace(".+", ""))
    assert (shown[-1] if path.endswith("+") else shown) == value


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("a.b", ["-     b: 1     # of b"]),
        ("a.c.0", ["-     - x   # of x"]),
        ("a.c.1.k", ["-     - k: v", "-       m: n", "+     - m: n"]),
        ("a.c.1", ["-     - k: v", "-       m: n"]),
        ("a.d", ["-     d: |", "-       text"]),
        ("e.f", ["- e: {f: [1, 2],  g: 'h'}", "+ e: {g: 'h'}"]),
        ("e.f.1", ["- e: {f: [1, 2],  g: 'h'}", "+ e: {f: [1],  g: 'h'}"]),
        ("e.f.0", ["- e: {f: [1, 2],  g: 'h'}", "+ e: {f: [2],  g: 'h'}"]),
        ("e", ["- e: {f: [1, 2],  g: 'h'}"]),
        ("i", ["- i:"]),
    ],
)
def test_a_value_is_taken_away_with_its_lines_only(path: str, lines: list[str]) -> None:
    assert changed(BLOCKS, unset(BLOCKS, path)) == lines


def test_a_section_that_would_be_empty_goes_too() -> None:
    assert changed(EXAMPLE, unset(EXAMPLE, "algs.ftp.services")) == [
        "- algs:",
        "-   ftp: {services: [ftp, ftp-alt]}",
    ]


def test_a_file_without_a_last_line_feed_is_continued() -> None:
    assert set_value("a: 1", "b", 2) == "a: 1\nb: 2\n"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "is no path"),
        ([], "give a path"),
        (None, "give a path"),
        ("a." * 20, "give a path"),
        ([{}], "is no path"),
        ("a.b.c", "'1' has no keys"),
        ("a.c.9", "append by '\\+'"),
        ("a.+", "is no list"),
        ("q.0", "append to a list"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: object, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        set_value(BLOCKS, path, 1)


def test_what_is_not_there_cannot_be_taken_away() -> None:
    with pytest.raises(UsageError, match=r"there is no a\.x to unset"):
        unset(BLOCKS, "a.x")
    with pytest.raises(UsageError, match="a value is missing"):
        set_value(BLOCKS, "a.b", None)


@pytest.mark.parametrize("text", ["[1]", "a: [", "1", "a: &x 1\nb: *x\n? {c: 1}\n: 2"])
def test_text_that_is_no_configuration_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        set_value(text, "a.b.c", 1)
    assert "\n" not in str(caught.value)


KEYS = st.sampled_from(["a", "b", "c", "on", "1"])
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-9, 9), st.text("ab:#'\" -,{}[]yes\n", max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)


@given(
    data=st.dictionaries(KEYS, VALUES, min_size=1, max_size=4),
    flow=st.sampled_from([True, False, None]),
    path=st.lists(KEYS, min_size=1, max_size=3),
    value=VALUES,
)
def test_whatever_the_text_the_value_is_there_afterwards_or_it_is_refused(
    data: dict[str, object], flow: bool | None, path: list[str], value: object
) -> None:
    text = yaml.safe_dump(data, default_flow_style=flow)
    with suppress(UsageError):
        assert isinstance(yaml.safe_load(set_value(text, path, value)), dict)
    with suppress(UsageError):
        assert isinstance(yaml.safe_load(unset(text, path)), dict | None)


def test_nothing_is_set_inside_a_text() -> None:
    for text in ("{a: [], c: ''}\n", "c: ''\n", "c: word\n"):
        with pytest.raises(UsageError):
            set_value(text, ["c", "a"], [])
