"""Views are columns for people and JSON for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from p4alg.alg.descriptor import Column, View
from p4alg.cli import main, show
from p4alg.daemon.protocol import encode, success
from tests.unit.cli.conftest import Command
from tests.unit.daemon.peers import answering

KEYS = {
    "algs": {"name", "description", "enabled", "services", "ports", "sessions", "counters"},
    "bindings": {"proto", "inside", "outside", "kind", "sessions", "age", "kept_by", "expires_in"},
    "subscribers": {
        *("address", "outside", "blocks", "bindings", "sessions", "pinholes", "controls"),
    },
    "switch": {"grpc", "device_id", "program", "tables"},
}
"""Keys that docs/command-line.md promises, of views that are not empty at rest."""


@pytest.mark.parametrize("what", list(show.views()))
def test_every_view_is_json_for_programs(what: str, socket: Path, command: Command) -> None:
    result = json.loads(command("show", what, "--json", "--socket", str(socket)))
    if what in show.PLAIN_VIEWS:
        assert result["plain_flows"] is True
        result = result["rows"]
    assert isinstance(result, dict if what in ("config", "counters", "switch") else list)
    rows = [result] if isinstance(result, dict) else result
    for row in rows:
        assert isinstance(row, dict)
        assert KEYS.get(what, set()) <= set(row)


@pytest.mark.parametrize("what", list(show.views()))
def test_every_view_is_lines_of_80_columns_for_people(
    what: str, socket: Path, command: Command
) -> None:
    lines = command("show", what, "--socket", str(socket)).splitlines()
    assert lines
    # The lines of a configuration are its author's, and events are shown whole.
    assert what in ("config", "events") or max(map(len, lines)) <= 80


SESSION = {
    "proto": "tcp",
    "inside": "10.0.0.11:52733",
    "outside": "203.0.113.15:65535",
    "remote": "198.51.100.11:2121",
    "state": "established",
    "alg": "ftp",
    "label": "control",
}
WIDE: dict[str, dict[str, Any]] = {
    "sessions": SESSION,
    "bindings": {
        "proto": "icmp",
        "inside": "192.168.100.111:65535",
        "outside": "203.0.113.115:65535",
        "kind": "dynamic",
        "sessions": 12345,
        "age": 86400.5,
    },
    "pinholes": {
        "inside": "10.0.0.11:52733",
        "outside": "203.0.113.15:65535",
        "remote": "198.51.100.111:65535",
        "label": "ftp PORT",
        "expires_in": 57.7,
    },
    "subscribers": {
        "address": "192.168.100.111",
        "outside": "203.0.113.115",
        "blocks": ["61440-65535", "4096-8191", "8192-12287"],
        "bindings": 32768,
        "sessions": 65536,
        "pinholes": 1024,
        "controls": 256,
    },
    "algs": {
        "name": "ftp",
        "enabled": True,
        "services": ["ftp", "ftp-alt"],
        "ports": ["tcp/21", "tcp/2121"],
        "sessions": 4,
    },
}


@pytest.mark.parametrize("what", WIDE)
def test_the_widest_rows_of_a_lab_fit_80_columns(what: str) -> None:
    for line in show.lines(what, [WIDE[what]], whole=False):
        assert len(line) <= 80, line


def test_nothing_is_cut_where_no_terminal_is() -> None:
    assert "established" in show.lines("sessions", [SESSION])[1]
    assert "established" not in show.lines("sessions", [SESSION], whole=False)[1]


def test_what_was_selected_and_is_not_there_is_told_from_an_empty_view() -> None:
    assert show.lines("sessions", [], selected=True) == ["no such sessions"]
    assert show.lines("counters", {}, selected=True) == ["no such counters"]


@pytest.mark.parametrize("what", ["sessions", "algs"])
def test_a_count_is_a_number(what: str, tmp_path: Path, command: Command) -> None:
    told: Any = {"plain_flows": True, "rows": 7} if what == "sessions" else 7
    path = tmp_path / "control.sock"
    with answering(path, encode(success(told))):
        assert command("show", what, "--count", "--socket", str(path)) == "7\n"


@pytest.mark.parametrize("seconds", ["0", "x", "-1", "nan", "1e9"])
def test_a_watch_is_neither_endless_work_nor_asleep(
    seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "algs", "--watch=" + seconds]) == 2
    assert "is not a time from 0.1 to 3600 seconds" in capsys.readouterr().err


def test_the_controller_selects_the_rows(socket: Path, command: Command) -> None:
    asked = ("show", "algs", "--json", "--socket", str(socket))
    rows = json.loads(command(*asked, "--alg", "ftp"))
    assert [row["name"] for row in rows] == ["ftp"]
    names = [row["name"] for row in json.loads(command(*asked, "--sort=-name", "--limit", "2"))]
    assert names == sorted(names, reverse=True)
    assert len(names) == 2


def test_a_selection_that_the_view_has_nothing_for_is_refused(
    socket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "switch", "--port", "53", "--socket", str(socket)]) == 2
    text = "p4alg: 'switch' can be selected by nothing: leave out 'port'\n"
    assert capsys.readouterr().err == text


@pytest.mark.parametrize("what", ["algs", "sessions", "bindings", "pinholes", "events"])
def test_an_empty_view_says_so(what: str) -> None:
    assert show.lines(what, []) == [f"no {what}"]


def test_of_a_subscriber_the_first_block_is_shown_and_how_many_more_it_has() -> None:
    row = {**WIDE["subscribers"], "address": "10.0.0.11"}
    for blocks, shown in (
        (["64-127"], "64-127 "),
        (["64-127", "128-191"], "64-127 +1 "),
        ([], "- "),
    ):
        line = show.lines("subscribers", [{**row, "blocks": blocks}])[1]
        assert line.split("203.0.113.115  ")[1].startswith(shown)


def test_a_subscriber_is_shown_with_its_plain_flows_counted() -> None:
    plain = {**WIDE["subscribers"], "bindings": 1, "sessions": 2}
    plain |= {"plain_bindings": 30, "plain_sessions": 40}
    (_, line) = show.lines("subscribers", [plain])
    assert line.split()[-3:] == ["31", "42", "1024"]
    plain |= {"plain_bindings": None, "plain_sessions": None}
    (_, line) = show.lines("subscribers", [plain])
    assert line.split()[-3:] == ["1", "2", "1024"]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_what_cannot_be_shown_is_said_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    told = {"plain_flows": False, "note": "plain flows are not shown: why", "rows": []}
    path = tmp_path / "control.sock"
    with answering(path, encode(success(told))):
        assert main(["show", "sessions", *options, "--socket", str(path)]) == 0
    said = capsys.readouterr()
    assert said.err == "p4alg: plain flows are not shown: why\n"
    assert (json.loads(said.out) == told) if options else (said.out == "no sessions\n")


def test_counters_are_aligned_and_none_are_told() -> None:
    assert show.lines("counters", {"a": 1, "long.name": 22}) == ["a          1", "long.name  22"]
    assert show.lines("counters", {}) == ["no counters yet"]


def test_a_session_is_named_by_its_label_which_may_begin_with_its_ALG() -> None:
    rows = [{**SESSION, "label": "ftp PORT"}, {**SESSION, "alg": "", "label": ""}, SESSION]
    assert [line.split()[-2:] for line in show.lines("sessions", rows)[1:]] == [
        ["ftp", "PORT"],
        ["established", "-"],
        ["ftp", "control"],
    ]


def test_the_switch_is_shown_with_how_full_its_tables_are() -> None:
    tables = {"session": {"entries": 3, "size": 262144}}
    told: dict[str, object] = {"grpc": "h:1", "device_id": 7, "program": "p4alg", "tables": tables}
    told["lacks"] = []
    assert show.lines("switch", told) == [
        "switch h:1, device 7, program p4alg",
        "",
        "TABLE    ENTRIES  SIZE",
        "session  3        262144",
    ]


def test_what_the_switch_lacks_is_shown_below_its_name_in_80_columns() -> None:
    told = {"grpc": "h:1", "device_id": 7, "program": "p4alg", "tables": {}}
    lines = show.lines(
        "switch", told | {"lacks": ["this switch does not " + "x " * 60, "nor that"]}
    )
    assert lines[1].startswith("  this switch does not x")
    assert lines[3:5] == ["  nor that", ""]
    assert max(map(len, lines)) <= 80


def test_a_view_that_an_ALG_brings_is_shown_by_its_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = (Column("N", lambda row: row["n"]), Column("TWICE", lambda row: 2 * row["n"]))
    monkeypatch.setattr(show, "views", lambda: {"toys": View(lambda *_: [], columns)})
    assert show.lines("toys", [{"n": 4}, {"n": 10}]) == ["N   TWICE", "4   8", "10  20"]
    assert show.lines("toys", []) == ["no toys"]


def test_no_view_writes_what_a_peer_chose_to_the_terminal() -> None:
    evil = "\x1b[31mevil\u202e\nroot"
    call = {"from": evil, "to": evil, "inside": "i", "state": "s", "streams": [{"media": evil}]}
    found = show.lines("calls", [{**call, "pinholes": [], "age": 1.0}])
    found += show.lines("events", [{"time": "t", "level": "warning", "text": evil}])
    found += show.lines("pinholes", [{"label": evil}])
    found += show.lines("counters", {evil: 1})
    assert all(line.isprintable() for line in found)


@pytest.mark.parametrize("what", list(show.views()))
def test_every_view_is_that_of_an_organisation_too(
    what: str, tenants: Path, command: Command
) -> None:
    at = ("--organisation", "blue", "--json", "--socket", str(tenants))
    result = json.loads(command("show", what, *at))
    rows = result["rows"] if what in show.PLAIN_VIEWS else result
    # What is committed is of all organisations.
    if isinstance(rows, list) and what != "audit":
        assert all(row["organisation"] == "blue" for row in rows)


def test_organisations_have_a_column_unless_there_is_only_the_default_or_one_was_chosen() -> None:
    row = WIDE["algs"]
    red, default = {**row, "organisation": "red"}, {**row, "organisation": "default"}
    assert show.lines("algs", [default])[0].split()[0] == "ALG"
    assert [line.split()[0] for line in show.lines("algs", [red, default])] == [
        "ORGANISATION",
        "red",
        "default",
    ]
    assert show.lines("algs", [red], organisation="red")[0].split()[0] == "ALG"
    calls = [{"streams": [], "pinholes": [], "age": 1.0, "organisation": "red"}]
    calls[0] |= dict.fromkeys(("from", "to", "inside", "state"), "x")
    assert [line.split()[0] for line in show.lines("calls", calls)] == ["ORGANISATION", "red"]


def test_an_unknown_organisation_is_wrong_usage(
    tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "algs", "--organisation", "x", "--socket", str(tenants)]) == 2
    told = "p4alg: no organisation 'x' (known: red, blue)\n"
    assert capsys.readouterr() == ("", told)


def test_the_ports_of_an_ALG_are_shown() -> None:
    (_, line) = show.lines("algs", [WIDE["algs"]])
    assert "tcp/21, tcp/2121" in line
