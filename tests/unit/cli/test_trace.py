"""`p4alg trace` shows each control message as it was read and sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from p4alg.cli import main, trace
from p4alg.daemon.protocol import encode
from tests.unit.cli.conftest import Command
from tests.unit.daemon.peers import answering

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
    "organisation": "default",
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


def test_a_turn_that_the_session_took_shows_its_summary() -> None:
    told = {**RECORD, "verdict": "tls", "before": "", "after": "", "summary": "encrypted"}
    assert trace.lines({**told, "pinholes": []})[1:] == ["  encrypted"]


SIP = {**RECORD, "alg": "sip", "client": "10.0.0.12:5060", "server": "198.51.100.12:5060"}


@pytest.mark.parametrize(
    ("options", "algs"),
    [
        ([], ["ftp", "sip"]),
        (["--alg", "sip"], ["sip"]),
        (["--host", "10.0.0.11"], ["ftp"]),
        (["--host", "198.51.100.12"], ["sip"]),
        (["--alg", "ftp", "--host", "10.0.0.12"], []),
        (["--host", "10.0.0.1"], []),
    ],
)
def test_only_what_is_asked_for_is_shown(
    options: list[str], algs: list[str], tmp_path: Path, command: Command
) -> None:
    path = tmp_path / "x.sock"
    with answering(path, encode(RECORD) + encode(SIP)):
        shown = command("trace", "--json", *options, "--socket", str(path))
    assert [json.loads(line)["alg"] for line in shown.splitlines()] == algs


def test_for_people_each_message_is_a_few_lines(tmp_path: Path, command: Command) -> None:
    path = tmp_path / "x.sock"
    with answering(path, encode(RECORD)):
        shown = command("trace", "--socket", str(path))
    assert shown.splitlines() == trace.lines(RECORD)


def test_an_unknown_ALG_is_refused_before_a_controller_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["trace", "--alg", "nosuch"]) == 2
    assert capsys.readouterr().err.startswith("p4alg: no ALG 'nosuch' (known: ")


@pytest.mark.parametrize("host", ["nonsense", "10.0.0.256", "10.0.0.0/24", "::1"])
def test_a_host_that_is_no_address_is_refused(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", "--host", host]) == 2
    assert f"'{host}' is not an IPv4 address" in capsys.readouterr().err


def test_a_peer_cannot_write_to_the_terminal_of_who_traces() -> None:
    evil = "\x1b]0;x\x07\u202e\nroot"
    for before in ("", evil, "a\r\nb\r\n" + evil):
        told = {**RECORD, "summary": evil, "reason": evil, "before": before, "pinholes": [evil]}
        assert all(line.isprintable() for line in trace.lines(told))


def test_a_message_names_its_organisation_and_those_of_others_are_left_out() -> None:
    red = {**RECORD, "organisation": "red"}
    assert trace.lines(red)[0].startswith("03:04:05.678 red ftp 10.0.0.11:40000 -> ")
    assert trace._wanted(red, None, None, "red")
    assert not trace._wanted(red, None, None, "blue")
    # The default one is not named.
    assert trace.lines({**RECORD, "organisation": "default"}) == trace.lines(RECORD)
