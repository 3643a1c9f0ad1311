"""The two ends of a control socket for tests: the real server in a thread, and a canned one."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from p4alg.artifacts import shipped
from p4alg.config import loader
from p4alg.config.switch import Switch
from p4alg.daemon.app import App
from p4alg.daemon.protocol import failure, success
from p4alg.daemon.server import Handler, Traces, serve
from p4alg.driver.p4runtime.connection import connect
from p4alg.engine.organisations import Organisations
from p4softswitch.server import Server, Settings

SECONDS = 10.0
START_SECONDS = 60.0
"""The program may have to be compiled first, beside other tests."""
EXAMPLE = Path(__file__).parents[3] / "topologies" / "nat.config.yaml"
TENANTS = EXAMPLE.with_name("tenants.config.yaml")
"""Two organisations, red and blue."""


def wait_until(what: str, check: Callable[[], object], seconds: float = SECONDS) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.01)


async def echo(request: dict[str, Any]) -> dict[str, Any]:
    """A handler: gives the request back, or refuses with the status asked for."""
    if request.get("command") == "refuse":
        return failure("refused as asked", int(request["status"]))
    return success(request)


class Served:
    """A control socket that is being served."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.traces, self.events = Traces(), Traces()
        self.loop: asyncio.AbstractEventLoop
        self.problems: list[dict[str, Any]] = []

    def publish(self, record: dict[str, Any]) -> None:
        self.loop.call_soon_threadsafe(self.traces.publish, record)

    def publish_event(self, record: dict[str, Any]) -> None:
        self.loop.call_soon_threadsafe(self.events.publish, record)

    def connect(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(SECONDS)
        link.connect(str(self.path))
        return link


@contextmanager
def served(path: Path, handler: Handler = echo) -> Iterator[Served]:
    """The real server with `handler`; what asyncio complains of fails the test at the end."""
    it = Served(path)

    async def body(ready: Callable[[], None], stop: asyncio.Event) -> None:
        it.loop = asyncio.get_running_loop()
        it.loop.set_exception_handler(lambda _, context: it.problems.append(context))
        async with serve(path, handler, it.traces, it.events):
            ready()
            await stop.wait()

    with in_thread(body):
        yield it
    assert it.problems == []


@contextmanager
def controller(folder: Path, configuration: Path = EXAMPLE) -> Iterator[Path]:
    """A controller that serves its commands, on an embedded switch; gives its socket.

    Both in a thread of this process. It does not look at packets.
    """
    path, file = folder / "control.sock", folder / "p4alg.yaml"
    file.write_bytes(configuration.read_bytes())
    control = loader.Control(path, folder / "revisions")
    config = replace(loader.read(file), control=control)

    async def body(ready: Callable[[], None], stop: asyncio.Event) -> None:
        switch = Server(Settings([], "127.0.0.1:0"))
        await switch.start()
        grpc = f"127.0.0.1:{switch.grpc_port}"
        whole = replace(config, switch=Switch(grpc))
        try:
            async with connect(grpc, whole.switch.device_id, shipped()) as target:
                app = App(whole, Organisations(whole.organisations, random.Random(1)), target)
                app.configuration.begin("the test")
                async with serve(path, app.command, app.traces, app.happenings.following):
                    ready()
                    await stop.wait()
        finally:
            await switch.stop()

    with in_thread(body):
        yield path


@contextmanager
def in_thread(
    body: Callable[[Callable[[], None], asyncio.Event], Coroutine[Any, Any, None]],
) -> Iterator[None]:
    """Run `body` in a thread from when it says that it is ready until the context ends."""
    ready, ends = threading.Event(), list[Callable[[], object]]()
    failures: list[BaseException] = []

    async def whole() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        ends.append(lambda: loop.call_soon_threadsafe(stop.set))
        await body(ready.set, stop)

    def run() -> None:
        try:
            asyncio.run(whole())
        except BaseException as error:
            failures.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(START_SECONDS)
        assert failures == []
        yield
    finally:
        if thread.is_alive():
            ends[0]()
        thread.join(SECONDS)
    assert failures == []


@contextmanager
def answering(path: Path, answer: bytes, *, hang: bool = False) -> Iterator[None]:
    """A server that reads one line, sends `answer`, and closes, or does nothing more."""
    done = threading.Event()

    def body() -> None:
        link, _ = listener.accept()
        with link:
            link.makefile("rb").readline()
            link.sendall(answer)
            if hang:
                done.wait(SECONDS)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=body)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(SECONDS)
