"""Idle entries are found by their packet counters as a switch would find them."""

from __future__ import annotations

import pytest

from p4alg.driver.idle import IdleWatch
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.reconcile import EntryKey, entry_key
from p4alg.engine.tables import Entry, Op, Update

FLOW = t.FlowKey(17, 0x0A00000B, 40000, 0xC6336416, 53)
SESSION = t.Session(FLOW, 3, idle_timeout=60.0)
KEY = entry_key(SESSION)
IDLE = ev.SessionIdle(FLOW)


def watching(entry: Entry = SESSION, op: Op = Op.INSERT, now: float = 100.0) -> IdleWatch:
    watch = IdleWatch()
    watch.wrote(Update(op, entry), now)
    return watch


def test_an_entry_is_idle_when_it_has_counted_nothing_for_its_timeout() -> None:
    watch = watching()
    assert watch.read({KEY: 0}, 159.9) == []
    assert watch.read({KEY: 0}, 160.0) == [IDLE]


def test_it_is_told_again_until_it_is_deleted() -> None:
    watch = watching()
    assert watch.read({KEY: 0}, 160.0) == watch.read({KEY: 0}, 162.0) == [IDLE]
    watch.wrote(Update(Op.DELETE, t.Session(FLOW)), 162.0)
    assert watch.read({KEY: 0}, 163.0) == []
    assert watch.kinds == set()


def test_a_packet_makes_it_live_on_from_the_reading_that_shows_it() -> None:
    watch = watching()
    assert watch.read({KEY: 1}, 150.0) == []
    assert watch.read({KEY: 1}, 209.0) == []
    assert watch.read({KEY: 2}, 209.5) == []
    assert watch.read({KEY: 2}, 269.0) == []
    assert watch.read({KEY: 2}, 269.5) == [IDLE]


def test_a_counter_that_begins_anew_is_a_packet_too() -> None:
    watch = watching()
    watch.read({KEY: 7}, 150.0)
    assert watch.read({KEY: 0}, 205.0) == []
    assert watch.read({KEY: 0}, 211.0) == []


def test_an_entry_of_an_earlier_controller_ages_from_when_it_was_written_again() -> None:
    watch = watching(op=Op.MODIFY)
    assert watch.read({KEY: 500}, 110.0) == []
    assert watch.read({KEY: 500}, 160.0) == [IDLE]


def test_another_timeout_begins_anew_and_the_same_one_does_not() -> None:
    watch = watching()
    watch.wrote(Update(Op.MODIFY, SESSION), 130.0)
    assert watch.read({KEY: 0}, 160.0) == [IDLE]
    watch.wrote(Update(Op.MODIFY, t.Session(FLOW, 3, idle_timeout=10.0)), 160.0)
    assert watch.read({KEY: 0}, 169.0) == []
    assert watch.read({KEY: 0}, 170.0) == [IDLE]
    watch.wrote(Update(Op.MODIFY, t.Session(FLOW, 3)), 171.0)
    assert watch.read({KEY: 0}, 9999.0) == []


def test_an_entry_that_was_written_while_counters_were_read_is_left_alone() -> None:
    assert watching(now=0.0).read({}, 9999.0) == []


@pytest.mark.parametrize(
    ("entry", "event"),
    [
        (
            t.PinholeEntry(17, 1, 2, None, None, 8, idle_timeout=60.0, organisation=4),
            ev.PinholeIdle(8, 4),
        ),
        (t.Subscriber(1, 7, 2, 1024, 63, 5, 60.0, 4), ev.SubscriberIdle(1, 4)),
        (t.Block(2, 1024, 26, 7, 1, 4, 60.0), ev.BlockIdle(2, 1024)),
    ],
)
def test_every_table_that_ages_has_its_event(entry: Entry, event: ev.Event) -> None:
    assert watching(entry).read({entry_key(entry): 0}, 200.0) == [event]


def test_what_does_not_age_is_not_watched() -> None:
    watch = IdleWatch()
    for entry in (t.Local(1), t.Session(FLOW)):
        watch.wrote(Update(Op.INSERT, entry), 0.0)
    counted: dict[EntryKey, int] = {KEY: 0}
    assert watch.kinds == set()
    assert watch.read(counted, 9999.0) == []
