"""The commands of p4alg as its parser has them, and the day of the build, for what is generated."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Command:
    """A command or an action of one, such as ``p4alg lab up``."""

    name: str
    """With those above it, as it is typed."""
    help: str
    """What the list of commands says of it."""
    parser: argparse.ArgumentParser
    inner: tuple[Command, ...]


def command(parser: argparse.ArgumentParser, text: str = "") -> Command:
    """A parser and all that are in it. `text` says what it does, if its description does not."""
    inner: list[Command] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {row.dest: row.help or "" for row in action._get_subactions()}
            inner += [command(one, helps.get(name, "")) for name, one in action.choices.items()]
    return Command(parser.prog, text or parser.description or "", parser, tuple(inner))


def walk(top: Command) -> Iterator[Command]:
    """A command, and all that are in it."""
    yield top
    for one in top.inner:
        yield from walk(one)


def arguments(one: Command) -> list[argparse.Action]:
    """The options and arguments of a command itself."""
    hidden = (argparse._SubParsersAction, argparse._HelpAction, argparse._VersionAction)
    return [action for action in one.parser._actions if not isinstance(action, hidden)]


def explained(one: Command, action: argparse.Action) -> str:
    """The help of an option or argument, with its default in it."""
    return one.parser._get_formatter()._expand_help(action) if action.help else ""


def built_on() -> datetime:
    """Now, or when a reproducible build says that it is (SOURCE_DATE_EPOCH, seconds since 1970)."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(given), UTC) if given else datetime.now(UTC)
