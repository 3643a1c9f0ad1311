"""Reads a piece of YAML with the reader of one section, as `loader` does with the whole."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from p4alg.config.errors import ConfigError
from p4alg.config.source import Item, parse
from p4alg.engine.settings import Zone
from p4alg.engine.tables import Side

INSIDE = Zone("inside", 1, Side.INSIDE, (1, 2), 0, 0x0A000001, 24, 0x020000010001)
OUTSIDE = Zone("outside", 2, Side.OUTSIDE, (3, 4), 0, 0xC6336401, 24, 0x020000010002)
ZONES = (INSIDE, OUTSIDE)


def section(text: str) -> Item:
    return parse(text, "c.yaml")


def at_line(error: ConfigError) -> str:
    """Why a file was refused, with its line but without the column, which has a test of its own."""
    return re.sub(r"^([^:]*:[0-9]+):[0-9]+: ", r"\1: ", str(error))


def refusal(read: Callable[[Item], object], text: str) -> str:
    """Why `read` refuses a section: one line, that begins with its line."""
    with pytest.raises(ConfigError) as caught:
        read(section(text))
    message = str(caught.value)
    assert "\n" not in message
    place, _, reason = message.partition(": ")
    _, line, column = place.split(":")
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.text) == (int(line), int(column), reason)
    return f"{line}: {reason}"
