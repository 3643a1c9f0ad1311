"""Requests and replies on the control socket: one JSON object a line.

A request is ``{"command": NAME, ...arguments}``. A reply is ``{"ok": true, "result": ...}`` or
``{"ok": false, "error": TEXT, "status": EXIT_STATUS}``. The command `trace` has no reply. The
server sends an object for each control message instead, until the client closes the connection.
"""

from __future__ import annotations

import json
from typing import Any

MAX_REQUEST = 65536
"""The most bytes of a request."""


class ProtocolError(ValueError):
    """A line that is not a message of this protocol. The text is one line."""


def encode(message: dict[str, Any]) -> bytes:
    """Make a line of a message."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Make a message of a line; `ProtocolError` if it is not one."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError("not JSON") from None
    if not isinstance(message, dict):
        raise ProtocolError("not an object")
    return message


def success(result: Any) -> dict[str, Any]:
    """Make the reply to a command that was carried out."""
    return {"ok": True, "result": result}


def failure(error: str, status: int) -> dict[str, Any]:
    """Make the reply to a command that was not carried out. `status` is the user's exit status."""
    return {"ok": False, "error": error, "status": status}
