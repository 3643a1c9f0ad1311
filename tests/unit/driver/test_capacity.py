"""A configuration that needs more than the program's tables hold is told so."""

from p4alg.artifacts import shipped
from p4alg.driver.capacity import overflow
from p4alg.engine import tables as t


def test_what_fits_exactly_fits() -> None:
    pools = [t.PoolPrefix(number << 8, 24) for number in range(64)]
    assert overflow(pools, shipped()) is None


def test_one_more_is_told_with_its_table() -> None:
    pools = [t.PoolPrefix(number << 8, 24) for number in range(65)]
    told = overflow(pools, shipped())
    assert told is not None
    assert told.startswith("needs 65 entries of table 'pool', which holds 64: ")
