"""A command starts without what only others need: that would cost each of them a second."""

from __future__ import annotations

import subprocess
import sys

import pytest

_TELL = """
import sys
from p4alg.cli import main
main(sys.argv[1:])
print("loaded", *sys.modules)
"""
ALGS = ("p4alg.alg.sip.alg", "p4alg.alg.ftp.alg")
HEAVY = (
    "p4alg.daemon.app",
    "p4alg.config.loader",
    "p4softswitch",
    "finsy",
    "grpc",
    "fastapi",
    "ssl",
)


def loaded(*command: str) -> set[str]:
    """The modules that are there after a command."""
    done = subprocess.run([sys.executable, "-c", _TELL, *command], capture_output=True, text=True)
    return set(done.stdout.rpartition("loaded ")[2].split())


def test_views_that_are_no_algs_need_no_alg() -> None:
    assert not loaded("show", "sessions", "--socket", "/nowhere").intersection(ALGS)
    assert loaded("show", "calls", "--socket", "/nowhere").issuperset(ALGS)


@pytest.mark.parametrize("command", [("show", "algs"), ("show", "--help")])
def test_looking_at_a_controller_needs_nothing_of_one(command: tuple[str, ...]) -> None:
    there = loaded(*command, *(["--socket", "/nowhere"] if "algs" in command else []))
    assert "p4alg.cli.show" in there
    assert not there.intersection(HEAVY)


def test_what_is_heavy_is_known_by_its_right_name() -> None:
    # The rest is imported by functions.
    assert set(HEAVY) - loaded("--help") <= {"finsy", "grpc", "fastapi"}
