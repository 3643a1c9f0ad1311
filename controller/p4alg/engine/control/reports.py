"""Makes counts, log lines and trace records of what happens in control sessions (G2, G3)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from p4alg.engine.actions import EventRecord, Subsystem, TraceRecord
from p4alg.engine.control.guard import FAULT
from p4alg.engine.control.session import ControlSession
from p4alg.engine.counters import Counters
from p4alg.engine.expectations import Expectations
from p4alg.engine.happenings import of_flow
from p4alg.engine.log_rate import LogRate
from p4alg.engine.outbox import Outbox
from p4alg.engine.pinholes import Pinholes
from p4alg.stream.effects import Detached, Noticed, Seen


class Reports:
    """Reports to operators what the gateway does with control messages."""

    def __init__(
        self, outbox: Outbox, counters: Counters, pinholes: Pinholes, expectations: Expectations
    ) -> None:
        self._outbox = outbox
        self._counters = counters
        self._pinholes = pinholes
        self._expectations = expectations
        self._rate = LogRate()
        self.is_traced: Callable[[], bool] = lambda: True
        """Whether anybody reads trace records. If not, they are not made."""

    def count(self, session: ControlSession, name: str) -> None:
        """Count something under the ALG's name."""
        self._counters.count(f"alg.{session.alg.name}.{name}")

    def seen(self, session: ControlSession, seen: Seen, now: float) -> None:
        """Report a control message."""
        direction = seen.sender.value
        if seen.verdict != "held":
            self.count(session, f"{direction}.messages")
        if seen.verdict in ("rewritten", "held"):
            self.count(session, f"{direction}.{seen.verdict}")
        elif seen.verdict == "refused":
            self.count(session, f"{direction}.refused.{seen.reason}")
            what = f": {seen.summary}" if seen.summary else ""
            text = f"{session}: refused{what} ({seen.reason})"
            self._log(session, logging.WARNING, text, now)
            self._outbox.tell(_refusal(session, seen.reason, seen.summary))
        self._trace(session, seen, now)

    def noticed(self, session: ControlSession, notice: Noticed, now: float) -> None:
        """Report an event that an ALG tells of. Without a summary it is only counted."""
        self.count(session, notice.event)
        if notice.summary:
            level = logging.WARNING if notice.is_warning else logging.INFO
            self._log(session, level, f"{session}: {notice.summary}", now)
            told = Seen(notice.sender, notice.event, notice.summary, b"", b"")
            self._trace(session, told, now)

    def detached(self, session: ControlSession, detached: Detached, now: float) -> None:
        """Report that a session is not read any more, and why."""
        kind = "protocol-errors" if detached.is_error else "detached"
        self.count(session, f"{kind}.{detached.reason}")
        is_bad = detached.is_error or detached.reason == FAULT
        text = f"{session}: not followed any more: {detached.reason}"
        self._log(session, logging.WARNING if is_bad else logging.INFO, text, now)

    def tables_refused(self, session: ControlSession, reason: str, now: float) -> None:
        """Report that the switch has refused the entries that a message needs."""
        self.count(session, "refused.tables")
        self._outbox.tell(_refusal(session, "tables", reason))
        self._log(session, logging.WARNING, f"{session}: the switch refused: {reason}", now)

    def _log(self, session: ControlSession, level: int, text: str, now: float) -> None:
        """Log a line, unless there were too many of the two hosts: what they do is up to them."""
        facts = session.facts
        hosts = (session.alg.name, facts.client.addr, facts.server.addr)
        left_out = self._rate.admit(hosts, now)
        if left_out is None:
            self.count(session, "log-lines-left-out")
            return
        if left_out:
            text = f"{text} ({left_out} lines about these two hosts were left out before)"
        self._outbox.log(level, text, Subsystem.ALG)

    def _trace(self, session: ControlSession, seen: Seen, now: float) -> None:
        if not self.is_traced():
            return
        described = (self._describe(number) for number in seen.grants)
        self._outbox.trace(
            TraceRecord(
                now,
                session.alg.name,
                str(session.facts.client),
                str(session.facts.server),
                seen.sender.value,
                session.inside_addr,
                seen.verdict,
                seen.summary,
                session.alg.hidden(seen.before),
                session.alg.hidden(seen.after),
                tuple(text for text in described if text),
                seen.reason,
            )
        )

    def _describe(self, number: int) -> str:
        """A pinhole or expected flow in one line; empty for an endpoint that is only reserved."""
        found = self._pinholes.get(number) or self._expectations.get(number)
        return "" if found is None else str(found)


def _refusal(session: ControlSession, reason: str, text: str) -> EventRecord:
    """A message of a control session that was refused."""
    return replace(of_flow(session.flow, "refused", reason), kind="alg", text=text)
