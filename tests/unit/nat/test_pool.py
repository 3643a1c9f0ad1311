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
    assert found.address_of(HOST) == FIRST + 9
    assert list(found) == [(HOST, FIRST + 9)]


def test_a_pair_that_exists_is_kept() -> None:
    found = pool()
    found.pair(HOST, FIRST + 3)
    found.pair(HOST, FIRST + 4)
    assert found.address_of(HOST) == FIRST + 3
    assert list(found) == [(HOST, FIRST + 3)]


def test_G4_beyond_the_bound_idle_hosts_are_forgotten_the_longest_unused_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "MAX_REMEMBERED", 3)
    found = pool()
    for n in range(6):
        found.address_of(HOST + n)
    found.address_of(HOST)
    found.forget_idle(busy(HOST + 1))
    assert {host for host, _ in found} == {HOST, HOST + 1, HOST + 5}


def test_G4_hosts_that_are_busy_are_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_REMEMBERED", 3)
    found = pool()
    for n in range(6):
        found.address_of(HOST + n)
    found.forget_idle(busy(*range(HOST, HOST + 6)))
    assert len(list(found)) == 6
    found.forget_idle(busy())
    assert len(list(found)) == 3
