"""Registers are read from every target alike: that in memory, and the embedded switch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import finsy as fy
import pytest

from p4alg.artifacts import shipped
from p4alg.driver.p4runtime import registers
from p4alg.driver.p4runtime.connection import connect
from p4alg.driver.target import Target, TargetError
from p4alg.engine import cells
from p4alg.engine.capabilities import shortcomings
from p4alg.engine.cells import Key
from p4softswitch.p4rt.codes import INTERNAL, UNIMPLEMENTED, RpcError
from p4softswitch.p4rt.read import Reader
from p4softswitch.server import Server, Settings
from tests.unit.driver.memory import MemoryTarget

Cells = Mapping[str, Mapping[int, int]]
LAST = cells.SESSION_CELL.cells - 1
HELD: Cells = {
    "session_cell": {0: 1, 7: (1 << 80) - 1, 500: 0x1234, LAST: 1 << 79},
    "fragment_cell": {3: (1 << 192) - 1},
}


@asynccontextmanager
async def in_memory(held: Cells) -> AsyncIterator[Target]:
    target = MemoryTarget()
    for name, values in held.items():
        target.cells[name] |= values
    yield target


@asynccontextmanager
async def p4runtime(held: Cells) -> AsyncIterator[Target]:
    switch = Server(Settings([], "127.0.0.1:0"))
    await switch.start()
    try:
        async with connect(f"127.0.0.1:{switch.grpc_port}", 1, shipped(), []) as target:
            executor = switch.switch.executor
            assert executor is not None
            for name, values in held.items():
                for index, value in values.items():
                    executor.state.registers[name].write(index, value)
            yield target
    finally:
        await switch.stop()


Body = Callable[[Target], Awaitable[None]]
Run = Callable[[Body], None]


@pytest.fixture(params=[in_memory, p4runtime])
def on_target(request: pytest.FixtureRequest) -> Run:
    def run(body: Body) -> None:
        async def whole() -> None:
            async with request.param(HELD) as target:
                await body(target)

        asyncio.run(asyncio.wait_for(whole(), 20))

    return run


async def read(target: Target, name: str, wanted: list[int] | None = None) -> dict[int, int]:
    found: dict[int, int] = {}
    async for part in target.read_registers(name, wanted):
        found |= part
    return found


def test_the_arrays_are_known_by_name_and_size(on_target: Run) -> None:
    async def body(target: Target) -> None:
        assert target.capabilities.registers
        assert target.arrays == {array.name: array.cells for array in cells.ARRAYS}
        assert shortcomings(target.capabilities) == []

    on_target(body)


def test_all_cells_that_hold_something_are_read(on_target: Run) -> None:
    async def body(target: Target) -> None:
        assert await read(target, "session_cell") == HELD["session_cell"]
        assert await read(target, "fragment_cell") == HELD["fragment_cell"]

    on_target(body)


def test_cells_are_read_that_are_asked_for(on_target: Run) -> None:
    async def body(target: Target) -> None:
        assert await read(target, "session_cell", [LAST, 1, 7]) == {LAST: 1 << 79, 7: (1 << 80) - 1}
        assert await read(target, "session_cell", []) == {}
        # More than fit into one request.
        several = list(range(5000))
        held = {index: HELD["session_cell"][index] for index in (0, 7, 500)}
        assert await read(target, "session_cell", several) == held

    on_target(body)


def test_cells_are_picked_by_keys(on_target: Run) -> None:
    async def body(target: Target) -> None:
        async def picked(wanted: list[int] | None, *keys: Key) -> set[int]:
            found: set[int] = set()
            async for part in target.read_registers("session_cell", wanted, keys):
                found |= part.keys()
            return found

        high = Key(1 << 79, 1 << 79)
        assert await picked(None, high) == {7, LAST}
        assert await picked([7, 500], high) == {7}
        assert await picked(None, high, Key(0x1234, 0xFFFF)) == {7, 500, LAST}
        # More of them than a switch is asked for at once.
        assert await picked(None, *(Key(n, 0xFFFF) for n in range(0x1200, 0x1300))) == {500}
        assert await picked(None, Key(2, 0xFFFF)) == set()

    on_target(body)


def test_the_embedded_switch_tells_the_time_of_its_program() -> None:
    async def body() -> None:
        async with p4runtime({}) as target:
            # The clock begins with the first packet, which has not come.
            assert await target.time() == 0

    asyncio.run(asyncio.wait_for(body(), 20))


def test_others_have_their_turn_while_all_cells_are_read(on_target: Run) -> None:
    async def body(target: Target) -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        task = asyncio.create_task(other())
        parts = 0
        async for _ in target.read_registers("fragment_cell"):
            parts += 1
        task.cancel()
        assert turns >= parts - 1

    on_target(body)


async def _exhaust(parts: AsyncIterator[object]) -> None:
    async for _ in parts:
        pass


def answering(code: int) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise RpcError(code, "not on this switch\nand not later")

    return refuse


def test_a_switch_that_cannot_tell_registers_lacks_the_capability(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Reader, "_registers", answering(UNIMPLEMENTED))

    async def whole() -> None:
        async with p4runtime({}) as target:
            assert not target.capabilities.registers
            assert target.arrays["slot_cell"] == cells.SLOT_CELL.cells

    asyncio.run(asyncio.wait_for(whole(), 20))


def test_a_refusal_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    async def whole() -> None:
        async with p4runtime({}) as target:
            monkeypatch.setattr(Reader, "arrays", answering(INTERNAL))
            with pytest.raises(TargetError) as caught:
                await read(target, "slot_cell")
            assert str(caught.value) == "not on this switch"

    asyncio.run(asyncio.wait_for(whole(), 20))


def test_a_switch_that_goes_away_while_it_is_read_is_one_line() -> None:
    async def whole() -> None:
        switch = Server(Settings([], "127.0.0.1:0"))
        await switch.start()
        async with connect(f"127.0.0.1:{switch.grpc_port}", 1, shipped(), []) as target:
            executor = switch.switch.executor
            assert executor is not None
            executor.state.registers["slot_cell"].fill(1)
            parts = aiter(target.read_registers("slot_cell"))
            await anext(parts)
            await switch.stop()
            with pytest.raises(TargetError) as caught:
                await _exhaust(parts)
            assert str(caught.value) == "the connection broke"

    asyncio.run(asyncio.wait_for(whole(), 20))


def test_a_switch_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registers, "ANSWER_SECONDS", 0.2)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def whole() -> None:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TargetError, match="does not answer"):
            await registers.probe(fy.Switch("s", f"127.0.0.1:{port}"), 1)
        server.close()

    asyncio.run(asyncio.wait_for(whole(), 20))


def test_cells_are_written_and_those_beside_them_stay(on_target: Run) -> None:
    async def body(target: Target) -> None:
        await target.write_registers("session_cell", {0: 0, 7: 5, 500: (1 << 80) - 1})
        found: dict[int, int] = {}
        async for part in target.read_registers("session_cell"):
            found.update(part)
        assert found == {7: 5, 500: (1 << 80) - 1, LAST: 1 << 79}

    on_target(body)


def test_counters_are_set_to_0_by_their_names(on_target: Run) -> None:
    async def body(target: Target) -> None:
        await target.clear_counters(["switch.punts.arp", "switch.drops.ttl", "nat.other"])
        assert await target.counters() == {}

    on_target(body)
