"""Reads from time to time what a controller counts, for plots and for who looks on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from p4alg.config.errors import UserError
from p4alg.console.devices import Device
from p4alg.console.past import Reading

POINT_SECONDS = 5.0
"""How often counters are read."""
TABLES_EACH = 3
"""Tables are read each so many times: all entries are counted for it."""


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
