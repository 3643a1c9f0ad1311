"""`p4alg check` accepts a configuration that `p4alg run` would, or says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from p4alg.cli import main
from tests.unit.cli.conftest import Command

EXAMPLE = Path(__file__).parents[3] / "topologies" / "nat.config.yaml"


def test_check_accepts_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(EXAMPLE)]) == 0
    assert "ok, 2 zones" in capsys.readouterr().out


def test_check_names_file_line_and_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("zones: {}\nnat: {pools: []}\nwhat: 1\n", encoding="utf-8")
    assert main(["check", str(bad)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"p4alg: {bad}:1:8: no zone is inside"
    assert lines[1].startswith(f"p4alg: {bad}:3:7: unknown key 'what'")
    assert len(lines) == 2


def test_check_counts_what_does_not_fit_into_the_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    much = tmp_path / "much.yaml"
    rule = "  - {action: deny, protocol: tcp, ports: 1-65534}\n"
    text = EXAMPLE.read_text(encoding="utf-8") + "policy:\n" + 50 * rule
    much.write_text(text, encoding="utf-8")
    assert main(["check", str(much)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"p4alg: {much}: needs 1503 entries of table 'policy', which holds")


def test_check_names_the_ALGs_that_are_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = tmp_path / "quiet.yaml"
    lines = EXAMPLE.read_text(encoding="utf-8").partition("\nalgs:")[0].splitlines()
    off = "".join(
        f"\n  {name}: {{enabled: false}}" for name in ("ftp", "sip", "tftp", "pptp", "ike")
    )
    quiet.write_text("\n".join(lines) + f"\nalgs:{off}\n", encoding="utf-8")
    assert main(["check", str(quiet)]) == 0
    assert capsys.readouterr().out == f"{quiet}: ok, 2 zones, ALGs on: none\n"


def test_check_says_which_organisations_there_are(command: Command) -> None:
    tenants = EXAMPLE.with_name("tenants.config.yaml")
    said = command("check", str(tenants))
    assert ": ok, 3 zones, 2 organisations, ALGs on: red: ftp, sip, " in said
    assert "; blue: ftp, " in said
    found = json.loads(command("check", str(tenants), "--json"))
    assert found["zones"] == ["red", "blue", "internet"]
    (red, blue) = found["organisations"]
    assert (red["name"], red["number"], red["share"], red["zones"]) == ("red", 1, 50.0, ["red"])
    assert (blue["pools"], "ftp" in blue["algs"]) == (["203.0.113.8/29"], True)
    (only,) = json.loads(command("check", str(EXAMPLE), "--json"))["organisations"]
    assert (only["name"], only["number"], only["share"]) == ("default", 0, 100.0)
