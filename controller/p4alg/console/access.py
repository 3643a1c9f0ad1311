"""Who a request comes from, and whether he may: what the routes of the API depend on."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import Depends, Request
from fastapi.exceptions import HTTPException

from p4alg.console.devices import Device
from p4alg.console.logins import Login
from p4alg.console.state import Console
from p4alg.console.users import ADMIN

TOKEN_HEADER = "X-CSRF-Token"


def too_often(seconds: float) -> HTTPException:
    """The answer to a request that came too soon."""
    wait = max(1, math.ceil(seconds))
    return HTTPException(429, f"too often: try again in {wait} s", {"Retry-After": str(wait)})


def address(request: Request) -> str:
    """The address that a request comes from."""
    return request.client.host if request.client is not None else "?"


def _console(request: Request) -> Console:
    console: Console = request.app.state.console
    return console


TheConsole = Annotated[Console, Depends(_console)]


async def _login(request: Request, console: TheConsole) -> Login:
    login = console.login_of(request.cookies.get(console.cookie))
    key = address(request) if login is None else login.key
    rate = console.strangers if login is None else console.requests
    if wait := rate.take(key, console.now()):
        raise too_often(wait)
    if login is None:
        raise HTTPException(401, "log in first")
    return login


Somebody = Annotated[Login, Depends(_login)]
"""Whoever is logged in."""


async def _sender(request: Request, login: Somebody) -> Login:
    if not login.may_send(request.headers.get(TOKEN_HEADER, "")):
        raise HTTPException(
            403,
            f"the request does not bring the token of this login "
            f"({TOKEN_HEADER}): load the page again",
        )
    return login


Sender = Annotated[Login, Depends(_sender)]
"""Whoever is logged in, by a request that only our own page can have sent."""


def must_be_admin(login: Login) -> None:
    """Raises for somebody who may look only."""
    if login.user.role != ADMIN:
        raise HTTPException(403, f"'{login.name}' may look, but change nothing: ask an admin")


async def _admin(login: Sender) -> Login:
    must_be_admin(login)
    return login


Admin = Annotated[Login, Depends(_admin)]
"""An admin, by a request that only our own page can have sent."""


async def _device(device: str, console: TheConsole) -> Device:
    found = console.devices.get(device)
    if found is None:
        raise HTTPException(404, f"no device of that name (known: {', '.join(console.devices)})")
    return found


TheDevice = Annotated[Device, Depends(_device)]
"""The device that the path names."""
