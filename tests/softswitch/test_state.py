"""Meters, counters, registers, replication and digests, each with time as an argument."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from p4softswitch.errors import ProgramError, Reason, StateError
from p4softswitch.state.arrays import CounterStore, RegisterStore
from p4softswitch.state.digests import DigestConfig, DigestStore
from p4softswitch.state.meters import GREEN, RED, YELLOW, MeterConfig, MeterStore
from p4softswitch.state.replication import (
    CloneSession,
    MulticastGroup,
    Replica,
    ReplicationStore,
)

SECOND = 1_000_000_000


def reason(refused: pytest.ExceptionInfo[StateError]) -> Reason:
    return refused.value.reason


class Meter:
    """One cell of a meter array that counts packets."""

    def __init__(self, config: MeterConfig | None = None, now: int = 0) -> None:
        self._store = MeterStore(1, bytes_unit=False)
        self._store.configure(0, config, now)

    def execute(self, amount: int, now: int) -> int | None:
        assert amount == 1
        return self._store.execute(0, 1500, now)


def test_an_unconfigured_meter_is_green() -> None:
    assert [Meter().execute(1, 0) for _ in range(3)] == [GREEN] * 3


def test_a_meter_goes_from_green_over_yellow_to_red_and_recovers() -> None:
    meter = Meter(MeterConfig(cir=1, cburst=2, pir=2, pburst=4), now=0)
    assert [meter.execute(1, 0) for _ in range(6)] == [GREEN, GREEN, YELLOW, YELLOW, RED, RED]
    assert [meter.execute(1, SECOND) for _ in range(3)] == [GREEN, YELLOW, RED]


def test_a_slow_meter_fills_up_over_many_small_steps() -> None:
    meter = Meter(MeterConfig(cir=1, cburst=1, pir=1, pburst=1), now=0)
    assert meter.execute(1, 0) == GREEN
    colours = [meter.execute(1, step * SECOND // 10) for step in range(1, 11)]
    assert colours == [RED] * 9 + [GREEN]


def test_a_byte_meter_counts_bytes() -> None:
    store = MeterStore(4, bytes_unit=True)
    store.configure(1, MeterConfig(0, 100, 0, 100), 0)
    assert store.execute(1, 60, 0) == GREEN
    assert store.execute(1, 60, 0) == RED
    assert store.execute(2, 60, 0) == GREEN
    assert store.execute(4, 60, 0) is None


def test_a_committed_rate_above_the_peak_rate_is_refused() -> None:
    with pytest.raises(StateError) as refused:
        Meter(MeterConfig(2, 1, 1, 1))
    assert reason(refused) is Reason.INVALID_ARGUMENT


@pytest.mark.parametrize("index", [-1, 4])
def test_array_indices_out_of_bounds_are_refused_and_change_nothing(index: int) -> None:
    counter, meter = CounterStore("c", 4), MeterStore(4, False)
    assert (counter.packets, counter.bytes) == ([0] * 4, [0] * 4)
    for attempt in (
        lambda: counter.read(index),
        lambda: counter.write(index, 1, 1),
        lambda: meter.configure(index, None, 0),
    ):
        with pytest.raises(StateError) as refused:
            attempt()
        assert reason(refused) is Reason.OUT_OF_RANGE


def test_registers_cut_values_to_their_width() -> None:
    register = RegisterStore("r", 2, 8)
    register.write(1, 0x1FF)
    register.write(2, 1)
    assert (register.read(1), register.read(0), register.read(2)) == (0xFF, 0, None)


@pytest.mark.parametrize("width", [1, 8, 9, 16, 32, 48, 63, 64, 65, 72, 80, 128, 129, 200])
def test_a_register_of_any_width_keeps_every_bit(width: int) -> None:
    register = RegisterStore("r", 4, width)
    values = [0, (1 << width) - 1, 1 << (width - 1), (1 << width) // 3]
    for index, value in enumerate(values):
        register.write(index, value | 1 << width)
    assert [register.read(index) for index in range(4)] == values == register.values(0, 4)
    assert register.values(1, 3) == values[1:3]
    register.fill(values[3] | 1 << width)
    assert register.values(0, 4) == [values[3]] * 4


def resident() -> int:
    """The memory that this process takes, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def test_a_register_takes_no_more_memory_when_it_is_full() -> None:
    cells, before = 1 << 20, resident()
    register = RegisterStore("r", cells, 80)
    place = register.address
    register.fill((1 << 80) - 1)
    assert register.address == place
    assert resident() - before < 11 * cells + (4 << 20)


