"""Rule 8: a controller that starts on a switch in use takes over what fits its settings."""

import random

from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.settings import Prefix
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
