"""The secret by which outside ports are chosen (RFC 6056)."""

import random
from collections import Counter

from p4alg.engine import tables as t
from p4alg.engine.secret import secret


def test_N7857_9_each_byte_has_a_random_number_that_nobody_knows_beforehand() -> None:
    one, other = secret([], random.Random(1)), secret([], random.Random(2))
    for table in (t.ScrambleLow, t.ScrambleHigh):
        rows = [entry for entry in one if isinstance(entry, table)]
        assert sorted(row.byte for row in rows) == list(range(256))
        assert len({row.value for row in rows}) > 250
        assert all(0 <= row.value < 65536 for row in rows)
    assert sum(a == b for a, b in zip(one, other, strict=True)) < 10


def test_rule_8_a_secret_that_is_complete_stays_and_half_of_one_is_replaced() -> None:
    present = secret([], random.Random(1))
    assert secret([t.Local(1), *present], random.Random(2)) == present
    drawn = secret(present[:-1], random.Random(2))
    assert len(drawn) == 512
    assert drawn != present


def test_N7857_9_all_places_of_a_block_are_about_as_likely() -> None:
    numbers = [entry for entry in secret([], random.Random(3))]
    low = {e.byte: e.value for e in numbers if isinstance(e, t.ScrambleLow)}
    high = {e.byte: e.value for e in numbers if isinstance(e, t.ScrambleHigh)}
    places = Counter((low[port & 255] ^ high[port >> 8]) & 0xFF8 for port in range(1024, 65536))
    assert len(places) == 512
    assert max(places.values()) < 4 * min(places.values())
