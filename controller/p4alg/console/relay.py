"""Gives what a controller sends without end to all who want it; the controller has one reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from p4alg.daemon.protocol import ProtocolError, decode, encode
from p4alg.daemon.server import Traces

_AGAIN = 1.0
"""Seconds until it is asked for again where that failed."""
_RECORD = 1 << 22
"""The most bytes of a record."""


class Relay:
    """The records of a command without reply, of the controller at `socket`."""

    def __init__(self, socket: Path, command: str) -> None:
        self._socket = socket
        self._command = command
        self._followers = Traces()
        self._reading: asyncio.Task[None] | None = None
        self.count = 0
        """How many follow."""

    async def follow(self) -> AsyncIterator[dict[str, Any]]:
        """Yield records from now on. The controller is asked for them while anybody does."""
        self.count += 1
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        try:
            async for record in self._followers.follow():
                yield record
        finally:
            self.count -= 1
            if not self.count:
                self.close()

    def close(self) -> None:
        """Leave the controller alone."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def _read(self) -> None:
        while True:
            with suppress(OSError, ProtocolError, ValueError):
                reader, writer = await asyncio.open_unix_connection(self._socket, limit=_RECORD)
                try:
                    writer.write(encode({"command": self._command}))
                    while line := await reader.readline():
                        record = decode(line)
                        if record.get("ok") is not False:
                            self._followers.publish(record)
                finally:
                    writer.close()
            # It has gone, or had no place for us.
            await asyncio.sleep(_AGAIN)
