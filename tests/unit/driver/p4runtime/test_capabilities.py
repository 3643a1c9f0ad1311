"""What a P4Runtime switch cannot do is found out when it is made ready, and done without."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from p4alg.artifacts import shipped
from p4alg.driver.artifacts import Artifacts
from p4alg.driver.gauges import Meter, Rate
from p4alg.driver.p4runtime.connection import connect
from p4alg.driver.p4runtime.target import P4RuntimeTarget
from p4alg.driver.p4runtime.trial import TRIAL
from p4alg.driver.target import TargetError
from p4alg.engine import tables as t
from p4alg.engine.tables import Op, Update
from p4softswitch.p4rt import write
from p4softswitch.p4rt.codes import INTERNAL, RESOURCE_EXHAUSTED, UNIMPLEMENTED, RpcError
from p4softswitch.p4rt.lacking import Part
from p4softswitch.server import Server, Settings

METERS = [Meter("punt_meter", 1, Rate(100, 50))]


def on_switch(
    artifacts: Artifacts,
    body: Callable[[P4RuntimeTarget], Awaitable[None]],
    lacks: frozenset[Part] = frozenset(),
) -> None:
    async def whole() -> None:
        switch = Server(Settings([], "127.0.0.1:0", lacks=lacks))
        await switch.start()
        try:
            async with connect(f"127.0.0.1:{switch.grpc_port}", 1, artifacts, METERS) as target:
                await body(target)
        finally:
            await switch.stop()

    asyncio.run(asyncio.wait_for(whole(), 20))


def answering(code: int) -> Callable[..., None]:
    def refuse(*_: Any) -> None:
        raise RpcError(code, "not on this switch")

    return refuse


@pytest.mark.parametrize(
    ("part", "digests", "punt_meters"), [("_digest", False, True), ("_meter", True, False)]
)
def test_what_the_switch_does_not_implement_is_a_missing_capability(
    monkeypatch: pytest.MonkeyPatch, part: str, digests: bool, punt_meters: bool
) -> None:
    monkeypatch.setattr(write.Writer, part, answering(UNIMPLEMENTED))

    async def body(target: P4RuntimeTarget) -> None:
        able = target.capabilities
        assert (able.digests, able.punt_meters) == (digests, punt_meters)
        assert await target.write([Update(Op.INSERT, t.Local(1))]) == {}

    on_switch(shipped(), body)


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        (Part.IDLE_TIMEOUTS, {"idle_timeouts"}),
        (Part.REGISTERS, {"registers", "register_writes"}),
        (Part.DIGESTS, {"digests"}),
        (Part.METERS, {"punt_meters"}),
        (Part.COUNTERS, {"counters"}),
        (Part.DIRECT_COUNTERS, {"direct_counters"}),
    ],
)
def test_what_a_switch_does_without_is_found_out_and_what_is_tried_leaves_nothing(
    part: Part, missing: set[str]
) -> None:
    async def body(target: P4RuntimeTarget) -> None:
        able = asdict(target.capabilities)
        assert {name for name, value in able.items() if value is False} == missing
        assert await target.read_entries() == []
        assert await target.counters() == {}
        assert await target.traffic() == {}
        session = t.Session(t.FlowKey(6, 1, 2, 3, 4), 1, idle_timeout=60.0)
        assert await target.write([Update(Op.INSERT, session)]) == {}

    on_switch(shipped(), body, frozenset({part}))


def test_idle_timeouts_may_be_refused_instead_of_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = write.Writer._table

    def refuse(self: write.Writer, kind: int, message: Any, now: int) -> None:
        if message.idle_timeout_ns:
            raise RpcError(UNIMPLEMENTED, "no entry ages")
        table(self, kind, message, now)

    monkeypatch.setattr(write.Writer, "_table", refuse)

    async def body(target: P4RuntimeTarget) -> None:
        assert target.capabilities.polls
        session = t.Session(t.FlowKey(6, 1, 2, 3, 4), 1, idle_timeout=60.0)
        assert await target.write([Update(Op.INSERT, session)]) == {}

    on_switch(shipped(), body)


def test_a_switch_with_a_full_table_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    table = write.Writer._table

    def refuse(self: write.Writer, kind: int, message: Any, now: int) -> None:
        if kind == write.INSERT:
            raise RpcError(RESOURCE_EXHAUSTED, "full")
        table(self, kind, message, now)

    monkeypatch.setattr(write.Writer, "_table", refuse)

    async def body(target: P4RuntimeTarget) -> None:
        able = target.capabilities
        assert (able.idle_timeouts, able.direct_counters) == (True, True)
        refused = await target.write([Update(Op.INSERT, t.Local(1))])
        assert refused == {0: "RESOURCE_EXHAUSTED: full"}

    on_switch(shipped(), body)


def test_registers_may_be_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write.Writer, "_register", answering(UNIMPLEMENTED))

    async def body(target: P4RuntimeTarget) -> None:
        able = target.capabilities
        assert (able.registers, able.register_writes) == (True, False)

    on_switch(shipped(), body)


def test_what_was_tried_by_a_controller_that_was_killed_is_no_hindrance() -> None:
    async def whole() -> None:
        switch = Server(Settings([], "127.0.0.1:0"))
        await switch.start()
        address = f"127.0.0.1:{switch.grpc_port}"
        try:
            async with connect(address, 1, shipped(), METERS) as target:
                assert await target.write([Update(Op.INSERT, TRIAL)]) == {}
            async with connect(address, 1, shipped(), METERS) as target:
                assert target.capabilities.idle_timeouts
                assert await target.read_entries() == []
        finally:
            await switch.stop()

    asyncio.run(asyncio.wait_for(whole(), 20))


def test_a_switch_that_fails_at_it_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write.Writer, "_meter", answering(INTERNAL))

    async def body(target: P4RuntimeTarget) -> None:
        raise AssertionError("connected")

    with pytest.raises(TargetError) as caught:
        on_switch(shipped(), body)
    assert "cannot prepare the switch (" in str(caught.value)
    assert "\n" not in str(caught.value)


def without_ageing(folder: Path) -> Artifacts:
    """The shipped program as compiled for an architecture whose tables do not age."""
    program, p4info = (
        Path(shutil.copy(path, folder)) for path in (shipped().program, shipped().p4info)
    )
    text, changes = re.subn(r" *idle_timeout_behavior: NOTIFY_CONTROL\n", "", p4info.read_text())
    assert changes == 4
    p4info.write_text(text)
    total = hashlib.sha256()
    for path in (program, p4info):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    manifest = {"artifacts_sha256": total.hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Artifacts(program, p4info)


def test_entries_go_without_timeout_to_a_switch_whose_tables_do_not_age(tmp_path: Path) -> None:
    session = t.Session(t.FlowKey(6, 1, 2, 3, 4), 1, idle_timeout=60.0)

    async def body(target: P4RuntimeTarget) -> None:
        assert not target.capabilities.idle_timeouts
        assert await target.write([Update(Op.INSERT, session)]) == {}
        (held,) = await target.read_entries()
        assert isinstance(held, t.Session)
        assert (held.flow, held.alg_id, held.idle_timeout) == (session.flow, 1, 0.0)

    on_switch(without_ageing(tmp_path), body)
