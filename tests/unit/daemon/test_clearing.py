"""`clear` on the control socket: what has to be said, and what is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from p4alg.config.errors import UsageError
from p4alg.daemon.clearing import Clearing
from p4alg.daemon.plain import PlainViews
from p4alg.engine.actions import Action, LogRecord
from p4alg.engine.organisations import Organisations
from p4alg.engine.settings import Timers
from tests.unit.daemon.test_plain import KNOWN, switch_with_a_flow
from tests.unit.engine.harness import settings


class Bench:
    """The command on an engine that knows nothing, and a switch with one plain flow."""

    def __init__(self, **options: Any) -> None:
        self.target = switch_with_a_flow(**options)
        self.done: list[Action] = []
        self.engine = Organisations((settings(),), random.Random(1))

        def clock() -> float:
            return 5000.0

        plain = PlainViews(self.target, Timers(), lambda: KNOWN, clock)
        self.clearing = Clearing(self.engine, self.target, plain, self._perform, clock)

    def _perform(self, actions: Sequence[Action]) -> None:
        self.done += actions

    async def clear(self, what: str, whose: str | None = None, **request: Any) -> dict[str, Any]:
        return await self.clearing.clear({"what": what, **request}, whose)

    @property
    def logged(self) -> list[str]:
        return [action.text for action in self.done if isinstance(action, LogRecord)]


def run(body: Callable[[Bench], Awaitable[None]], **options: Any) -> None:
    async def whole() -> None:
        await body(Bench(**options))

    asyncio.run(asyncio.wait_for(whole(), 10))


@pytest.mark.parametrize(
    ("what", "request_", "reason"),
    [
        ("sessions", {}, "say which sessions: by an option such as --address, or --all"),
        ("sessions", {"select": {}}, "say which sessions"),
        ("sessions", {"select": {"sort": "age"}}, "has no order"),
        ("sessions", {"select": {"limit": 3, "proto": "udp"}}, "has no order"),
        ("sessions", {"select": {"nosuch": "x"}}, "can be selected by"),
        ("sessions", {"select": "all"}, "a selection must be an object"),
        ("pinholes", {"select": {"kind": "x"}}, "leave out 'kind'"),
        ("algs", {"all": True}, "'algs' cannot be cleared"),
        ("nosuch", {"all": True}, "'nosuch' cannot be cleared"),
    ],
)
def test_a_request_that_does_not_say_what_is_refused_and_changes_nothing(
    what: str, request_: dict[str, Any], reason: str
) -> None:
    async def body(bench: Bench) -> None:
        before = {name: dict(held) for name, held in bench.target.cells.items()}
        with pytest.raises(UsageError, match=reason):
            await bench.clear(what, **request_)
        assert (bench.target.cells, bench.done) == (before, [])

    run(body)


@pytest.mark.parametrize("what", ["sessions", "bindings"])
def test_plain_flows_are_cleared_in_the_switch_and_the_log_says_so(what: str) -> None:
    async def body(bench: Bench) -> None:
        wanted: dict[str, Any] = {"select": {"inside": "10.0.0.11"}}
        told = await bench.clear(what, dry_run=True, **wanted)
        # The configuration of the test has a port forwarded to this host.
        kept = 1 if what == "bindings" else 0
        assert told == {"cleared": 1, "kept": kept, "in_switch": 1}
        assert bench.logged == []
        assert await bench.clear(what, **wanted) == told
        assert bench.logged == [f"audit: cleared {what}: 1 (inside=10.0.0.11)"]
        assert (await bench.clear(what, all=True))["cleared"] == 0

    def started(bench: Bench) -> Awaitable[None]:
        bench.engine.start([], 5000.0)
        return body(bench)

    run(started)


def test_a_switch_without_registers_says_what_is_not_done() -> None:
    async def body(bench: Bench) -> None:
        told = await bench.clear("sessions", all=True)
        assert told["in_switch"] is None
        why = "this switch does not let registers be read"
        assert told["note"] == f"plain flows are not cleared: {why}"
        # No plain flow has an ALG, or is of another kind.
        for what, select in (("sessions", {"alg": "ftp"}), ("bindings", {"kind": "dynamic"})):
            assert await bench.clear(what, select=select) == {
                "cleared": 0,
                "kept": 0,
                "in_switch": 0,
            }

    run(body, lacks=["registers"])


def test_counters_of_both_begin_again_and_those_of_the_switch_are_nobodys_in_particular() -> None:
    async def body(bench: Bench) -> None:
        (engine,) = bench.engine._engines.values()
        engine.count("nat.one")
        bench.target.counted = {"switch.drops.ttl": 4, "switch.punts.arp": 2}
        told = await bench.clear("counters", select={"name": "*.ttl"})
        assert told == {"cleared": 1, "kept": 0, "in_switch": 1}
        assert bench.target.counted == {"switch.punts.arp": 2}
        assert (await bench.clear("counters", "default", all=True))["cleared"] == 1
        assert bench.target.counted == {"switch.punts.arp": 2}
        told = await bench.clear("counters", all=True)
        assert (told["cleared"], bench.target.counted) == (1, {})

    run(body)
