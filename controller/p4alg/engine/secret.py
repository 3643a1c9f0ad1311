"""The secret by which the switch chooses outside ports: random numbers in two tables (RFC 6056).

For each value of a byte of the inside port there is a random number, and what they give together
is the place of the outside port in its block. Nobody can compute that hash who does not know the
numbers. Mappings are found again by it, so a switch that has all numbers keeps them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from p4alg.engine import tables as t

_BYTES = range(256)


def secret(present: Sequence[t.Entry], rng: random.Random) -> list[t.Entry]:
    """The entries of both tables: those in `present` if they are complete, else new ones."""
    found: list[t.Entry] = [e for e in present if isinstance(e, t.ScrambleLow | t.ScrambleHigh)]
    if len(found) == 2 * len(_BYTES):
        return found
    return [
        table(byte, rng.getrandbits(16))
        for table in (t.ScrambleLow, t.ScrambleHigh)
        for byte in _BYTES
    ]
