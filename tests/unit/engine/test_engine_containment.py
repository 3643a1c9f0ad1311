"""Rule 10: a fault at any step costs the event or the session that it hit, and nothing else.

A fault is put in at one function call after the other that is made while a message, a
flow, a tick or the outcome of a write is decided on: at some sixty calls a case, spread
evenly, and at every single one with `-m slow`. Left out are the functions that contain
faults themselves (`faults.CONTAINMENT`) and generators. After each fault the tables
of the switch and the state of the engine agree, other sessions are as they were and
go on, and when everything has ended nothing is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from p4alg.alg.contract import Peer
from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.settings import PortForward
from p4alg.engine.tables import FlowKey, Op, SessionFlags
from tests.unit.engine import test_engine_sip as sip
from tests.unit.engine import test_unported as ike
from tests.unit.engine.control import test_data as tftp
from tests.unit.engine.dialogue import Dialogue
from tests.unit.engine.faults import Injector, calls_of
from tests.unit.engine.harness import (
    INSIDE,
    INSIDE2,
    REMOTE,
    REMOTE2,
    SERVER,
    TCP,
    UDP,
    AlgSettings,
    Bench,
    PortSpan,
    datagram,
    port_of,
)

PORT = b"PORT 10,0,0,11,200,10\r\n"
OTHER = FlowKey(UDP, INSIDE2, 7000, REMOTE2, 7001)


class World:
    """A gateway with all ALGs on, an FTP session and a plain flow that nothing may disturb."""

    def __init__(self) -> None:
        known = algs()
        self.bench = Bench(
            services={
                "ftp": (PortSpan(TCP, 21, 21),),
                "sip": (PortSpan(UDP, 5060, 5060),),
                "tftp": (PortSpan(UDP, 69, 69),),
                "ike": (PortSpan(UDP, 500, 500),),
            },
            forwards=(PortForward(TCP, INSIDE, 21, SERVER, 21),),
            algs=tuple(
                AlgSettings(known[name], True, (name,), options)
                for name, options in (
                    *(("ftp", {}), ("sip", {}), ("tftp", {})),
                    ("ike", {"keep_port": True}),
                )
            ),
        )
        self.other = Dialogue(self.bench, Peer.SERVER)
        assert self.other.server(b"220 hi\r\n") == b"220 hi\r\n"
        self.bench.new(datagram(INSIDE2, 7000, REMOTE2, 7001))
        assert OTHER in self.bench.sessions()
        self.undisturbed = {
            key: entry
            for key, entry in self.bench.entries.items()
            if isinstance(entry, t.Session | t.MapOut | t.MapIn)
        }

    def check(self) -> None:
        """Everything that must hold after a fault."""
        bench = self.bench
        for key, entry in self.undisturbed.items():
            assert bench.entries.get(key) == entry
        self.agree()
        # The other session and plain flows go on as if nothing had been.
        assert self.other.client(b"EPSV\r\n") == b"EPSV\r\n"
        heard = self.other.server(b"229 ok (|||50000|)\r\n")
        assert re.fullmatch(rb"229 ok \(\|\|\|\d+\|\)\r\n", heard)
        assert bench.outside_of(TCP, INSIDE, 50000)[1] == int(re.findall(rb"\d+", heard)[1])
        assert bench.new(datagram(INSIDE2, 7002, REMOTE2, 7003))
        self.agree()
        self.end()

    def agree(self) -> None:
        """What the engine believes of the switch is what the switch has."""
        bench = self.bench
        sessions = {entry.flow for entry in bench.of(t.Session)}
        assert sessions == {flow.key for flow in bench.engine._flows.all()}
        holes = {entry.pinhole_id for entry in bench.of(t.PinholeEntry)}
        assert holes == {pinhole.pinhole_id for pinhole in bench.engine._pinholes.all()}
        known = {
            (b.proto, b.inside_addr, b.inside_id, b.outside_addr, b.outside_id)
            for b in bench.engine._flows.mappings.bindings
        }
        assert known == {
            (e.proto, e.inside_addr, e.inside_id, e.outside_addr, e.outside_id)
            for e in bench.of(t.MapOut)
        }
        corrected = {
            flow.key
            for flow in bench.engine._flows.all()
            if flow.flags & SessionFlags.CORRECT_SEQUENCE
        }
        assert corrected == {entry.flow for entry in bench.of(t.Sequence)}

    def end(self) -> None:
        """Everything ends by the clock, and nothing is left of it."""
        bench = self.bench
        for seconds in (2.0, 100.0, 1000.0, 50000.0, 100000.0):
            bench.tick(seconds)
            for key in list(bench.sessions()):
                bench.event(ev.SessionIdle(key))
        bench.tick(1.0)
        kinds = (t.Session, t.PinholeEntry, t.Sequence, t.IkeIn)
        assert [entry for entry in bench.entries.values() if isinstance(entry, kinds)] == []
        assert [b for b in bench.engine._flows.mappings.bindings if b.kind.value != "static"] == []
        assert not bench.engine._expectations._expected
        assert not bench.engine._outbox._waiting
        assert len(bench.engine._sessions) == 0
        assert bench.engine._unported._sessions is bench.engine._sessions


@dataclass(frozen=True)
class Case:
    """What is done before the fault, and what is done with it."""

    prepare: Callable[[World], object]
    act: Callable[[World, object], object]


def _greeted(world: World) -> Dialogue:
    dialogue = Dialogue(world.bench)
    dialogue.server(b"220 hi\r\n")
    return dialogue


def _refusing(world: World) -> Dialogue:
    dialogue = _greeted(world)
    world.bench.refuses = lambda update: (
        isinstance(update.entry, t.PinholeEntry) and update.op is Op.INSERT
    )
    return dialogue


def _with_pinhole(world: World) -> t.PinholeEntry:
    _greeted(world).client(PORT)
    return world.bench.of(t.PinholeEntry)[0]


def _say_port(world: World, dialogue: object) -> None:
    assert isinstance(dialogue, Dialogue)
    dialogue.client(PORT)
    world.bench.refuses = lambda update: False


def _twice(world: World, dialogue: object) -> None:
    assert isinstance(dialogue, Dialogue)
    dialogue.client(PORT + b"PORT 10,0,0,11,200,12\r\nSTAT\r\n", 11)


def _hit(world: World, hole: object) -> None:
    assert isinstance(hole, t.PinholeEntry)
    data = FlowKey(TCP, INSIDE, port_of(hole), REMOTE, 20)
    world.bench.event(ev.PinholeHit(data, hole.pinhole_id))


def _syn_again(world: World, _: object) -> None:
    world.bench.new(datagram(INSIDE2, 9000, REMOTE, 9001))


def _sip_call(world: World, _: object) -> None:
    sip.answered(world.bench)


def _tftp_asked(world: World, _: object) -> None:
    tftp.ask(world.bench)
    tftp.answer(world.bench, tftp.block(1, 512))
    if tftp.DATA in world.bench.sessions():
        tftp.answer(world.bench, tftp.block(2, 10))


def _ike_and_esp(world: World, _: object) -> None:
    made = world.bench
    ike.ask(made, INSIDE, ike.A)
    if FlowKey(UDP, INSIDE, 500, REMOTE, 500) in made.sessions():
        ike.answer(made, INSIDE, ike.A)
    ike.esp_out(made, INSIDE, 0x1001)


def _tick(world: World, _: object) -> None:
    world.bench.tick(70.0)


def _idle(world: World, dialogue: object) -> None:
    assert isinstance(dialogue, Dialogue)
    world.bench.event(ev.SessionIdle(dialogue.key))


CASES = {
    "FTP PORT": Case(_greeted, _say_port),
    "FTP PORT that the switch refuses": Case(_refusing, _say_port),
    "two FTP PORTs, cut": Case(_greeted, _twice),
    "a flow through a pinhole": Case(_with_pinhole, _hit),
    "a new plain flow": Case(lambda _: None, _syn_again),
    "a new control session": Case(lambda _: None, lambda world, _: Dialogue(world.bench)),
    "a SIP call": Case(lambda _: None, _sip_call),
    "a TFTP transfer": Case(lambda _: None, _tftp_asked),
    "IKE and ESP": Case(lambda _: None, _ike_and_esp),
    "the clock": Case(_with_pinhole, _tick),
    "an idle control session": Case(_greeted, _idle),
}


def attempt(world: World, case: Case, prepared: object) -> None:
    """The act; that its own traffic goes wrong then is the price of the fault."""
    try:
        case.act(world, prepared)
    except (KeyError, IndexError, AssertionError) as error:
        if "on a table that has" in str(error):
            raise


@pytest.mark.parametrize("name", CASES)
def test_rule_10_a_fault_at_any_step_costs_nobody_else_anything(name: str) -> None:
    fail_at_steps(CASES[name], most=60)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_rule_10_a_fault_at_every_single_step(name: str) -> None:
    fail_at_steps(CASES[name], most=100_000)


def fail_at_steps(case: Case, most: int) -> None:
    """Put a fault in at each step, or at `most` of them that are as far apart as can be."""
    world = World()
    prepared = case.prepare(world)
    total = calls_of(lambda: case.act(world, prepared), world.bench.engine)
    assert total > 3
    for at in range(1, total + 1, max(1, total // most)):
        world = World()
        prepared = case.prepare(world)
        injector = Injector(at)
        with injector.armed(world.bench.engine):
            attempt(world, case, prepared)
        world.bench.refuses = lambda update: False
        try:
            if injector.where:
                told = world.bench.show("counters")
                assert any(".faults" in n or n.startswith("faults.") for n in told), told
            world.check()
        except AssertionError as error:
            raise AssertionError(f"after a fault at call {at}, {injector.where}") from error
