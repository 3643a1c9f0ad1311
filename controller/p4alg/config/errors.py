"""Errors for the person at the keyboard: one line of text, and an exit status.

The code that raises one says in the text what to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass


class UserError(Exception):
    """An expected failure. Its text is one line; `status` is the exit status: 1 failed, 2 usage."""

    status = 1


class UsageError(UserError):
    """A command was used wrongly, or the configuration is wrong."""

    status = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a place of a file. Lines and columns begin with 1."""

    line: int
    column: int
    text: str


class ConfigError(UsageError):
    """A file is wrong. The text is ``file:line: reason``; `problems` say the same in parts."""

    def __init__(self, text: str, *problems: Problem) -> None:
        super().__init__(text)
        self.problems = problems
