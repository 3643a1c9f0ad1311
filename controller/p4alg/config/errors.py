"""Errors meant for the person at the keyboard: one line, and an exit status.

Knows nothing of what went wrong; whoever raises one says what to do about it.
"""

from __future__ import annotations


class UserError(Exception):
    """An expected failure; the text is one line, `status` the exit status (1 failed, 2 usage)."""

    status = 1


class UsageError(UserError):
    """Wrong usage or configuration."""

    status = 2


class ConfigError(UsageError):
    """A file is wrong; the text is ``file:line: reason``."""
