"""Checks a configuration as a whole: its text, and whether it fits into the switch's tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from p4alg.artifacts import named
from p4alg.config import loader
from p4alg.config.errors import ConfigError, Problem, UserError
from p4alg.config.loader import Config
from p4alg.driver.capacity import overflow
from p4alg.driver.target import TargetError
from p4alg.engine.layout import all_entries
from p4alg.engine.settings import Settings


def check(text: str, file: Path) -> Config:
    """The configuration in a text that is, or is to be, in `file`; `ConfigError` if it is wrong."""
    config = loader.read_text(text, file)
    too_much = shortage(config.organisations, config.switch.program)
    if too_much:
        raise ConfigError(f"{file}: {too_much}", Problem(1, 1, too_much))
    return config


def shortage(organisations: Sequence[Settings], program: str) -> str | None:
    """One line about the first table that the settings do not fit into; None if they fit."""
    try:
        return overflow(all_entries(organisations), named(program))
    except TargetError as error:
        raise UserError(str(error)) from None
