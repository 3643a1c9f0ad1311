"""Static mappings come and go while everything goes on, unless something uses them."""

from __future__ import annotations

from dataclasses import replace

from p4alg.engine import tables as t
from p4alg.engine.settings import PortForward
from p4alg.engine.statics import shown
from p4alg.engine.tables import FlowKey, Op
from tests.unit.engine.harness import (
    INSIDE,
    INSIDE2,
    OUT_PORT,
    POOL,
    REMOTE,
    SERVER,
    TCP,
    UDP,
    Bench,
    segment,
)
from tests.unit.engine.parts import updates

WEB = PortForward(TCP, INSIDE2, 80, SERVER, 80)
HIGH = PortForward(TCP, INSIDE2, 8080, POOL + 3, 8080)


def with_forwards(bench: Bench, *forwards: PortForward) -> None:
    bench.reconfigure(replace(bench.engine.settings, forwards=forwards))


def objection(bench: Bench, *forwards: PortForward) -> str:
    return bench.engine.objection(replace(bench.engine.settings, forwards=forwards))


def ours(bench: Bench) -> set[tuple[int, int]]:
    """Outside and inside port of each mapping from outside."""
    return {(entry.outside_id, entry.inside_id) for entry in bench.of(t.MapIn)}


def test_a_mapping_is_added_with_a_number_for_its_host() -> None:
    bench = Bench()
    (ftp,) = bench.engine.settings.forwards
    wanted = replace(bench.engine.settings, forwards=(ftp, WEB))
    assert bench.engine.objection(wanted) == ""
    actions = bench.engine.reconfigure(wanted, bench.now)
    written = [(update.op, type(update.entry)) for update in updates(list(actions))]
    inserted = {t.Subscriber, t.MapOut, t.MapIn}
    assert sorted(written, key=str) == sorted([(Op.INSERT, kind) for kind in inserted], key=str)
    bench.perform(actions)
    assert (80, 80) in ours(bench)
    (host,) = [entry for entry in bench.of(t.Subscriber) if entry.inside_addr == INSIDE2]
    assert {entry.subscriber for entry in bench.of(t.MapOut) if entry.inside_addr == INSIDE2} == {
        host.subscriber
    }
    # What is opened from outside is that host's.
    bench.new(segment(REMOTE, 4000, SERVER, 80), OUT_PORT, alg_id=1)
    assert FlowKey(TCP, INSIDE2, 80, REMOTE, 4000) in bench.sessions()


def test_the_entries_are_those_of_a_start_with_the_same_settings() -> None:
    bench = Bench()
    forwards = (*bench.engine.settings.forwards, WEB, HIGH)
    with_forwards(bench, *forwards)
    fresh = Bench(forwards=forwards)
    for table in (t.MapIn, t.MapOut, t.PoolPrefix, t.Policy, t.Service):
        assert {*map(unnumbered, bench.of(table))} == {*map(unnumbered, fresh.of(table))}


def unnumbered(entry: t.Entry) -> t.Entry:
    """An entry without the number of its host, which is drawn at random."""
    return replace(entry, subscriber=0) if isinstance(entry, t.MapIn | t.MapOut) else entry


def test_a_mapping_is_taken_away_and_its_ports_may_be_mapped_again() -> None:
    bench = Bench()
    before = ours(bench)
    forwards = bench.engine.settings.forwards
    with_forwards(bench, *forwards, WEB)
    with_forwards(bench, *forwards)
    assert ours(bench) == before
    moved = replace(WEB, inside_port=8080)
    with_forwards(bench, *forwards, WEB)
    assert objection(bench, *forwards, moved) == ""
    with_forwards(bench, *forwards, moved)
    assert (80, 8080) in ours(bench)


def test_a_mapping_that_is_used_is_not_taken_away() -> None:
    bench = Bench()
    (ftp,) = bench.engine.settings.forwards
    bench.new(segment(REMOTE, 4000, SERVER, 21), OUT_PORT, alg_id=1)
    wanted = "tcp 203.0.113.5:21 -> 10.0.0.11:21 is in use: end its sessions by 'p4alg clear' first"
    assert objection(bench) == wanted
    assert objection(bench, ftp, WEB) == ""


def test_a_block_that_a_host_has_is_not_taken_from_it() -> None:
    bench = Bench()
    forwards = bench.engine.settings.forwards
    bench.new(segment(INSIDE, 40000, REMOTE, 80))
    (block,) = bench.of(t.Block)
    there = PortForward(UDP, INSIDE2, 5000, block.outside_addr, block.outside_id + 1)
    assert objection(bench, *forwards, there).endswith(": 10.0.0.11 has the block of that port")


def test_an_end_that_another_mapping_has_is_refused() -> None:
    bench = Bench()
    (ftp,) = bench.engine.settings.forwards
    bench.new(segment(INSIDE2, 80, REMOTE, 21), alg_id=1)
    assert objection(bench, ftp, WEB) == f"{shown(WEB)}: another mapping has one of these ends"


def test_the_block_of_a_mapping_is_given_to_nobody_while_it_is_there() -> None:
    bench = Bench()
    forwards = bench.engine.settings.forwards
    blocks = bench.engine._subscribers.blocks
    free = blocks.free()
    with_forwards(bench, *forwards, HIGH)
    assert blocks.free() == free - 1
    # The port below 1024 of a web server is in no block that anybody gets.
    with_forwards(bench, *forwards, WEB)
    assert blocks.free() == free
