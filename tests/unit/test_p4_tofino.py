"""What the program for Tofino says of its own numbers, computed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def remainder(value: int, bits: int, polynomial: int) -> int:
    """CRC of 16 bits, without reflection, start value or final change."""
    crc = 0
    for bit in range(bits - 1, -1, -1):
        out = (crc >> 15 ^ value >> bit) & 1
        crc = (crc << 1 & 0xFFFF) ^ (polynomial if out else 0)
    return crc


def rank(rows: list[int]) -> int:
    """The number of independent rows, modulo 2."""
    base: list[int] = []
    for row in rows:
        for one in base:
            row = min(row, row ^ one)
        if row:
            base.append(row)
    return len(base)


@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize("bits", [15, 16])
def test_an_index_tells_what_a_cell_does_not_hold(way: int, bits: int) -> None:
    """A CRC is linear: independent changes of the index by each bit are a bijection of all.

    The remote id is the last part of what is hashed; the cell holds its bits above `bits`.
    """
    text = (ROOT / "p4src" / "tna" / "registers.p4").read_text()
    polynomial = int(re.findall(rf"CRC_WAY{way} (0x\w+)", text)[0], 16)
    mask = (1 << bits) - 1
    changes = [remainder(1 << bit, 80, polynomial) & mask for bit in range(bits)]
    assert rank(changes) == bits
