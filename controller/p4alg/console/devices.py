"""The controllers that the console looks after, each by its control socket.

Questions are asked on a few threads for each controller, so that one which hangs keeps nobody from
the others. What many browsers ask at the same time is asked once.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from p4alg.config.errors import UsageError, UserError
from p4alg.console.past import Past
from p4alg.console.relay import Relay
from p4alg.daemon.client import Client
from p4alg.daemon.server import Traces

MAX_DEVICES = 64
_THREADS = 4
_WAITING = 16
"""The most questions to a controller that are under way or wait; more are refused."""
_FRESH = 1.0
"""For so many seconds at least the answer to the same question is given again."""
_KEPT = 32
"""The most answers that are kept for that."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class Busy(UserError):
    """The controller has been asked more than it answers."""


def named(texts: list[str]) -> dict[str, Path]:
    """The sockets that ``NAME=SOCKET`` give, by name. Raises `UsageError` if that is none."""
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, socket = text.partition("=")
        if not equals or not socket or not _NAME.fullmatch(name):
            raise UsageError(f"'{text}' is not NAME=SOCKET, with a name of a-z, 0-9 and '-'")
        if name in found:
            raise UsageError(f"two devices are called '{name}'")
        found[name] = Path(socket)
    if len(found) > MAX_DEVICES:
        raise UsageError(f"more than {MAX_DEVICES} devices")
    return found


class _Answer:
    """What a controller answers, and until when that may be given again."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.until = float("inf")
        self._began = task.get_loop().time()
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        now = task.get_loop().time()
        # Whoever asked may have left; a failure was told to those who stayed.
        failed = task.cancelled() or task.exception() is not None
        self.until = now + (_FRESH if failed else max(_FRESH, 2 * (now - self._began)))


class Device:
    """One controller."""

    def __init__(self, name: str, socket: Path) -> None:
        self.name = name
        self.socket = socket
        self.past = Past()
        """What was counted in the last while."""
        self.points = Traces()
        """Gives the points of `past` to whoever wants them, as they come."""
        self.traces = Relay(socket, "trace")
        self.events = Relay(socket, "follow")
        self.changing = asyncio.Lock()
        """Held by whoever reads and then changes: two changes do not come in between."""
        self._client = Client(socket)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"device-{name}")
        self._waiting = 0
        self._answers: dict[str, _Answer] = {}

    async def call(self, command: str, **arguments: Any) -> Any:
        """Carry out a command, as `Client.call` does, and with the same errors."""
        if self._waiting >= _WAITING:
            raise Busy(f"'{self.name}' has too many questions to answer: try again later")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            work = partial(self._client.call, command, **arguments)
            return await loop.run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    async def ask(self, command: str, **arguments: Any) -> Any:
        """The same for a command that changes nothing; the answer may be a little old.

        It is given again for a second, or for twice the time that it took, if that is longer. So
        no question keeps a controller busy for more than a third of the time.
        """
        question = json.dumps([command, arguments], sort_keys=True)
        answer = self._answers.get(question)
        if answer is None or answer.until < asyncio.get_running_loop().time():
            answer = _Answer(asyncio.create_task(self.call(command, **arguments)))
            self._answers.pop(question, None)
            self._answers[question] = answer
            while len(self._answers) > _KEPT:
                del self._answers[next(iter(self._answers))]
        return await asyncio.shield(answer.task)

    def changed(self) -> None:
        """Forget answers: something was changed."""
        self._answers.clear()

    def close(self) -> None:
        """Let everything go."""
        self.traces.close()
        self.events.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def devices(sockets: Mapping[str, Path]) -> dict[str, Device]:
    """The devices at these sockets. Has to be called on the console's loop."""
    return {name: Device(name, socket) for name, socket in sockets.items()}
