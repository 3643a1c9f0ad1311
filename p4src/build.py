#!/usr/bin/env python3
"""Compile the P4 program and keep what is made of its sources.

``build.py`` writes the Python constants, compiles (needs p4c-bm2-ss on PATH) and
writes the manifest; ``build.py --constants`` writes the Python constants only;
``build.py --check`` only tells whether sources, constants, artifacts and manifest
agree. Neither of the two needs a compiler.
Uses nothing but the standard library, so that it runs before any set-up.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import python_constants
from sources import P4SRC, digest, source_files

ARTIFACTS = P4SRC / "artifacts" / "v1model"
MANIFEST = "manifest.json"
# The same program with other sizes of its register arrays, by folder: tiny ones, so that tests
# have collisions, overflow and ageing all the time; and large ones, for a million flows.
VARIANTS = {
    "v1model": {},
    "v1model-tiny": {"SLOT_BITS": 4, "SESSION_BITS": 4, "WINDOW_BITS": 3, "FRAGMENT_BITS": 2},
    "v1model-large": {"SLOT_BITS": 19, "SESSION_BITS": 19, "WINDOW_BITS": 16},
}
JSON = "p4alg.json"
P4INFO = "p4alg.p4info.txtpb"
COMPILER = "p4c-bm2-ss"


def compiler_version() -> str:
    """The version line of the compiler on PATH."""
    out = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True)
    text = out.stdout + out.stderr
    line = next(line for line in text.splitlines() if line.startswith("Version"))
    return f"{COMPILER} {line.split()[1]}"


def compile_into(directory: Path, sizes: dict[str, int]) -> None:
    """Compile the program with these sizes into `directory`; raises CalledProcessError."""
    directory.mkdir(exist_ok=True)
    subprocess.run(
        [
            COMPILER,
            "--arch",
            "v1model",
            "--Wdisable=unused",
            *(f"-D{name}={value}" for name, value in sizes.items()),
            "--p4runtime-files",
            str(directory / P4INFO),
            "-o",
            str(directory / JSON),
            "v1model/main.p4",
        ],
        cwd=P4SRC,
        check=True,
    )


def artifacts(folder: Path) -> list[Path]:
    """The compiled program in a folder."""
    return [folder / JSON, folder / P4INFO]


def current_manifest(folder: Path, compiler: str) -> dict[str, str]:
    """What the manifest should say of the files as they are."""
    return {
        "program": "p4alg",
        "architecture": "v1model",
        "compiler": compiler,
        "sources_sha256": digest(source_files("v1model")),
        "artifacts_sha256": digest(artifacts(folder)),
    }


def problems(folder: Path = ARTIFACTS) -> list[str]:
    """Why the manifest does not describe the files in a folder; empty when it does."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        now = current_manifest(folder, manifest.get("compiler", ""))
    except (OSError, ValueError) as error:
        return [f"{folder.name}: cannot read {MANIFEST}: {error}"]
    return [
        f"{folder.name}: {key} is not that of the files"
        for key in now
        if now[key] != manifest.get(key)
    ]


def main() -> int:
    """Compile, generate or check; 0 done, 1 failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--check", action="store_true", help="only tell what is out of date")
    only.add_argument("--constants", action="store_true", help="only write the Python constants")
    args = parser.parse_args()
    if args.check:
        found = [
            *(why for name in VARIANTS for why in problems(ARTIFACTS.parent / name)),
            *python_constants.problems(),
        ]
        if found:
            print(f"p4src: {'; '.join(found)}; run make p4", file=sys.stderr)
        return 1 if found else 0
    try:
        python_constants.write()
    except python_constants.SourceError as error:
        print(f"p4src: {error}", file=sys.stderr)
        return 1
    if args.constants:
        return 0
    if shutil.which(COMPILER) is None:
        print(
            f"p4src: {COMPILER} is not on PATH; install p4c (README, For P4 users)",
            file=sys.stderr,
        )
        return 1
    for name, sizes in VARIANTS.items():
        folder = ARTIFACTS.parent / name
        try:
            compile_into(folder, sizes)
        except subprocess.CalledProcessError:
            return 1
        manifest = current_manifest(folder, compiler_version())
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        print(f"p4src: wrote {JSON}, {P4INFO} and {MANIFEST} of {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
