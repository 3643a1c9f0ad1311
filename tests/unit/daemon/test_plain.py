"""Plain flows are added to views where the switch tells them, and it is said where it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from p4alg.daemon import plain
from p4alg.daemon.plain import PlainViews
from p4alg.daemon.selection import EVERYTHING, parse
from p4alg.driver.target import TargetError
from p4alg.engine.cells import TICK_SECONDS
from p4alg.engine.plain import Known, Owner
from p4alg.engine.settings import Timers
from p4alg.p4constants import TICK_SHIFT
from tests.unit.driver.memory import MemoryTarget
from tests.unit.engine.test_plain import FRESH, HOST, OUTSIDE, UDP_FLOW, UDP_SLOT, Registers

OWN: list[dict[str, object]] = [
    {"address": "10.0.0.11", "inside": "own", "organisation": "default"}
]
KNOWN = Known({7: Owner(HOST, OUTSIDE)}, lambda *_: None, lambda _: False)


def switch_with_a_flow(**options: Any) -> MemoryTarget:
    """A target in memory that holds one plain flow."""
    target, registers = MemoryTarget(**options), Registers()
    registers.session(UDP_FLOW, FRESH)
    registers.slot(UDP_SLOT, FRESH)
    target.cells |= {
        "session_cell": registers.sessions,
        "session_state": registers.session_states,
        "slot_cell": registers.slots,
        "slot_state": registers.slot_states,
    }
    return target


class Bench:
    """Views on a target in memory that holds one plain flow, with a clock of its own."""

    def __init__(self, **options: Any) -> None:
        self.now = 5000.0
        self.target = switch_with_a_flow(**options)
        self.views = PlainViews(self.target, Timers(), lambda: KNOWN, lambda: self.now)


def run(body: Callable[[Bench], Awaitable[None]], **options: Any) -> None:
    async def whole() -> None:
        await body(Bench(**options))

    asyncio.run(asyncio.wait_for(whole(), 10))


def test_plain_flows_come_behind_those_of_the_controller() -> None:
    async def body(bench: Bench) -> None:
        told = await bench.views.add("sessions", OWN)
        assert told["plain_flows"] is True
        assert [row["inside"] for row in told["rows"]] == ["own", "10.0.0.11:5001"]
        told = await bench.views.add("bindings", OWN)
        assert [row["inside"] for row in told["rows"]] == ["own", "10.0.0.11:5001"]
        assert told["rows"][1]["sessions"] == 1
        told = await bench.views.add("subscribers", OWN)
        assert told["rows"] == [{**OWN[0], "plain_bindings": 1, "plain_sessions": 1}]

    run(body)


@pytest.mark.parametrize("what", plain.VIEWS)
def test_a_switch_without_registers_shows_what_the_controller_knows(what: str) -> None:
    async def body(bench: Bench) -> None:
        told = await bench.views.add(what, OWN)
        assert told == {"plain_flows": False, "note": plain.UNREADABLE, "rows": OWN}

    run(body, lacks=["registers"])


def test_a_switch_that_fails_shows_what_the_controller_knows() -> None:
    async def body(bench: Bench) -> None:
        bench.target.lose("the connection broke")
        told = await bench.views.add("sessions", OWN)
        assert told == {
            "plain_flows": False,
            "note": "plain flows are not shown: the connection broke",
            "rows": OWN,
        }

    run(body)


def test_a_switch_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "READ_SECONDS", 0.05)

    async def body(bench: Bench) -> None:
        bench.target.answers.clear()
        told = await bench.views.add("sessions", OWN)
        assert told["note"] == (
            "plain flows are not shown: the switch did not tell its registers in 0.05 s"
        )
        bench.target.answers.set()
        assert (await bench.views.add("sessions", OWN))["plain_flows"] is True

    run(body)


def test_those_who_ask_at_once_are_told_what_was_read_once() -> None:
    async def body(bench: Bench) -> None:
        bench.target.answers.clear()
        asked = [asyncio.create_task(bench.views.add(what, OWN)) for what in plain.VIEWS]
        await asyncio.sleep(0)
        bench.target.answers.set()
        assert all(told["plain_flows"] for told in await asyncio.gather(*asked))
        # What was read a moment ago is not read again, and later on it is.
        bench.target.cells["session_cell"] = {}
        assert len((await bench.views.add("sessions", []))["rows"]) == 1
        bench.now += 2
        assert (await bench.views.add("sessions", []))["rows"] == []

    run(body)


def test_what_is_cleared_is_gone_from_the_registers_and_a_dry_run_changes_nothing() -> None:
    async def body(bench: Bench) -> None:
        cells, udp = bench.target.cells, parse("sessions", {"proto": "udp"})
        before = {name: dict(held) for name, held in cells.items()}
        assert await bench.views.clear("sessions", udp, None, really=False) == 1
        assert cells == before
        other = parse("sessions", {"proto": "tcp"})
        assert await bench.views.clear("sessions", other, None, really=True) == 0
        assert await bench.views.clear("sessions", udp, "red", really=True) == 0
        assert cells == before
        assert await bench.views.clear("sessions", udp, None, really=True) == 1
        for what in ("sessions", "bindings"):
            assert (await bench.views.add(what, []))["rows"] == []

    run(body)


def test_a_mapping_that_is_cleared_takes_its_sessions_along() -> None:
    async def body(bench: Bench) -> None:
        assert await bench.views.clear("bindings", EVERYTHING, None, really=True) == 1
        for what in ("sessions", "bindings"):
            assert (await bench.views.add(what, []))["rows"] == []

    run(body)


def test_a_cell_that_has_become_anothers_is_left_alone() -> None:
    async def body(bench: Bench) -> None:
        flows = bench.target.cells
        (index,) = flows["session_cell"]
        states = dict(flows["session_state"])
        read = bench.target.read_registers

        def taken(name: str, cells: Any = None, keys: Any = ()) -> Any:
            if name == "session_cell" and cells is not None:
                flows["session_cell"][index] += 1
            return read(name, cells, keys)

        bench.target.read_registers = taken  # type: ignore[method-assign]
        await bench.views.clear("sessions", EVERYTHING, None, really=True)
        assert flows["session_state"] == states

    run(body)


def test_a_switch_without_registers_cannot_clear() -> None:
    async def body(bench: Bench) -> None:
        with pytest.raises(TargetError, match="does not let registers be read"):
            await bench.views.clear("sessions", EVERYTHING, None, really=True)

    run(body, lacks=["registers"])


def test_a_switch_that_tells_its_time_is_read_no_further_for_it() -> None:
    async def body(bench: Bench) -> None:
        bench.target.clock = 777 << TICK_SHIFT
        assert await bench.views.ticks() == 777
        assert not bench.target.read
        bench.now += 10
        bench.target.clock = None
        assert await bench.views.ticks() == 777 + int(10 / TICK_SECONDS)
        assert bench.target.read

    run(body)
