"""The files that the Debian package puts on a machine fit together and can be read."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from distribution.deb import FILES
from p4alg.cli import main
from p4alg.config import loader
from p4alg.engine.settings import all_zones
from p4softswitch.io.spec import parse_port


def options() -> list[str]:
    """The words that systemd makes of the switch's options."""
    found = re.search(
        r'^P4ALG_SWITCH_OPTIONS="(.*)"$', (FILES / "p4alg-switch.default").read_text(), re.M
    )
    assert found is not None
    return shlex.split(found[1])


def test_the_example_is_a_configuration() -> None:
    assert main(["check", str(FILES / "p4alg.yaml")]) == 0


def test_the_switch_has_the_ports_of_the_example() -> None:
    words = options()
    assert set(words[::2]) == {"-i"}
    zones = all_zones(loader.read(FILES / "p4alg.yaml").organisations)
    assert {parse_port(word).port for word in words[1::2]} == {p for z in zones for p in z.ports}


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_a_shell_can_read_the_scripts(script: str) -> None:
    done = subprocess.run(["sh", "-n", FILES / script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("unit", "exposure"),
    [("p4alg.service", 1.7), ("p4alg-switch.service", 2.0), ("p4alg-console.service", 1.5)],
)
def test_a_service_has_only_the_rights_it_needs(unit: str, exposure: float) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    path: Path = FILES / unit
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", path],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = re.search(r"Overall exposure level for .*: ([0-9.]+) ", done.stdout)
    assert found is not None
    assert float(found[1]) <= exposure
