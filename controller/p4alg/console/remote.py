"""The client of a console, for commands with --gateway. Its errors tell the user what to do.

A login is kept in a file of mode 0600, as the browser keeps its cookie.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from p4alg.config.errors import UsageError, UserError

_NAME = re.compile(r"[a-z0-9-]{1,32}")
_TOPICS = {"trace": "trace", "follow": "events"}
"""The topics of streams by the commands of a control socket."""
_TIMEOUT = 25.0
"""Seconds. A controller may take twenty to answer."""


@dataclass(frozen=True, slots=True)
class Login:
    """A login at a console: its URL without a slash at the end, and what it gave."""

    url: str
    cookie: str
    csrf: str
    ca: str | None = None
    """The file with the authority of its certificate, if it is not one of the system's."""


def origin(url: str) -> str:
    """A console's URL without a path. Raises `UsageError` for what is no URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"'{url}' is not the URL of a console, as http://127.0.0.1:8470")
    return f"{parts.scheme}://{parts.netloc}"


def begin(url: str, name: str, password: str, ca: Path | None = None) -> Login:
    """Log in. Raises `UserError` if that is refused."""
    place = origin(url)
    login = Login(place, "", "", None if ca is None else str(ca.resolve()))
    body = {"name": name, "password": password}
    with _send(login, "login", body) as answer:
        cookie = str(answer.headers.get("set-cookie", "")).partition(";")[0]
        csrf = str(_read(login, answer)["csrf"])
    return Login(place, cookie, csrf, login.ca)


def end(login: Login) -> None:
    """Log out."""
    with _send(login, "logout", {}):
        pass


class Remote:
    """Talks to the controller that a console knows as `device`, as `Client` does to one here."""

    def __init__(self, login: Login, device: str) -> None:
        if not _NAME.fullmatch(device):
            raise UsageError(f"'{device}' is not the name of a gateway")
        self._login = login
        self._path = f"devices/{device}"

    def call(self, command: str, **arguments: Any) -> Any:
        """Carry out a command and return its result. Raises what `Client.call` raises."""
        body = {"command": command, **arguments}
        with _send(self._login, f"{self._path}/call", body) as answer:
            return _read(self._login, answer)["result"]

    def trace(self) -> Iterator[dict[str, Any]]:
        """Yield trace records as they come, until the login is over."""
        return self.follow("trace")

    def follow(self, command: str) -> Iterator[dict[str, Any]]:
        """Yield what a command without reply sends, as it comes, until the login is over."""
        with _send(self._login, f"{self._path}/stream?topic={_TOPICS[command]}") as answer:
            try:
                for line in answer:
                    if line.startswith(b"data: "):
                        yield json.loads(line[len(b"data: ") :])
            except (OSError, HTTPException, ValueError):
                raise _gone(self._login) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A console sends nobody elsewhere, and its cookie is for nobody else."""

    def redirect_request(self, *_: Any) -> None:
        """Nowhere: the answer is an error then."""


@contextmanager
def _send(login: Login, path: str, body: object = None) -> Iterator[HTTPResponse]:
    """One request; with a body it is a POST. Raises what the console refuses it by."""
    headers = {"Cookie": login.cookie, "X-CSRF-Token": login.csrf}
    data = None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    request = urllib.request.Request(f"{login.url}/api/{path}", data, headers)
    try:
        context = ssl.create_default_context(cafile=login.ca)
        # Nothing between us and the console is asked on the way, whatever the environment says.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=context),
            _NoRedirect(),
        )
        answer = opener.open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(login, error.code, error.read()) from None
    except (OSError, HTTPException) as error:
        why = getattr(error, "reason", error)
        raise UserError(f"no console at {login.url}: {why}; see whether it runs") from None
    with answer:
        yield answer


def _read(login: Login, answer: HTTPResponse) -> dict[str, Any]:
    try:
        found = json.loads(answer.read())
    except (OSError, HTTPException, ValueError):
        raise _gone(login) from None
    if not isinstance(found, dict):
        raise _gone(login)
    return found


def _refusal(login: Login, status: int, body: bytes) -> UserError:
    why = "it gave no reason"
    with suppress(ValueError, TypeError, KeyError):
        why = str(json.loads(body)["error"])
    if status == 401 and login.cookie:
        return UserError(f"the login is over: run 'p4alg console login {login.url}'")
    return UsageError(why) if status in (400, 404) else UserError(why)


def _gone(login: Login) -> UserError:
    return UserError(f"the console at {login.url} was cut off: see whether it runs")


# The file


def keep(path: Path, login: Login) -> None:
    """Keep a login in a file that nobody else can read."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(login), file)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def kept(path: Path) -> Login:
    """The login in a file. Raises `UserError` if there is none."""
    try:
        return Login(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError("not logged in at a console: run 'p4alg console login URL'") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise UserError(f"{path} is damaged: run 'p4alg console login URL'") from None
