"""Bindings by requirement (RFC 4787, 5382, 6888, 7857), and against a naive model."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.nat.bindings import Binding, Bindings, Kind, Refused
from p4alg.nat.blocks import Blocks, Layout
from p4alg.nat.pool import Pool
from p4alg.undo import UndoLog
from tests.conftest import examples

POOL = 0xCB007100
HOST = 0x0A00000B
TCP, UDP, ICMP = 6, 17, 1
LAYOUT = Layout(4096, 4)


def bindings(
    prefix: int = 28,
    seed: int = 1,
    rest: float = 120.0,
    limit: int = 100000,
    per_subscriber: int = 100000,
    layout: Layout = LAYOUT,
    pools: tuple[tuple[int, int], ...] | None = None,
    subscribers: int = 8192,
) -> Bindings:
    rng, log = random.Random(seed), UndoLog()
    blocks = Blocks(
        Pool([(POOL, prefix)] if pools is None else pools, rng),
        layout,
        slot_bits=17,
        rng=rng,
        rest=rest,
        number_rest=1000.0,
        limit=subscribers,
        log=log,
    )
    return Bindings(
        blocks, rng=rng, port_rest=rest, limit=limit, per_subscriber=per_subscriber, log=log
    )


def made(found: Binding | Refused) -> Binding:
    assert isinstance(found, Binding)
    return found


def test_N4787_1_an_endpoint_has_one_binding_whoever_it_talks_to() -> None:
    store = bindings()
    first = made(store.allocate(UDP, HOST, 5000, 0.0))
    assert store.allocate(UDP, HOST, 5000, 9.0) is first
    assert store.inbound(UDP, first.outside_addr, first.outside_id) is first
    assert store.outbound(UDP, HOST, 5000) is first


def test_N4787_2_a_host_keeps_one_outside_address() -> None:
    store = bindings()
    addrs = {
        made(store.allocate(p, HOST, 2000 + n, 0.0)).outside_addr
        for p in (TCP, UDP, ICMP)
        for n in range(50)
    }
    assert len(addrs) == 1


def test_N4787_2_hosts_spread_over_the_pool() -> None:
    store = bindings()
    addrs = {made(store.allocate(TCP, HOST + n, 2000, 0.0)).outside_addr for n in range(64)}
    assert addrs == set(range(POOL, POOL + 16))


def test_N4787_3_and_4_range_and_parity_are_kept() -> None:
    store = bindings()
    for port in (1, 20, 21, 500, 1023, 1024, 1025, 40000, 65535):
        for proto in (TCP, UDP):
            outside = made(store.allocate(proto, HOST, port, 0.0)).outside_id
            assert (outside < 1024) == (port < 1024)
            assert outside % 2 == port % 2
            assert outside != 0


def test_N6888_8_a_freed_port_rests() -> None:
    store = bindings(prefix=32)
    first = [made(store.allocate(TCP, HOST, 2 * n, 0.0)) for n in range(1, 512)]
    assert store.allocate(TCP, HOST + 1, 2, 0.0) == Refused("pool-exhausted")
    store.release(first[7], 10.0)
    assert store.allocate(TCP, HOST + 1, 2, 129.9) == Refused("pool-exhausted")
    assert made(store.allocate(TCP, HOST + 1, 2, 130.0)).outside_id == first[7].outside_id


def test_N6888_11_exhaustion_evicts_nobody() -> None:
    store = bindings(prefix=32)
    for n in range(1, 512):
        made(store.allocate(UDP, HOST, 2 * n, 0.0))
    before = {(b.inside_id, b.outside_id) for b in store}
    for n in range(20):
        assert store.allocate(UDP, HOST + 1 + n, 22, 1.0) == Refused("pool-exhausted")
    assert {(b.inside_id, b.outside_id) for b in store} == before


def test_N6888_4_limits_refuse_the_new_and_keep_the_old() -> None:
    store = bindings(limit=5, per_subscriber=3)
    for n in range(3):
        made(store.allocate(UDP, HOST, 3000 + n, 0.0))
    assert store.allocate(UDP, HOST, 4000, 0.0) == Refused("subscriber-limit")
    for n in range(2):
        made(store.allocate(UDP, HOST + 1, 3000 + n, 0.0))
    assert store.allocate(UDP, HOST + 2, 3000, 0.0) == Refused("binding-limit")
    assert len(store) == 5


def test_N7857_9_outside_ports_are_spread_and_differ_between_runs() -> None:
    def draw(seed: int) -> list[int]:
        store = bindings(prefix=32, seed=seed)
        return [made(store.allocate(TCP, HOST, 3000 + n, 0.0)).outside_id for n in range(400)]

    one, other = draw(1), draw(2)
    assert one != other
    assert len({port // 512 for port in one}) == 8
    assert sum(abs(a - b) <= 8 for a, b in pairwise(one)) < 20


def test_static_bindings_keep_their_port_from_others() -> None:
    store = bindings(prefix=32)
    static = made(store.add_static(TCP, HOST, 21, POOL, 21, 0.0))
    taken = {made(store.allocate(TCP, HOST + 1, 2 * n - 1, 0.0)).outside_id for n in range(1, 512)}
    assert 21 not in taken
    assert store.outbound(TCP, HOST, 21) is static
    assert store.add_static(TCP, HOST, 22, POOL, 21, 0.0) == Refused("mapping-conflict")


def test_a_host_behind_a_static_mapping_goes_out_by_the_same_address() -> None:
    store = bindings()
    store.pair(HOST, POOL + 9)
    assert made(store.allocate(TCP, HOST, 5000, 0.0)).outside_addr == POOL + 9


def test_a_demanded_address_is_given_or_refused() -> None:
    store = bindings()
    demanded = store.allocate(TCP, HOST, 5000, 0.0, kind=Kind.PINHOLE, outside_addr=POOL + 3)
    assert made(demanded).outside_addr == POOL + 3
    again = store.allocate(TCP, HOST, 5000, 0.0, outside_addr=POOL + 4)
    assert again == Refused("mapping-conflict")


def test_adopted_bindings_are_as_they_were_and_foreign_ones_refused() -> None:
    store = bindings()
    found = made(store.adopt(TCP, HOST, 5000, POOL + 2, 6000, kind=Kind.DYNAMIC, now=0.0))
    assert store.inbound(TCP, POOL + 2, 6000) is found
    assert made(store.allocate(TCP, HOST, 5002, 0.0)).outside_addr == POOL + 2
    foreign = store.adopt(TCP, HOST, 5004, 0x08080808, 6000, kind=Kind.DYNAMIC, now=0.0)
    assert foreign == Refused("not-in-pool")


steps = st.lists(
    st.tuples(
        st.booleans(),
        st.sampled_from([TCP, UDP, ICMP]),
        st.integers(HOST, HOST + 3),
        st.sampled_from([20, 21, 1023, 1024, 1025, 5000, 5001]),
        st.floats(0, 90),
    ),
    max_size=60,
)


@given(steps)
@examples(100)
def test_bindings_behave_as_a_naive_model(
    moves: list[tuple[bool, int, int, int, float]],
) -> None:
    store, now = bindings(prefix=30, limit=12), 0.0
    live: dict[tuple[int, int, int], tuple[int, int]] = {}
    resting: list[tuple[float, int, int, int]] = []
    for is_new, proto, addr, number, pause in moves:
        now += pause
        key = (proto, addr, number)
        if is_new:
            found = store.allocate(*key, now)
            if key in live:
                assert (made(found).outside_addr, made(found).outside_id) == live[key]
            elif len(live) >= 12:
                assert found == Refused("binding-limit")
            else:
                outside = (made(found).outside_addr, made(found).outside_id)
                used = {(k[0], *v) for k, v in live.items()}
                assert (proto, *outside) not in used
                assert not any(r[1:] == (proto, *outside) and r[0] > now for r in resting)
                live[key] = outside
        elif key in live:
            binding = store.outbound(*key)
            assert binding is not None
            store.release(binding, now)
            resting.append((now + 120.0, proto, *live.pop(key)))
        assert len(store) == len(live)
        assert store.count_of(addr) == sum(1 for k in live if k[1] == addr)


def test_S4_a_pair_of_ports_stays_a_pair() -> None:
    made = bindings()
    found = made.allocate_pair(17, 1, 4000, 0.0, outside_addr=POOL)
    assert isinstance(found, tuple)
    first, second = found
    assert first.outside_id % 2 == 0
    assert second.outside_id == first.outside_id + 1
    assert (first.inside_id, second.inside_id) == (4000, 4001)


def test_S4_a_pair_of_which_one_is_known_takes_what_there_is() -> None:
    made = bindings()
    known = made.allocate(17, 1, 4001, 0.0, outside_addr=POOL)
    found = made.allocate_pair(17, 1, 4000, 0.0, outside_addr=POOL)
    assert isinstance(found, tuple)
    assert found[1] is known
    assert found[0].outside_id % 2 == 0


def test_K1_hosts_share_a_port_that_nobody_else_has() -> None:
    made = bindings()
    one = made.share(17, 1, 500, POOL, 0.0)
    other = made.share(17, 2, 500, POOL, 0.0)
    assert isinstance(one, Binding)
    assert isinstance(other, Binding)
    assert one.outside_id == other.outside_id == 500
    assert made.inbound(17, POOL, 500) is None
    made.release(one, 0.0)
    assert isinstance(made.add_static(17, 3, 500, POOL, 500, 0.0), Refused)
    made.release(other, 0.0)
    assert isinstance(made.add_static(17, 3, 500, POOL, 500, 0.0), Binding)


def test_K1_a_port_that_somebody_has_is_not_shared() -> None:
    made = bindings()
    made.add_static(17, 3, 500, POOL, 500, 0.0)
    assert made.share(17, 1, 500, POOL, 0.0) == Refused("in-use")


def test_K2_an_SPI_is_claimed_by_one_host_only() -> None:
    made = bindings()
    claimed = made.claim(50, 1, 0xDEADBEEF, POOL, 0.0)
    assert isinstance(claimed, Binding)
    assert made.inbound(50, POOL, 0xDEADBEEF) is claimed
    assert made.claim(50, 2, 0xDEADBEEF, POOL, 0.0) == Refused("in-use")
    made.release(claimed, 0.0)
    assert isinstance(made.claim(50, 2, 0xDEADBEEF, POOL, 0.0), Binding)


def test_K2_who_has_claimed_an_SPI_keeps_it_and_its_address() -> None:
    store = bindings()
    claimed = store.claim(50, 1, 0xDEADBEEF, POOL, 0.0)
    assert store.claim(50, 1, 0xDEADBEEF, POOL, 9.0) is claimed
    assert store.claim(50, 1, 0xDEADBEEF, None, 9.0) is claimed
    assert store.claim(50, 1, 0xDEADBEEF, POOL + 1, 9.0) == Refused("mapping-conflict")
    assert isinstance(store.claim(50, 2, 0xDEADBEEF, POOL + 1, 0.0), Binding)


def test_K1_who_shares_a_port_keeps_its_address() -> None:
    store = bindings()
    shared = store.share(UDP, 1, 500, POOL, 0.0)
    assert store.share(UDP, 1, 500, None, 9.0) is shared
    assert store.share(UDP, 1, 500, POOL + 1, 9.0) == Refused("mapping-conflict")


def test_the_sending_ends_of_tunnels_share_identifier_0_and_take_no_port() -> None:
    store = bindings()
    assert isinstance(store.share(47, 1, 0, POOL, 0.0), Binding)
    assert isinstance(store.share(47, 2, 0, POOL, 0.0), Binding)
    assert isinstance(store.add_static(47, 3, 0, POOL, 0, 0.0), Binding)


def test_a_call_keeps_the_flag_above_its_identifier() -> None:
    found = made(bindings().allocate(47, HOST, 0x10007, 0.0))
    assert found.outside_id & ~0xFFFF == 0x10000


@pytest.mark.parametrize("kind", ["allocate", "share", "claim", "pair", "adopt"])
def test_N6888_4_no_kind_of_binding_goes_beyond_a_limit(kind: str) -> None:
    for limit, share, reason in ((1, 99, "binding-limit"), (99, 1, "subscriber-limit")):
        store = bindings(limit=limit, per_subscriber=share)
        made(store.allocate(UDP, HOST, 5000, 0.0, outside_addr=POOL))
        refused = {
            "allocate": lambda s=store: s.allocate(TCP, HOST, 5000, 0.0),
            "share": lambda s=store: s.share(UDP, HOST, 500, POOL, 0.0),
            "claim": lambda s=store: s.claim(50, HOST, 7, POOL, 0.0),
            "pair": lambda s=store: s.allocate_pair(UDP, HOST, 4000, 0.0, outside_addr=POOL),
            "adopt": lambda s=store: s.adopt(
                UDP, HOST, 6000, POOL, 6000, kind=Kind.DYNAMIC, now=0.0
            ),
        }[kind]()
        assert refused == Refused(reason)
        assert len(store) == 1


@pytest.mark.parametrize("port", [4000, 4001])
def test_N6888_4_there_must_be_room_for_both_of_a_pair(port: int) -> None:
    for limit, share, reason in ((2, 99, "binding-limit"), (99, 2, "subscriber-limit")):
        store = bindings(limit=limit, per_subscriber=share)
        made(store.allocate(TCP, HOST, 5000, 0.0))
        refused = store.allocate_pair(UDP, HOST, port, 0.0, outside_addr=POOL)
        assert refused == Refused(reason)
        assert len(store) == 1
        assert store.count_of(HOST) == 1


def test_S4_an_odd_port_and_the_next_are_bound_each_by_itself() -> None:
    found = bindings().allocate_pair(UDP, HOST, 4001, 0.0, outside_addr=POOL)
    assert isinstance(found, tuple)
    assert [one.outside_id % 2 for one in found] == [1, 0]


def test_a_binding_without_a_pool_is_refused() -> None:
    store = bindings(pools=())
    assert store.allocate(UDP, HOST, 5000, 0.0) == Refused("no-block")
    assert store.allocate(UDP, HOST, 500, 0.0) == Refused("pool-exhausted")
    assert store.share(UDP, HOST, 500, None, 0.0) == Refused("pool-exhausted")
    assert store.claim(50, HOST, 7, None, 0.0) == Refused("pool-exhausted")


def test_adopted_bindings_must_not_contradict_each_other() -> None:
    store = bindings()
    made(store.adopt(TCP, HOST, 5000, POOL, 6000, kind=Kind.DYNAMIC, now=0.0))
    for host, inside, outside, reason in (
        (HOST, 5000, 6002, "mapping-conflict"),
        (HOST, 5002, 6000, "mapping-conflict"),
        (HOST + 1, 5000, 6000, "in-use"),
    ):
        again = store.adopt(TCP, host, inside, POOL, outside, kind=Kind.DYNAMIC, now=0.0)
        assert again == Refused(reason)
    made(store.adopt(50, HOST, 7, POOL, 7, kind=Kind.PINHOLE, now=0.0))
    other = store.adopt(50, HOST + 1, 7, POOL, 7, kind=Kind.PINHOLE, now=0.0)
    assert other == Refused("mapping-conflict")


def test_shared_bindings_are_adopted_as_shared() -> None:
    store = bindings()
    for host in (HOST, HOST + 1):
        found = made(store.adopt(UDP, host, 500, POOL, 500, kind=Kind.SHARED, now=0.0))
        assert (found.kind, found.outside_id) == (Kind.SHARED, 500)
    assert store.inbound(UDP, POOL, 500) is None


def test_a_host_behind_a_static_mapping_is_adopted_outside_the_pool() -> None:
    store = bindings()
    store.pair(HOST, 0x08080808)
    found = store.adopt(TCP, HOST, 5004, 0x08080808, 6000, kind=Kind.DYNAMIC, now=0.0)
    assert made(found).outside_addr == 0x08080808


def test_releasing_twice_changes_nothing() -> None:
    store = bindings()
    first = made(store.allocate(UDP, HOST, 5000, 0.0))
    store.release(first, 0.0)
    second = made(store.allocate(UDP, HOST, 5000, 0.0))
    store.release(first, 0.0)
    assert store.outbound(UDP, HOST, 5000) is second
    assert store.count_of(HOST) == 1


def test_the_address_of_a_host_is_known_once_it_has_one() -> None:
    store = bindings()
    assert store.known_address_of(HOST) is None
    addr = made(store.allocate(UDP, HOST, 5000, 0.0)).outside_addr
    store.pair(HOST + 1, POOL + 3)
    assert [store.known_address_of(HOST + n) for n in range(3)] == [addr, POOL + 3, None]
    assert store.address_of(HOST) == addr


# Ports are from the blocks of their host


def own_of(store: Bindings, host: int = HOST) -> range:
    """The ports of the block in which the switch makes mappings."""
    subscriber = store.blocks.get(host)
    assert subscriber is not None
    assert subscriber.own is not None
    held = store.blocks.layout.held(subscriber.own)
    return range(held.first, held.last + 1)


@pytest.mark.parametrize("proto", [TCP, UDP, ICMP])
def test_N6888_13_the_ports_of_a_host_are_of_its_block_and_of_the_controllers_way(
    proto: int,
) -> None:
    store = bindings()
    found = [made(store.allocate(proto, HOST, 1024 + n, 0.0)).outside_id for n in range(600)]
    assert len(set(found)) == 600
    assert all(port in own_of(store) and port & 6 == 6 for port in found)


@pytest.mark.parametrize("number", [0, 9, 1023, 1024])
def test_N6888_13_every_query_is_of_a_block(number: int) -> None:
    store = bindings()
    assert made(store.allocate(ICMP, HOST, number, 0.0)).outside_id in own_of(store)


def test_N6888_13_what_does_not_fit_takes_further_blocks_up_to_the_share() -> None:
    store = bindings(layout=Layout(256, 3), prefix=30)
    found: list[Binding] = []
    while not isinstance(one := store.allocate(UDP, HOST, 2000 + 2 * len(found), 0.0), Refused):
        found.append(one)
    assert one == Refused("pool-exhausted")
    # Even ports: 32 of way 3 in the first block, 128 in each of two others.
    assert len(found) == 32 + 2 * 128
    assert len({(b.outside_addr, b.outside_id // 256) for b in found}) == 3
    assert len({b.outside_addr for b in found}) == 1
    made(store.allocate(UDP, HOST + 1, 2000, 0.0))


def test_S4_pairs_are_of_the_block_too() -> None:
    store = bindings(layout=Layout(64, 2))
    made(store.allocate(UDP, HOST, 3000, 0.0))
    addr = store.address_of(HOST)
    assert addr is not None
    pairs = []
    for n in range(30):
        pair = store.allocate_pair(UDP, HOST, 4000 + 2 * n, 0.0, outside_addr=addr)
        assert isinstance(pair, tuple)
        pairs.append(pair)
    assert all(b.outside_id == a.outside_id + 1 and a.outside_id % 2 == 0 for a, b in pairs)
    own = own_of(store)
    in_own = [pair for pair in pairs if pair[0].outside_id in own]
    assert 0 < len(in_own) <= 8
    assert all(a.outside_id & 6 == 6 for a, _ in in_own)


def test_an_endpoint_that_the_switch_has_mapped_keeps_its_port() -> None:
    store = bindings()
    made(store.allocate(UDP, HOST, 3000, 0.0))
    mapped = own_of(store)[0] + 40
    assert made(store.allocate(TCP, HOST, 5000, 0.0, mapped_id=mapped)).outside_id == mapped
    # Somebody of the same host has it now: the next gets another.
    other = made(store.allocate(TCP, HOST, 5002, 0.0, mapped_id=mapped)).outside_id
    assert other != mapped
    assert other & 6 == 6


@pytest.mark.parametrize("offset", [6, 4096, -40])
def test_a_port_that_the_switch_cannot_have_mapped_is_not_taken_over(offset: int) -> None:
    store = bindings()
    made(store.allocate(UDP, HOST, 3000, 0.0))
    mapped = own_of(store)[0] + offset
    assert made(store.allocate(TCP, HOST, 5000, 0.0, mapped_id=mapped)).outside_id in own_of(store)


def test_N6888_11_without_a_free_block_a_host_is_refused_and_nobody_else_loses_any() -> None:
    store = bindings(prefix=32, layout=Layout(16384, 1))
    for n in range(3):
        made(store.allocate(TCP, HOST + n, 5000, 0.0))
    assert store.allocate(TCP, HOST + 3, 5000, 0.0) == Refused("no-block")
    assert len({(b.outside_id // 16384) for b in store}) == 3
    # Ports below 1024 and calls are of no block.
    made(store.allocate(TCP, HOST + 3, 500, 0.0))
    made(store.allocate(47, HOST + 3, 0x10007, 0.0))


def test_static_ports_are_in_no_block_that_is_given_out() -> None:
    store = bindings(prefix=32, layout=Layout(16384, 1))
    made(store.add_static(TCP, HOST, 8080, POOL, 20000, 0.0))
    found = [store.allocate(TCP, HOST + n, 5000, 0.0) for n in range(3)]
    assert [isinstance(one, Binding) for one in found] == [True, True, False]
    assert all(b.outside_id // 16384 != 1 for b in found if isinstance(b, Binding))


def test_a_host_with_a_second_address_gets_ports_there_in_further_blocks() -> None:
    store = bindings()
    made(store.allocate(UDP, HOST, 3000, 0.0, outside_addr=POOL + 1))
    there = made(store.allocate(UDP, HOST, 3002, 0.0, outside_addr=POOL + 2))
    assert there.outside_addr == POOL + 2
    assert made(store.allocate(UDP, HOST, 3004, 0.0)).outside_addr == POOL + 1


def test_a_host_without_bindings_moves_where_there_is_room_and_one_with_some_stays() -> None:
    for proto, number, moves in ((None, 0, True), (47, 0x10007, False)):
        store = bindings(prefix=31, layout=Layout(16384, 1))
        store.blocks.pool.pair(HOST, POOL)
        if proto is not None:
            made(store.allocate(proto, HOST, number, 0.0))
        for n in range(3):
            store.blocks.pool.pair(HOST + 1 + n, POOL)
            made(store.allocate(TCP, HOST + 1 + n, 5000, 0.0))
        found = store.allocate(TCP, HOST, 5000, 0.0)
        if moves:
            assert made(found).outside_addr == POOL + 1
            assert store.address_of(HOST) == POOL + 1
        else:
            assert found == Refused("no-block")


def test_a_port_in_somebodys_block_is_not_shared_and_not_adopted() -> None:
    store = bindings()
    own = made(store.allocate(UDP, HOST, 3000, 0.0))
    ports = own_of(store)
    assert store.share(UDP, HOST + 1, ports[0], own.outside_addr, 0.0) == Refused("in-use")
    place = (own.outside_addr, ports[0])
    adopted = store.adopt(UDP, HOST + 1, 4000, *place, kind=Kind.DYNAMIC, now=0.0)
    assert adopted == Refused("in-use")


def test_adopted_ports_bring_their_block_along() -> None:
    store = bindings()
    made(store.adopt(UDP, HOST, 4000, POOL + 2, 9000, kind=Kind.DYNAMIC, now=0.0))
    holder = store.blocks.holder(POOL + 2, 9000)
    assert holder is not None
    assert holder.inside_addr == HOST
    # It is wholly the controller's: the switch was not given a block in that run.
    assert holder.own is None
    assert [b.nth for b in holder.further] == [9000 // 4096]


def test_N6888_4_the_hosts_that_have_bindings_are_bounded() -> None:
    store = bindings(subscribers=2)
    for n in range(2):
        made(store.allocate(TCP, HOST + n, 500, 0.0))
    assert store.allocate(TCP, HOST + 2, 500, 0.0) == Refused("subscriber-limit")
    assert store.share(UDP, HOST + 2, 500, POOL, 0.0) == Refused("subscriber-limit")
    assert store.claim(50, HOST + 2, 7, POOL, 0.0) == Refused("subscriber-limit")
    assert store.allocate(TCP, HOST + 2, 5000, 0.0) == Refused("no-block")


def test_a_host_without_a_block_is_forgotten_with_its_last_binding() -> None:
    store = bindings()
    one = made(store.allocate(TCP, HOST, 500, 0.0))
    other = made(store.allocate(TCP, HOST, 501, 0.0))
    store.release(one, 1.0)
    assert store.blocks.get(HOST) is not None
    store.release(other, 1.0)
    assert store.blocks.get(HOST) is None
