"""What commands print of a controller: for people in columns, for programs as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from p4alg.alg.registry import algs
from p4alg.cli import main, show, trace
from p4alg.lab import state
from tests.unit.daemon.peers import controller

KEYS = {
    "algs": {"name", "description", "enabled", "services", "ports", "sessions", "counters"},
    "bindings": {"proto", "inside", "outside", "kind", "sessions", "age"},
    "subscribers": {"address", "outside", "bindings", "sessions", "pinholes", "controls"},
    "switch": {"grpc", "device_id", "program", "tables"},
}
"""Keys that docs/command-line.md promises, of views that are not empty at rest."""


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with controller(tmp_path_factory.mktemp("controller")) as path:
        yield path


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(argv) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    return shown.out


@pytest.mark.parametrize("what", list(show.views()))
def test_every_view_is_json_for_programs(
    what: str, socket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = json.loads(printed(capsys, "show", what, "--json", "--socket", str(socket)))
    assert isinstance(result, dict if what in ("counters", "switch") else list)
    rows = [result] if isinstance(result, dict) else result
    for row in rows:
        assert isinstance(row, dict)
        assert KEYS.get(what, set()) <= set(row)


@pytest.mark.parametrize("what", list(show.views()))
def test_every_view_is_lines_of_80_columns_for_people(
    what: str, socket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(capsys, "show", what, "--socket", str(socket)).splitlines()
    assert lines
    assert max(map(len, lines)) <= 80


def test_alg_prints_what_holds_now(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--socket", str(socket))
    listed = printed(capsys, "alg", "list", *at).splitlines()
    assert listed[0].split()[:2] == ["ALG", "ON"]
    assert listed[1].split()[:2] == ["ftp", "yes"]
    on = "ftp is on, services: ftp ftp-alt (tcp/21, tcp/2121)\n"
    assert printed(capsys, "alg", "services", "ftp", *at) == on
    assert printed(capsys, "alg", "disable", "ftp", *at) == on.replace("is on", "is off")
    assert printed(capsys, "alg", "services", "ftp", "ftp", *at) == (
        "ftp is off, services: ftp (tcp/21)\n"
    )
    printed(capsys, "alg", "services", "ftp", "ftp", "ftp-alt", *at)
    assert printed(capsys, "alg", "enable", "ftp", *at) == on


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["enable", "nosuch"], f"no ALG 'nosuch' (known: {', '.join(algs())})"),
        (["disable", "nosuch"], f"no ALG 'nosuch' (known: {', '.join(algs())})"),
        (["services", "nosuch"], f"no ALG 'nosuch' (known: {', '.join(algs())})"),
        (["services", "nosuch", "ftp"], f"no ALG 'nosuch' (known: {', '.join(algs())})"),
        (
            ["services", "ftp", "nosuch"],
            f"no service 'nosuch' (known: {', '.join(algs())}, ftp-alt)",
        ),
    ],
)
def test_what_the_controller_does_not_know_is_wrong_usage(
    argv: list[str], reason: str, socket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["alg", *argv, "--socket", str(socket)]) == 2
    assert capsys.readouterr() == ("", f"p4alg: {reason}\n")


def test_lab_status_is_json_and_exits_1_when_a_process_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(state.DIRECTORY_VARIABLE, str(tmp_path))
    gone = state.Process("switch", 2**22 + 1, 1)
    state.save(tmp_path, state.State("nat", "embedded", {"inside1": "x-inside1"}, [gone]))
    assert main(["lab", "status", "--json"]) == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {
        "topology": "nat",
        "target": "embedded",
        "hosts": {"inside1": "x-inside1"},
        "processes": [{"name": "switch", "pid": 2**22 + 1, "running": False}],
    }
    assert shown.err == (
        "p4alg: the switch has ended: see 'p4alg lab logs', then 'p4alg lab down'\n"
    )


RECORD: dict[str, Any] = {
    "time": "2026-01-02T03:04:05.678+00:00",
    "alg": "ftp",
    "client": "10.0.0.11:40000",
    "server": "198.51.100.11:21",
    "sender": "client",
    "inside": "10.0.0.11",
    "verdict": "rewritten",
    "reason": "",
    "summary": "",
    "before": "PORT 10,0,0,11,182,229\r\n",
    "after": "PORT 203,0,113,5,159,79\r\n",
    "pinholes": ["tcp 198.51.100.11:* -> 203.0.113.5:40783 -> 10.0.0.11:46821"],
}


def test_a_traced_message_shows_what_was_read_sent_and_opened() -> None:
    assert trace.lines(RECORD) == [
        "03:04:05.678 ftp 10.0.0.11:40000 -> 198.51.100.11:21 rewritten",
        "  read  PORT 10,0,0,11,182,229\\r\\n",
        "  sent  PORT 203,0,113,5,159,79\\r\\n",
        "  open  tcp 198.51.100.11:* -> 203.0.113.5:40783 -> 10.0.0.11:46821",
    ]


def test_a_message_of_many_lines_shows_those_that_were_changed() -> None:
    before = "INVITE sip:b@x SIP/2.0\r\nMax-Forwards: 70\r\n\r\nc=IN IP4 10.0.0.11\r\n"
    after = before.replace("10.0.0.11", "203.0.113.5")
    told = {**RECORD, "before": before, "after": after, "summary": "INVITE 1", "pinholes": []}
    assert trace.lines(told)[1:] == [
        "  INVITE sip:b@x SIP/2.0",
        "  INVITE 1",
        "  - c=IN IP4 10.0.0.11",
        "  + c=IN IP4 203.0.113.5",
    ]


def test_a_refused_message_shows_why_and_a_reply_its_direction() -> None:
    refused = {**RECORD, "verdict": "refused", "reason": "bounce", "after": "", "pinholes": []}
    assert trace.lines(refused)[0].endswith("refused (bounce)")
    assert len(trace.lines(refused)) == 2
    assert " <- " in trace.lines({**RECORD, "sender": "server"})[0]
    assert trace.lines({**RECORD, "missed": 3})[-1].startswith("  (3 messages before")


def test_whatever_a_peer_sends_is_shown_as_printable_text() -> None:
    every = bytes(range(256)).decode("latin-1")
    for line in trace.lines({**RECORD, "before": every * 10, "after": every}):
        assert line.isascii()
        assert line.isprintable()
    cut = trace.lines({**RECORD, "before": "a" * 1000, "after": ""})[1]
    assert cut == f"  read  {'a' * 160}..."
