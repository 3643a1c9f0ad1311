"""YAML that tries to be clever is refused at its line, and costs nothing."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from p4alg.config.errors import ConfigError
from p4alg.config.source import MAX_BYTES, load, parse


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.yaml")
    return str(caught.value)


def test_aliases_that_expand_without_end_are_refused() -> None:
    lines = ["a: &a [x, x]"]
    names = "abcdefghijklmnopqrstuvwxyz"
    for above, name in pairwise(names):
        lines.append(f"{name}: &{name} [" + ", ".join([f"*{above}"] * 9) + "]")
    assert refusal("\n".join(lines)).startswith("f.yaml:1: refers to an alias")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml:1: the file is empty"),
        ("a: 1\n---\nb: 2", "f.yaml:2: but found another document"),
        ("a: 1\na: 2", "f.yaml:2: 'a' is given twice"),
        ("a: &a [*a]", "f.yaml:1: refers to an alias: write the value out"),
        ("a: !x 1", "f.yaml:1: tag '!x' is not supported"),
        ("a: !!bool x", "f.yaml:1: 'x' is not a bool"),
        ("[a]: 1", "f.yaml:1: a key must be plain text"),
    ],
)
def test_clever_yaml_is_refused(text: str, message: str) -> None:
    assert refusal(text) == message


def test_nesting_without_end_is_refused() -> None:
    assert "recursion" in refusal("[" * 5000)


def test_a_file_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load(path)
