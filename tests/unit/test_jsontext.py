"""JSON is that of Python's own encoder, whatever is in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from p4alg import jsontext

ROW = {"a": "10.0.0.1:5", "b": None, "c": [1.5, True, -3], "d": {"e": ""}}


@pytest.mark.parametrize(
    "value",
    [
        ROW,
        [ROW, ROW],
        [],
        {"rows": [], "name": "Zürich\u202e\x1b[2J\x9b"},
        {"half": "\ud800"},
        {"large": (1 << 80) - 1},
        {6: "six"},
    ],
)
def test_it_is_the_text_of_json(value: Any) -> None:
    assert jsontext.dumps(value, indent=True) == json.dumps(value, indent=2).encode()
    line = jsontext.dumps(value)
    assert line == json.dumps(value, separators=(",", ":")).encode()
    assert b"\n" not in line
    assert line.isascii()


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b'{"a":1}x', b"[" * 100_000, b'"\xff"'])
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"line|unexpected|recursion|str is not"):
        jsontext.loads(text)


def test_what_is_written_is_read_again() -> None:
    assert jsontext.loads(jsontext.dumps(ROW)) == ROW
