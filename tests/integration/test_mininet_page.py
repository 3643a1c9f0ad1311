"""The page about Mininet, and those of the examples, are true: their commands are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers import sip
from tests.integration.conftest import NEEDS_MININET
from tests.integration.pages import commands, missing

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "docs/mininet.md",
    *(
        pytest.param(f"examples/{name}.md", marks=pytest.mark.slow)
        for name in ("watch_port", "break_sip", "own_alg")
    ),
]
FOLDER = "/tmp/nat-lab"
"""Where the page has its captures."""

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to run Mininet"),
    NEEDS_MININET,
    pytest.mark.skipif(
        not Path("/usr/bin/mn").exists()
        or not (ROOT / ".venv" / "bin" / "p4alg").exists()
        or any(shutil.which(program) is None for program in ("make", "tcpdump", "vsftpd")),
        reason="needs the checkout of a user (make setup)",
    ),
    pytest.mark.skipif(bool(sip.missing()), reason="needs sipp (make setup)"),
]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """That of a user who has a lab of his own beside others of this machine."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("P4ALG_")}
    mine = {**kept, "P4ALG_LAB": f"page{os.getpid()}"}
    yield mine
    command = [str(ROOT / ".venv" / "bin" / "p4alg"), "lab", "down"]
    subprocess.run(command, env=mine, check=True, capture_output=True)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_prints_what_the_page_shows(
    page: str, environment: dict[str, str], tmp_path: Path
) -> None:
    ran = 0
    for command in commands((ROOT / page).read_text(encoding="utf-8")):
        # Root needs no sudo, which is not on every machine.
        text = re.sub(r"\bsudo ", "", command.text).replace(FOLDER, str(tmp_path / "lab"))
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=ROOT,
            env=environment,
            input="".join(f"{line}\n" for line in command.typed),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        said = done.stdout.replace(str(tmp_path / "lab"), FOLDER)
        gone = missing(command, said.replace(f"/lab-{environment['P4ALG_LAB']}/", "/lab/"))
        assert not gone, f"{command.text}: no '{gone}' in:\n{done.stdout}"
        ran += 1
    assert ran
