"""The committed artifacts of the test programs are what p4c makes of its source."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from .helpers import P4_DIR

pytestmark = [
    pytest.mark.p4c,
    pytest.mark.skipif(shutil.which("p4c-bm2-ss") is None, reason="needs p4c-bm2-ss on PATH"),
]


@pytest.mark.parametrize("name", ["l2switch", "stateful", "stress", "shared"])
def test_the_artifacts_are_compiled_from_the_source(tmp_path: Path, name: str) -> None:
    command = ["p4c-bm2-ss", "--arch", "v1model", "--p4runtime-files", f"{tmp_path}/x.txtpb"]
    command += ["-o", f"{tmp_path}/x.json", f"{name}.p4"]
    subprocess.run(command, cwd=P4_DIR, check=True, capture_output=True)
    made = json.loads((tmp_path / "x.json").read_text())
    kept = json.loads((P4_DIR / f"{name}.json").read_text())
    for program in (made, kept):
        program.pop("program", None)
        program.pop("__meta__", None)
    assert made == kept
    assert (tmp_path / "x.txtpb").read_text() == (P4_DIR / f"{name}.p4info.txtpb").read_text()
