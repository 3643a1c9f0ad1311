"""The HTTP API: what the page uses, and whoever else has a login. See docs/console.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, NamedTuple, get_args

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.exceptions import HTTPException
from fastapi.sse import EventSourceResponse, ServerSentEvent

from p4alg.config.errors import UserError
from p4alg.console.access import (
    Admin,
    Sender,
    Somebody,
    TheConsole,
    TheDevice,
    address,
    must_be_admin,
    too_often,
)
from p4alg.console.devices import Device
from p4alg.console.models import (
    Alg,
    AlgChange,
    AlgState,
    Call,
    ConfigRequest,
    Credentials,
    DeviceState,
    Failure,
    Me,
    Page,
    Service,
    Wanted,
)
from p4alg.console.state import MAX_CHECKS_WAITING, Console
from p4alg.console.streams import TOPICS, stream, taken_place
from p4alg.console.users import User
from p4alg.engine.defaults import DEFAULT_ORGANISATION

_FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure} for status in (400, 401, 403, 404, 409, 429, 502, 503)
}
router = APIRouter(prefix="/api", responses=_FAILURES)

_DEVICE_SECONDS = 3.0
"""How long the list of devices waits for one that does not answer."""

View = Annotated[str, Path(pattern="^[a-z][a-z-]{0,31}$")]
Whose = Annotated[str | None, Query(max_length=64)]


# Logging in


@router.post("/login", summary="Log in; sets the cookie")
async def login(given: Credentials, request: Request, answer: Response, console: TheConsole) -> Me:
    """Check name and password."""
    where = address(request)
    if wait := console.wait_to_try(given.name, where):
        raise too_often(wait)
    user = await _checked(console, given)
    if user is None:
        raise HTTPException(401, "wrong name or password")
    console.tried_well(given.name, where)
    console.note(given.name, where, "logged in")
    cookie, begun = console.logins.begin(given.name, user, console.now())
    answer.set_cookie(
        console.cookie, cookie, path="/", secure=console.secure, httponly=True, samesite="strict"
    )
    return Me(name=given.name, role=_role(user), csrf=begun.csrf)


async def _checked(console: Console, given: Credentials) -> User | None:
    if console.checks_waiting >= MAX_CHECKS_WAITING:
        raise too_often(1.0)
    console.checks_waiting += 1
    try:
        async with console.checks:
            return await asyncio.to_thread(console.users.check, given.name, given.password)
    finally:
        console.checks_waiting -= 1


def _role(user: User) -> Literal["admin", "read-only"]:
    return "admin" if user.role == "admin" else "read-only"


@router.get("/me", summary="Who is logged in")
async def me(login: Somebody) -> Me:
    """The name, the role and the token of this login."""
    return Me(name=login.name, role=_role(login.user), csrf=login.csrf)


@router.post("/logout", status_code=204, summary="Log out")
async def logout(login: Sender, request: Request, answer: Response, console: TheConsole) -> None:
    """End this login."""
    console.logins.end(login)
    answer.delete_cookie(
        console.cookie, path="/", secure=console.secure, httponly=True, samesite="strict"
    )
    console.note(login.name, address(request), "logged out")


# Looking


@router.get("/devices", summary="All gateways")
async def devices(_: Somebody, console: TheConsole) -> list[DeviceState]:
    """Each device, and whether it answers."""
    return list(await asyncio.gather(*(_state(device) for device in console.devices.values())))


async def _state(device: Device) -> DeviceState:
    found = DeviceState(name=device.name, socket=str(device.socket), error="")
    try:
        async with asyncio.timeout(_DEVICE_SECONDS):
            algs = await device.ask("show", what="algs")
    except UserError as error:
        return found.model_copy(update={"error": str(error)})
    except TimeoutError:
        return found.model_copy(
            update={"error": f"the controller at {device.socket} does not answer"}
        )
    organisations = list(dict.fromkeys(alg["organisation"] for alg in algs))
    on = sum(bool(alg["enabled"]) for alg in algs)
    return found.model_copy(
        update={"organisations": organisations, "algs": len(algs), "algs_on": on}
    )


def _of(organisation: str | None) -> dict[str, Any]:
    return {} if organisation is None else {"organisation": organisation}


@router.get("/devices/{device}/algs", summary="All ALGs")
async def algs(_: Somebody, device: TheDevice, organisation: Whose = None) -> list[Alg]:
    """The ALGs of all organisations, or of one."""
    return [Alg(**row) for row in await device.ask("show", what="algs", **_of(organisation))]


@router.get("/devices/{device}/services", summary="All services that ALGs can be bound to")
async def services(_: Somebody, device: TheDevice, organisation: Whose = None) -> list[Service]:
    """The services of all organisations, or of one."""
    rows = await device.ask("show", what="services", **_of(organisation))
    return [Service(**row) for row in rows]


@router.get("/devices/{device}/views/{view}", summary="Rows of a view of `p4alg show`")
async def view(
    _: Somebody, device: TheDevice, view: View, wanted: Annotated[Wanted, Query()]
) -> Page:
    """The rows that fit, a page of them. The newest events come first."""
    question = {"what": view, "plain": True, **_of(wanted.organisation)}
    chosen: dict[str, Any] = wanted.selection()
    end = wanted.offset + wanted.limit
    if view == "events":
        rows = list(reversed(await device.ask("show", **question, select=chosen)))
        return Page(total=len(rows), offset=wanted.offset, rows=rows[wanted.offset : end], note="")
    if view in ("counters", "switch"):
        raise HTTPException(404, f"'{view}' has no rows: GET .../{view}")
    # The controller sends no more rows than are needed for this page and those before it.
    count = await device.ask("show", **question, select=chosen, count=True)
    found = await device.ask("show", **question, select={**chosen, "limit": end})
    note = ""
    if isinstance(found, dict):
        count, note, found = count["rows"], found.get("note", ""), found["rows"]
    return Page(total=count, offset=wanted.offset, rows=found[wanted.offset :], note=note)


@router.get("/devices/{device}/counters", summary="Counters by name")
async def counters(
    _: Somebody,
    device: TheDevice,
    name: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
    organisation: Whose = None,
) -> dict[str, Any]:
    """All counters that are not 0, or those of a name, in which * stands for any text."""
    select = {} if name is None else {"name": name}
    found: dict[str, Any] = await device.ask(
        "show", what="counters", select=select, **_of(organisation)
    )
    return found


@router.get("/devices/{device}/switch", summary="The switch, and how full its tables are")
async def switch(_: Somebody, device: TheDevice) -> dict[str, Any]:
    """As `p4alg show switch --json`."""
    found: dict[str, Any] = await device.ask("show", what="switch")
    return found


@router.get("/devices/{device}/events", summary="What has happened, the newest first")
async def events(
    _: Somebody,
    device: TheDevice,
    organisation: Whose = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, Any]]:
    """As `p4alg events --json`."""
    rows = await device.ask("events")
    mine = [row for row in rows if organisation in (None, row["organisation"])]
    return list(reversed(mine))[:limit]


@router.get("/devices/{device}/points", summary="Rates, latencies and table fill of the last hour")
async def points(_: Somebody, device: TheDevice) -> list[dict[str, Any]]:
    """A point each five seconds, the oldest first: see docs/console.md."""
    return list(device.past.points)


@router.get("/audit", summary="Who did what by the console, the newest first")
async def audit(_: Somebody, console: TheConsole) -> list[dict[str, str]]:
    """The last thousand records."""
    return list(reversed(console.audit.records))


# Watching


@router.get(
    "/devices/{device}/stream",
    summary="What happens from now on, by server-sent events",
    response_class=EventSourceResponse,
    dependencies=[Depends(taken_place)],
)
async def watch(
    login: Somebody,
    device: TheDevice,
    console: TheConsole,
    topic: Annotated[list[Literal["points", "trace", "events"]], Query(max_length=len(TOPICS))],
) -> AsyncIterator[ServerSentEvent]:
    """An event each, called as its topic. It ends with the login."""
    async for event in stream(console, login, device, topic):
        yield event


# Changing


@router.put("/devices/{device}/algs/{alg}", summary="Switch an ALG on or off, set its services")
async def change(
    login: Admin,
    request: Request,
    console: TheConsole,
    device: TheDevice,
    alg: Annotated[str, Path(max_length=64)],
    change: AlgChange,
    organisation: Whose = None,
) -> Alg:
    """What differs is changed; connections that are established are not."""
    whose = _of(organisation)
    async with device.changing:
        rows = await device.call("show", what="algs", **whose)
        found = [row for row in rows if row["name"] == alg]
        if not found:
            known = ", ".join(dict.fromkeys(row["name"] for row in rows))
            raise HTTPException(404, f"no ALG of that name (known: {known})")
        if len(found) > 1:
            known = ", ".join(row["organisation"] for row in found)
            raise HTTPException(400, f"say whose ALG: ?organisation=NAME (known: {known})")
        (row,) = found
        now = AlgState(**row)
        if change.seen is not None and change.seen != now:
            raise HTTPException(
                409, f"somebody else has changed '{alg}' in the meantime: look at it again"
            )
        of = "" if row["organisation"] == DEFAULT_ORGANISATION else f" of {row['organisation']}"
        what = _in_words(f"{alg}{of}", now, change)
        if what:
            wanted = {"enabled": change.enabled, "services": change.services}
            asked = {"command": "alg", "name": alg, **wanted, **whose}
            author = _Author(login.name, address(request))
            row = await _carry_out(console, author, device, what, "", asked)
    return Alg(**row)


def _in_words(alg: str, now: AlgState, wanted: AlgChange) -> str:
    """What a change does, for the record; empty if it does nothing."""
    words = []
    if wanted.enabled != now.enabled:
        words.append("on" if wanted.enabled else "off")
    if wanted.services != now.services:
        words.append(f"services {' '.join(wanted.services) or 'none'}")
    return f"{alg}: {', '.join(words)}" if words else ""


class _Author(NamedTuple):
    """Who asks for a change, and from where."""

    name: str
    address: str


async def _carry_out(
    console: Console,
    who: _Author,
    device: Device,
    what: str,
    why: str,
    request: dict[str, Any],
) -> Any:
    """Have a controller change something, and record that."""
    console.note(*who, what, device.name, why)
    try:
        return await device.call(**{**request, "who": f"{who.name} (console)"})
    except UserError as error:
        console.note(*who, f"{what}: failed", device.name, str(error))
        raise
    finally:
        device.changed()


# Configuration

Reading = Literal["show", "candidate", "diff", "history", "check"]
Writing = Literal["set", "unset", "edit", "commit", "discard", "rollback", "reload"]


def _config(wanted: ConfigRequest) -> dict[str, Any]:
    return wanted.model_dump(exclude_unset=True, by_alias=True)


@router.get("/devices/{device}/config/{action}", summary="Look at the configuration")
async def configuration(
    _: Somebody,
    device: TheDevice,
    action: Reading,
    wanted: Annotated[ConfigRequest, Query()],
) -> Any:
    """As `p4alg config ACTION`."""
    return await device.call("config", action=action, **_config(wanted))


@router.post("/devices/{device}/config/{action}", summary="Change the configuration")
async def reconfigure(
    login: Admin,
    request: Request,
    console: TheConsole,
    device: TheDevice,
    action: Writing,
    wanted: ConfigRequest,
) -> Any:
    """As `p4alg config ACTION`."""
    what = " ".join(["config", action, *([wanted.path] if wanted.path else [])])
    author = _Author(login.name, address(request))
    asked = {"command": "config", "action": action, **_config(wanted)}
    return await _carry_out(console, author, device, what, wanted.why or "", asked)


# Whatever the command line asks


@router.post("/devices/{device}/call", summary="Any request of `p4alg` with --gateway")
async def call(
    login: Sender, request: Request, console: TheConsole, device: TheDevice, asked: Call
) -> dict[str, Any]:
    """The result of a request, as docs/command-line.md has it. Changes need the role admin."""
    given = asked.model_dump()
    words = [asked.command, *([str(given["action"])] if asked.command == "config" else [])]
    match words:
        case ["show" | "where" | "latency" | "events"]:
            return {"result": await device.call(**given)}
        case ["config", action] if action in get_args(Reading):
            return {"result": await device.call(**given)}
        case ["alg" | "enable" | "disable" | "services" | "reset" | "clear"]:
            words += [str(given[key]) for key in ("name", "what") if key in given]
        case ["config", action] if action in get_args(Writing):
            words += [str(given["path"])] if "path" in given else []
        case _:
            raise HTTPException(400, f"the console has no command '{' '.join(words)}'")
    must_be_admin(login)
    author = _Author(login.name, address(request))
    why = str(given.get("why") or "")
    what = " ".join(words)
    return {"result": await _carry_out(console, author, device, what, why, given)}
