"""What happens in a control session is counted, logged and traced (G2, G3)."""

from __future__ import annotations

import logging

import pytest

from p4alg.alg.contract import Grant, Peer
from p4alg.engine.actions import Action, LogRecord, Subsystem, TraceRecord
from p4alg.engine.control.guard import FAULT
from p4alg.engine.control.reports import Reports
from p4alg.engine.log_rate import EACH, WINDOW
from p4alg.stream.effects import Detached, Noticed, Seen
from tests.unit.engine.dialogue import PORT, greeted
from tests.unit.engine.harness import INSIDE
from tests.unit.engine.parts import NOW, Parts, asked, owner

WHO = "toy: 10.0.0.11:6000 -> 198.51.100.11:7777"
CLIENT, SERVER = Peer.CLIENT, Peer.SERVER


class Desk(Parts):
    """One control session, and the reports about it."""

    def __init__(self) -> None:
        super().__init__()
        session = self.sessions.attach(self.flow(), self.alg, hairpin=False, now=NOW)
        assert session is not None
        self.session = session
        self.reports = Reports(self.outbox, self.counters, self.pinholes, self.expectations)

    def counts(self) -> dict[str, int]:
        return {
            name: count
            for name, count in self.counters.under("alg.toy.").items()
            if name != "controls.opened"
        }


def traces(actions: list[Action]) -> list[TraceRecord]:
    return [action for action in actions if isinstance(action, TraceRecord)]


def _line(level: int, text: str) -> LogRecord:
    """A line about the session."""
    return LogRecord(level, f"{WHO}: {text}", subsystem=Subsystem.ALG)


def records(actions: list[Action]) -> list[LogRecord]:
    return [action for action in actions if isinstance(action, LogRecord)]


@pytest.mark.parametrize(
    ("seen", "counts"),
    [
        (Seen(CLIENT, "forwarded", "A", b"a", b"a"), {"client.messages": 1}),
        (
            Seen(SERVER, "rewritten", "A", b"a", b"b"),
            {"server.messages": 1, "server.rewritten": 1},
        ),
        (
            Seen(CLIENT, "refused", "A", b"a", b"", (), "bounce"),
            {"client.messages": 1, "client.refused.bounce": 1},
        ),
        # A message that is held comes again.
        (Seen(CLIENT, "held", "A", b"a", b""), {"client.held": 1}),
    ],
)
def test_G2_a_message_is_counted_by_its_sender_and_what_became_of_it(
    seen: Seen, counts: dict[str, int]
) -> None:
    desk = Desk()
    desk.reports.seen(desk.session, seen, NOW)
    assert desk.counts() == counts


def test_G2_counters_say_what_happened_in_each_direction() -> None:
    dialogue = greeted()
    dialogue.client(PORT)
    counters = dialogue.bench.show("algs")[0]["counters"]
    assert counters["server.messages"] == 1
    assert counters["client.messages"] == 1
    assert counters["client.rewritten"] == 1
    assert counters["pinholes.opened"] == 1
    assert counters["bytes-held"] > 0


def test_a_refusal_is_a_warning_that_says_why() -> None:
    desk = Desk()
    desk.reports.seen(desk.session, Seen(CLIENT, "refused", "PORT", b"a", b"", (), "bounce"), NOW)
    assert records(desk.answer()) == [_line(logging.WARNING, "refused: PORT (bounce)")]
    desk.reports.seen(desk.session, Seen(CLIENT, "refused", "", b"a", b"", (), "bounce"), NOW)
    assert records(desk.answer()) == [_line(logging.WARNING, "refused (bounce)")]
    desk.reports.seen(desk.session, Seen(CLIENT, "forwarded", "PORT", b"a", b"a"), NOW)
    assert records(desk.answer()) == []


