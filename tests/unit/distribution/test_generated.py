"""Manual pages and completion tell every command and option, in a form that their readers take."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from distribution.commands import Command, arguments, command, walk
from distribution.completion import FILES, scripts
from distribution.manpages import main, pages, roff, table
from p4alg.cli import parser

_SECONDS = 60


def commands() -> list[Command]:
    return list(walk(command(parser())))


@cache
def man() -> dict[str, str]:
    return pages()


@cache
def completion() -> dict[str, str]:
    return scripts()


@pytest.mark.parametrize("one", commands(), ids=lambda one: one.name)
def test_every_command_and_option_says_what_it_does(one: Command) -> None:
    assert one.help
    for action in arguments(one):
        assert action.help not in (None, "", argparse.SUPPRESS), action


@pytest.mark.parametrize(
    "one", [one for one in commands()[1:] if not one.inner or arguments(one)], ids=lambda o: o.name
)
def test_every_command_and_option_has_its_place_in_a_page(one: Command) -> None:
    page = man()["-".join(one.name.split()[:2]) + ".1"]
    section = page if len(one.name.split()) == 2 else page.partition(f".SS {roff(one.name)}\n")[2]
    section = section.partition("\n.SS ")[0] if len(one.name.split()) > 2 else section
    assert section
    for action in arguments(one):
        for option in action.option_strings:
            assert re.search(rf"^\.B .*{re.escape(roff(option))}", section, re.MULTILINE), option


@pytest.mark.parametrize("shell", FILES)
def test_every_command_and_option_is_completed(shell: str) -> None:
    script = completion()[shell]
    for one in commands()[1:]:
        assert one.name.split()[-1] in script
        for action in arguments(one):
            for option in action.option_strings:
                # fish names options without their dashes.
                assert (option.lstrip("-") if shell == "fish" else option) in script


def test_the_first_page_has_statuses_and_variables_of_the_document() -> None:
    page = man()["p4alg.1"]
    for expected in (".B 130", ".B P4ALG_SOCKET", "p4alg\\-run (1)"):
        assert expected in page


def test_text_is_shown_as_it_is() -> None:
    assert roff(".a -b\n c\\d'e") == "\\&.a \\-b c\\ed\\(aqe"


def test_a_table_is_found_by_its_first_heading() -> None:
    text = "| a | b |\n| --- | --- |\n| 1 | `2` |\n\n| c | d |\n| --- | --- |\n| [x](y) | z |\n"
    assert table(text, "a") == [["1", "2"]]
    assert table(text, "c") == [["x", "z"]]


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="needs mandoc")
def test_mandoc_has_nothing_to_say(tmp_path: Path) -> None:
    main(tmp_path)
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_groff_has_no_warnings(tmp_path: Path) -> None:
    main(tmp_path)
    for page in sorted(tmp_path.iterdir()):
        done = subprocess.run(
            ["groff", "-ww", "-man", "-Tutf8", "-z", page],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), page.name


@pytest.mark.parametrize(
    ("shell", "options"), [("bash", ["-n"]), ("zsh", ["-n"]), ("fish", ["--no-execute"])]
)
def test_shells_can_read_their_scripts(shell: str, options: list[str], tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    script = tmp_path / FILES[shell]
    script.write_text(completion()[shell])
    done = subprocess.run(
        [shell, *options, script], capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_bash_completes_a_command_and_an_option(tmp_path: Path) -> None:
    script = tmp_path / "p4alg"
    script.write_text(completion()["bash"])
    ask = (
        f"source {script}; complete -p p4alg >/dev/null;"
        "f=$(complete -p p4alg | sed 's/.*-F \\([^ ]*\\) .*/\\1/');"
        "COMP_WORDS=(p4alg lab up --targ); COMP_CWORD=3; $f p4alg --targ up; echo ${COMPREPLY[@]};"
        "COMP_WORDS=(p4alg sh); COMP_CWORD=1; $f p4alg sh p4alg; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(
        ["bash", "-c", ask], capture_output=True, text=True, timeout=_SECONDS, check=True
    )
    assert done.stdout.split() == ["--target", "show", "shell"]
