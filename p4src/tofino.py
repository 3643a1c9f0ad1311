#!/usr/bin/env python3
"""Fit the TNA program into Tofino 1 and 2, and keep the report of it.

``tofino.py`` compiles with p4c-barefoot, assembles with bfas, and writes P4Info, report and
manifest; without these two on PATH it says so and leaves everything as it is.
``tofino.py --stages N`` asks whether what the report says fits a pipe of N stages, and
``tofino.py --check`` whether the manifest is that of sources and report; neither needs a
compiler. Only the assembler proves a fit: the compiler ends well above the stages of a chip.
Uses nothing but the standard library.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sources import P4SRC, digest, source_files

FOLDER = P4SRC / "artifacts" / "tna"
MANIFEST = "manifest.json"
REPORT = "report.md"
P4INFO = "p4alg.p4info.txtpb"
COMPILER = "p4c-barefoot"
ASSEMBLER = "bfas"
INCLUDES = "p4include"
# Seconds that one tool may take for one chip.
LIMIT = 30 * 60
# Tables that one line names.
NAMED = 8
_MADE_BY_COMPILER = re.compile(r"^tbl_|_encode_update_")
DIRECTIONS = ("ingress", "egress")


@dataclass(frozen=True)
class Chip:
    """One pipe of a chip: its stages, and the blocks and units in each of them."""

    name: str
    title: str
    architecture: str
    number: int
    stages: int
    units: dict[str, int]


# Blocks and stateful or meter ALUs in a stage, and containers of headers in a pipe.
_UNITS = {"SRAM": 80, "map RAM": 48, "TCAM": 24, "ALU": 4}
CHIPS = (
    Chip("tofino", "Tofino 1", "tna", 1, 12, _UNITS),
    Chip("tofino2", "Tofino 2", "t2na", 2, 20, _UNITS),
)


class FitError(Exception):
    """Why there is no report, or why the program does not fit; one line."""


class TooLongError(FitError):
    """The program needs more stages than the chip has; `assembly` is what the compiler made."""

    def __init__(self, why: str, assembly: str) -> None:
        super().__init__(why)
        self.assembly = assembly


@dataclass
class Stage:
    """What one stage of the pipe holds: tables by direction, and how many units of each kind."""

    tables: dict[str, list[str]] = field(default_factory=lambda: {d: [] for d in DIRECTIONS})
    units: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_UNITS, 0))


def compiler_version() -> str:
    """Name and version of the compiler on PATH; raises `FitError`."""
    out = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\b(\d+\.\d+\.\d+(?:\.\d+)*)\b", out.stdout + out.stderr)
    if found is None:
        raise FitError(f"{COMPILER} does not tell its version; install p4c with Tofino")
    return f"{COMPILER} {found[1]}"


def current_manifest(compiler: str, stages: dict[str, int | None]) -> dict[str, object]:
    """What the manifest should say of the files as they are."""
    return {
        "program": "p4alg",
        "architecture": "tna",
        "compiler": compiler,
        "stages": stages,
        "sources_sha256": digest(source_files("tna")),
        "report_sha256": digest([FOLDER / REPORT, FOLDER / P4INFO]),
    }


def manifest() -> dict[str, object]:
    """The committed manifest; raises `FitError`."""
    try:
        found = json.loads((FOLDER / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise FitError(f"tna: cannot read {MANIFEST}: {error}; run make tofino") from error
    if not isinstance(found, dict) or not isinstance(found.get("stages"), dict):
        raise FitError(f"tna: {MANIFEST} has no stages; run make tofino")
    return found


def problems() -> list[str]:
    """Why the manifest does not describe the files; empty when it does."""
    try:
        written = manifest()
        stages = written["stages"]
        assert isinstance(stages, dict)
        now = current_manifest(str(written.get("compiler", "")), stages)
    except (FitError, OSError) as error:
        return [str(error)]
    return [f"tna: {key} is not that of the files" for key in now if now[key] != written.get(key)]


def includes() -> Path:
    """Where tna.p4 is: `p4include` of the compiler's sources or installation."""
    here = Path(shutil.which(COMPILER) or "").resolve().parent
    for folder in (here / INCLUDES, here.parent / "share" / "p4c" / INCLUDES):
        if (folder / "tna.p4").is_file():
            return folder
    raise FitError(f"tna.p4 is not beside {COMPILER}; install p4c with its {INCLUDES}")


