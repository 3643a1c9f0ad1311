"""Errors for the person at the keyboard: one line of text, and an exit status.

The code that raises one says in the text what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")


class UserError(Exception):
    """An expected failure. Its text is one line; `status` is the exit status: 1 failed, 2 usage."""

    status = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """The text as lines for people: one for each thing that is wrong."""
        return (str(self),)


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
    """A file is wrong. The text is ``file:line:column: reason``, with a line for each problem."""

    def __init__(self, text: str, problem: Problem | None = None) -> None:
        super().__init__(text)
        self._parts: tuple[tuple[Problem | None, str], ...] = ((problem, text),)

    @classmethod
    def joined(cls, errors: Iterable[ConfigError]) -> ConfigError:
        """Several errors as one: each problem once, in the order of their places."""
        parts = dict.fromkeys(part for error in errors for part in error._parts)
        ordered = sorted(parts, key=_place)
        whole = cls("\n".join(text for _, text in ordered))
        whole._parts = tuple(ordered)
        return whole

    @property
    def lines(self) -> tuple[str, ...]:
        """The text of each problem."""
        return tuple(text for _, text in self._parts)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong, where it has a place."""
        return tuple(problem for problem, _ in self._parts if problem is not None)


def _place(part: tuple[Problem | None, str]) -> tuple[int, int]:
    problem, _ = part
    return (0, 0) if problem is None else (problem.line, problem.column)


class Gathering:
    """Reads parts that do not depend on each other, and raises all that was wrong at the end."""

    def __init__(self) -> None:
        self._errors: list[ConfigError] = []

    def attempt(self, read: Callable[[], _T], otherwise: _T) -> _T:
        """What `read` gives; `otherwise` if it raises `ConfigError`, which is kept."""
        try:
            return read()
        except ConfigError as error:
            self._errors.append(error)
            return otherwise

    @property
    def failed(self) -> bool:
        """Whether anything was wrong."""
        return bool(self._errors)

    def done(self) -> None:
        """Raise what was kept, as one `ConfigError`."""
        if self._errors:
            raise ConfigError.joined(self._errors)


def gather(reads: Iterable[Callable[[], _T]]) -> list[_T]:
    """What each of `reads` gives, in order; a `ConfigError` with all that is wrong in them."""
    found: list[_T] = []
    errors: list[ConfigError] = []
    for read in reads:
        try:
            found.append(read())
        except ConfigError as error:
            errors.append(error)
    if errors:
        raise ConfigError.joined(errors)
    return found
