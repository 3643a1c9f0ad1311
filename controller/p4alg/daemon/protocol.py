"""Requests and replies on the control socket: one JSON object a line.

Request ``{"command": NAME, ...arguments}``; reply ``{"ok": true, "result": ...}`` or
``{"ok": false, "error": TEXT, "status": EXIT_STATUS}``. `trace` is answered by one
object a message until the client leaves.
"""

from __future__ import annotations

import json
from typing import Any

MAX_REQUEST = 65536
"""Longest request, bytes."""


class ProtocolError(ValueError):
    """A request that is not one; the text is one line."""


def encode(message: dict[str, Any]) -> bytes:
    """A message as a line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """A line as a message."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError("not JSON") from None
    if not isinstance(message, dict):
        raise ProtocolError("not an object")
    return message


def success(result: Any) -> dict[str, Any]:
    """The reply to a command that was carried out."""
    return {"ok": True, "result": result}


def failure(error: str, status: int) -> dict[str, Any]:
    """The reply to one that was not; `status` is the exit status for the user."""
    return {"ok": False, "error": error, "status": status}