def test_G3_a_message_is_traced_with_its_bytes_and_what_it_opens() -> None:
    desk = Desk()
    hole = desk.pinholes.request(desk.session.owner, asked(), NOW)
    outward = asked(listener=SERVER, listen=desk.session.facts.server, opener_addr=INSIDE)
    expected = desk.expectations.add(owner(), outward, NOW)
    assert isinstance(expected, Grant)
    numbers = (getattr(hole, "pinhole_id", 0), expected.number, 4711)
    seen = Seen(SERVER, "rewritten", "it", b"before", b"after", numbers, "why")
    desk.reports.seen(desk.session, seen, NOW)
    assert traces(desk.answer()) == [
        TraceRecord(
            NOW,
            "toy",
            "10.0.0.11:6000",
            "198.51.100.11:7777",
            "server",
            INSIDE,
            "rewritten",
            "it",
            b"before",
            b"after",
            (str(hole), "udp from inside to 198.51.100.11:7777"),
            "why",
        )
    ]


def test_G3_the_trace_shows_bytes_before_and_after_and_what_opened() -> None:
    dialogue = greeted()
    sent = dialogue.client(PORT)
    record = dialogue.bench.traces[-1]
    assert (record.alg, record.sender, record.verdict) == ("ftp", "client", "rewritten")
    assert (record.before, record.after) == (PORT, sent)
    assert (record.client, record.server) == ("10.0.0.11:40000", "198.51.100.11:21")
    assert len(record.pinholes) == 1
    assert "10.0.0.11:51210" in record.pinholes[0]


def test_a_notice_without_words_is_only_counted() -> None:
    desk = Desk()
    desk.reports.noticed(desk.session, Noticed(CLIENT, "tls", ""), NOW)
    assert desk.answer() == []
    assert desk.counts() == {"tls": 1}


@pytest.mark.parametrize(("warns", "level"), [(False, logging.INFO), (True, logging.WARNING)])
def test_a_notice_is_logged_and_traced_as_a_turn_of_the_session(warns: bool, level: int) -> None:
    desk = Desk()
    desk.reports.noticed(desk.session, Noticed(CLIENT, "tls", "it is encrypted", warns), NOW)
    actions = desk.answer()
    assert records(actions) == [_line(level, "it is encrypted")]
    (trace,) = traces(actions)
    assert (trace.verdict, trace.summary, trace.before) == ("tls", "it is encrypted", b"")


@pytest.mark.parametrize(
    ("detached", "counter", "level"),
    [
        (Detached("tls", False), "detached.tls", logging.INFO),
        (Detached("not-ftp", True), "protocol-errors.not-ftp", logging.WARNING),
        (Detached(FAULT, False), f"detached.{FAULT}", logging.WARNING),
    ],
)
def test_the_end_of_following_is_told(detached: Detached, counter: str, level: int) -> None:
    desk = Desk()
    desk.reports.detached(desk.session, detached, NOW)
    text = f"not followed any more: {detached.reason}"
    assert records(desk.answer()) == [_line(level, text)]
    assert desk.counts() == {counter: 1}


def test_what_the_switch_refused_is_told_once_more_for_the_message() -> None:
    desk = Desk()
    desk.reports.tables_refused(desk.session, "full", NOW)
    assert records(desk.answer()) == [_line(logging.WARNING, "the switch refused: full")]
    assert desk.counts() == {"refused.tables": 1}


def test_G4_the_log_lines_of_two_hosts_are_bounded() -> None:
    desk = Desk()
    for _ in range(100):
        desk.reports.noticed(desk.session, Noticed(CLIENT, "odd", "strange"), NOW)
    assert len(records(desk.outbox.take())) == EACH
    assert desk.counts()["log-lines-left-out"] == 100 - EACH
    desk.reports.noticed(desk.session, Noticed(CLIENT, "odd", "strange"), NOW + WINDOW)
    (line,) = records(desk.outbox.take())
    assert line.text.endswith("(80 lines about these two hosts were left out before)")


def test_G3_a_password_is_in_no_trace() -> None:
    talk = greeted()
    assert talk.client(b"PASS s3cret\r\n", 3) == b"PASS s3cret\r\n"
    assert talk.bench.traces
    assert all(b"s3c" not in t.before + t.after for t in talk.bench.traces)