def run(command: list[str], what: str) -> None:
    """Run a tool; raises `FitError` with its first error."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=P4SRC, timeout=LIMIT
        )
    except subprocess.TimeoutExpired as error:
        raise FitError(f"{what}: no result within {LIMIT // 60} minutes") from error
    if done.returncode != 0:
        raise FitError(f"{what}: {reason(done.stdout + done.stderr)}")


def reason(output: str) -> str:
    """The first error that a tool printed, on one line without paths."""
    lines = [" ".join(line.split()) for line in output.splitlines()]
    for number, line in enumerate(lines):
        found = re.search(r"error: (.*)|Compiler Bug.*?: (.*)", line)
        if found:
            text = found[1] or found[2] or ""
            more = lines[number + 1] if number + 1 < len(lines) else ""
            return re.sub(r"\S*/", "", f"{text} ({more})" if more else text)[:200]
    return "it failed without a reason"


def build(chip: Chip, out: Path) -> str:
    """Compile and assemble for one chip into `out`; the assembly. Raises `FitError`."""
    run(
        [
            *(COMPILER, "--target", chip.name, "--arch", chip.architecture),
            *(f"-D__TARGET_TOFINO__={chip.number}", "-I", str(includes())),
            "--p4runtime-force-std-externs",
            *("--p4runtime-files", str(out / P4INFO), "-o", str(out), "tna/main.p4"),
        ],
        f"{chip.title}: the compiler refuses",
    )
    path = next(out.rglob("*.bfa"), None)
    if path is None:
        raise FitError(f"{chip.title}: {COMPILER} wrote no assembly")
    assembly = path.read_text()
    check_stages(chip, assembly)
    run(
        [ASSEMBLER, "--target", chip.name, "-o", str(path.parent), str(path)],
        f"{chip.title}: the assembler refuses",
    )
    return assembly


def check_stages(chip: Chip, assembly: str) -> None:
    """Raises `TooLongError` if there are more stages than those of the chip."""
    found = usage(assembly)
    if len(found) <= chip.stages:
        return
    beyond = list(
        dict.fromkeys(
            name
            for stage in reversed(found[chip.stages :])
            for direction in DIRECTIONS
            for name in sorted(stage.tables[direction])
            if not _MADE_BY_COMPILER.search(name)
        )
    )
    more = f" and {len(beyond) - NAMED} more" if len(beyond) > NAMED else ""
    why = (
        f"{chip.title}: {len(found) - chip.stages} stages too many; what ends the longest chain, "
        f"the last first: {', '.join(beyond[:NAMED])}{more}"
    )
    raise TooLongError(why, assembly)


def usage(assembly: str) -> list[Stage]:
    """What each stage holds, from the compiler's assembly."""
    found: list[Stage] = []
    stage, direction, kind, memory = Stage(), "", "", ""
    for line in assembly.splitlines():
        if begins := re.match(r"stage (\d+) (\w+):", line):
            direction = begins[2]
            while len(found) <= int(begins[1]):
                found.append(Stage())
            stage, kind = found[int(begins[1])], ""
        elif re.match(r"\w", line):
            direction = ""
        elif direction and (table := re.match(r"  (\w+) (\S+?)(?: \d+)?:$", line)):
            kind, memory = table[1], ""
            if kind in ("exact_match", "ternary_match", "hash_action"):
                stage.tables[direction].append(table[2].split("$")[0])
            if kind in ("stateful", "meter"):
                stage.units["ALU"] += 1
        elif direction and kind and (part := re.match(r"    (?:(\w+):|- )(.*)$", line)):
            if part[1] is not None:
                memory = memory_of(kind, part[1])
            if memory:
                stage.units[memory] += len(re.findall(r"\d+", part[2]))
    return found


def memory_of(kind: str, key: str) -> str:
    """Which blocks the numbers under a key of a table are; "" if none."""
    if key == "maprams":
        return "map RAM"
    if key == "column":
        return "TCAM" if kind == "ternary_match" else "SRAM"
    return ""


def containers(assembly: str) -> dict[str, int]:
    """How many containers of headers and metadata are taken, by direction."""
    found: dict[str, set[str]] = {}
    direction = ""
    for line in assembly.splitlines():
        if begins := re.match(r"phv (\w+):", line):
            direction = begins[1]
        elif re.match(r"\w", line):
            direction = ""
        elif direction:
            found.setdefault(direction, set()).update(re.findall(r"\b(?:T?[BHW])\d+\b", line))
    return {d: len(names) for d, names in found.items()}


def last(found: list[Stage], direction: str) -> int:
    """How many stages a direction takes."""
    return max((n + 1 for n, s in enumerate(found) if s.tables[direction]), default=0)


