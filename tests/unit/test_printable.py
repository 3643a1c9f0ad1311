import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.printable import printable

HOSTILE = {
    "\x1b[2J": "\\x1b[2J",
    "a\nb": "a\\nb",
    "a\r\nb": "a\\r\\nb",
    "\x07\x00\x7f": "\\x07\\x00\\x7f",
    "\x9b31m": "\\x9b31m",
    "evil\u202egnp.exe": "evil\\u202egnp.exe",
    "\u2066x\u2069": "\\u2066x\\u2069",
    "a\u2028b\u0085c": "a\\u2028b\\x85c",
    "\ud800": "\\ud800",
    "\U000e0041": "\\U000e0041",
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.items())
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_what_prints_stays() -> None:
    text = "INVITE gr\u00fc\u00dfe 10.0.0.11 -> \u65e5\u672c \\x1b"
    assert printable(text) == text


def test_a_long_line_is_cut() -> None:
    assert printable("x" * 11, 10) == "x" * 10 + "..."


@given(st.text())
def test_the_result_is_one_line_that_prints_and_stays_as_it_is(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown.splitlines() == [shown] * bool(shown)
    assert printable(shown, len(shown)) == shown
