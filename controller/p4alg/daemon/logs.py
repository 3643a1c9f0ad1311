"""Writes the log of the controller, as the section `log` of the configuration says.

A log that cannot be written never stops the controller: what syslog or the journal does not take is
written to standard error as text.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p4alg.config.errors import UsageError
from p4alg.config.logs import LEVELS, LogFormat, LogSettings, level_name
from p4alg.engine.actions import Subsystem

JOURNAL = Path("/run/systemd/journal/socket")
"""Where the journal of systemd takes entries in its native protocol."""
IDENTIFIER = "p4alg"
"""The name under which lines are found in syslog and in the journal."""
ALL = "all"
"""What stands for all subsystems in commands."""
_SEVERITIES = {logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
"""RFC 3164 section 4.1.1."""
_DAEMON = 3
"""The facility: system daemons."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log. `time` is ISO 8601, `level` as in `logging`, `text` is printable."""

    time: str
    level: int
    subsystem: Subsystem
    organisation: str
    """Whose it is; empty if it is nobody's in particular, or if there is only one."""
    text: str

    @property
    def word(self) -> str:
        """The level as a word."""
        return logging.getLevelName(self.level).lower()

    @property
    def message(self) -> str:
        """The text with the organisation in front of it."""
        return f"{self.organisation}: {self.text}" if self.organisation else self.text


Writer = Callable[[Line], None]
"""Writes a line; OSError if that is not possible."""


class Log:
    """The log of a controller: what is written, how, and where."""

    def __init__(self, settings: LogSettings, journal: Path = JOURNAL) -> None:
        """A log that writes as the settings say.

        Where there is no such syslog or journal, it writes text, and says so.
        """
        self._levels = _levels(settings)
        self._write: Writer = _text
        self.problem = ""
        """Why the log is not as the configuration says; empty if it is."""
        try:
            self._write = _writer(settings, journal)
        except OSError as error:
            why = error.strerror or str(error)
            self.problem = f"log.format {settings.format}: {why}: lines go to standard error"

    def wants(self, subsystem: Subsystem, level: int) -> bool:
        """Whether a line of this subsystem and level is written."""
        return level >= self._levels[subsystem]

    def write(self, line: Line) -> None:
        """Write a line, whoever wants it; if that fails, as text to standard error."""
        # The reader of our standard error may be gone too. That must not end the controller.
        with suppress(OSError, ValueError):
            try:
                self._write(line)
            except OSError:
                _text(line)

    def configure(self, settings: LogSettings) -> None:
        """Have the levels of these settings from now on. Form and place stay as they are."""
        self._levels = _levels(settings)

    @property
    def levels(self) -> Mapping[str, str]:
        """The name of the level of each subsystem."""
        return {str(subsystem): level_name(level) for subsystem, level in self._levels.items()}

    def set_level(self, subsystem: str, level: str) -> Mapping[str, str]:
        """Set the level of a subsystem, or of `ALL`; the levels that there are then."""
        if level not in LEVELS:
            raise UsageError(f"no level '{level}' (known: {', '.join(LEVELS)})")
        known = [str(each) for each in Subsystem]
        if subsystem not in (ALL, *known):
            raise UsageError(f"no subsystem '{subsystem}' (known: {', '.join([ALL, *known])})")
        chosen = list(Subsystem) if subsystem == ALL else [Subsystem(subsystem)]
        self._levels |= dict.fromkeys(chosen, LEVELS[level])
        return self.levels


def _levels(settings: LogSettings) -> dict[Subsystem, int]:
    return {subsystem: settings.level_of(subsystem) for subsystem in Subsystem}


def _writer(settings: LogSettings, journal: Path) -> Writer:
    """What writes in a format. OSError if there is nobody to write to."""
    match settings.format:
        case LogFormat.JSON:
            return _json
        case LogFormat.SYSLOG:
            return _Syslog(settings.syslog).write
        case LogFormat.JOURNALD:
            return _Journal(journal).write
    return _text


def _text(line: Line) -> None:
    print(f"{line.time} {line.word}: {line.message}", file=sys.stderr, flush=True)


def _json(line: Line) -> None:
    row = {
        "time": line.time,
        "level": line.word,
        "subsystem": line.subsystem,
        "organisation": line.organisation,
        "text": line.text,
    }
    print(json.dumps(row), file=sys.stderr, flush=True)


class _Datagrams:
    """Sends a datagram for each line, and waits for nobody: a log that is full has to lose lines.

    OSError if nobody takes them at `address`, a path or host and port.
    """

    def __init__(self, address: str | tuple[str, int]) -> None:
        self._to: Any
        if isinstance(address, str):
            family, self._to = socket.AF_UNIX, address
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect(address)
        else:
            # The name is looked up once: that may take long.
            family, _, _, _, self._to = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
        # Not connected, since who listens there may be started again.
        self._socket = socket.socket(family, socket.SOCK_DGRAM)

    def send(self, data: bytes) -> None:
        """Send one."""
        self._socket.sendto(data, socket.MSG_DONTWAIT, self._to)


class _Syslog:
    """Lines as RFC 3164 has them; to a socket of this machine without its name, as is usual."""

    def __init__(self, where: str) -> None:
        host, _, port = where.rpartition(":")
        is_path = where.startswith("/")
        self._to = _Datagrams(where if is_path else (host.strip("[]"), int(port)))
        self._host = "" if is_path else f"{socket.gethostname()} "

    def write(self, line: Line) -> None:
        """Send a line."""
        when = time.strftime("%b %e %H:%M:%S")
        head = f"<{_DAEMON << 3 | _severity(line)}>{when} {self._host}{IDENTIFIER}[{os.getpid()}]"
        self._to.send(f"{head}: {line.subsystem}: {line.message}".encode())


class _Journal:
    """Lines in the native protocol of the journal: a datagram with a field in each line."""

    def __init__(self, path: Path) -> None:
        self._to = _Datagrams(str(path))

    def write(self, line: Line) -> None:
        """Send a line. None of its values has a line end in it: texts are printable."""
        fields = {
            "MESSAGE": line.message,
            "PRIORITY": str(_severity(line)),
            "SYSLOG_IDENTIFIER": IDENTIFIER,
            "P4ALG_SUBSYSTEM": line.subsystem,
        }
        if line.organisation:
            fields["P4ALG_ORGANISATION"] = line.organisation
        self._to.send("".join(f"{name}={value}\n" for name, value in fields.items()).encode())


def _severity(line: Line) -> int:
    return _SEVERITIES.get(line.level, _SEVERITIES[logging.INFO])
