"""Rule 8: a controller that starts on a switch in use takes over what fits its settings."""

import random
from dataclasses import replace
from typing import Any

import pytest

from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.settings import BlockSettings, Prefix
from p4alg.engine.tables import FlowKey, SessionFlags
from tests.unit.engine.dialogue import Dialogue
from tests.unit.engine.harness import (
    GATEWAY,
    HOST_MAC,
    INSIDE,
    INSIDE2,
    REMOTE,
    SERVER,
    TCP,
    UDP,
    Bench,
    datagram,
    port_of,
    segment,
    settings,
    who_has,
)


def busy() -> Bench:
    """A gateway with a neighbour, flows, a corrected control connection and a pinhole."""
    bench = Bench()
    bench.punt(ev.Reason.ARP, who_has(HOST_MAC, INSIDE2, GATEWAY))
    bench.new(segment(INSIDE2, 40000, REMOTE, 80))
    bench.event(ev.TcpEvent(FlowKey(TCP, INSIDE2, 40000, REMOTE, 80), 16, True, True))
    bench.new(datagram(INSIDE2, 5000, REMOTE, 53))
    dialogue = Dialogue(bench)
    dialogue.server(b"220 hi\r\n")
    dialogue.client(b"PORT 10,0,0,11,200,10\r\n")
    return bench


def rows(bench: Bench, what: str, *keys: str) -> list[tuple[object, ...]]:
    return sorted(tuple(row[key] for key in keys) for row in bench.show(what))


def test_what_is_there_goes_on_and_control_sessions_become_plain_nat() -> None:
    before = busy()
    after = Bench(present=list(before.entries.values()))
    changed = {key for key, entry in after.entries.items() if before.entries.get(key) != entry}
    control = FlowKey(TCP, INSIDE, 40000, REMOTE, 21)
    assert changed == {(t.Session, control)}
    assert set(after.entries) == set(before.entries)
    session = after.sessions()[control]
    assert session.alg_id == 0
    assert session.flags & SessionFlags.CORRECT_SEQUENCE
    ends = ("proto", "inside", "outside")
    assert rows(after, "bindings", *ends) == rows(before, "bindings", *ends)
    assert rows(after, "sessions", "inside", "remote", "state") == rows(
        before, "sessions", "inside", "remote", "state"
    )
    assert rows(after, "pinholes", "id", "inside") == rows(before, "pinholes", "id", "inside")


def test_a_switch_that_forgot_how_long_entries_may_be_idle_is_told_again() -> None:
    before = busy()
    ages = (t.Session, t.PinholeEntry, t.Subscriber, t.Block)
    held = before.entries.values()
    forgetful = [replace(e, idle_timeout=0.0) if isinstance(e, ages) else e for e in held]
    after = Bench(present=forgetful)
    timers = settings().timers
    found = {key.remote_id: entry.idle_timeout for key, entry in after.sessions().items()}
    assert found == {80: timers.tcp_established, 53: timers.udp_dns, 21: timers.tcp_transitory}
    blocks = [e for e in after.entries.values() if isinstance(e, t.Block)]
    assert {entry.idle_timeout for entry in blocks} == {timers.longest}


def test_an_adopted_pinhole_serves_its_flow_and_expires() -> None:
    before = busy()
    after = Bench(present=list(before.entries.values()))
    (hole,) = after.of(t.PinholeEntry)
    after.event(ev.PinholeHit(FlowKey(TCP, INSIDE, port_of(hole), REMOTE, 20), hole.pinhole_id))
    assert after.of(t.PinholeEntry) == []
    again = Bench(present=list(before.entries.values()))
    again.tick(61.0)
    assert again.of(t.PinholeEntry) == []


def test_nothing_adopted_outlives_its_sessions() -> None:
    after = Bench(present=list(busy().entries.values()))
    after.idle_everything()
    assert after.dynamic() == set()


