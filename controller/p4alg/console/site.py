"""The console as an ASGI application: the API, the page, and one form for all that goes wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import ValidationError
from starlette.exceptions import HTTPException as StarletteError
from starlette.middleware import Middleware

from p4alg.config.errors import UsageError, UserError
from p4alg.console.api import router
from p4alg.console.devices import Busy
from p4alg.console.guard import Guard
from p4alg.console.state import Console
from p4alg.console.watch import watch
from p4alg.engine.faults import describe
from p4alg.printable import printable

_PAGE = Path(__file__).with_name("page")
_LOG = logging.getLogger(__name__)
_TITLE = "p4alg console"
_DESCRIPTION = "What `p4alg console` shows and changes of gateways."
MAX_BODY = 1 << 16
"""The most bytes of a request's body."""


def site(console: Console, hosts: Collection[str]) -> FastAPI:
    """The application. `hosts` are the names that browsers may know it by."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(watch(device)) for device in console.devices.values()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for device in console.devices.values():
                device.close()

    app = FastAPI(
        title=_TITLE,
        description=_DESCRIPTION,
        version=version("p4alg"),
        openapi_url="/api/openapi.json",
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        max_body_size=MAX_BODY,
        middleware=[Middleware(Guard, hosts=hosts, secure=console.secure)],
    )
    app.state.console = console
    app.include_router(router)
    app.mount("/", StaticFiles(directory=_PAGE, html=True))
    app.add_exception_handler(StarletteError, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UserError, _user)
    for odd in (KeyError, TypeError, ValidationError):
        app.add_exception_handler(odd, _odd)
    app.add_exception_handler(Exception, _fault)
    return app


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    app = FastAPI(title=_TITLE, description=_DESCRIPTION, version=version("p4alg"))
    app.include_router(router)
    return app.openapi()


def _said(status: int, why: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": printable(why)}, status, headers)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteError | HTTPException)
    return _said(error.status_code, str(error.detail), error.headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _said(400, f"{where}: {first['msg']}")


async def _user(_: Request, error: Exception) -> JSONResponse:
    """A controller that refuses, or that does not answer."""
    if isinstance(error, UsageError):
        return _said(400, str(error))
    return _said(503 if isinstance(error, Busy) else 502, str(error))


async def _odd(request: Request, error: Exception) -> JSONResponse:
    """An answer of a controller that lacks what there has to be. It may be a fault of ours too."""
    where = printable(f"{request.method} {request.url.path}")
    _LOG.error("fault: %s: %s", where, describe(error))
    return _said(502, "the controller answers oddly: it may be of another version than the console")


async def _fault(_: Request, error: Exception) -> JSONResponse:
    return _said(500, "that failed inside the console: see its log")
