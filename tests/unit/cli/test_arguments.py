"""Wrong usage exits 2 with one line that points to the help; help exits 0."""

from __future__ import annotations

from pathlib import Path

import pytest

from distribution.commands import command, walk
from p4alg.cli import main, parser

COMMANDS = [one.name.split()[1:] for one in list(walk(command(parser())))[1:]]


@pytest.mark.parametrize("argv", [[], *COMMANDS], ids=" ".join)
def test_help_is_for_everyone(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*argv, "--help"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"usage: {' '.join(['p4alg', *argv])}")
    assert shown.err == ""


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in {argv[0] for argv in COMMANDS}:
        assert f"    {name} " in shown


@pytest.mark.parametrize("argv", [[], *COMMANDS], ids=" ".join)
def test_an_unknown_option_is_wrong_usage(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    refused([*argv, "--nosuch"], capsys)


@pytest.mark.parametrize(
    "argv",
    [
        ["run"],
        ["run", "-c"],
        ["run", "-c", "/nosuch.yaml"],
        ["check", "one.yaml", "two.yaml"],
        ["show"],
        ["show", "nosuch"],
        ["show", "algs", "sessions"],
        ["show", "algs", "--json", "yes"],
        ["show", "algs", "--socket"],
        ["alg"],
        ["alg", "nosuch"],
        ["alg", "enable"],
        ["alg", "enable", "ftp", "sip"],
        ["alg", "disable"],
        ["alg", "services"],
        ["trace", "ftp"],
        ["trace", "--alg"],
        ["trace", "--host"],
        ["trace", "--alg", "nosuch"],
        ["lab", "exec"],
        ["lab", "exec", "inside1"],
        ["lab", "exec", "inside1", "--"],
        ["lab", "up", "nat", "more"],
        ["lab", "up", "--target"],
        ["lab", "up", "nat.config"],
        ["lab", "up", "-c", "/nosuch.yaml"],
        ["switch", "--device-id", "x"],
        ["switch", "--log-level", "loud"],
        ["switch", "--workers", "0"],
        ["switch", "--workers", "17"],
        ["switch", "--workers", "two"],
        ["lab", "up", "--workers", "0"],
        ["lab", "up", "--workers", "2", "--target", "bmv2"],
        ["a\nb"],
        ["show", "a\nb"],
        ["check", "a\nb"],
        ["lab", "up", "a\nb"],
        ["trace", "--alg", "a\nb"],
    ],
    ids=repr,
)
def test_wrong_usage_is_one_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    refused(argv, capsys)


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1, shown.err
    assert shown.err.startswith("p4")


def test_a_parsing_error_points_to_the_help_of_its_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["lab", "up", "--target", "x"]) == 2
    assert capsys.readouterr().err.endswith("(see 'p4alg lab up --help')\n")
    assert main(["lab", "up", "--bogus"]) == 2
    assert capsys.readouterr().err.endswith("(see 'p4alg lab up --help')\n")


@pytest.mark.parametrize("argv", [["show", "algs"], ["alg", "list"], ["trace"], ["shell"]])
def test_without_a_controller_the_socket_asked_for_is_named(
    argv: list[str], no_socket: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "x"
    for option, path in (([], no_socket), (["--socket", str(other)], other)):
        assert main([*argv, *option]) == 1
        wanted = f"no controller at {path}: start one with 'p4alg run -c CONFIG'"
        assert capsys.readouterr().err == f"p4alg: {wanted}\n"


def test_what_may_have_been_meant_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, meant in (
        (["shwo"], "show"),
        (["lab", "donw"], "down"),
        (["show", "session"], "sessions"),
        (["lab", "up", "--target", "bvm2"], "bmv2"),
    ):
        assert main(argv) == 2
        assert f"did you mean '{meant}'? (see 'p4alg" in capsys.readouterr().err
    assert main(["xyz"]) == 2
    assert "choose from 'run'" in capsys.readouterr().err
