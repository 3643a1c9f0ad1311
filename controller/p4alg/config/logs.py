"""Reads the section `log`: the form of log lines, where they go, and which there are."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from p4alg.config.source import Item
from p4alg.config.switch import is_host_port
from p4alg.engine.actions import Subsystem

LEVELS = {
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "none": logging.CRITICAL + 1,
}
"""The levels by name: lines of this level and of worse ones are written; `none`: no lines."""
_SYSLOG = "/dev/log"


class LogFormat(StrEnum):
    """The form of log lines, and by that where they go."""

    TEXT = "text"
    """A line on standard error."""
    JSON = "json"
    """An object in a line on standard error."""
    SYSLOG = "syslog"
    """RFC 3164, to a socket."""
    JOURNALD = "journald"
    """Fields, to the journal of systemd."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How the controller logs. Levels are as in `logging`."""

    format: LogFormat = LogFormat.TEXT
    syslog: str = _SYSLOG
    """The socket of syslog: a path, or ``HOST:PORT`` (UDP)."""
    level: int = logging.INFO
    """Of subsystems that are not in `levels`."""
    levels: Mapping[Subsystem, int] = field(default_factory=dict)

    def level_of(self, subsystem: Subsystem) -> int:
        """The least level of the lines that a subsystem writes."""
        return self.levels.get(subsystem, self.level)


def level_name(level: int) -> str:
    """The name of one of `LEVELS`."""
    return next(name for name, value in LEVELS.items() if value == level)


def read_log(item: Item | None) -> LogSettings:
    """The log section; `ConfigError` if something is wrong in it."""
    keys = item.mapping(optional=("format", "syslog", "level", "levels")) if item else {}
    form, syslog, level = LogFormat.TEXT, _SYSLOG, logging.INFO
    levels: dict[Subsystem, int] = {}
    if "format" in keys:
        form = LogFormat(keys["format"].choice(LogFormat))
    if "syslog" in keys:
        syslog = keys["syslog"].text()
        if not syslog.startswith("/") and not is_host_port(syslog):
            raise keys["syslog"].error(f"'{syslog}' is neither a path nor HOST:PORT")
    if "level" in keys:
        level = LEVELS[keys["level"].choice(LEVELS)]
    if "levels" in keys:
        each = keys["levels"].mapping(optional=tuple(Subsystem))
        levels = {Subsystem(name): LEVELS[one.choice(LEVELS)] for name, one in each.items()}
    return LogSettings(form, syslog, level, levels)
