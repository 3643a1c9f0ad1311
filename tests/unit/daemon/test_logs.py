"""The log: which lines are written, in which form, and to whom."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4alg.config.errors import UsageError
from p4alg.config.logs import LogFormat, LogSettings
from p4alg.daemon.logs import ALL, Line, Log
from p4alg.engine.actions import Subsystem

LINE = Line("2026-01-02T03:04:05.678+00:00", logging.WARNING, Subsystem.ALG, "red", "ftp: refused")
TEXT = "2026-01-02T03:04:05.678+00:00 warning: red: ftp: refused\n"


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[Path, socket.socket]]:
    """A socket for datagrams, and where it is."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
        own.bind(str(path))
        own.settimeout(5)
        yield path, own


def test_text_is_a_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    Log(LogSettings()).write(LINE)
    assert capsys.readouterr().err == TEXT


def test_json_is_an_object_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Log(LogSettings(LogFormat.JSON)).write(LINE)
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line) == {
        "time": LINE.time,
        "level": "warning",
        "subsystem": "alg",
        "organisation": "red",
        "text": "ftp: refused",
    }


def test_syslog_gets_priority_time_and_name(listener: tuple[Path, socket.socket]) -> None:
    path, own = listener
    Log(LogSettings(LogFormat.SYSLOG, str(path))).write(LINE)
    told = own.recv(1000).decode()
    assert re.fullmatch(
        r"<28>[A-Z][a-z]{2} [ 1-3][0-9] [0-9:]{8} p4alg\[\d+\]: alg: red: ftp: refused", told
    )


def test_syslog_on_another_machine_gets_the_name_of_this_one() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        own.settimeout(5)
        where = f"127.0.0.1:{own.getsockname()[1]}"
        Log(LogSettings(LogFormat.SYSLOG, where)).write(LINE)
        assert f" {socket.gethostname()} p4alg[" in own.recv(1000).decode()


def test_the_journal_gets_fields(listener: tuple[Path, socket.socket]) -> None:
    path, own = listener
    Log(LogSettings(LogFormat.JOURNALD), journal=path).write(LINE)
    fields = dict(line.split("=", 1) for line in own.recv(1000).decode().splitlines())
    assert fields == {
        "MESSAGE": "red: ftp: refused",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "p4alg",
        "P4ALG_SUBSYSTEM": "alg",
        "P4ALG_ORGANISATION": "red",
    }


@pytest.mark.parametrize("form", [LogFormat.SYSLOG, LogFormat.JOURNALD])
def test_where_nobody_listens_lines_are_text_and_that_is_told(
    form: LogFormat, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "nowhere"
    log = Log(LogSettings(form, str(nowhere)), journal=nowhere)
    assert (
        log.problem == f"log.format {form}: No such file or directory: lines go to standard error"
    )
    log.write(LINE)
    assert capsys.readouterr().err == TEXT


def test_lines_that_are_not_taken_later_are_text(
    listener: tuple[Path, socket.socket], capsys: pytest.CaptureFixture[str]
) -> None:
    path, own = listener
    log = Log(LogSettings(LogFormat.JOURNALD), journal=path)
    assert log.problem == ""
    own.close()
    log.write(LINE)
    assert capsys.readouterr().err == TEXT
    path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:
        again.bind(str(path))
        again.settimeout(5)
        log.write(LINE)
        assert b"MESSAGE=" in again.recv(1000)


def test_a_log_that_nobody_empties_stops_nobody(
    listener: tuple[Path, socket.socket], capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log(LogSettings(LogFormat.JOURNALD), journal=listener[0])
    for _ in range(5000):
        log.write(LINE)
    assert TEXT in capsys.readouterr().err


def test_each_subsystem_has_its_level() -> None:
    log = Log(LogSettings(level=logging.WARNING, levels={Subsystem.ALG: logging.ERROR}))
    assert log.wants(Subsystem.NAT, logging.WARNING)
    assert not log.wants(Subsystem.NAT, logging.INFO)
    assert not log.wants(Subsystem.ALG, logging.WARNING)
    assert log.set_level("alg", "info")["alg"] == "info"
    assert log.wants(Subsystem.ALG, logging.INFO)
    assert set(log.set_level(ALL, "none").values()) == {"none"}
    assert not log.wants(Subsystem.FAULT, logging.ERROR)
    log.configure(LogSettings())
    assert set(log.levels.values()) == {"info"}


@pytest.mark.parametrize(("subsystem", "level"), [("sip", "info"), ("alg", "loud")])
def test_unknown_names_are_refused(subsystem: str, level: str) -> None:
    with pytest.raises(UsageError, match="known: "):
        Log(LogSettings()).set_level(subsystem, level)
