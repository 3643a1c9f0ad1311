"""The schema takes what the loader takes, and refuses unknown keys and wrong kinds of values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from p4alg.config.editing import get_value, set_value
from p4alg.config.errors import ConfigError
from p4alg.config.loader import read_text
from p4alg.config.schema import schema

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "topologies").glob("*.config.yaml"))
EXAMPLE = (ROOT / "topologies" / "nat.config.yaml").read_text()
FULL = (ROOT / "docs" / "configuration.md").read_text().split("## Full")[1].split("```")[1][5:]
VALIDATOR = Draft202012Validator(schema())


def wrong(text: str) -> list[str]:
    """What the schema refuses in a text."""
    return [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_what_is_shipped_fits(path: Path) -> None:
    assert wrong(path.read_text()) == []


def test_the_example_of_the_documentation_fits_and_is_read() -> None:
    assert read_text(FULL, Path("full.yaml")).settings.rules
    assert wrong(FULL) == []


def test_the_shipped_file_is_up_to_date() -> None:
    """If not: p4alg config schema > docs/configuration.schema.json."""
    shipped = json.loads((ROOT / "docs" / "configuration.schema.json").read_text())
    assert shipped == schema()


def keys(part: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key with a default, and what it may be."""
    for name, value in part.get("properties", {}).items():
        if name != "organisations":
            if "default" in value:
                yield (*path, name), value
            yield from keys(value, (*path, name))


DEFAULTS = dict(keys(schema()))
CONTRADICTION = re.compile("^$|is above|an outside address has 15 blocks|subscribers is 1")
"""What the schema cannot know of: what another setting does not go with."""


def refusal(text: str) -> str:
    """Why the loader refuses a text; empty if it does not."""
    try:
        read_text(text, Path("c.yaml"))
    except ConfigError as error:
        return str(error)
    return ""


def test_every_timer_limit_and_option_is_in_it() -> None:
    assert ("timers", "port_rest") in DEFAULTS
    assert ("limits", "grants_per_message") in DEFAULTS
    assert ("algs", "sip", "calls_per_second") in DEFAULTS
    assert len(DEFAULTS) > 40


@pytest.mark.parametrize("path", DEFAULTS, ids=".".join)
def test_the_loader_takes_a_default_and_both_bounds_and_nothing_beyond(
    path: tuple[str, ...],
) -> None:
    value = DEFAULTS[path]
    low, high = value.get("minimum"), value.get("maximum")
    good = [value["default"]] + [bound for bound in (low, high) if bound is not None]
    bad = [[], *([low - 1] if low is not None else []), *([high + 1] if high is not None else [])]
    if path[0] == "algs" and path[-1] == "services":
        bad = [1]
    for one in good:
        text = set_value(EXAMPLE, list(path), one)
        assert get_value(text, list(path)) == one
        assert wrong(text) == []
        assert CONTRADICTION.search(refusal(text))
    for one in bad:
        text = set_value(EXAMPLE, list(path), one)
        assert wrong(text)
        with pytest.raises(ConfigError):
            read_text(text, Path("c.yaml"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("what", 1),
        ("zones.inside.what", 1),
        ("zones.inside.ports", []),
        ("nat.what", 1),
        ("nat.static.+", {"outside": "203.0.113.9:1", "inside": "10.0.0.1"}),
        ("nat.pools", ["x"]),
        ("nat.blocks", {"size": 100}),
        ("algs.smtp", {}),
        ("algs.sip.what", 1),
        ("policy", [{"from": "inside"}]),
        ("policy", [{"action": "deny", "ports": 5}]),
        ("refuse", "drop"),
        ("denied_ports", [0]),
        ("services", {"x": ["icmp/1"]}),
        ("services", {"x": []}),
        ("switch.tls", {"cert": "x", "ca": "y"}),
        ("organisations", {}),
    ],
)
def test_both_refuse_the_same(path: str, value: object) -> None:
    text = set_value(EXAMPLE, path, value)
    assert wrong(text)
    with pytest.raises(ConfigError):
        read_text(text, Path("c.yaml"))
