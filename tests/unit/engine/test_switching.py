"""ALGs are switched on and off, and bound to services, while everything runs (G1, F7)."""

from __future__ import annotations

import logging

import pytest

from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import LogRecord, PacketOut
from p4alg.engine.pinholes import GRACE
from p4alg.engine.switching import AlgSwitching
from p4alg.engine.tables import FlowKey, Op, SessionFlags
from tests.unit.engine.dialogue import PORT, greeted
from tests.unit.engine.harness import (
    ACK,
    IN_PORT,
    INSIDE,
    REMOTE,
    TCP,
    AlgSettings,
    PortSpan,
    port_of,
    segment,
)
from tests.unit.engine.parts import Parts, updates

ALL = 0xFFFFFFFF


class Desk(Parts):
    """FTP on port 21, SIP on TCP port 5060, and a service that nobody has."""

    def __init__(self) -> None:
        super().__init__(
            algs=(
                AlgSettings(algs()["ftp"], True, ("ftp",)),
                AlgSettings(algs()["sip"], True, ("sip",)),
            ),
            services={
                "ftp": (PortSpan(TCP, 21, 21),),
                "sip": (PortSpan(TCP, 5060, 5060),),
                "spare": (PortSpan(TCP, 2121, 2121),),
                "taken": (PortSpan(TCP, 5000, 6000),),
            },
        )
        self.switching = AlgSwitching(self.settings, self.outbox, self.counters)

    def written(self, reason: str | None = None) -> list[tuple[Op, int]]:
        """What is written: each with the port."""
        return [
            (update.op, update.entry.server_id[0])
            for update in updates(self.answer(reason))
            if isinstance(update.entry, t.Service)
        ]


def test_G1_only_what_changes_is_written() -> None:
    desk = Desk()
    algs = desk.switching.algs
    assert desk.switching.set_enabled("ftp", False)
    assert desk.written() == [(Op.DELETE, 21)]
    assert not algs["ftp"].enabled
    assert [entry.declaration.table for entry in desk.switching.entries()] == ["alg_service"]
    assert not desk.switching.set_enabled("ftp", False)
    assert desk.written() == []
    assert desk.switching.set_enabled("ftp", True)
    assert desk.written() == [(Op.INSERT, 21)]
    # Whoever has the mapping sees the change.
    assert algs is desk.switching.algs


def test_F7_services_are_exchanged_and_named_once() -> None:
    desk = Desk()
    desk.switching.set_services("ftp", ["spare", "spare"])
    assert desk.written() == [(Op.DELETE, 21), (Op.INSERT, 2121)]
    assert desk.switching.algs["ftp"].services == ("spare",)
    desk.switching.set_services("ftp", [])
    assert desk.written() == [(Op.DELETE, 2121)]


def test_the_services_of_an_ALG_that_is_off_are_not_written() -> None:
    desk = Desk()
    desk.switching.set_enabled("ftp", False)
    desk.written()
    desk.switching.set_services("ftp", ["spare"])
    assert desk.written() == []
    desk.switching.set_enabled("ftp", True)
    assert desk.written() == [(Op.INSERT, 2121)]


@pytest.mark.parametrize("services", [["sip"], ["spare", "taken"]])
def test_F7_the_ports_of_another_ALG_are_refused_and_nothing_changes(services: list[str]) -> None:
    desk = Desk()
    with pytest.raises(ValueError, match="'sip' is bound to those ports already"):
        desk.switching.set_services("ftp", services)
    assert desk.switching.algs["ftp"].services == ("ftp",)
    assert desk.written() == []


def test_what_is_not_there_is_a_key_error() -> None:
    switching = Desk().switching
    with pytest.raises(KeyError, match="nosuch"):
        switching.set_enabled("nosuch", True)
    with pytest.raises(KeyError, match="nosuch"):
        switching.set_services("nosuch", ["ftp"])
    with pytest.raises(KeyError, match="nosuch"):
        switching.set_services("ftp", ["nosuch"])


def test_what_the_switch_refuses_of_the_set_up_is_told() -> None:
    desk = Desk()
    desk.switching.set_enabled("ftp", False)
    assert LogRecord(logging.ERROR, "the switch refused part of the set-up: full") in desk.answer(
        "full"
    )
    assert desk.count("tables.failed") == 1


# With connections of the ALG under way


def test_F7_services_may_change_and_established_connections_keep_their_alg() -> None:
    dialogue = greeted()
    bench = dialogue.bench
    bench.perform(bench.engine.set_alg_services("ftp", ["ftp-alt"], bench.now))
    spans = {(e.server_id[0], e.server_id[1]) for e in bench.of(t.Service)}
    assert spans == {(2120, ALL - 7), (2128, ALL - 1)}
    assert dialogue.client(PORT) != PORT
    assert bench.sessions()[dialogue.key].alg_id == 1


def test_G1_off_closes_pinholes_keeps_data_sessions_and_punts_nothing() -> None:
    dialogue = greeted()
    bench = dialogue.bench
    dialogue.client(PORT)
    (used,) = bench.of(t.PinholeEntry)
    data = FlowKey(TCP, INSIDE, port_of(used), REMOTE, 20)
    bench.event(ev.PinholeHit(data, used.pinhole_id))
    dialogue.server(b"200 ok\r\n")
    dialogue.client(b"PORT 10,0,0,11,200,11\r\n")
    bench.perform(bench.engine.set_alg_enabled("ftp", False, bench.now))
    bench.tick(GRACE)
    assert bench.of(t.PinholeEntry) == []
    assert bench.of(t.Service) == []
    assert data in bench.sessions()
    session = bench.sessions()[dialogue.key]
    assert session.alg_id == 0
    assert session.flags & SessionFlags.CORRECT_SEQUENCE
    # What was on its way to the controller meanwhile crosses as it is.
    frame = segment(INSIDE, 40000, REMOTE, 21, ACK, 500, 1, b"PORT 10,0,0,11,200,12\r\n")
    assert bench.punt(ev.Reason.ALG, frame, IN_PORT, 1) == [PacketOut(frame, IN_PORT)]
    bench.perform(bench.engine.set_alg_enabled("ftp", True, bench.now))
    assert len(bench.of(t.Service)) == 1
