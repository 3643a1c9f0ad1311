"""Checks whether a configuration fits into the tables and the registers of the program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import finsy as fy

from p4alg.driver.artifacts import Artifacts
from p4alg.driver.p4runtime.program import Program
from p4alg.engine import cells
from p4alg.engine.declaration import declarations
from p4alg.engine.tables import Entry
from p4alg.p4constants import PORT_WAY_MASK, WAYS_SLOT


def overflow(entries: Iterable[Entry], artifacts: Artifacts) -> str | None:
    """One line about the first table that the entries do not fit into; None if all fit.

    Raises `TargetError` if the artifacts cannot be read.
    """
    artifacts.verify()
    sizes = {name: declared.size for name, declared in declarations().items()}
    if not artifacts.is_shipped:
        program = Program(fy.P4Schema(artifacts.p4info))
        sizes = {name: program.table(name).size for name in sizes}
    needed = Counter(entry.declaration.table for entry in entries)
    for table, number in sorted(needed.items()):
        size = sizes[table]
        if number > size:
            return (
                f"needs {number} entries of table '{table}', which holds {size}: "
                "configure less, or enlarge it in p4src/shared/sizes.p4 and run 'make p4'"
            )
    return None


def array_shortage(arrays: Mapping[str, int], block_size: int) -> str | None:
    """One line about the first register array that is too small for blocks of `block_size` ports.

    `arrays` has the cells of each array of the program, by name. There has to be a cell of its
    own for each port of a block, of one protocol, that is the switch's to give out. All arrays
    have to be as large as this controller computes places in them. A program that has none of these
    arrays keeps plain flows in others, of which nothing is known here. None if all is well.
    """
    if not any(array.name in arrays for array in cells.ARRAYS):
        return None
    for array in cells.ARRAYS:
        held = arrays.get(array.name)
        if held is None:
            return f"has no register array '{array.name}': run the program of this p4alg"
        if held < array.cells:
            return (
                f"has {held} cells in register array '{array.name}', and this p4alg needs "
                f"{array.cells}: run the program of this p4alg"
            )
    ways = PORT_WAY_MASK + 2 >> 1
    needed = WAYS_SLOT * (block_size // ways)
    if arrays[cells.SLOT_CELL.name] < needed:
        return (
            f"has {arrays[cells.SLOT_CELL.name]} cells in register array "
            f"'{cells.SLOT_CELL.name}', and a block of {block_size} ports needs {needed}: "
            "choose a smaller nat.blocks.size, or enlarge SLOT_BITS in p4src/shared/sizes.p4 and "
            "run 'make p4'"
        )
    return None