@pytest.mark.parametrize(
    ("index", "code"), [(-1, Reason.INVALID_ARGUMENT), (2, Reason.OUT_OF_RANGE)]
)
def test_a_cell_that_does_not_exist_has_no_value(index: int, code: Reason) -> None:
    register = RegisterStore("r", 2, 80)
    register.write(index, 7)
    assert (register.read(index), register.values(0, 2)) == (None, [0, 0])
    with pytest.raises(StateError) as refused:
        register.check_index(index)
    assert reason(refused) is code


def test_an_array_of_absurd_size_is_refused() -> None:
    with pytest.raises(ProgramError):
        CounterStore("c", 1 << 30)


def test_copies_are_sent_by_instance_and_port() -> None:
    group = MulticastGroup(1, (Replica(3, 5), Replica(2, 1), Replica(1, 5)))
    assert group.copies() == (Replica(1, 5), Replica(3, 5), Replica(2, 1))


def test_groups_and_sessions_refuse_what_does_not_fit() -> None:
    store = ReplicationStore()
    group = MulticastGroup(1, (Replica(1, 0),))
    store.insert_group(group)
    cases: list[tuple[Callable[[], object], Reason]] = [
        (lambda: store.insert_group(group), Reason.ALREADY_EXISTS),
        (lambda: store.insert_group(MulticastGroup(0, ())), Reason.INVALID_ARGUMENT),
        (lambda: store.modify_group(MulticastGroup(2, ())), Reason.NOT_FOUND),
        (lambda: store.delete_group(2), Reason.NOT_FOUND),
        (
            lambda: store.insert_group(MulticastGroup(3, (Replica(1, 0), Replica(1, 0)))),
            Reason.INVALID_ARGUMENT,
        ),
        (lambda: store.insert_session(CloneSession(1 << 15, ())), Reason.INVALID_ARGUMENT),
        (lambda: store.delete_session(9), Reason.NOT_FOUND),
        (lambda: store.insert_session(CloneSession(5, (), 1)), Reason.UNIMPLEMENTED),
    ]
    for attempt, expected in cases:
        with pytest.raises(StateError) as refused:
            attempt()
        assert reason(refused) is expected
    assert store.copies(1) == (Replica(1, 0),)
    store.delete_group(1)
    assert store.copies(1) == ()


def test_a_digest_that_is_not_configured_is_silent() -> None:
    store = DigestStore("d")
    store.add((1,), 0)
    assert store.due(SECOND) == []
    assert store.next_deadline() is None


def test_digests_wait_for_a_full_list_or_the_timeout() -> None:
    store = DigestStore("d")
    store.configure(DigestConfig(max_timeout_ns=100, max_list_size=2))
    store.add((1,), 10)
    assert store.due(109) == []
    assert store.next_deadline() == 110
    assert [d.samples for d in store.due(110)] == [((1,),)]
    store.add((2,), 120)
    store.add((3,), 121)
    assert [d.samples for d in store.due(121)] == [((2,), (3,))]


def test_a_sample_is_not_repeated_until_it_is_acknowledged_or_that_is_overdue() -> None:
    store = DigestStore("d")
    store.configure(DigestConfig(0, 10, ack_timeout_ns=1000))
    store.add((1,), 0)
    (first,) = store.due(0)
    store.add((1,), 1)
    assert store.due(1) == []
    store.ack(first.list_id)
    store.add((1,), 2)
    (second,) = store.due(2)
    assert second.list_id != first.list_id
    store.ack(999)
    store.add((1,), 500)
    assert store.due(500) == []
    assert store.due(1002) == []
    store.add((1,), 1003)
    assert len(store.due(1003)) == 1


def test_remembered_samples_are_bounded_and_the_rest_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("p4softswitch.state.digests.MAX_REMEMBERED", 2)
    store = DigestStore("d")
    store.configure(DigestConfig(10, 0, 1000))
    for i in range(5):
        store.add((i,), 0)
    assert store.dropped == 3
    assert [d.samples for d in store.due(10)] == [((0,), (1,))]
