"""How much of each module the unit tests cover: its own test file, its folder's, all.

Reads what pytest-cov recorded with ``--cov-context=test``. A module's own tests mirror
it: those of ``p4alg/nat/ports.py`` are ``tests/unit/nat/test_ports.py``, files that go
on behind that name (``test_ports_*.py``), and a folder ``tests/unit/nat/ports``. The
embedded switch has one folder of tests, ``tests/softswitch``.

A share is that of statements and branches together, as coverage.py counts it. What runs
while a module is imported counts for every test. Fails if all tests together cover less
than ``fail_under`` in ``pyproject.toml``.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import coverage

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    ROOT / "controller" / "p4alg": "tests/unit",
    ROOT / "softswitch" / "p4softswitch": "tests/softswitch",
}
_IMPORTED = "^$"
"""The context of what ran while no test did."""


@dataclass(frozen=True, slots=True)
class Share:
    """What is covered, of how many statements and branches."""

    covered: int
    total: int

    def __str__(self) -> str:
        return f"{100 * self.covered / self.total:.0f} %" if self.total else "-"


@dataclass(frozen=True, slots=True)
class Module:
    """A source file, and where its tests are."""

    path: Path
    folder: str
    own: str
    """A regular expression that the names of its own tests begin with."""

    @property
    def has_own(self) -> bool:
        """Whether there is a test file for it."""
        within = ROOT / self.folder
        names = [*within.glob("test_*.py"), *(p for p in within.glob("*") if p.is_dir())]
        return any(re.match(self.own, f"{self.folder}/{path.name}{_end(path)}") for path in names)


def modules() -> list[Module]:
    """All modules that are measured."""
    found = []
    for package, tests in PACKAGES.items():
        for path in sorted(package.rglob("*.py")):
            inner = path.relative_to(package).parent.parts
            folder = "/".join((tests, *inner)) if tests == "tests/unit" else tests
            name = re.escape(path.stem)
            found.append(
                Module(path, folder, rf"{re.escape(folder)}/(test_{name}(_\w+)?\.py::|{name}/)")
            )
    return found


def shares(
    cov: coverage.Coverage, paths: Iterable[Path], contexts: list[str] | None
) -> dict[Path, Share]:
    """What was covered of some files in contexts that match; of any if there are none."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        cov.json_report([str(p) for p in paths], outfile=file.name, contexts=contexts)
        told = json.load(file)["files"]
    return {
        (ROOT / name).resolve(): Share(
            one["summary"]["covered_lines"] + one["summary"]["covered_branches"],
            one["summary"]["num_statements"] + one["summary"]["num_branches"],
        )
        for name, one in told.items()
    }


def total(found: Iterable[Share]) -> Share:
    """All of them together."""
    several = list(found)
    return Share(sum(s.covered for s in several), sum(s.total for s in several))


def main() -> int:
    """Print the report; returns the exit status."""
    cov = coverage.Coverage(messages=False)
    cov.load()
    known = modules()
    everything = shares(cov, (m.path for m in known), None)
    own: dict[Path, Share] = {}
    folder: dict[Path, Share] = {}
    for name in sorted({m.folder for m in known}):
        paths = [m.path for m in known if m.folder == name]
        folder |= shares(cov, paths, [f"^{re.escape(name)}/", _IMPORTED])
    for module in known:
        if module.has_own:
            own |= shares(cov, [module.path], [f"^{module.own}", _IMPORTED])
    print(f"{'module':<44}{'own tests':>12}{'of its folder':>16}{'all':>8}")
    counted = [module for module in known if everything[module.path].total]
    for module in counted:
        name = "/".join(module.path.relative_to(ROOT).parts[1:])
        mine = str(own.get(module.path, "none"))
        print(f"{name:<44}{mine:>12}{folder[module.path]!s:>16}{everything[module.path]!s:>8}")
    whole = total(everything.values())
    print(f"{'all':<44}{total(own.values())!s:>12}{total(folder.values())!s:>16}{whole!s:>8}")
    tested = sum(module.has_own for module in counted)
    print(f"{tested} of {len(counted)} modules have a test file of their own")
    least = float(str(cov.get_option("report:fail_under")))
    if 100 * whole.covered < least * whole.total:
        print(f"COVERAGE BELOW {least:g} %: test what was added, see the columns above")
        return 1
    return 0


def _end(path: Path) -> str:
    return "/" if path.is_dir() else "::"


if __name__ == "__main__":
    sys.exit(main())
