"""The controller on a target in memory: what it says of what is missing, lost, or left undone."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from p4alg.config import loader
from p4alg.config.errors import UserError
from p4alg.daemon.app import App
from p4alg.engine import tables as t
from p4alg.engine.engine import Engine
from tests.unit.daemon.peers import EXAMPLE
from tests.unit.driver.memory import MemoryTarget

GRPC = "192.0.2.1:9559"


def run(
    target: Callable[[], MemoryTarget],
    folder: Path,
    body: Callable[[MemoryTarget], Awaitable[None]],
) -> None:
    """Run a controller on `target` until it ends; `body` runs once it is ready."""
    config = loader.read(EXAMPLE)
    control = loader.Control(folder / "control.sock", folder / "state.json")
    whole = loader.Config(loader.Switch(GRPC), control, config.settings)

    async def both() -> None:
        made = target()
        app = App(whole, Engine(whole.settings, random.Random(1)), made)
        serving = asyncio.create_task(app.run())
        while not made.entries and not serving.done():
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        await body(made)
        await serving

    asyncio.run(asyncio.wait_for(both(), 10))


async def stop(target: MemoryTarget) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def lose(target: MemoryTarget) -> None:
    target.lose("the connection broke")


def test_a_target_in_memory_serves_as_well_as_any(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made: list[MemoryTarget] = []

    def target() -> MemoryTarget:
        made.append(MemoryTarget([t.Local(0x01020304)]))
        return made[0]

    run(target, tmp_path, stop)
    held = {entry.declaration.table for entry in made[0].entries.values()}
    assert {"port_zone", "local_addr", "pool", "alg_service"} <= held
    assert t.Local(0x01020304) not in made[0].entries.values()
    said = capfd.readouterr()
    assert f"ready: switch {GRPC}" in said.out
    assert "stopped" in said.out
    assert said.err == ""


def test_what_the_target_lacks_is_announced_at_the_start(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(lambda: MemoryTarget(lacks=["digests", "idle_timeouts"]), tmp_path, stop)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "warning: the switch reports no idle entries" in lines[0]
    assert "warning: the switch sends no digests" in lines[1]


def test_a_lost_switch_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        run(MemoryTarget, tmp_path, lose)
    assert str(caught.value) == (
        f"{GRPC}: lost the switch (the connection broke); start it, then p4alg again"
    )


def test_a_switch_lost_at_the_start_is_one_line_and_what_was_queued_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def target() -> MemoryTarget:
        made = MemoryTarget()
        made.lose_after(1, "the connection broke")
        return made

    async def nothing(target: MemoryTarget) -> None:
        pass

    with pytest.raises(UserError, match="lost the switch"):
        run(target, tmp_path, nothing)
    assert "writes and packets were not carried out" in capfd.readouterr().err
