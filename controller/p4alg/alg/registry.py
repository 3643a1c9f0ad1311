"""The ALGs there are: those that installed distributions offer, this one among them.

An ALG is offered by an entry point of the group `GROUP` whose object is a
`descriptor.Alg`. One that cannot be used is left out, with a line that says why: it
never costs another ALG anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from p4alg.alg.descriptor import MAX_ID, Alg, objection

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "p4alg.algs"
OWN = "p4alg"
"""The distribution whose ALGs win when two have the same name or number."""
FIRST_CHOSEN_ID = 128
"""ALGs without a number of their own get one from here on, in the order of their names."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All ALGs by name, in the order of their numbers, and a line for each that is left out."""

    algs: Mapping[str, Alg]
    problems: tuple[str, ...] = ()


@cache
def catalogue() -> Catalogue:
    """The ALGs of all installed distributions."""
    # Not at the top: it is more than most commands need.
    from importlib.metadata import entry_points

    return assemble(entry_points(group=GROUP))


def algs() -> Mapping[str, Alg]:
    """The ALGs that can be used, by name."""
    return catalogue().algs


def assemble(points: Iterable[EntryPoint]) -> Catalogue:
    """The catalogue of some entry points."""
    found: dict[str, Alg] = {}
    problems: list[str] = []
    for point in sorted(points, key=lambda p: (_distribution(p) != OWN, p.name, p.value)):
        loaded = _load(point)
        reason = _add(loaded, found) if isinstance(loaded, Alg) else loaded
        if reason:
            problems.append(
                f"ALG '{point.name}' of {_distribution(point)} is left out: {reason}; "
                "correct or remove that distribution"
            )
    for name in sorted(name for name, alg in found.items() if not alg.alg_id):
        number = _free_id(found)
        if number:
            found[name] = replace(found[name], alg_id=number)
        else:
            problems.append(f"ALG '{name}' is left out: there are too many; remove one")
            del found[name]
    ordered = sorted(found.items(), key=lambda pair: pair[1].alg_id)
    return Catalogue(dict(ordered), tuple(problems))


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown distribution"


def _load(point: EntryPoint) -> Alg | str:
    try:
        alg = point.load()
        return objection(alg) or alg
    except Exception as error:
        # Whatever somebody else's module does while it is imported.
        return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _add(alg: Alg, found: dict[str, Alg]) -> str:
    """Put an ALG in; why not, or an empty string."""
    if alg.name in found:
        return f"there is an ALG '{alg.name}' already"
    taken = next((a for a in found.values() if alg.alg_id and a.alg_id == alg.alg_id), None)
    if taken is not None:
        return f"its id {alg.alg_id} is that of '{taken.name}'"
    views = {name: other.name for other in found.values() for name in other.views}
    clash = next((name for name in alg.views if name in views), None)
    if clash is not None:
        return f"'{views[clash]}' has a view '{clash}' already"
    found[alg.name] = alg
    return ""


def _free_id(found: Mapping[str, Alg]) -> int:
    taken = {alg.alg_id for alg in found.values()}
    return next((n for n in range(FIRST_CHOSEN_ID, MAX_ID + 1) if n not in taken), 0)
