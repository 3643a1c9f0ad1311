"""The server of the control socket: it answers commands, and sends records to those who follow.

Only root and the user who runs the controller may connect (mode 0600).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from p4alg.config.errors import UserError
from p4alg.daemon.peer import of_socket, tell_sender
from p4alg.daemon.protocol import MAX_REQUEST, ProtocolError, decode, encode, failure, pieces

MAX_CLIENTS = 32
"""The most connections at the same time."""
_PATIENCE = 2.0
"""Seconds to wait for the request of a client that is refused because there are too many."""
MAX_TRACED = 1024
"""The most records that wait for a slow client. It is told how many more it missed."""

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Traces:
    """Gives records (traces, or events) to every client that asked for them."""

    def __init__(self) -> None:
        self._queues: dict[asyncio.Queue[dict[str, Any]], int] = {}

    @property
    def wanted(self) -> bool:
        """Whether a client has asked for them."""
        return bool(self._queues)

    def publish(self, record: dict[str, Any]) -> None:
        """Give a record to all these clients. Never waits for a slow one."""
        for queue in self._queues:
            try:
                if self._queues[queue]:
                    queue.put_nowait({**record, "missed": self._queues[queue]})
                    self._queues[queue] = 0
                else:
                    queue.put_nowait(record)
            except asyncio.QueueFull:
                self._queues[queue] += 1

    async def follow(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the records that are published from now on."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MAX_TRACED)
        self._queues[queue] = 0
        try:
            while True:
                yield await queue.get()
        finally:
            del self._queues[queue]


@asynccontextmanager
async def serve(
    path: Path, handler: Handler, traces: Traces, events: Traces | None = None
) -> AsyncIterator[None]:
    """Serve `path` while in the context. Raises `UserError` if that is not possible.

    The command `trace` follows `traces`, and `follow` follows `events`, if there are any.
    """
    claim(path)
    clients = 0
    streams = {"trace": traces} | ({} if events is None else {"follow": events})

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal clients
        clients += 1
        try:
            if clients > MAX_CLIENTS:
                # The request has to be read. If a socket is closed with unread data in it,
                # the kernel may throw our answer away.
                async with asyncio.timeout(_PATIENCE):
                    await reader.readline()
                writer.write(encode(failure("too many clients: try again later", 1)))
            else:
                await _converse(reader, writer, handler, streams)
            await writer.drain()
        except (
            ConnectionError,
            TimeoutError,
            asyncio.IncompleteReadError,
            ValueError,
            asyncio.CancelledError,
        ):
            # The client has left, has sent a line that is too long, or the controller stops.
            # None of these is a fault, and asyncio would report one if it were raised here.
            return
        finally:
            clients -= 1
            writer.close()

    previous = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(client, path, limit=MAX_REQUEST)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    finally:
        os.umask(previous)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def _converse(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    handler: Handler,
    streams: Mapping[str, Traces],
) -> None:
    while line := await reader.readline():
        try:
            request = decode(line)
        except ProtocolError as error:
            writer.write(encode(failure(str(error), 1)))
            return
        stream = streams.get(str(request.get("command")))
        if stream is not None:
            await _trace(reader, writer, stream)
            return
        tell_sender(of_socket(writer.get_extra_info("socket")))
        for piece in pieces(await handler(request)):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)


async def _trace(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, traces: Traces
) -> None:
    """Send records until the client closes its end."""

    async def feed() -> None:
        async for record in traces.follow():
            writer.write(encode(record))
            await writer.drain()

    feeding = asyncio.create_task(feed())
    gone = asyncio.create_task(reader.read())
    await asyncio.wait([feeding, gone], return_when=asyncio.FIRST_COMPLETED)
    for task in (feeding, gone):
        task.cancel()
    await asyncio.gather(feeding, gone, return_exceptions=True)


def claim(path: Path) -> None:
    """Make sure that nobody serves `path`, and remove a socket that a crash left there.

    Raises `UserError` if another controller serves it, or if the place cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _free(path)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise _unusable(path, "Permission denied")


def _free(path: Path) -> None:
    # A connection to a regular file is refused too. It must not be taken for the socket of a
    # controller that has crashed, and be removed.
    if path.exists() and not path.is_socket():
        raise _unusable(path, "it is not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise UserError(f"another controller serves {path}: stop it first")


def _unusable(path: Path, why: str) -> UserError:
    return UserError(
        f"cannot listen on {path}: {why}; use sudo, or set P4ALG_SOCKET to another place"
    )