def test_adopted_ports_are_not_given_to_others() -> None:
    after = Bench(present=list(busy().entries.values()))
    taken = {(e.outside_addr, e.outside_id) for e in after.of(t.MapOut) if e.proto == UDP}
    for port in range(5002, 5400, 2):
        after.new(datagram(INSIDE2, port, REMOTE, 53))
    found = [(e.outside_addr, e.outside_id) for e in after.of(t.MapOut) if e.proto == UDP]
    assert len(found) == len(set(found)) == 200
    assert taken <= set(found)


def test_what_the_new_settings_do_not_have_is_removed() -> None:
    before = busy()
    after = Bench(present=list(before.entries.values()), pools=(Prefix(0xCB007180, 28),))
    # 10.0.0.11 keeps its address, which its static mapping still has.
    assert {row["inside"].partition(":")[0] for row in after.show("sessions")} == {"10.0.0.11"}
    assert {e.outside_addr for e in after.of(t.MapOut)} == {SERVER}


def test_half_a_mapping_and_sessions_without_one_are_removed() -> None:
    whole = busy()
    present = [e for e in whole.entries.values() if not (isinstance(e, t.MapIn) and e.proto == UDP)]
    after = Bench(present=present)
    assert not [e for e in after.of(t.MapOut) if e.proto == UDP]
    assert not [key for key in after.sessions() if key.proto == UDP]
    assert [key for key in after.sessions() if key.proto == TCP]


def test_any_subset_of_entries_is_taken_over_without_contradiction() -> None:
    entries = list(busy().entries.values())
    for seed in range(60):
        rng = random.Random(seed)
        present = [entry for entry in entries if rng.random() < 0.7]
        after = Bench(present=present)
        mapped = {(e.proto, e.inside_addr, e.inside_id) for e in after.of(t.MapOut)}
        assert all(key[:3] in mapped for key in after.sessions())
        after.idle_everything()
        assert after.dynamic() == set()


def test_a_second_start_changes_nothing() -> None:
    first = Bench(present=list(busy().entries.values()))
    second = Bench(present=list(first.entries.values()))
    assert second.entries == first.entries


# Subscribers and their blocks


def subscribed() -> Bench:
    """A gateway with three hosts that have blocks, one of them with a static mapping too."""
    bench = Bench()
    for host in (INSIDE2, INSIDE2 + 1):
        bench.punt(ev.Reason.SUBSCRIBER, datagram(host, 5000, REMOTE, 80))
    bench.punt(ev.Reason.OVERFLOW, datagram(INSIDE, 5000, REMOTE, 80))
    return bench


def hosts(bench: Bench) -> dict[int, t.Subscriber]:
    return {entry.inside_addr: entry for entry in bench.of(t.Subscriber)}


def test_rule_8_hosts_keep_their_blocks_their_numbers_and_the_secret() -> None:
    before = subscribed()
    after = Bench(present=list(before.entries.values()))
    assert after.entries == before.entries
    assert [log.text for log in after.logs] == [
        "adopted 3 subscribers, 0 sessions and 0 pinholes",
    ]
    # They are known: nothing is written for another packet of theirs.
    frame = datagram(INSIDE2, 6000, REMOTE, 80)
    assert [out.frame for out in after.punt(ev.Reason.SUBSCRIBER, frame)] == [frame]
    assert after.entries == before.entries
    # And their blocks come back as those of any host do.
    block = next(e for e in after.of(t.Block) if e.inside_addr == INSIDE2)
    after.event(ev.SubscriberIdle(INSIDE2, 0))
    after.event(ev.BlockIdle(block.outside_addr, block.outside_id))
    assert INSIDE2 not in hosts(after)


