"""`p4alg doctor`: a line for each thing that was looked at, and a status."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4alg.cli import doctor, main, switch
from p4alg.doctor.facts import Compiler
from tests.unit.daemon.peers import EXAMPLE, controller


@pytest.fixture(autouse=True)
def no_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SERVICE", tmp_path / "p4alg.yaml")
    monkeypatch.setattr(doctor, "SERVICE_SWITCH", tmp_path / "p4alg-switch")


def test_each_thing_has_a_line_and_what_fails_its_advice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "-i", "7@p4alg-no"]) == 1
    shown = capsys.readouterr()
    lines = [line.split(maxsplit=1) for line in shown.out.splitlines()]
    assert {verdict for verdict, _ in lines} <= {"ok", "warn", "fail"}
    assert lines[-1][0] == "fail"
    assert lines[-1][1].endswith("there is no interface p4alg-no: correct it; see 'ip link'")
    assert shown.err.startswith("p4alg: ")
    assert len(shown.err.splitlines()) == 1


def test_the_same_as_JSON(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json", "-i", "7@p4alg-no"])
    rows = json.loads(capsys.readouterr().out)
    assert all(set(row) == {"verdict", "about", "text", "advice"} for row in rows)
    assert {"verdict": "fail", "about": "port 7"}.items() <= rows[-1].items()


def test_a_port_is_told_as_for_the_switch(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("1", "x@eth1", "1@file:a,b"):
        assert main(["doctor", "-i", word]) == 2
        assert f"'{word}' is not PORT@IFACE" in capsys.readouterr().err


def test_the_service_is_looked_at_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.SERVICE.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    doctor.SERVICE_SWITCH.write_text('P4ALG_SWITCH_OPTIONS="-i 7@p4alg-no"')
    assert main(["doctor"]) == 1
    assert "ok    configuration" in (shown := capsys.readouterr().out)
    assert str(doctor.SERVICE) in shown
    assert "there is no interface p4alg-no" in shown
    assert "systemctl start p4alg-switch" in shown


@pytest.fixture
def running_controller(tmp_path: Path) -> Iterator[Path]:
    with controller(tmp_path) as path:
        yield path


def test_a_controller_that_runs_answers(
    running_controller: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("P4ALG_SOCKET", str(running_controller))
    main(["doctor", str(EXAMPLE)])
    assert f"a controller answers at {running_controller}" in capsys.readouterr().out


def test_without_a_compiler_it_says_so(tmp_path: Path) -> None:
    code = "from p4alg.cli import switch; print(switch.compiler().error)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"CC": str(tmp_path / "no"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "no C compiler" in done.stdout


def test_the_compiler_is_tried() -> None:
    found = switch.compiler()
    assert found == Compiler(found.version, cache=found.cache, kept=found.kept)
    assert found.version
    assert list(Path(found.cache).glob("runtime-*.so"))
