"""The controller on a target in memory: what it says of what is missing, lost, or left undone."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from p4alg.config import loader
from p4alg.config.errors import UserError
from p4alg.config.switch import Switch
from p4alg.daemon import metrics
from p4alg.daemon.app import MAX_EVENTS, App
from p4alg.daemon.metrics import Snapshot
from p4alg.engine import tables as t
from p4alg.engine.actions import LogRecord, TraceRecord
from p4alg.engine.organisations import Organisations
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
    control = loader.Control(folder / "control.sock", folder / "revisions")
    whole = loader.Config(Switch(GRPC), control, config.organisations)

    async def both() -> None:
        made = target()
        app = App(whole, Organisations(whole.organisations, random.Random(1)), made)
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
    assert "warning: this switch does not report idle entries; instead" in lines[0]
    assert "warning: this switch sends no digests; instead" in lines[1]


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


def app(folder: Path, target: MemoryTarget) -> App:
    config = loader.read(EXAMPLE)
    control = loader.Control(folder / "control.sock", folder / "revisions")
    whole = loader.Config(Switch(GRPC), control, config.organisations)
    return App(whole, Organisations(whole.organisations, random.Random(1)), target)


def command(made: App, **request: object) -> dict[str, Any]:
    return asyncio.run(made.command(request))


def made_with(folder: Path, *, lost: bool = False) -> App:
    async def make() -> App:
        target = MemoryTarget()
        if lost:
            target.lose("the connection broke")
        return app(folder, target)

    return asyncio.run(make())


def test_a_command_that_needs_the_switch_says_that_it_is_lost(tmp_path: Path) -> None:
    made = made_with(tmp_path, lost=True)
    for what in ("switch", "counters"):
        reply = command(made, command="show", what=what)
        assert (reply["ok"], reply["status"]) == (False, 1)
        assert reply["error"] == f"{GRPC}: the connection broke"
    assert command(made, command="show", what="algs")["ok"]


def test_rule_10_a_fault_in_a_command_costs_that_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def boom(*_: object) -> None:
        raise RuntimeError("boom")

    made = made_with(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(made._engine, "show", boom)
        reply = command(made, command="show", what="algs")
    assert (reply["ok"], reply["status"]) == (False, 1)
    assert reply["error"] == "that failed inside the controller: see 'p4alg show events'"
    (event,) = command(made, command="show", what="events")["result"]
    assert event["level"] == "error"
    assert event["text"].startswith("fault: command show: RuntimeError: boom (")
    assert event["text"] in capfd.readouterr().err
    assert command(made, command="show", what="algs")["ok"]


def test_the_log_goes_on_when_nobody_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = made_with(tmp_path)
    closed = (tmp_path / "log").open("w", encoding="utf-8")
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)
    made.record(LogRecord(logging.WARNING, "it"))
    assert [row["text"] for row in command(made, command="show", what="events")["result"]] == ["it"]


def test_what_a_peer_chose_cannot_write_to_the_terminal_or_begin_a_line_of_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = made_with(tmp_path)
    made.record(LogRecord(logging.WARNING, "refused: \x1b[2J\u202ex\n2026-11-25 info: forged"))
    (event,) = command(made, command="show", what="events")["result"]
    assert event["text"] == "refused: \\x1b[2J\\u202ex\\n2026-11-25 info: forged"
    assert capfd.readouterr().err.endswith(f"warning: {event['text']}\n")


def test_events_are_bounded_and_the_latest_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made = made_with(tmp_path)
    for number in range(MAX_EVENTS + 5):
        made.record(LogRecord(logging.INFO, str(number)))
    texts = [row["text"] for row in command(made, command="show", what="events")["result"]]
    assert texts == [str(number) for number in range(5, MAX_EVENTS + 5)]


TRACE = TraceRecord(
    *(1.0, "ftp", "10.0.0.11:1", "198.51.100.11:21", "client", 0x0A00000B, "rewritten"),
    *("PORT", b"\x00\xff", b"b", ("tcp a -> b",), "why"),
)


def test_metrics_are_those_of_the_views(tmp_path: Path) -> None:
    async def body() -> Snapshot:
        target = MemoryTarget()
        made = app(tmp_path, target)
        return await made.snapshot()

    told = asyncio.run(body())
    assert {row["name"]: row["enabled"] for row in told.algs}["ftp"] is True
    assert (told.program, told.subscribers, told.unfinished) == ("standard", 0, 0)
    assert list(metrics.families(told))


def test_G3_a_trace_is_given_to_who_asked_for_it_every_byte_as_a_character(tmp_path: Path) -> None:
    async def body() -> dict[str, Any]:
        made = app(tmp_path, MemoryTarget())
        made.record(TRACE)
        follower = made.traces.follow()
        first = asyncio.ensure_future(anext(follower))
        await asyncio.sleep(0)
        made.record(TRACE)
        row = await first
        await follower.aclose()  # type: ignore[attr-defined]
        return row

    row = asyncio.run(body())
    assert row.pop("time").endswith("+00:00")
    assert row == {
        "alg": "ftp",
        "client": "10.0.0.11:1",
        "server": "198.51.100.11:21",
        "sender": "client",
        "inside": "10.0.0.11",
        "verdict": "rewritten",
        "reason": "why",
        "summary": "PORT",
        "before": "\x00\xff",
        "after": "b",
        "pinholes": ["tcp a -> b"],
        "organisation": "default",
    }
