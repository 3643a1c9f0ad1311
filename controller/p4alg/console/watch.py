"""Reads from time to time what a controller counts and logs, for plots and for who looks on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from p4alg.config.errors import UserError
from p4alg.console.devices import Device
from p4alg.console.past import Reading

POINT_SECONDS = 5.0
"""How often counters are read."""
TABLES_EACH = 3
"""Tables are read each so many times: all entries are counted for it."""
EVENT_SECONDS = 1.0
"""How often log lines are read while somebody looks at them."""


def now_text() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


async def watch(device: Device) -> None:
    """Keep `device.past` and `device.points` up to date, for ever."""
    tables: Mapping[str, Any] = {}
    turn = 0
    while True:
        try:
            if turn % TABLES_EACH == 0:
                tables = (await device.ask("show", what="switch"))["tables"]
            reading = Reading(
                clock=asyncio.get_running_loop().time(),
                time=now_text(),
                counters=await device.ask("show", what="counters"),
                latency=await device.ask("latency"),
                algs=await device.ask("show", what="algs"),
                tables=tables,
            )
            device.points.publish(device.past.add(reading))
            turn += 1
        except (UserError, KeyError, TypeError, ValueError) as error:
            known = isinstance(error, UserError)
            why = str(error) if known else f"'{device.name}' runs another version of p4alg"
            device.past.interrupt()
            turn = 0
            device.points.publish({"time": now_text(), "error": why})
        await asyncio.sleep(POINT_SECONDS)


async def watch_events(device: Device) -> None:
    """Keep `device.events` up to date while somebody looks at it, for ever."""
    seen: Sequence[Mapping[str, Any]] | None = None
    while True:
        await asyncio.sleep(EVENT_SECONDS)
        if not device.events.wanted:
            seen = None
            continue
        try:
            events = await device.ask("show", what="events")
        except UserError:
            continue
        for event in new_ones(seen, events):
            device.events.publish(event)
        seen = events


def new_ones(
    seen: Sequence[Mapping[str, Any]] | None, events: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The events behind those that were `seen` last; none at the first look.

    The controller forgets the oldest ones, and all when it is started again.
    """
    if seen is None:
        return []
    if seen:
        last = seen[-1]
        for at in range(len(events) - 1, -1, -1):
            if events[at] == last:
                return [dict(event) for event in events[at + 1 :]]
    return [dict(event) for event in events]
