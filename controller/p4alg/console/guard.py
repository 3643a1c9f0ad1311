"""Stands in front of everything: which requests are let in at all, and what every answer says.

- The name that the browser used has to be one of ours, so that no other site's name can be made to
  point here (DNS rebinding).
- What changes something may come from our own page only. Besides the token that `api` asks for, the
  browser's own words for that are believed (`Origin`, `Sec-Fetch-Site`).
- Every answer forbids scripts, styles and frames but our own.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
_ALWAYS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_HARMLESS = ("GET", "HEAD")


class Guard:
    """Lets requests with one of the names `hosts` through to `app`."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], secure: bool) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._scheme = "https" if secure else "http"
        self._always = dict(_ALWAYS)
        if secure:
            self._always["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_api = scope["path"].startswith("/api/")

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._always.items():
                    headers[name] = value
                headers["Cache-Control"] = "no-store" if is_api else "no-cache"
            await send(message)

        objection = self._objection(scope["method"], Headers(scope=scope))
        if objection:
            await _refuse(answer, *objection)
        else:
            await self._app(scope, receive, answer)

    def _objection(self, method: str, headers: Headers) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _name(hosts[0]) not in self._hosts:
            return 421, "this console is not known by that name: start it with --name NAME"
        if method in _HARMLESS:
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        # A proxy in front of us may speak TLS for us.
        own = {f"{scheme}://{hosts[0].lower()}" for scheme in (self._scheme, "https")}
        if origin is not None and origin.lower() not in own:
            return 403, "another site's page may change nothing here"
        if site not in (None, "same-origin"):
            return 403, "another site's page may change nothing here"
        return None


def _name(host: str) -> str:
    """The name in a `Host` header, without the port."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()


def names(listening: str, more: Iterable[str]) -> set[str]:
    """The names that a console on an address is known by: it, those of loopback, and `more`."""
    own = f"[{listening}]" if ":" in listening else listening
    return {own, "localhost", "127.0.0.1", "[::1]", *more}


async def _refuse(send: Send, status: int, why: str) -> None:
    body = json.dumps({"error": why}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
