"""Where the compiled program is: in an installed package, or beside a checkout's sources."""

from __future__ import annotations

from pathlib import Path

from p4alg.driver.artifacts import Artifacts

_PACKAGE = Path(__file__).parent
_PLACES = (
    _PACKAGE / "_data" / "artifacts" / "v1model",
    _PACKAGE.parents[1] / "p4src" / "artifacts" / "v1model",
)


def shipped() -> Artifacts:
    """The program for v1model targets; `Artifacts.verify` tells if it is missing."""
    place = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
    return Artifacts(place / "p4alg.json", place / "p4alg.p4info.txtpb")
