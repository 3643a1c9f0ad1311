"""Every target keeps the same contract: that in memory, and a P4Runtime switch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from p4alg.artifacts import shipped
from p4alg.driver.p4runtime.connection import connect
from p4alg.driver.target import Target, TargetError, Traffic
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.capabilities import shortcomings
from p4alg.engine.reconcile import entry_key
from p4alg.engine.tables import Op, Update
from p4softswitch.server import Server, Settings
from tests.unit.driver.memory import ABLE, MemoryTarget

FLOW = t.FlowKey(17, 0x0A00000B, 40000, 0xC6336416, 53)
IN_PORT = t.Port(1, 0, 1, t.Side.INSIDE, 0x020000000001)
ARP = b"\xff" * 6 + b"\x02" * 6 + b"\x08\x06" + bytes(46)


@asynccontextmanager
async def in_memory() -> AsyncIterator[Target]:
    yield MemoryTarget()


@asynccontextmanager
async def p4runtime() -> AsyncIterator[Target]:
    switch = Server(Settings([], "127.0.0.1:0"))
    await switch.start()
    try:
        async with connect(f"127.0.0.1:{switch.grpc_port}", 1, shipped()) as target:
            yield target
    finally:
        await switch.stop()


Body = Callable[[Target], Awaitable[None]]


@pytest.fixture(params=[in_memory, p4runtime])
def on_target(request: pytest.FixtureRequest) -> Callable[[Body], None]:
    def run(body: Body) -> None:
        async def whole() -> None:
            async with request.param() as target:
                await body(target)

        asyncio.run(asyncio.wait_for(whole(), 20))

    return run


def test_entries_are_read_back_as_they_were_written(on_target: Callable[[Body], None]) -> None:
    entries: list[t.Entry] = [
        IN_PORT,
        t.Session(FLOW, 3, t.SessionFlags.WATCH_OUTSIDE, 60.0, 524),
        t.PinholeEntry(17, 0x0A00000B, 40001, None, None, 8, alg_id=2),
        t.Sequence(FLOW, t.Correction(0xFFFFFFF0, -3, 2), t.Correction(5, 0, 0)),
        t.Route(0, 0, 3),
        t.Policy(10, t.PolicyAction.EXEMPT, side=(0, 1)),
    ]

    async def body(target: Target) -> None:
        assert await target.write([Update(Op.INSERT, entry) for entry in entries]) == {}
        assert set(map(repr, await target.read_entries())) == set(map(repr, entries))

    on_target(body)


def test_a_refused_update_is_told_and_the_others_are_made(
    on_target: Callable[[Body], None],
) -> None:
    async def body(target: Target) -> None:
        refused = await target.write(
            [
                Update(Op.INSERT, t.Local(1)),
                Update(Op.DELETE, t.Local(2)),
                Update(Op.INSERT, t.Local(1)),
                Update(Op.MODIFY, t.Route(0, 0, 1)),
                Update(Op.INSERT, t.Local(3)),
            ]
        )
        assert sorted(refused) == [1, 2, 3]
        assert refused[1].startswith("NOT_FOUND")
        assert refused[2].startswith("ALREADY_EXISTS")
        assert all("\n" not in reason for reason in refused.values())
        assert set(await target.read_entries()) == {t.Local(1), t.Local(3)}

    on_target(body)


def test_an_update_that_fits_no_field_fails_alone(on_target: Callable[[Body], None]) -> None:
    async def body(target: Target) -> None:
        too_wide = t.Port(1 << 16, 0, 1, t.Side.INSIDE, 0)
        refused = await target.write(
            [
                Update(Op.INSERT, t.Local(1)),
                Update(Op.INSERT, too_wide),
                Update(Op.INSERT, t.Local(2)),
            ]
        )
        assert list(refused) == [1]
        assert refused[1].startswith("INVALID_ARGUMENT: table port_zone: ")
        assert set(await target.read_entries()) == {t.Local(1), t.Local(2)}

    on_target(body)


def test_a_full_table_refuses_and_the_state_tells_how_full(
    on_target: Callable[[Body], None],
) -> None:
    async def body(target: Target) -> None:
        size = t.Local.declaration.size
        refused = await target.write([Update(Op.INSERT, t.Local(n)) for n in range(size + 1)])
        assert list(refused) == [size]
        state = await target.state()
        assert state["program"] == "p4alg"
        tables = state["tables"]
        assert isinstance(tables, dict)
        assert tables["local_addr"] == {"entries": size, "size": size}
        assert tables["session"] == {"entries": 0, "size": t.Session.declaration.size}

    on_target(body)


def test_a_delete_needs_the_key_only(on_target: Callable[[Body], None]) -> None:
    async def body(target: Target) -> None:
        await target.write([Update(Op.INSERT, t.Session(FLOW, 3, idle_timeout=60.0))])
        assert await target.write([Update(Op.DELETE, t.Session(FLOW))]) == {}
        assert await target.read_entries() == []

    on_target(body)


def test_a_fresh_switch_has_counted_nothing(on_target: Callable[[Body], None]) -> None:
    async def body(target: Target) -> None:
        assert await target.counters() == {}

    on_target(body)


def test_each_host_with_a_block_has_counts_of_its_own(on_target: Callable[[Body], None]) -> None:
    host, outside = 0x0A00000B, 0xCB007101
    entries = [
        t.Subscriber(host, 4711, outside, 4096, 4095, 1, 60.0),
        t.Block(outside, 4096, 20, 4711, host, idle_timeout=60.0),
    ]

    async def body(target: Target) -> None:
        assert target.capabilities.direct_counters
        assert await target.traffic() == {}
        await target.write([Update(Op.INSERT, entry) for entry in entries])
        assert await target.traffic() == {(0, host): Traffic(0, 0, 0, 0)}

    on_target(body)


def test_the_entry_of_a_table_without_key_is_changed_and_never_inserted(
    on_target: Callable[[Body], None],
) -> None:
    entry = t.Gateway(916, t.FilterMode.ADDRESS)

    async def body(target: Target) -> None:
        assert list(await target.write([Update(Op.INSERT, entry)])) == [0]
        assert await target.write([Update(Op.MODIFY, entry)]) == {}

    on_target(body)


def test_what_is_reported_before_anybody_reads_is_kept() -> None:
    async def body() -> None:
        async with p4runtime() as target:
            await target.write([Update(Op.INSERT, IN_PORT)])
            # A packet-out that enters the pipeline is punted like any ARP.
            await target.send([PacketOut(ARP, ingress_port=1)])
            while "switch.punts.arp" not in await target.counters():
                await asyncio.sleep(0.01)
            packets = target.events()[0]
            event = await asyncio.wait_for(anext(packets), 5)
            assert event == ev.PacketIn(1, ev.Reason.ARP, 0, False, ARP)

    asyncio.run(body())


def test_a_switch_that_goes_away_is_lost() -> None:
    async def body() -> None:
        switch = Server(Settings([], "127.0.0.1:0"))
        await switch.start()
        async with connect(f"127.0.0.1:{switch.grpc_port}", 1, shipped()) as target:
            await switch.stop()
            assert await asyncio.wait_for(target.lost(), 5) == "the connection broke"
            with pytest.raises(TargetError):
                await target.write([Update(Op.INSERT, t.Local(1))])
            with pytest.raises(TargetError):
                await target.counters()

    asyncio.run(body())


def test_a_lost_memory_target_answers_nothing() -> None:
    async def body() -> None:
        target = MemoryTarget()
        target.lose("the connection broke")
        assert await target.lost() == "the connection broke"
        with pytest.raises(TargetError, match="the connection broke"):
            await target.read_entries()

    asyncio.run(body())


def test_the_shipped_program_has_what_the_controller_asks_for(
    on_target: Callable[[Body], None],
) -> None:
    async def body(target: Target) -> None:
        assert shortcomings(target.capabilities) == []

    on_target(body)


@pytest.mark.parametrize(
    ("lacks", "told"),
    [
        ("idle_timeouts", "does not report idle entries; instead the controller reads"),
        ("digests", "sends no digests; instead"),
        ("punt_meters", "does not meter punts; instead"),
        ("counters", "does not count punts"),
        ("direct_counters", "does not count the packets of entries; instead"),
        ("registers", "does not let registers be read; instead"),
        ("register_writes", "does not let registers be written; instead"),
    ],
)
def test_what_a_target_lacks_is_told_in_a_line(lacks: str, told: str) -> None:
    (line,) = shortcomings(replace(ABLE, **{lacks: False}))
    assert told in line
    assert "\n" not in line


def test_without_packet_counters_nothing_tells_idle_entries() -> None:
    able = replace(ABLE, idle_timeouts=False, direct_counters=False)
    first, second = shortcomings(able)
    assert not able.polls
    assert "neither reports idle entries nor counts" in first
    assert "show subscribers" in second


def test_fewer_numbers_are_told() -> None:
    (line,) = shortcomings(replace(ABLE, highest_number=8191))
    assert "above 8191" in line


def test_the_packets_of_entries_are_told_by_their_keys(on_target: Callable[[Body], None]) -> None:
    session, host = t.Session(FLOW, 3, idle_timeout=60.0), t.Subscriber(1, 7)

    async def body(target: Target) -> None:
        updates = [Update(Op.INSERT, entry) for entry in (session, host, t.Local(1))]
        assert await target.write(updates) == {}
        found = await target.packets({t.Session, t.Block})
        assert found == {entry_key(session): 0}

    on_target(body)
