"""Outside addresses and the hosts that have them (RFC 4787 REQ-2)."""

import random
from collections import Counter

import pytest

from p4alg.nat import pool as pool_module
from p4alg.nat.pool import Pool
from p4alg.undo import TrackedCounts, UndoLog

FIRST = 0xCB007100
HOST = 0x0A00000B


def pool(*prefixes: tuple[int, int], seed: int = 1) -> Pool:
    return Pool(prefixes or [(FIRST, 28)], random.Random(seed))


def busy(*hosts: int) -> TrackedCounts[int]:
    """Hosts that have one binding each."""
    counts: TrackedCounts[int] = TrackedCounts(UndoLog())
    for host in hosts:
        counts.add(host)
    return counts


def test_N4787_2_a_host_keeps_its_address() -> None:
    found = pool()
    addr = found.address_of(HOST)
    for other in range(100):
        found.address_of(HOST + 1 + other)
    assert found.address_of(HOST) == addr


def test_every_address_of_every_prefix_is_used() -> None:
    found = pool((FIRST, 30), (FIRST + 64, 32), (FIRST + 128, 31))
    expected = {*range(FIRST, FIRST + 4), FIRST + 64, FIRST + 128, FIRST + 129}
    assert {found.address_of(HOST + n) for n in range(200)} == expected
    assert all(addr in found for addr in expected)
    for addr in (FIRST - 1, FIRST + 4, FIRST + 63, FIRST + 65, FIRST + 130):
        assert addr not in found


def test_hosts_are_spread_evenly() -> None:
    found = pool()
    loads = Counter(found.address_of(HOST + n) for n in range(1600))
    assert max(loads.values()) <= 110
    assert min(loads.values()) >= 90


def test_an_address_cannot_be_foreseen() -> None:
    assert len({pool(seed=seed).address_of(HOST) for seed in range(60)}) > 8


def test_without_a_pool_a_host_has_only_what_it_was_given() -> None:
    found = Pool([], random.Random(1))
    assert found.address_of(HOST) is None
    found.fix(HOST, FIRST + 500)
    assert found.address_of(HOST) == FIRST + 500


def test_a_fixed_address_goes_before_all_others() -> None:
    found = pool()
    found.fix(HOST, FIRST + 9)
    found.fix(HOST, FIRST + 10)
    found.pair(HOST, FIRST + 11)
    assert found.address_of(HOST) == found.known(HOST) == FIRST + 9


def test_a_pair_that_exists_is_kept() -> None:
    found = pool()
    found.pair(HOST, FIRST + 3)
    found.pair(HOST, FIRST + 4)
    assert found.address_of(HOST) == found.known(HOST) == FIRST + 3


def test_G4_beyond_the_bound_idle_hosts_are_forgotten_the_longest_unused_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "MAX_REMEMBERED", 3)
    found = pool()
    for n in range(6):
        found.address_of(HOST + n)
    found.address_of(HOST)
    found.forget_idle(busy(HOST + 1))
    known = [n for n in range(6) if found.known(HOST + n) is not None]
    assert known == [0, 1, 5]


def test_G4_hosts_that_are_busy_are_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_REMEMBERED", 3)
    found = pool()
    for n in range(6):
        found.address_of(HOST + n)
    found.forget_idle(busy(*range(HOST, HOST + 6)))
    assert all(found.known(HOST + n) is not None for n in range(6))
    found.forget_idle(busy())
    assert len([n for n in range(6) if found.known(HOST + n) is not None]) == 3


def test_what_a_host_was_given_for_good_is_ours_too() -> None:
    found = pool()
    found.fix(HOST, FIRST + 500)
    assert found.uses(FIRST + 500)
    assert FIRST + 500 not in found
    assert found.uses(FIRST)
    assert not found.uses(FIRST + 501)


def test_N4787_2_a_host_moves_only_where_there_is_room_and_only_if_it_may() -> None:
    found = pool((FIRST, 31))
    found.pair(HOST, FIRST)
    assert found.address_with(HOST, lambda _: True, may_move=True) == FIRST
    assert found.address_with(HOST, lambda addr: addr != FIRST, may_move=False) is None
    assert found.address_with(HOST, lambda addr: addr != FIRST, may_move=True) == FIRST + 1
    found.fix(HOST + 1, FIRST)
    assert found.address_with(HOST + 1, lambda addr: addr != FIRST, may_move=True) is None
    assert found.address_with(HOST + 2, lambda _: False, may_move=True) is None
    assert Pool([], random.Random(1)).address_with(HOST, lambda _: True, may_move=True) is None


def test_the_only_address_with_room_is_found() -> None:
    found = pool((FIRST, 20))
    assert found.address_with(HOST, lambda addr: addr == FIRST + 77, may_move=True) == FIRST + 77
