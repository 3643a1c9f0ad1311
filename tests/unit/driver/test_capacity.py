"""A configuration that needs more than the program's tables and registers hold is told so."""

import re
from pathlib import Path

import pytest

from p4alg.artifacts import named, shipped
from p4alg.driver.capacity import array_shortage, overflow
from p4alg.driver.target import TargetError
from p4alg.engine import cells
from p4alg.engine import tables as t


def test_what_fits_exactly_fits() -> None:
    pools = [t.PoolPrefix(number << 8, 24) for number in range(64)]
    assert overflow(pools, shipped()) is None


def test_one_more_is_told_with_its_table() -> None:
    pools = [t.PoolPrefix(number << 8, 24) for number in range(65)]
    told = overflow(pools, shipped())
    assert told is not None
    assert told.startswith("needs 65 entries of table 'pool', which holds 64: ")


def test_another_program_has_tables_of_its_own_sizes(tmp_path: Path) -> None:
    text = shipped().p4info.read_text()
    changed = re.sub(r'(alias: "pool"\n.*?\n  size:) 64', r"\1 32", text, count=1, flags=re.S)
    assert changed != text
    (tmp_path / "p4alg.p4info.txtpb").write_text(changed)
    pools = [t.PoolPrefix(number << 8, 24) for number in range(33)]
    with pytest.raises(TargetError, match=r"pipeline.bin: not found; correct switch.program"):
        overflow(pools, named(str(tmp_path)))
    (tmp_path / "pipeline.bin").write_bytes(b"made by another compiler")
    assert overflow(pools[1:], named(str(tmp_path))) is None
    assert "needs 33 entries of table 'pool', which holds 32" in str(
        overflow(pools, named(str(tmp_path)))
    )


ARRAYS = {array.name: array.cells for array in cells.ARRAYS}


def test_the_shipped_arrays_hold_the_largest_block() -> None:
    assert array_shortage(ARRAYS, 16384) is None


@pytest.mark.parametrize("array", cells.ARRAYS, ids=lambda array: array.name)
def test_an_array_that_is_too_small_is_told_in_one_line(array: cells.Array) -> None:
    told = array_shortage({**ARRAYS, array.name: array.cells - 1}, 64)
    assert told is not None
    assert f"has {array.cells - 1} cells in register array '{array.name}'" in told
    assert "\n" not in told


def test_a_program_without_one_of_the_registers_is_told_in_one_line() -> None:
    arrays = {array.name: array.cells for array in cells.ARRAYS[:1]}
    told = array_shortage(arrays, 64)
    assert told == "has no register array 'slot_state': run the program of this p4alg"


def test_of_a_program_with_other_registers_nothing_is_known() -> None:
    assert array_shortage({"slot.way0.cells": 16}, 16384) is None


def test_a_block_with_more_ports_than_cells_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # As compiled with ways of 128 cells.
    tiny = cells.Array("slot_cell", 48, 3 * 128)
    monkeypatch.setattr(cells, "SLOT_CELL", tiny)
    monkeypatch.setattr(cells, "ARRAYS", (tiny,))
    arrays = {"slot_cell": tiny.cells}
    assert array_shortage(arrays, 512) is None
    told = array_shortage(arrays, 1024)
    assert told is not None
    assert "a block of 1024 ports needs 768: choose a smaller nat.blocks.size" in told