def report(chip: Chip, assembly: str) -> Iterator[str]:
    """The lines of one chip, in Markdown; of a program that is too long as well."""
    found = usage(assembly)
    need = {d: last(found, d) for d in DIRECTIONS}
    taken = {k: sum(s.units[k] for s in found) for k in chip.units}
    whole = {k: n * chip.stages for k, n in chip.units.items()}
    phv = containers(assembly)
    chain = max(need, key=lambda d: need[d])
    fullest = max(taken, key=lambda k: taken[k] / whole[k])
    count = f"{need['ingress']} stages in ingress and {need['egress']} in egress"
    yield f"Taken: {count}, of {chip.stages}."
    yield f"Containers: {phv.get('ingress', 0)} in ingress, {phv.get('egress', 0)} in egress."
    yield ""
    yield f"What limits growth: the chain of {chain}, with {need[chain]} of {chip.stages} stages."
    share = round(100 * taken[fullest] / whole[fullest])
    yield f"Of what is counted below, {fullest} is the fullest, with {share} %."
    yield ""
    yield "| stage | SRAM | map RAM | TCAM | ALU | tables in, out | SRAM, a mark for eight |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for number, stage in enumerate(found):
        units = " | ".join(str(stage.units[kind]) for kind in chip.units)
        names = ", ".join(str(len(set(stage.tables[d]))) for d in DIRECTIONS)
        yield f"| {number} | {units} | {names} | {'#' * round(stage.units['SRAM'] / 8)} |"
    totals = " | ".join(f"{taken[k]} of {whole[k]}" for k in chip.units)
    yield f"| all | {totals} | | |"
    yield from ("", "Tables by stage:", "", "```")
    for direction in DIRECTIONS:
        for number, stage in enumerate(found):
            names = " ".join(sorted(set(stage.tables[direction])))
            if names:
                yield f"{direction:7} {number:2}  {names}"
    yield "```"


def fitted(chip: Chip, out: Path) -> tuple[list[str], int | None, str]:
    """Lines of the report, stages (None: no room), and why there is no room ("": there is)."""
    try:
        assembly = build(chip, out)
    except FitError as error:
        lines = [f"Does not fit. {error}."]
        if isinstance(error, TooLongError):
            lines += ["", *report(chip, error.assembly)]
        return lines, None, str(error)
    lines = ["Fits: the assembler takes it.", "", *report(chip, assembly)]
    return lines, len(usage(assembly)), ""


def keep(compiler: str, parts: list[tuple[list[str], int | None, str]]) -> None:
    """Write report and manifest: what `fitted` said of each chip."""
    lines = [
        "# What the program takes of a Tofino",
        "",
        "Written by `make tofino`; do not edit. One pipe of each chip.",
    ]
    for chip, (text, _, _) in zip(CHIPS, parts, strict=True):
        lines += ["", f"## {chip.title}", "", *text]
    (FOLDER / REPORT).write_text("\n".join(lines) + "\n")
    stages = {chip.name: part[1] for chip, part in zip(CHIPS, parts, strict=True)}
    text = json.dumps(current_manifest(compiler, stages), indent=2)
    (FOLDER / MANIFEST).write_text(text + "\n")


def renew() -> list[str]:
    """Build for every chip and write P4Info, report and manifest; why a chip has no room."""
    compiler = compiler_version()
    includes()
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="p4alg-tofino-") as folder:
        outs = [Path(folder) / chip.name for chip in CHIPS]
        for out in outs:
            out.mkdir()
        with ThreadPoolExecutor() as pool:
            parts = list(pool.map(fitted, CHIPS, outs))
        if not (outs[0] / P4INFO).is_file():
            raise FitError(parts[0][2])
        shutil.copyfile(outs[0] / P4INFO, FOLDER / P4INFO)
    keep(compiler, parts)
    return [why for _, _, why in parts if why]


def smaller(stages: int) -> list[str]:
    """Why the program is too long for a pipe of so many stages; raises `FitError`."""
    needed = manifest()["stages"]
    assert isinstance(needed, dict)
    found = []
    for chip in CHIPS:
        count = needed.get(chip.name)
        if count is None:
            found.append(f"{chip.title}: the program does not fit ({REPORT} says why)")
        elif count > stages:
            found.append(f"{chip.title}: {count - stages} stages too many for a pipe of {stages}")
    return found


def other_version() -> str | None:
    """Of which compiler the committed report is, if not of that on PATH."""
    if not (FOLDER / MANIFEST).is_file():
        return None
    written = str(manifest()["compiler"])
    return written if written != compiler_version() else None


def main() -> int:
    """Renew, compare or check; 0 done or skipped, 1 failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--check", action="store_true", help="only tell what is out of date")
    only.add_argument("--stages", type=int, help="only tell whether a pipe of so many is enough")
    only.add_argument(
        "--any-version", action="store_true", help="renew though the compiler is another one"
    )
    args = parser.parse_args()
    try:
        if args.check or args.stages is not None:
            found = problems() if args.check else smaller(args.stages)
            more = "; run make tofino" if args.check else ""
        else:
            missing = [tool for tool in (COMPILER, ASSEMBLER) if shutil.which(tool) is None]
            if missing:
                names = " and ".join(missing)
                print(f"p4src: tofino skipped: {names} not on PATH (docs/tofino.md)")
                return 0
            other = None if args.any_version else other_version()
            if other is not None:
                raise FitError(
                    f"the report is of {other}, on PATH is {compiler_version()}; use the "
                    "first, or renew the report with p4src/tofino.py --any-version"
                )
            found, more = renew(), f"; {REPORT} says so"
            print(f"p4src: wrote {P4INFO}, {REPORT} and {MANIFEST} of tna")
    except FitError as error:
        found, more = [str(error)], ""
    if found:
        print(f"p4src: {'; '.join(found)}{more}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
