"""Checks whether the entries of a configuration fit into the tables of the program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from p4alg.driver.artifacts import Artifacts
from p4alg.engine.declaration import declarations
from p4alg.engine.tables import Entry


def overflow(entries: Iterable[Entry], artifacts: Artifacts) -> str | None:
    """One line about the first table that the entries do not fit into; None if all fit.

    Raises `TargetError` if the artifacts cannot be read.
    """
    artifacts.verify()
    needed = Counter(entry.declaration.table for entry in entries)
    for table, number in sorted(needed.items()):
        size = declarations()[table].size
        if number > size:
            return (
                f"needs {number} entries of table '{table}', which holds {size}: "
                "configure less, or enlarge it in p4src/shared/sizes.p4 and run 'make p4'"
            )
    return None