def test_blocks_that_were_taken_over_are_not_given_to_others() -> None:
    before = subscribed()
    after = Bench(present=list(before.entries.values()))
    for n in range(150):
        after.punt(ev.Reason.SUBSCRIBER, datagram(0x0A000040 + n, 5000, REMOTE, 80))
    blocks = [(e.outside_addr, e.outside_id) for e in after.of(t.Block)]
    numbers = [e.subscriber for e in after.of(t.Subscriber)]
    assert len(set(blocks)) == len(blocks) == 153
    assert len(set(numbers)) == len(numbers)
    assert {e for e in before.of(t.Block)} <= {e for e in after.of(t.Block)}


def test_a_switch_that_restarted_is_filled_anew() -> None:
    after = Bench(present=[])
    assert after.of(t.Block) == []
    assert len(after.of(t.ScrambleLow)) == len(after.of(t.ScrambleHigh)) == 256
    assert set(hosts(after)) == set(hosts(Bench()))


@pytest.mark.parametrize(
    "changes",
    [
        {"blocks": BlockSettings(1024, 4)},
        {"pools": (Prefix(0xCB007180, 28),), "forwards": ()},
        {"blocks": BlockSettings(4096, 4, (Prefix(0x0A000080, 25),))},
    ],
)
def test_blocks_that_the_new_settings_do_not_have_come_back(changes: dict[str, Any]) -> None:
    before = subscribed()
    after = Bench(present=list(before.entries.values()), **changes)
    assert after.of(t.Block) == []
    assert not set(hosts(after)) & {INSIDE2, INSIDE2 + 1}
    # Cells with their numbers may be alive in the switch.
    old = {e.subscriber for e in before.of(t.Subscriber) if e.inside_addr in (INSIDE2, INSIDE2 + 1)}
    for n in range(60):
        after.punt(ev.Reason.SUBSCRIBER, datagram(0x0A000080 + n, 5000, REMOTE, 80))
    assert len(after.of(t.Block)) == 60
    assert not old & {e.subscriber for e in after.of(t.Subscriber)}


def test_half_a_host_is_removed() -> None:
    before = subscribed()
    for kind in (t.Block, t.Subscriber):
        present = [
            entry
            for entry in before.entries.values()
            if not (isinstance(entry, kind) and entry.inside_addr == INSIDE2)
        ]
        after = Bench(present=present)
        assert INSIDE2 not in hosts(after)
        assert INSIDE2 not in {entry.inside_addr for entry in after.of(t.Block)}
        assert INSIDE2 + 1 in hosts(after)


def test_two_hosts_in_one_block_are_not_taken_over_both() -> None:
    before = subscribed()
    (block,) = [e for e in before.of(t.Block) if e.inside_addr == INSIDE2]
    stray = replace(hosts(before)[INSIDE2], inside_addr=INSIDE2 + 9)
    after = Bench(present=[*before.entries.values(), stray])
    assert INSIDE2 + 9 not in hosts(after)
    assert block in after.of(t.Block)


def test_mappings_of_the_tables_name_their_host_by_its_number() -> None:
    before = busy()
    after = Bench(present=list(before.entries.values()))
    numbers = {entry.inside_addr: entry.subscriber for entry in after.of(t.Subscriber)}
    assert all(e.subscriber == numbers[e.inside_addr] for e in after.of(t.MapOut))
    assert all(e.subscriber == numbers[e.inside_addr] for e in after.of(t.MapIn))


def test_any_subset_of_hosts_is_taken_over_without_contradiction() -> None:
    bench = subscribed()
    Dialogue(bench)
    entries = list(bench.entries.values())
    for seed in range(60):
        rng = random.Random(seed)
        after = Bench(present=[entry for entry in entries if rng.random() < 0.7])
        blocks = {(e.outside_addr, e.outside_id): e for e in after.of(t.Block)}
        for host in after.of(t.Subscriber):
            if host.port_mask:
                block = blocks.pop((host.outside_addr, host.port_base))
                assert (block.inside_addr, block.subscriber) == (host.inside_addr, host.subscriber)
        assert blocks == {}
        numbers = [e.subscriber for e in after.of(t.Subscriber)]
        assert len(set(numbers)) == len(numbers)
