"""What control sessions take is bounded, and given back whatever becomes of them (G4)."""

from __future__ import annotations

from p4alg.alg.contract import Peer
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.settings import Limits
from tests.unit.engine.dialogue import greeted
from tests.unit.engine.harness import (
    ACK,
    IN_PORT,
    INSIDE,
    INSIDE2,
    OUT_PORT,
    REMOTE,
    REMOTE2,
    Bench,
    segment,
)

FTP = 1
SYN_ACK = 0x12


def controls(bench: Bench) -> int:
    return int(next(row["sessions"] for row in bench.show("algs") if row["name"] == "ftp"))


def held(bench: Bench) -> int:
    return int(
        next(row["counters"]["bytes-held"] for row in bench.show("algs") if row["name"] == "ftp")
    )


def test_a_flow_that_the_switch_refuses_leaves_no_control_session() -> None:
    bench = Bench()
    bench.refuses = lambda update: isinstance(update.entry, t.Session)
    for port in range(40001, 40101):
        assert bench.new(segment(INSIDE, port, REMOTE, 21), IN_PORT, FTP) == []
    assert controls(bench) == 0
    bench.refuses = lambda update: False
    assert len(bench.new(segment(INSIDE, 40001, REMOTE, 21), IN_PORT, FTP)) == 1
    assert controls(bench) == 1


def test_the_control_sessions_of_all_hosts_are_bounded() -> None:
    bench = Bench(limits=Limits(controls=2, controls_per_subscriber=2))
    greeted(bench, Peer.SERVER).client(b"USER a\r\n")
    bench.new(segment(INSIDE2, 40001, REMOTE2, 21), IN_PORT, FTP)
    bench.new(segment(INSIDE2, 40002, REMOTE2, 21), IN_PORT, FTP)
    assert controls(bench) == 2
    assert bench.counter("alg.ftp.controls.given-up") == 1
    assert bench.counter("alg.ftp.controls.refused") == 0


def test_who_has_proved_itself_makes_no_room_for_another_host() -> None:
    bench = Bench(limits=Limits(controls=1, controls_per_subscriber=1))
    greeted(bench, Peer.SERVER).client(b"USER a\r\n")
    bench.new(segment(INSIDE2, 40001, REMOTE2, 21), IN_PORT, FTP)
    assert controls(bench) == 1
    assert bench.counter("alg.ftp.controls.refused") == 1
    assert any("of all hosts" in record.text for record in bench.logs)


def test_a_host_may_keep_no_more_bytes_than_are_left_to_others() -> None:
    bench = Bench(limits=Limits(control_bytes=10000))
    ports = range(40001, 40021)
    for port in ports:
        bench.new(segment(INSIDE2, port, REMOTE, 21), IN_PORT, FTP)
        outside = bench.outside_of(6, INSIDE2, port)
        answer = segment(REMOTE, 21, *outside, SYN_ACK, 500, 2)
        bench.punt(ev.Reason.ALG, answer, OUT_PORT, FTP)
        # A byte is missing before this, so that it is kept.
        early = segment(INSIDE2, port, REMOTE, 21, ACK, 3, 501, b"x" * 1000)
        bench.punt(ev.Reason.ALG, early, IN_PORT, FTP)
    assert held(bench) == 5000
    assert bench.counter("alg.ftp.segments.memory-limit") == 15
    assert controls(bench) == 20
    honest = greeted(bench, Peer.SERVER)
    assert honest.client(b"USER a\r\n") == b"USER a\r\n"
    assert bench.counter("alg.ftp.detached.memory-limit") == 0


def test_a_message_for_which_there_is_no_memory_passes_unread() -> None:
    bench = Bench(limits=Limits(control_bytes=100))
    talk = greeted(bench)
    assert talk.client(b"USER " + b"a" * 300) == b"USER " + b"a" * 300
    assert bench.counter("alg.ftp.detached.memory-limit") == 1
    # What was sent on is kept until its receiver has it.
    talk.server(b"331 x\r\n")
    assert (held(bench), controls(bench)) == (0, 0)


def test_what_a_session_kept_is_given_back_with_it() -> None:
    bench = Bench(limits=Limits(control_bytes=3000))
    for _ in range(20):
        talk = greeted(bench)
        early = segment(INSIDE, talk.key.inside_id, REMOTE, 21, ACK, 900, 501, b"x" * 1000)
        bench.punt(ev.Reason.ALG, early, IN_PORT, FTP)
        bench.event(ev.SessionIdle(talk.key))
    assert controls(bench) == 0
    assert bench.counter("alg.ftp.detached.memory-limit") == 0
