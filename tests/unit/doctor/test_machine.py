"""What is found out of this machine, whatever it is."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path

import pytest

from p4alg.doctor.facts import Compiler
from p4alg.doctor.machine import machine

PACKAGES = ("finsy", "grpcio", "orjson", "prometheus-client", "pyyaml", "uvloop")


def test_facts_are_those_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "simple_switch_grpc"
    program.write_text("#!/bin/sh\necho 1.2.3-abc\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    compiler = Compiler("cc 12")
    found = machine(lambda: compiler)
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert {package.name: package.found for package in found.packages} == {
        name: metadata.version(name) for name in PACKAGES
    }
    assert all(package.found == package.wanted for package in found.packages)
    assert found.compiler is compiler
    assert found.root == (os.geteuid() == 0)
    assert {program.name: program.version for program in found.programs} == {
        "ip": None,
        "ethtool": None,
        "simple_switch_grpc": "1.2.3-abc",
        "p4c-bm2-ss": None,
    }
    # Without ip they cannot be tried.
    assert found.namespaces is None
