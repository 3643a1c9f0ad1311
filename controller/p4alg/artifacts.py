"""Where the compiled program is: in an installed package, or beside a checkout's sources."""

from __future__ import annotations

from pathlib import Path

from p4alg.driver.artifacts import Artifacts

STANDARD, LARGE = "standard", "large"
PROGRAMS = {STANDARD: "v1model", LARGE: "v1model-large"}
"""The folder of each variant of the program. They differ in the sizes of register arrays."""
_PACKAGE = Path(__file__).parent
_PLACES = (
    _PACKAGE / "_data" / "artifacts",
    _PACKAGE.parents[1] / "p4src" / "artifacts",
)


def shipped(program: str = STANDARD) -> Artifacts:
    """The program for v1model targets; `Artifacts.verify` tells if it is missing."""
    folders = [place / PROGRAMS[program] for place in _PLACES]
    place = next((folder for folder in folders if folder.is_dir()), folders[0])
    return Artifacts(place / "p4alg.json", place / "p4alg.p4info.txtpb")
