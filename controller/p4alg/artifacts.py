"""Where the compiled program is: in an installed package, beside a checkout's sources, or in a
folder that the configuration names.
"""

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


_P4INFO = "p4alg.p4info.txtpb"
_JSON, _PIPELINE = "p4alg.json", "pipeline.bin"
"""What a switch loads: BMv2 JSON, or a pipeline of Stratum's."""


def named(program: str) -> Artifacts:
    """The program that a configuration names: a variant of `PROGRAMS`, or the folder of another.

    `Artifacts.verify` tells if it is missing.
    """
    if program in PROGRAMS:
        return shipped(program)
    folder = Path(program)
    loaded = next((n for n in (_JSON, _PIPELINE) if (folder / n).is_file()), _PIPELINE)
    return Artifacts(folder / loaded, folder / _P4INFO, is_shipped=False)


def shipped(program: str = STANDARD) -> Artifacts:
    """The program for v1model targets; `Artifacts.verify` tells if it is missing."""
    folders = [place / PROGRAMS[program] for place in _PLACES]
    place = next((folder for folder in folders if folder.is_dir()), folders[0])
    return Artifacts(place / _JSON, place / _P4INFO)
