"""A switch whose program keeps next hops in two tables and wants to be told the time."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from typing import Any

import finsy as fy
import pytest

from p4alg.driver.artifacts import Artifacts
from p4alg.driver.p4runtime import target as p4runtime
from p4alg.driver.p4runtime.connection import connect
from p4alg.driver.p4runtime.program import time_of
from p4alg.driver.p4runtime.target import P4RuntimeTarget
from p4alg.driver.target import TargetError
from p4alg.engine import tables as t
from p4alg.engine.tables import Op, Update
from p4softswitch.p4rt import write
from p4softswitch.p4rt.codes import INTERNAL, RpcError
from p4softswitch.server import Server, Settings
from tests.split_program import NEIGHBOURS, build

pytestmark = [
    pytest.mark.p4c,
    pytest.mark.skipif(shutil.which("p4c-bm2-ss") is None, reason="p4c-bm2-ss is not on PATH"),
]

Body = Callable[[P4RuntimeTarget], Awaitable[None]]
REST = 900


def hop(number: int, mtu: int = 1500) -> t.NextHop:
    return t.NextHop(number, 2, 100, 0x020000000002, 0x020000000099, mtu)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return build(tmp_path_factory.mktemp("split"))


@pytest.fixture
def on_switch(program: Artifacts, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs each body with a controller of its own, one after the other on one switch."""
    monkeypatch.setattr(p4runtime, "_CLOCK_SECONDS", 0.01)

    def run(*bodies: Body) -> None:
        async def whole() -> None:
            switch = Server(Settings([], "127.0.0.1:0"))
            await switch.start()
            try:
                for body in bodies:
                    async with connect(f"127.0.0.1:{switch.grpc_port}", 1, program) as target:
                        await body(target)
            finally:
                await switch.stop()

        asyncio.run(asyncio.wait_for(whole(), 30))

    return run


async def tables(target: P4RuntimeTarget) -> dict[str, int]:
    """How many next hops and neighbours the switch has."""
    told: Any = (await target.state())["tables"]
    return {name: told[name]["entries"] for name in ("next_hop", "neighbour")}


def test_next_hops_are_written_changed_read_and_deleted_whole(
    on_switch: Callable[..., None],
) -> None:
    async def body(target: P4RuntimeTarget) -> None:
        assert await target.write([Update(Op.INSERT, hop(n)) for n in (1, 2)]) == {}
        assert await target.write([Update(Op.MODIFY, hop(2, 1400))]) == {}
        found = await target.read_entries()
        assert sorted(found, key=repr) == [hop(1), hop(2, 1400)]
        assert await target.write([Update(Op.DELETE, hop(1))]) == {}
        assert await target.read_entries() == [hop(2, 1400)]
        assert await tables(target) == {"next_hop": 1, "neighbour": 1}

    on_switch(body)


def test_of_a_next_hop_of_which_a_part_is_refused_nothing_is_left(
    on_switch: Callable[..., None],
) -> None:
    async def body(target: P4RuntimeTarget) -> None:
        many = [Update(Op.INSERT, hop(n)) for n in range(1, NEIGHBOURS + 2)]
        refused = await target.write([*many, Update(Op.INSERT, t.Local(1))])
        assert list(refused) == [NEIGHBOURS]
        assert refused[NEIGHBOURS].startswith("RESOURCE_EXHAUSTED")
        assert await tables(target) == {"next_hop": NEIGHBOURS, "neighbour": NEIGHBOURS}
        again = await target.write([Update(Op.INSERT, hop(1))])
        assert again[0].startswith("ALREADY_EXISTS")
        assert hop(1) in await target.read_entries()

    on_switch(body)


def test_half_a_next_hop_of_a_controller_that_was_killed_is_removed(
    on_switch: Callable[..., None],
) -> None:
    async def killed(target: P4RuntimeTarget) -> None:
        entity = target._program.neighbour(hop(7), whole=True)
        await target._switch.insert([fy.P4TableEntry.decode(entity, target._switch.p4info)])
        assert await tables(target) == {"next_hop": 0, "neighbour": 1}

    async def body(target: P4RuntimeTarget) -> None:
        assert await target.read_entries() == []
        assert await tables(target) == {"next_hop": 0, "neighbour": 0}

    on_switch(killed, body)


async def told(target: P4RuntimeTarget) -> int:
    """The tick that the switch was told last."""
    async for wire in target._read(target._program.clock_read()):
        return time_of(wire)
    raise AssertionError("no clock")


def test_time_is_told_again_and_again_and_goes_on_with_the_next_controller(
    on_switch: Callable[..., None],
) -> None:
    last = 0

    async def first(target: P4RuntimeTarget) -> None:
        nonlocal last
        gateway = t.Gateway(REST, t.FilterMode.ADDRESS)
        assert await target.write([Update(Op.MODIFY, gateway)]) == {}
        while (last := await told(target)) <= REST + 2:
            await asyncio.sleep(0.02)

    async def second(target: P4RuntimeTarget) -> None:
        assert await told(target) >= last
        while await told(target) == last:
            await asyncio.sleep(0.02)

    on_switch(first, second)


def test_a_switch_that_does_not_take_the_time_any_more_is_lost(
    on_switch: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RpcError(INTERNAL, "no more")

    async def body(target: P4RuntimeTarget) -> None:
        monkeypatch.setattr(write.Writer, "_default", refuse)
        assert "does not take the time any more" in await target.lost()
        with pytest.raises(TargetError):
            await target.write([Update(Op.INSERT, t.Local(1))])

    on_switch(body)
