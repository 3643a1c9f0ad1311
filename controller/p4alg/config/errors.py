"""Errors for the person at the keyboard: one line of text, and an exit status.

The code that raises one says in the text what to do about it.
"""

from __future__ import annotations


class UserError(Exception):
    """An expected failure. Its text is one line; `status` is the exit status: 1 failed, 2 usage."""

    status = 1


class UsageError(UserError):
    """A command was used wrongly, or the configuration is wrong."""

    status = 2


class ConfigError(UsageError):
    """A file is wrong. The text is ``file:line: reason``."""
