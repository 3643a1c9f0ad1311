"""A console that is served by HTTP in a thread, and a browser that talks to it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import uvicorn

from p4alg.console import guard, serving
from p4alg.console.audit import Audit
from p4alg.console.devices import devices
from p4alg.console.site import site
from p4alg.console.state import Console
from p4alg.console.users import User, Users, make
from tests.unit.daemon.peers import SECONDS, in_thread

ADMIN, LOOKER = ("ada", "correct horse battery"), ("otto", "only here to look on")
UNSAFE = ("POST", "PUT")


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cookies: list[str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The one line that says what was wrong."""
        said: str = self.json["error"]
        assert "\n" not in said
        return said


@dataclass
class Browser:
    """Talks to the console as a browser does, or as somebody who pretends to be one."""

    port: int
    cookie: str = ""
    csrf: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, path: str, body: object = None, **headers: str | None) -> Answer:
        """One request on a connection of its own. A header that is None is left out."""
        sent: dict[str, str | None] = {"Host": f"127.0.0.1:{self.port}", **self.headers}
        if self.cookie:
            sent["Cookie"] = f"p4alg={self.cookie}"
        if method in UNSAFE and self.csrf:
            sent["X-CSRF-Token"] = self.csrf
        data = body if isinstance(body, bytes) else None
        if body is not None and data is None:
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            given = {name: value for name, value in sent.items() if value is not None}
            link.request(method, path, data, given)
            answer = link.getresponse()
            cookies = answer.headers.get_all("set-cookie") or []
            return Answer(answer.status, dict(answer.headers), answer.read(), cookies)
        finally:
            link.close()

    def get(self, path: str, **headers: str | None) -> Answer:
        return self.send("GET", path, None, **headers)

    def put(self, path: str, body: object, **headers: str | None) -> Answer:
        return self.send("PUT", path, body, **headers)

    def post(self, path: str, body: object = None, **headers: str | None) -> Answer:
        return self.send("POST", path, body, **headers)

    def login(self, name: str, password: str) -> Answer:
        answer = self.post("/api/login", {"name": name, "password": password})
        if answer.status == 200:
            self.csrf = answer.json["csrf"]
            (cookie,) = answer.cookies
            self.cookie = cookie.partition(";")[0].partition("=")[2]
        return answer

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[tuple[str, Any]]]:
        """Server-sent events, each with its name."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        link.request("GET", path, headers={"Cookie": f"p4alg={self.cookie}"})
        answer = link.getresponse()
        assert answer.status == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")

        def events() -> Iterator[tuple[str, Any]]:
            name = ""
            for line in answer:
                word, _, rest = line.decode().strip().partition(": ")
                if word == "event":
                    name = rest
                elif word == "data":
                    yield name, json.loads(rest)

        try:
            yield events()
        finally:
            answer.close()
            link.close()


@dataclass
class Served:
    """A console that is being served."""

    port: int
    console: Console
    clock: list[float]
    """What the console's clock shows: it stands still unless somebody lets time pass."""

    def stranger(self) -> Browser:
        return Browser(self.port)

    def browser(self, who: tuple[str, str] = ADMIN) -> Browser:
        """One that is logged in."""
        it = self.stranger()
        assert it.login(*who).status == 200
        return it

    def wait(self, seconds: float) -> None:
        """Let time pass for the console."""
        self.clock[0] += seconds


@cache
def _user(role: str, password: str) -> User:
    # A hash takes its time; that of a test's user is always the same.
    return make(role, password)


@contextmanager
def console(folder: Path, sockets: Mapping[str, Path]) -> Iterator[Served]:
    """A console with an admin and one who may look on, for the controllers at `sockets`."""
    users = Users(folder / "users.json")
    users.put(ADMIN[0], _user("admin", ADMIN[1]))
    users.put(LOOKER[0], _user("read-only", LOOKER[1]))
    made: list[Served] = []

    async def body(ready: Callable[[], None], stop: asyncio.Event) -> None:
        clock = [0.0]
        it = Console(
            devices(sockets),
            users,
            Audit(folder / "audit.jsonl"),
            now=lambda: clock[0],
        )
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            config = serving.settings(site(it, guard.names("127.0.0.1", ())), None)
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve([listener]))
            made.append(Served(port, it, clock))
            ready()
            await stop.wait()
            server.should_exit = True
            await task

    with in_thread(body):
        yield made[0]
