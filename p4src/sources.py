"""The P4 sources of an architecture, and what a manifest says of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

P4SRC = Path(__file__).resolve().parent


def source_files(architecture: str) -> list[Path]:
    """The sources of the program for an architecture, in a stable order."""
    folders = (P4SRC / "shared", P4SRC / architecture)
    return sorted(path for folder in folders for path in folder.glob("*.p4"))


def digest(paths: list[Path]) -> str:
    """SHA-256 over names and contents of `paths`."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()
