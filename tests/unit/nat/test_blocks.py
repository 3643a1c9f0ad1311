"""Blocks of outside ports by requirement (RFC 6888, RFC 7422), and what must always hold."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.nat.blocks import Block, Blocks, Change, Held, Layout, Subscriber, computed
from p4alg.nat.pool import Pool
from p4alg.undo import UndoLog
from tests.conftest import examples

POOL = 0xCB007100
HOST = 0x0A00000B
REST, NUMBER_REST = 120.0, 1000.0


def blocks(prefix: int = 30, seed: int = 1, log: UndoLog | None = None, **more: Any) -> Blocks:
    values: dict[str, Any] = {
        "layout": Layout(16384, 2),
        "slot_bits": 17,
        "rng": random.Random(seed),
        "rest": REST,
        "number_rest": NUMBER_REST,
        "limit": 8192,
        "log": log or UndoLog(),
    }
    return Blocks(Pool([(POOL, prefix)], random.Random(seed)), **{**values, **more})


def own(store: Blocks, host: int = HOST, now: float = 0.0) -> Subscriber:
    found = store.own(host, now)
    assert found is not None
    assert found.own is not None
    return found


def block(subscriber: Subscriber) -> Block:
    assert subscriber.own is not None
    return subscriber.own


@pytest.mark.parametrize(
    ("size", "first", "number"),
    [(64, 16, 1008), (1024, 1, 63), (4096, 1, 15), (16384, 1, 3)],
)
def test_blocks_are_aligned_and_above_the_low_ports(size: int, first: int, number: int) -> None:
    layout = Layout(size, 1)
    assert (layout.first, layout.per_address) == (first, number)
    held = layout.held(Block(POOL, layout.first))
    assert held.first >= 1024
    assert held.first % size == 0
    assert layout.held(Block(POOL, layout.first + number - 1)).last == 65535


def test_N6888_13_a_host_has_one_block_and_keeps_it() -> None:
    store = blocks()
    first = own(store)
    assert own(store, now=5.0) is first
    held = store.layout.held(block(first))
    assert store.holder(held.outside_addr, held.first) is first
    assert store.holder(held.outside_addr, held.last) is first
    assert store.holder(held.outside_addr, held.first - 1) is not first
    assert store.address_of(HOST) == held.outside_addr


def test_N6888_11_no_block_is_had_by_two_and_none_is_taken_away() -> None:
    store = blocks()
    found = [own(store, HOST + n) for n in range(12)]
    assert len({block(one) for one in found}) == 12
    assert len({one.number for one in found}) == 12
    assert store.own(HOST + 12, 0.0) is None
    assert store.get(HOST + 12) is None
    assert store.free() == 0


def test_N6888_8_a_block_that_was_given_back_rests() -> None:
    store = blocks(prefix=32)
    for n in range(3):
        own(store, HOST + n)
    store.give_back(own(store), 10.0)
    assert store.own(HOST + 9, 129.9) is None
    again = own(store, HOST + 9, 130.0)
    assert store.get(HOST) is None
    assert again.inside_addr == HOST + 9


def test_N6888_12_what_was_taken_and_given_back_is_told_once() -> None:
    store = blocks()
    found = own(store, now=100.0)
    held = store.layout.held(block(found))
    assert list(store.changes.values()) == [Change(HOST, held, None)]
    store.changes.clear()
    store.give_back(found, 250.0)
    assert list(store.changes.values()) == [Change(HOST, held, 150.0)]


def test_further_blocks_are_at_the_address_that_is_asked_for_and_within_the_share() -> None:
    store = blocks()
    found = own(store)
    addr = block(found).outside_addr
    more = store.further(found, addr, 0.0)
    assert more is not None
    assert more.outside_addr == addr
    assert more != found.own
    assert store.further(found, addr, 0.0) is None
    assert store.holder(addr, store.layout.held(more).first) is found


def test_a_further_block_goes_back_when_no_port_has_been_used_for_a_while() -> None:
    store = blocks()
    found = own(store)
    addr = block(found).outside_addr
    more = store.further(found, addr, 0.0)
    assert more is not None
    port = store.layout.held(more).first
    store.use(addr, port)
    store.expire(1000.0)
    assert found.further == (more,)
    store.unuse(addr, port, 1000.0)
    store.expire(1000.0 + REST - 0.1)
    assert found.further == (more,)
    store.expire(1000.0 + REST)
    assert not found.further
    assert store.holder(addr, port) is None
    assert own(store) is found


def test_a_block_with_a_static_port_is_not_given_out() -> None:
    store = blocks(prefix=32)
    store.reserve(POOL, 20000)
    store.reserve(POOL, 20001)
    store.reserve(POOL, 80)
    assert {block(own(store, HOST + n)).nth for n in range(2)} == {2, 3}
    assert store.own(HOST + 2, 0.0) is None


def test_a_host_of_a_static_mapping_keeps_its_number_for_good() -> None:
    store = blocks()
    fixed = store.fix(HOST, 0.0)
    assert fixed is not None
    number = fixed.number
    assert own(store) is fixed
    store.give_back(fixed, 1.0)
    assert store.get(HOST) is fixed
    assert (fixed.number, fixed.own) == (number, None)


def test_subscribers_are_bounded() -> None:
    store = blocks(limit=2)
    own(store)
    assert store.number(HOST + 1, 0.0) is not None
    assert store.own(HOST + 2, 0.0) is None
    assert store.number(HOST + 2, 0.0) is None
    assert len(store) == 2


def test_what_an_event_did_is_undone() -> None:
    log = UndoLog()
    store = blocks(log=log)
    found = own(store)
    free = store.free()
    log.forget()
    own(store, HOST + 1)
    store.further(found, block(found).outside_addr, 0.0)
    store.give_back(found, 1.0)
    log.roll_back()
    assert [one.inside_addr for one in store] == [HOST]
    assert found.own is not None
    assert (found.further, store.free()) == ((), free)
    assert [change.seconds for change in store.changes.values()] == [None]


# An earlier run


def test_a_host_of_an_earlier_run_keeps_number_salt_and_block() -> None:
    store = blocks()
    assert store.adopt(HOST, 777, 0x1234, Block(POOL + 1, 2), 0.0)
    found = own(store)
    assert (found.number, found.salt, found.own) == (777, 0x1234, Block(POOL + 1, 2))
    assert list(store.changes.values()) == []
    assert store.address_of(HOST) == POOL + 1


@pytest.mark.parametrize(
    ("host", "number", "held"),
    [
        (HOST, 8, Block(POOL + 2, 1)),
        (HOST + 1, 7, Block(POOL + 2, 1)),
        (HOST + 1, 8, Block(POOL + 1, 2)),
        (HOST + 1, 8, Block(POOL + 1, 0)),
        (HOST + 1, 8, Block(POOL + 1, 4)),
        (HOST + 1, 8, Block(POOL + 3, 3)),
        (HOST + 1, 0, Block(POOL + 2, 1)),
    ],
)
def test_what_contradicts_what_is_known_is_not_taken_over(
    host: int, number: int, held: Block
) -> None:
    store = blocks()
    store.reserve(POOL + 3, 50000)
    assert store.adopt(HOST, 7, 0, Block(POOL + 1, 2), 0.0)
    assert not store.adopt(host, number, 0, held, 0.0)
    assert len(store) == 1


def test_the_number_of_what_was_not_taken_over_rests() -> None:
    store = blocks(limit=20000)
    assert not store.adopt(HOST, 8, 0, Block(POOL, 0), 0.0)
    store.rest(9, 0.0)
    while store.number(HOST + len(store), 1.0) is not None:
        pass
    assert set(range(1, 16384)) - {one.number for one in store} == {8, 9}
    assert store.number(0, NUMBER_REST) is not None


# Deterministic


def test_N6888_13_computed_blocks_follow_from_the_inside_address_alone() -> None:
    layout = Layout(4096, 2, ((0x0A000000, 28),))
    for order in (range(16), reversed(range(16))):
        store = blocks(prefix=31, layout=layout, seed=random.randrange(1000))
        found = {n: block(own(store, 0x0A000000 + n)) for n in order}
        assert {n: found[n] for n in range(16)} == {
            n: Block(POOL + n // 8, 1 + n % 8) for n in range(16)
        }


def test_a_computed_block_is_given_to_nobody_else_not_even_as_a_further_one() -> None:
    layout = Layout(4096, 15, ((0x0A000000, 28),))
    store = blocks(prefix=31, layout=layout)
    found = own(store, 0x0A000000)
    got = []
    while (more := store.further(found, POOL, 0.0)) is not None:
        got.append(more.nth)
    assert sorted(got) == list(range(9, 16))
    assert all(block(own(store, 0x0A000000 + n)) for n in range(16))


def test_a_host_without_a_computed_block_gets_none() -> None:
    store = blocks(layout=Layout(4096, 2, ((0x0A000000, 28),)))
    assert store.own(0x0A000010, 0.0) is None


def test_the_address_of_a_computed_block_is_that_of_its_host_from_the_first() -> None:
    store = blocks(prefix=31, layout=Layout(4096, 2, ((0x0A000000, 28),)))
    assert store.address_of(0x0A00000F) == POOL + 1
    assert block(own(store, 0x0A00000F)).outside_addr == POOL + 1


def test_a_host_whose_computed_block_is_another_is_not_taken_over() -> None:
    store = blocks(prefix=31, layout=Layout(4096, 2, ((0x0A000000, 28),)))
    assert not store.adopt(0x0A000000, 5, 0, Block(POOL, 2), 0.0)
    assert store.adopt(0x0A000000, 6, 0, Block(POOL, 1), 0.0)


@pytest.mark.parametrize(
    ("addresses", "reserved", "place", "expected"),
    [
        (1, (), 0, (0, 1)),
        (1, (), 13, (0, 14)),
        (1, (1, 3), 1, None),
        (2, (1, 3), 0, (0, 2)),
        (2, (1, 3), 9, (1, 5)),
        (0, (), 0, None),
    ],
)
def test_where_the_block_of_the_nth_host_is(
    addresses: int, reserved: tuple[int, ...], place: int, expected: tuple[int, int] | None
) -> None:
    layout = Layout(4096, 1, ((0x0A000000, 29), (0x0A000100, 30), (0x0A000200, 31)))
    assert layout.hosts == 14
    assert computed(layout, addresses, reserved, place) == expected


def test_hosts_are_counted_through_all_prefixes() -> None:
    layout = Layout(4096, 1, ((0x0A000000, 30), (0x0A000100, 31)))
    assert [layout.place_of(a) for a in (0x0A000003, 0x0A000100, 0x0A000101)] == [3, 4, 5]
    assert layout.place_of(0x0A000102) is None


# All of it together

moves = st.lists(
    st.tuples(st.sampled_from("oonfeg"), st.integers(HOST, HOST + 5), st.floats(0, 200)),
    max_size=50,
)


@given(moves, st.booleans())
@examples(100)
def test_blocks_always_have_one_holder_and_shares_hold(
    steps: list[tuple[str, int, float]], is_computed: bool
) -> None:
    inside = ((HOST & ~7, 29),) if is_computed else ()
    store = blocks(prefix=31, layout=Layout(8192, 3, inside))
    store.reserve(POOL, 9000)
    given_back: dict[Block, float] = {}
    now = 0.0
    for what, host, pause in steps:
        now += pause
        found = store.get(host)
        before = {b for s in store for b in (s.own, *s.further) if b is not None}
        if what == "o":
            store.own(host, now)
        elif what == "n":
            store.number(host, now)
        elif what == "f" and found is not None and found.own is not None:
            store.further(found, found.own.outside_addr, now)
        elif what == "e":
            store.expire(now)
        elif what == "g" and found is not None:
            store.give_back(found, now)
        held = [b for s in store for b in (s.own, *s.further) if b is not None]
        assert len(set(held)) == len(held)
        assert Block(POOL, 1) not in held
        for block_held in set(held) - before:
            computed_again = is_computed and block_held in {s.own for s in store}
            assert computed_again or given_back.get(block_held, -1000.0) + REST <= now
        given_back.update(dict.fromkeys(before - set(held), now))
        for one in store:
            assert len(one.further) + (one.own is not None) <= 3
            assert all(store.holder(b.outside_addr, b.nth * 8192) is one for b in one.further)
        numbers = [s.number for s in store]
        assert len(set(numbers)) == len(numbers)


def test_a_held_block_is_shown_as_its_ports() -> None:
    assert Layout(4096, 1).held(Block(POOL, 3)) == Held(POOL, 12288, 16383)
