"""A packet is followed with the state of another switch, which it does not change."""

from __future__ import annotations

import random
from typing import Any

import pytest

from p4softswitch.executor.compiler import translate
from p4softswitch.p4rt.codes import NOT_FOUND, RpcError
from p4softswitch.p4rt.proto import p4r
from p4softswitch.program.bmv2_json import load_program
from p4softswitch.state.entry import Exact
from p4softswitch.tracing import (
    Assigned,
    Cell,
    Follower,
    Lookup,
    Parsed,
    Sent,
    Stage,
    Step,
    UnreadableError,
)

from .helpers import SECOND, Bench, config, program_text, udp_frame, update
from .stateful_compare import CLAIM, LOOKUP, PEEK, POKE, ROUND, SESSION, request


class Source:
    """Reads a bench as a client would, and counts what was asked for."""

    def __init__(self, bench: Bench, registers: bool = True) -> None:
        self.bench = bench
        self.registers = registers
        self.asked: list[str] = []

    def read(self, entity: Any) -> list[Any]:
        kind = entity.WhichOneof("entity")
        self.asked.append(kind)
        if kind == "register_entry" and not self.registers:
            raise UnreadableError("there is no register access")
        try:
            return list(self.bench.controller.read(entity))
        except RpcError as error:
            if error.code != NOT_FOUND:
                raise
            return []


def sent(steps: list[Step]) -> list[tuple[int, bytes]]:
    return [(step.port, step.frame) for step in steps if isinstance(step, Sent)]


def everything(bench: Bench) -> list[Any]:
    """All cells of all registers, and all entries with their counters."""
    entry = p4r.TableEntry(counter_data=p4r.CounterData())
    found = list(bench.controller.read(p4r.Entity(table_entry=entry)))
    return found + list(bench.controller.read(p4r.Entity(register_entry=p4r.RegisterEntry())))


def packet(rng: random.Random) -> bytes:
    """A request of the test program that meets what earlier ones have left."""
    op = rng.choice((CLAIM, SESSION, PEEK, POKE, ROUND, LOOKUP))
    few = rng.randrange(4)
    wide = 0x0102030405060708090A + few
    return request(
        op, tag=few, index=few, number=few, wide=wide, bits=few, crc16=rng.getrandbits(9)
    )


def test_what_leaves_is_what_the_switch_sends_and_nothing_is_changed_there() -> None:
    message, rng = config(name="stateful"), random.Random(5)
    bench = Bench(message=message)
    prefix = bench.table_entry(
        "prefix",
        "found",
        (b"\7",),
        match={
            1: ("lpm", {"value": b"\0\0\0\2", "prefix_len": 31}),
            2: ("exact", {"value": b"\2"}),
        },
    )
    settings = bench.table_entry("settings", "set_rest", (b"\2",), is_default_action=True)
    bench.controller.write(update("INSERT", table_entry=prefix))
    bench.controller.write(update("MODIFY", table_entry=settings))
    start = bench.now
    bench.receive(1, packet(rng))
    for _ in range(40):
        bench.now += rng.randrange(SECOND)
        frame, before = packet(rng), everything(bench)
        steps = Follower(message, Source(bench)).follow(1, frame, bench.now - start)
        assert everything(bench) == before
        assert sent(steps) == bench.receive(1, frame)


def test_a_followed_packet_changes_nothing_for_the_next_one() -> None:
    message = config(name="stateful")
    follower = Follower(message, Source(Bench(message=message)))
    frame = request(SESSION, index=3, number=9, wide=7, bits=1)
    first = follower.follow(1, frame, SECOND)
    assert [s for s in first if isinstance(s, Cell) and s.written]
    assert follower.follow(1, frame, SECOND) == first


def test_it_tells_states_tables_entries_and_where_fields_get_their_values() -> None:
    bench = Bench()
    bench.controller.write(update("INSERT", table_entry=bench.dmac(0x0200_0000_0002, 3)))
    source = Source(bench)
    steps = Follower(config(), source).follow(1, udp_frame(dmac=0x0200_0000_0002), SECOND)
    (parsed,) = [s for s in steps if isinstance(s, Parsed)]
    assert parsed.states[0] == "start"
    assert parsed.error == ""
    (dmac,) = [s for s in steps if isinstance(s, Lookup) and s.table.endswith("dmac")]
    assert dmac.hit
    assert dmac.entry == (Exact(0x0200_0000_0002),)
    assert dmac.action.endswith("forward")
    assert [arg.value for arg in dmac.args] == [3]
    stages = [(s.name, s.value) for s in steps if isinstance(s, Stage)]
    assert stages == [("ingress", 1), ("egress", 3)]
    assert any("egress_spec" in s.where and s.value == 3 for s in steps if isinstance(s, Assigned))
    assert [port for port, _ in sent(steps)] == [3]


def test_a_miss_is_told_with_the_default_action() -> None:
    steps = Follower(config(), Source(Bench())).follow(1, udp_frame(dmac=0x99), SECOND)
    (dmac,) = [s for s in steps if isinstance(s, Lookup) and s.table.endswith("dmac")]
    assert not dmac.hit
    assert dmac.entry == ()
    assert [field.value for field in dmac.key] == [0x99]


def test_without_access_to_registers_cells_count_as_never_used() -> None:
    message = config(name="stateful")
    bench = Bench(message=message)
    frame = request(PEEK, index=3)
    bench.receive(1, request(SESSION, index=3, number=9, wide=7, bits=1))
    source = Source(bench, registers=False)
    follower = Follower(message, source)
    steps = follower.follow(1, frame, SECOND)
    assert not follower.registers_are_known
    assert {s.value for s in steps if isinstance(s, Cell)} == {0}
    assert source.asked.count("register_entry") == 1


@pytest.mark.parametrize("name", ["l2switch", "stateful"])
def test_code_without_reports_has_none_of_it(name: str) -> None:
    program = load_program(program_text(name))
    plain, told = translate(program), translate(program, reports=True)
    assert "P4_REPORT" not in plain.source
    assert plain.points == ()
    assert told.source.count("P4_REPORT") >= len(told.points) - 8
