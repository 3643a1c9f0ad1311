"""What happens from now on, for a browser that looks on, by server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi.exceptions import HTTPException
from fastapi.sse import ServerSentEvent

from p4alg.console.access import Somebody, TheConsole
from p4alg.console.devices import Device
from p4alg.console.logins import Login
from p4alg.console.state import MAX_STREAMS, MAX_STREAMS_OF_A_LOGIN, Console

TOPICS = ("points", "trace", "events")
_CHECK_SECONDS = 2.0
"""How long a stream may go on after its login is over."""
_WAITING = 64
"""The most events that wait for a slow browser here. More of a trace wait where it is read."""


async def taken_place(login: Somebody, console: TheConsole) -> AsyncIterator[None]:
    """A place among the streams, as long as the request lasts; 429 if there is none."""
    mine = console.streams.get(login.key, 0)
    if mine >= MAX_STREAMS_OF_A_LOGIN or sum(console.streams.values()) >= MAX_STREAMS:
        raise HTTPException(429, "too many pages look on: close some", {"Retry-After": "10"})
    console.streams[login.key] = mine + 1
    try:
        yield
    finally:
        console.streams[login.key] -= 1
        if not console.streams[login.key]:
            del console.streams[login.key]


async def stream(
    console: Console, login: Login, device: Device, topics: Sequence[str]
) -> AsyncIterator[ServerSentEvent]:
    """Events of a device, until the login is over or whoever reads them leaves."""
    queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue(_WAITING)
    sources = {
        "points": device.points.follow,
        "events": device.events.follow,
        "trace": device.traces.follow,
    }

    async def feed(topic: str) -> None:
        records: AsyncIterator[dict[str, Any]] = sources[topic]()
        async for record in records:
            await queue.put(ServerSentEvent(data=record, event=topic))

    tasks = [asyncio.create_task(feed(topic)) for topic in dict.fromkeys(topics)]
    try:
        # The browser's page knows by this that it is connected.
        yield ServerSentEvent(comment="hello", retry=2000)
        checked = console.now()
        while True:
            event = None
            try:
                async with asyncio.timeout(_CHECK_SECONDS):
                    event = await queue.get()
            except TimeoutError:
                event = ServerSentEvent(comment="still here")
            yield event
            if console.now() - checked >= _CHECK_SECONDS:
                checked = console.now()
                if not console.lives(login):
                    return
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
