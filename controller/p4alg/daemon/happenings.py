"""What has happened lately, and what happens, for `p4alg events`: the last ones are kept."""

from __future__ import annotations

import logging
from collections import deque
from datetime import UTC, datetime
from typing import Any

from p4alg.daemon.server import Traces
from p4alg.engine.actions import EventRecord, LogRecord, Subsystem
from p4alg.printable import printable

MAX_KEPT = 1000
"""The most events that are kept for those who ask later."""


class Happenings:
    """The last events, and those who follow the next ones."""

    def __init__(self) -> None:
        self._kept: deque[tuple[str, EventRecord, str]] = deque(maxlen=MAX_KEPT)
        self.following = Traces()
        """Those who follow. A slow one is told how many it has missed."""

    def record(self, record: EventRecord, organisation: str) -> None:
        """Keep an event of an organisation, and give it to all who follow."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._kept.append((now, record, organisation))
        if self.following.wanted:
            self.following.publish(_row(now, record, organisation))

    def kept(self) -> list[dict[str, Any]]:
        """The events that are kept, oldest first."""
        return [_row(*kept) for kept in self._kept]


def audit(text: str, organisation: str = "") -> tuple[LogRecord, EventRecord]:
    """What an operator has done, for the log and for `p4alg events`."""
    log = LogRecord(logging.INFO, f"audit: {text}", organisation, Subsystem.AUDIT)
    return log, EventRecord("audit", "done", text=text, organisation=organisation)


def _row(time: str, record: EventRecord, organisation: str) -> dict[str, Any]:
    return {
        "time": time,
        "kind": record.kind,
        "event": record.event,
        "reason": printable(record.reason),
        "proto": record.proto,
        "inside": record.inside,
        "outside": record.outside,
        "remote": record.remote,
        "alg": record.alg,
        "label": record.label,
        # What a peer has sent may be in it.
        "text": printable(record.text),
        "organisation": organisation,
    }
