"""`p4alg alg` changes ALGs and prints what holds from then on."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4alg.alg.registry import algs
from p4alg.cli import main
from tests.unit.cli.conftest import Command


def test_alg_prints_what_holds_now(socket: Path, command: Command) -> None:
    at = ("--socket", str(socket))
    listed = command("alg", "list", *at).splitlines()
    assert listed[0].split()[:2] == ["ALG", "ON"]
    assert listed[1].split()[:2] == ["ftp", "yes"]
    on = "ftp is on, services: ftp ftp-alt (tcp/21, tcp/2121)\n"
    assert command("alg", "services", "ftp", *at) == on
    assert command("alg", "disable", "ftp", *at) == on.replace("is on", "is off")
    assert command("alg", "services", "ftp", "ftp", *at) == ("ftp is off, services: ftp (tcp/21)\n")
    command("alg", "services", "ftp", "ftp", "ftp-alt", *at)
    assert command("alg", "enable", "ftp", *at) == on


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


def test_the_ALGs_of_organisations_are_told_apart(tenants: Path, command: Command) -> None:
    at = ("--socket", str(tenants))
    listed = command("alg", "list", *at).splitlines()
    assert listed[0].split()[:2] == ["ORGANISATION", "ALG"]
    assert {line.split()[0] for line in listed[1:]} == {"red", "blue"}
    blue = command("alg", "list", "--organisation", "blue", *at).splitlines()
    assert blue[0].split()[0] == "ALG"
    assert command("alg", "services", "ftp", *at) == (
        "ftp of red is on, services: ftp (tcp/21)\n"
        "ftp of blue is on, services: ftp-alt (tcp/2121)\n"
    )
    off = command("alg", "disable", "ftp", "--organisation", "red", *at)
    assert off == "ftp of red is off, services: ftp (tcp/21)\n"
    told = command("alg", "services", "ftp", "ftp", "--organisation", "blue", *at)
    assert told == "ftp of blue is on, services: ftp (tcp/21)\n"
    command("alg", "services", "ftp", "ftp-alt", "--organisation", "blue", *at)
    command("alg", "enable", "ftp", "--organisation", "red", *at)


def test_a_change_for_nobody_in_particular_is_wrong_usage(
    tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["alg", "disable", "ftp", "--socket", str(tenants)]) == 2
    told = "p4alg: say whose ALG: --organisation NAME (known: red, blue)\n"
    assert capsys.readouterr() == ("", told)
