"""Serves the console by HTTP until a signal: the socket, TLS, and limits of connections."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from p4alg.config.errors import UsageError, UserError
from p4alg.console import guard
from p4alg.console.audit import Audit
from p4alg.console.devices import devices
from p4alg.console.site import site
from p4alg.console.state import Console
from p4alg.console.users import Users

MAX_CONNECTIONS = 256
"""The most connections at the same time; others are told 503."""
_GRACE = 1
"""Seconds that answers which are under way may take when the console ends."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of a certificate and of its key, in PEM."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where browsers find the console."""

    host: str
    """An address of this machine."""
    port: int
    tls: Tls | None = None
    names: tuple[str, ...] = ()
    """Other names that browsers know it by."""

    def check(self) -> None:
        """Raises `UsageError` for a place at which passwords could be read on their way."""
        try:
            local = ip_address(self.host).is_loopback
        except ValueError:
            raise UsageError(f"'{self.host}' is not an address of this machine") from None
        if not local and self.tls is None:
            raise UsageError(
                f"{self.host} can be reached from elsewhere: give --tls-cert and --tls-key, "
                "or listen at 127.0.0.1"
            )

    def url(self, port: int) -> str:
        """What to type into a browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls is None else 'https'}://{host}:{port}/"


def users_in(state: Path) -> Users:
    """The users of the console that keeps its files in the folder `state`."""
    return Users(state / "users.json")


def serve(place: Place, state: Path, sockets: Mapping[str, Path]) -> None:
    """Serve until SIGTERM or SIGINT. Raises `UserError` if that is not possible."""
    place.check()
    users = users_in(state)
    if not users.all():
        raise UserError("nobody may log in: run 'p4alg console user add NAME --role admin' first")
    audit = Audit(state / "audit.jsonl")
    _check_tls(place.tls)
    with _listen(place) as listener:
        asyncio.run(_serve(place, listener, users, audit, sockets))


async def _serve(
    place: Place, listener: socket.socket, users: Users, audit: Audit, sockets: Mapping[str, Path]
) -> None:
    console = Console(devices(sockets), users, audit, secure=place.tls is not None)
    app = site(console, guard.names(place.host, place.names))
    config = settings(app, place.tls)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    # The server raises the signal that ended it once more when it is done.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server = uvicorn.Server(config)
    print(f"p4alg: console at {place.url(listener.getsockname()[1])}", flush=True)
    await server.serve([listener])
    print("p4alg: console stopped", flush=True)


def settings(app: ASGIApp, tls: Tls | None) -> uvicorn.Config:
    """How the application is served."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws="none",
        http="h11",
        lifespan="on",
        # Nothing that a client says about its address is believed.
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_GRACE,
        h11_max_incomplete_event_size=16384,
        ssl_certfile=None if tls is None else tls.cert,
        ssl_keyfile=None if tls is None else tls.key,
    )


def _listen(place: Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((place.host, place.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UserError(
            f"cannot listen on {place.host}:{place.port}: {error.strerror}; give another --listen"
        ) from None
    return listener


def _check_tls(tls: Tls | None) -> None:
    if tls is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror or str(error)
        raise UserError(f"cannot use {tls.cert} with {tls.key}: {why}") from None


def checked_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Names of the console as options give them. Raises `UsageError` for what is none."""
    found = tuple(texts)
    for text in found:
        if not text or any(letter in text for letter in "/:@ "):
            raise UsageError(f"'{text}' is not the name of a host")
    return found
