"""YAML that tries to be clever is refused at its line, and costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from itertools import pairwise
from pathlib import Path

import pytest

from p4alg.config import source
from p4alg.config.errors import ConfigError
from p4alg.config.source import MAX_BYTES, Item, load, parse
from tests.unit.config.reading import at_line


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.yaml")
    return at_line(caught.value)


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
    assert "recursion" in refusal("[" * 1500)


def test_a_file_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load(path)


def test_a_file_up_to_the_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_BYTES", 10)
    path = tmp_path / "big.yaml"
    path.write_bytes(b"a: 1".ljust(10))
    assert load(path).mapping(("a",))["a"].value == 1
    path.write_bytes(b"a: 1".ljust(11))
    with pytest.raises(ConfigError, match="larger than 10 bytes"):
        load(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read it: No such file"):
        load(tmp_path / "nosuch.yaml")
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load(path)


def test_a_value_is_where_its_key_is_and_a_member_of_a_list_where_it_is() -> None:
    root = parse("a:\n  b: 1\nc:\n- x\n- y\n", "f.yaml")
    top = root.mapping(("a", "c"))
    assert (root.line, top["a"].line, top["c"].line) == (1, 1, 3)
    assert top["a"].mapping(("b",))["b"].line == 2
    assert [(item.line, item.value) for item in top["c"].sequence()] == [(4, "x"), (5, "y")]
    assert str(top["a"].error("no")) == "f.yaml:1:1: no"
    assert str(top["a"].mapping(("b",))["b"].error("no")) == "f.yaml:2:6: no"
    assert [(item.line, item.column) for item in top["c"].sequence()] == [(4, 3), (5, 3)]


def test_what_is_not_a_plain_value_is_text() -> None:
    assert parse("2026-01-02", "f.yaml").value == "2026-01-02"
    assert [item.value for item in parse("[1, 1.5, yes, null, a, '1']", "f").sequence()] == [
        1,
        1.5,
        True,
        None,
        "a",
        "1",
    ]


READERS: dict[str, tuple[Callable[[Item], object], str, object, dict[str, str]]] = {
    "text": (Item.text, "abc", "abc", {"''": "expected text", "1": "expected text"}),
    "integer": (
        lambda item: item.integer(1, 5),
        "5",
        5,
        {"6": "6 is not in 1..5", "yes": "expected a whole number", "1.5": "expected a whole"},
    ),
    "number": (
        lambda item: item.number(0.5, 5.0),
        "1",
        1.0,
        {"0.4": "0.4 is not in 0.5..5.0", "yes": "expected a number", ".nan": "nan is not in"},
    ),
    "boolean": (Item.boolean, "true", True, {"1": "expected true", "'true'": "expected true"}),
    "choice": (
        lambda item: item.choice(["a", "b"]),
        "b",
        "b",
        {"c": "'c' is not one of a, b", "1": "expected text"},
    ),
    "address": (
        Item.address,
        "10.0.0.1",
        IPv4Address("10.0.0.1"),
        {"10.0.0.1/24": "is not an IPv4 address", "'::1'": "is not an IPv4 address"},
    ),
    "network": (
        Item.network,
        "10.0.0.0/8",
        IPv4Network("10.0.0.0/8"),
        {"10.0.0.1/8": "has host bits set", "10.0.0.0/33": "is not an IPv4 prefix"},
    ),
    "interface": (
        Item.interface,
        "10.0.0.1/24",
        IPv4Interface("10.0.0.1/24"),
        {"10.0.0.1": "is not an address with a prefix length", "a/24": "is not an address"},
    ),
    "sequence": (lambda item: len(item.sequence()), "[1, 2]", 2, {"1": "expected a list"}),
    "mapping": (
        lambda item: sorted(item.mapping(("a",), ("b",))),
        "{a: 1, b: 2}",
        ["a", "b"],
        {
            "{b: 1}": "'a' is missing",
            "{a: 1, c: 2}": "unknown key 'c' (known: a, b)",
            "[a]": "expected a mapping",
        },
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_a_reader_gives_what_it_is_asked_for_or_the_line(name: str) -> None:
    read, text, value, wrong = READERS[name]
    found = read(parse(text, "f.yaml"))
    assert (found, type(found)) == (value, type(value))
    for bad, reason in wrong.items():
        with pytest.raises(ConfigError) as caught:
            read(parse(bad, "f.yaml"))
        assert at_line(caught.value).startswith("f.yaml:1: ")
        assert reason in str(caught.value)


@pytest.mark.parametrize("number", ["9" * 100, "-" + "9" * 100, "0x" + "f" * 5000])
def test_a_number_too_large_for_any_setting_is_refused(number: str) -> None:
    assert refusal(f"a: {number}") == "f.yaml:1: the number is too large"
