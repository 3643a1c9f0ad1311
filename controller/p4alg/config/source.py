"""Reads YAML with positions: every value knows the file and the line it came from.

It serves all our YAML files and knows no key by name. A reader asks an `Item` for the type of value
that it expects, and gets the value or a `ConfigError` with the line.

Duplicate keys, aliases and tags are refused. Aliases are refused because a few lines of them can
expand into more than fits into memory. What YAML takes for a date is text here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from p4alg.config.errors import ConfigError, Problem

MAX_BYTES = 1 << 20
"""The most bytes of a file. A larger one is refused without being parsed."""

Scalar = str | int | float | bool | None
_KINDS = ("str", "int", "float", "bool", "null")


@dataclass(frozen=True, slots=True)
class Item:
    """A value of a YAML file with its position: a scalar, or a dict or list of Items."""

    file: str
    line: int
    column: int
    value: Scalar | dict[str, Item] | list[Item]

    def error(self, reason: str) -> ConfigError:
        """Make a `ConfigError` for this place; the caller raises it."""
        return _wrong(self.file, self.line, self.column, reason)

    def mapping(
        self, required: Iterable[str] = (), optional: Iterable[str] = ()
    ) -> dict[str, Item]:
        """The values of a mapping by key. A missing or an unknown key is an error."""
        required = list(required)
        known = sorted({*required, *optional})
        found = self.entries()
        wrong = [
            item.error(f"unknown key '{key}' (known: {', '.join(known)})")
            for key, item in found.items()
            if key not in known
        ]
        wrong += [self.error(f"'{key}' is missing") for key in required if key not in found]
        if wrong:
            raise ConfigError.joined(wrong)
        return found

    def entries(self) -> dict[str, Item]:
        """The values of a mapping whose keys the operator may choose."""
        if not isinstance(self.value, dict):
            raise self.error("expected a mapping (key: value)")
        return self.value

    def sequence(self) -> list[Item]:
        """A list."""
        if not isinstance(self.value, list):
            raise self.error("expected a list")
        return self.value

    def text(self) -> str:
        """A non-empty string."""
        if not isinstance(self.value, str) or not self.value:
            raise self.error("expected text")
        return self.value

    def choice(self, allowed: Iterable[str]) -> str:
        """One of `allowed`."""
        options = list(allowed)
        text = self.text()
        if text not in options:
            raise self.error(f"'{text}' is not one of {', '.join(options)}")
        return text

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise self.error("expected a whole number")
        if not low <= self.value <= high:
            raise self.error(f"{self.value} is not in {low}..{high}")
        return self.value

    def number(self, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        if not isinstance(self.value, int | float) or isinstance(self.value, bool):
            raise self.error("expected a number")
        if not low <= self.value <= high:
            raise self.error(f"{self.value} is not in {low}..{high}")
        return float(self.value)

    def boolean(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.error("expected true or false")
        return self.value

    def address(self) -> ipaddress.IPv4Address:
        """An IPv4 address."""
        try:
            return ipaddress.IPv4Address(self.text())
        except ipaddress.AddressValueError:
            raise self.error(f"'{self.value}' is not an IPv4 address") from None

    def network(self) -> ipaddress.IPv4Network:
        """An IPv4 prefix without host bits."""
        text = self.text()
        try:
            return ipaddress.IPv4Network(text)
        except ValueError as exc:
            why = "has host bits set" if "host bits" in str(exc) else "is not an IPv4 prefix"
            raise self.error(f"'{text}' {why}") from None

    def interface(self) -> ipaddress.IPv4Interface:
        """An IPv4 address with the length of its network's prefix (``10.0.0.1/24``)."""
        text = self.text()
        try:
            if "/" not in text:
                raise ValueError(text)
            return ipaddress.IPv4Interface(text)
        except ValueError:
            raise self.error(f"'{text}' is not an address with a prefix length") from None


def load(path: Path) -> Item:
    """Read a YAML file; `ConfigError` if it cannot be read or is not one YAML document."""
    return parse(load_text(path), str(path))


def load_text(path: Path) -> str:
    """The text of a file; `ConfigError` if it cannot be read, or is too large or no text."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot read it: {exc.strerror}") from exc
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None


def parse(text: str, name: str) -> Item:
    """Read YAML text; `name` is the file name to use in errors."""
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            raise _wrong(name, 1, 1, "the file is empty")
        return _item(loader, node, name, set())
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _wrong(name, line, column, f"{exc.problem or exc.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise _wrong(name, 1, 1, str(exc).splitlines()[0]) from None
    finally:
        if loader is not None:
            loader.dispose()


def _wrong(name: str, line: int, column: int, reason: str) -> ConfigError:
    return ConfigError(f"{name}:{line}:{column}: {reason}", Problem(line, column, reason))


def _item(loader: yaml.SafeLoader, node: yaml.Node, name: str, seen: set[int]) -> Item:
    line, column = _place(node)
    if id(node) in seen:
        raise _wrong(name, line, column, "refers to an alias: write the value out")
    seen.add(id(node))
    if not node.tag.startswith("tag:yaml.org,2002:"):
        raise _wrong(name, line, column, f"tag '{node.tag}' is not supported")
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Item] = {}
        for key, value in node.value:
            place = _place(key)
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong(name, *place, "a key must be plain text")
            if key.value in found:
                raise _wrong(name, *place, f"'{key.value}' is given twice")
            item = _item(loader, value, name, seen)
            # A value that begins below its key has the place of the key, since that is where a
            # reader looks first.
            if item.line != place[0]:
                item = replace(item, line=place[0], column=place[1])
            found[key.value] = item
        return Item(name, line, column, found)
    if isinstance(node, yaml.SequenceNode):
        items = [_item(loader, value, name, seen) for value in node.value]
        return Item(name, line, column, items)
    kind = node.tag.rpartition(":")[2]
    if kind not in _KINDS:
        return Item(name, line, column, str(node.value))
    try:
        scalar: Scalar = loader.construct_object(node)
    except (ValueError, KeyError):
        raise _wrong(name, line, column, f"'{node.value}' is not a {kind}") from None
    if isinstance(scalar, int) and scalar.bit_length() > 64:
        # Python refuses to convert an int of thousands of digits to text, and so
        # an error message that quotes the number could not be made.
        raise _wrong(name, line, column, "the number is too large")
    return Item(name, line, column, scalar)


def _place(node: yaml.Node) -> tuple[int, int]:
    """The line and the column of a node, from 1 on."""
    return node.start_mark.line + 1, node.start_mark.column + 1
