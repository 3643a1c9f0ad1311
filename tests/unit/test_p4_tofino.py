"""The report of the fit into Tofino is that of the sources, and says why there is none.

And what the program for Tofino says of its own numbers, computed.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "p4src"))
import tofino  # type: ignore[import-not-found]  # noqa: E402

SCRIPT = ROOT / "p4src" / "tofino.py"

ASSEMBLY = """\
phv ingress:
  hdr.ipv4.src_addr: W3
  meta.side: { stage 0..3: B2(1) }
stage 0 ingress:
  exact_match zone_port_zone 0:
    row: 6
    column: [ 6, 7 ]
    input_xbar:
      exact group 0: { 64: meta.tag.0-15 }
  stateful way0$salu.cells:
    column:
    - [ 0, 1 ]
    - 2
    maprams:
    - [ 0, 1 ]
    - 2
    home_row: 3
stage 1 ingress:
  ternary_match verdict_0 0:
    column: 1
    p4: { name: GatewayIngress.verdict.verdict, size: 64 }
  ternary_indirect verdict_0$tind:
    column: 2
stage 1 egress:
  meter punt$meter.punt_meter:
    column: 4
    maprams: 4
flexible_headers: [
"""


def run(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *options]
    env = {"PATH": str(path)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def tool(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def pipe(stages: int) -> object:
    return dataclasses.replace(tofino.CHIPS[0], stages=stages)


def test_without_a_compiler_nothing_is_done_and_the_reason_is_told(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("p4src: tofino skipped: p4c-barefoot and bfas not on PATH")
    assert done.stderr == ""


def test_another_compiler_is_refused_in_one_line(tmp_path: Path) -> None:
    tool(tmp_path, "p4c-barefoot", "echo p4c-barefoot 0.0.0.1")
    tool(tmp_path, "bfas", "exit 0")
    done = run(tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(
        r"p4src: the report is of p4c-barefoot \S+, on PATH is p4c-barefoot 0\.0\.0\.1; .*\n",
        done.stderr,
    )


def test_a_compiler_without_its_includes_is_refused_in_one_line(tmp_path: Path) -> None:
    tool(tmp_path, "p4c-barefoot", "echo p4c-barefoot 0.0.0.1")
    tool(tmp_path, "bfas", "exit 0")
    done = run(tmp_path, "--any-version")
    assert done.returncode == 1
    assert done.stderr.startswith("p4src: tna.p4 is not beside p4c-barefoot")
    assert done.stderr.count("\n") == 1


def test_the_manifest_is_that_of_sources_and_report() -> None:
    assert tofino.problems() == []


def test_a_changed_source_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tofino, "source_files", lambda _: [ROOT / "p4src" / "tna" / "main.p4"])
    assert tofino.problems() == ["tna: sources_sha256 is not that of the files"]


def test_a_manifest_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tofino, "FOLDER", tmp_path)
    (found,) = tofino.problems()
    assert found.startswith("tna: cannot read manifest.json: ")


def test_blocks_are_counted_by_what_they_hold() -> None:
    zero, one = tofino.usage(ASSEMBLY)
    assert zero.units == {"SRAM": 5, "map RAM": 3, "TCAM": 0, "ALU": 1}
    assert one.units == {"SRAM": 2, "map RAM": 1, "TCAM": 1, "ALU": 1}
    assert zero.tables == {"ingress": ["zone_port_zone"], "egress": []}
    assert tofino.containers(ASSEMBLY) == {"ingress": 2}


def test_a_program_that_is_too_long_says_by_how_much_and_what_is_last() -> None:
    with pytest.raises(tofino.FitError) as told:
        tofino.check_stages(pipe(1), ASSEMBLY)
    assert str(told.value) == (
        "Tofino 1: 1 stages too many; what ends the longest chain, the last first: verdict_0"
    )


def test_a_program_that_is_too_long_is_reported_by_its_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(tmp_path, "p4c-barefoot", f"cat > $(dirname $0)/out/main.bfa <<'E'\n{ASSEMBLY}E")
    tool(tmp_path, "bfas", "exit 1")
    (tmp_path / "p4include").mkdir()
    (tmp_path / "p4include" / "tna.p4").touch()
    (tmp_path / "out").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    lines, stages, why = tofino.fitted(pipe(1), tmp_path / "out")
    assert (lines[0], stages) == (f"Does not fit. {why}.", None)
    assert why.startswith("Tofino 1: 1 stages too many")
    assert "| 0 | 5 | 3 | 0 | 1 | 1, 0 | # |" in lines
    assert "ingress  0  zone_port_zone" in lines


def test_a_tool_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tofino, "LIMIT", 0)
    with pytest.raises(tofino.FitError, match="it: no result within 0 minutes"):
        tofino.run(["sleep", "5"], "it")


def test_a_program_that_is_as_long_as_the_pipe_is_not_too_long() -> None:
    tofino.check_stages(pipe(2), ASSEMBLY)


def test_a_smaller_pipe_is_told_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "--stages", "3")
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(r"p4src: Tofino 1: .*; Tofino 2: .*\n", done.stderr)


def test_the_first_error_of_a_tool_is_the_reason() -> None:
    output = (
        "/a/b/x.p4(3): warning: that\n/a/b/x.p4(7): error: too many /a/b/sources\n    action f()\n"
    )
    assert tofino.reason(output) == "too many sources (action f())"
    assert tofino.reason("") == "it failed without a reason"


def remainder(value: int, bits: int, polynomial: int) -> int:
    """CRC of 16 bits, without reflection, start value or final change."""
    crc = 0
    for bit in range(bits - 1, -1, -1):
        out = (crc >> 15 ^ value >> bit) & 1
        crc = (crc << 1 & 0xFFFF) ^ (polynomial if out else 0)
    return crc


def rank(rows: list[int]) -> int:
    """The number of independent rows, modulo 2."""
    base: list[int] = []
    for row in rows:
        for one in base:
            row = min(row, row ^ one)
        if row:
            base.append(row)
    return len(base)


@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize("bits", [15, 16])
def test_an_index_tells_what_a_cell_does_not_hold(way: int, bits: int) -> None:
    """A CRC is linear: independent changes of the index by each bit are a bijection of all.

    The remote id is the last part of what is hashed; the cell holds its bits above `bits`.
    """
    text = (ROOT / "p4src" / "tna" / "registers.p4").read_text()
    polynomial = int(re.findall(rf"CRC_WAY{way} (0x\w+)", text)[0], 16)
    mask = (1 << bits) - 1
    changes = [remainder(1 << bit, 80, polynomial) & mask for bit in range(bits)]
    assert rank(changes) == bits
