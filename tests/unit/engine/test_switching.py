"""ALGs are switched on and off, and bound to services, while everything runs (G1, F7)."""

from __future__ import annotations

import logging
from typing import Any

from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.pinholes import GRACE
from p4alg.engine.settings import Settings
from p4alg.engine.tables import FlowKey, Op, SessionFlags
from tests.unit.engine.dialogue import PORT, greeted
from tests.unit.engine.harness import (
    ACK,
    IN_PORT,
    INSIDE,
    REMOTE,
    TCP,
    AlgSettings,
    Bench,
    PortSpan,
    port_of,
    segment,
    with_alg,
)
from tests.unit.engine.parts import updates

ALL = 0xFFFFFFFF


def bench(**changes: Any) -> Bench:
    """FTP on port 21, SIP on TCP port 5060, and a service that nobody has."""
    return Bench(
        algs=(
            AlgSettings(algs()["ftp"], True, ("ftp",)),
            AlgSettings(algs()["sip"], True, ("sip",)),
        ),
        services={
            "ftp": (PortSpan(TCP, 21, 21),),
            "sip": (PortSpan(TCP, 5060, 5060),),
            "spare": (PortSpan(TCP, 2121, 2121),),
        },
        **changes,
    )


def written(made: Bench, settings: Settings) -> list[tuple[Op, int]]:
    """What a change of settings writes, of services: each with the port."""
    actions = made.engine.reconfigure(settings, made.now)
    made.perform(actions)
    return [
        (update.op, update.entry.server_id[0])
        for update in updates(list(actions))
        if isinstance(update.entry, t.Service)
    ]


def test_G1_only_what_changes_is_written() -> None:
    made = bench()
    on = made.engine.settings
    off = with_alg(on, "ftp", False)
    known = made.engine.algs
    actions = made.engine.reconfigure(off, made.now)
    assert [(u.op, type(u.entry)) for u in updates(list(actions))] == [(Op.DELETE, t.Service)]
    made.perform(actions)
    assert not known["ftp"].enabled
    assert written(made, off) == []
    assert written(made, on) == [(Op.INSERT, 21)]
    # Whoever has the mapping sees the change.
    assert known["ftp"].enabled


def test_F7_services_are_exchanged() -> None:
    made = bench()
    on = made.engine.settings
    spare = with_alg(on, "ftp", services=("spare",))
    assert written(made, spare) == [(Op.DELETE, 21), (Op.INSERT, 2121)]
    assert made.engine.algs["ftp"].services == ("spare",)
    assert written(made, with_alg(on, "ftp", services=())) == [(Op.DELETE, 2121)]


def test_the_services_of_an_ALG_that_is_off_are_not_written() -> None:
    made = bench()
    off = with_alg(made.engine.settings, "ftp", False)
    assert written(made, off) == [(Op.DELETE, 21)]
    assert written(made, with_alg(off, "ftp", services=("spare",))) == []
    on = with_alg(made.engine.settings, "ftp", True)
    assert written(made, on) == [(Op.INSERT, 2121)]


def test_what_the_switch_refuses_of_a_change_is_told() -> None:
    made = bench()
    made.refuses = lambda update: update.op is Op.DELETE
    made.switch("ftp", False)
    (told,) = [log for log in made.logs if log.level == logging.ERROR]
    assert told.text.startswith("the switch refused part of the set-up: ")
    assert made.counter("tables.failed") == 1


# With connections of the ALG under way


def test_F7_services_may_change_and_established_connections_keep_their_alg() -> None:
    dialogue = greeted()
    made = dialogue.bench
    made.reconfigure(with_alg(made.engine.settings, "ftp", services=("ftp-alt",)))
    spans = {(e.server_id[0], e.server_id[1]) for e in made.of(t.Service)}
    assert spans == {(2120, ALL - 7), (2128, ALL - 1)}
    assert dialogue.client(PORT) != PORT
    assert made.sessions()[dialogue.key].alg_id == 1


def test_G1_off_closes_pinholes_keeps_data_sessions_and_punts_nothing() -> None:
    dialogue = greeted()
    made = dialogue.bench
    dialogue.client(PORT)
    (used,) = made.of(t.PinholeEntry)
    data = FlowKey(TCP, INSIDE, port_of(used), REMOTE, 20)
    made.event(ev.PinholeHit(data, used.pinhole_id))
    dialogue.server(b"200 ok\r\n")
    dialogue.client(b"PORT 10,0,0,11,200,11\r\n")
    made.switch("ftp", False)
    made.tick(GRACE)
    assert made.of(t.PinholeEntry) == []
    assert made.of(t.Service) == []
    assert data in made.sessions()
    session = made.sessions()[dialogue.key]
    assert session.alg_id == 0
    assert session.flags & SessionFlags.CORRECT_SEQUENCE
    # What was on its way to the controller meanwhile crosses as it is.
    frame = segment(INSIDE, 40000, REMOTE, 21, ACK, 500, 1, b"PORT 10,0,0,11,200,12\r\n")
    assert made.punt(ev.Reason.ALG, frame, IN_PORT, 1) == [PacketOut(frame, IN_PORT)]
    made.switch("ftp", True)
    assert len(made.of(t.Service)) == 1
