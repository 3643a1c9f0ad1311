"""Requests and replies on the control socket: one JSON object a line.

A request is ``{"command": NAME, ...arguments}``. A reply is ``{"ok": true, "result": ...}`` or
``{"ok": false, "error": TEXT, "status": EXIT_STATUS}``. The commands `trace`
and `follow` have no reply. The server sends an object for each control message, or for each event,
instead, until the client closes the connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from p4alg import jsontext

MAX_REQUEST = 4 << 20
"""The most bytes of a request. A configuration of 1 MiB fits in, with its quoting."""


_ROWS = 500


class ProtocolError(ValueError):
    """A line that is not a message of this protocol. The text is one line."""


def encode(message: dict[str, Any]) -> bytes:
    """Make a line of a message."""
    return jsontext.dumps(message) + b"\n"


def pieces(message: dict[str, Any]) -> Iterator[bytes]:
    """The line of a message in pieces, so that making a long one does not take long at once.

    Only a result with many `rows` is cut.
    """
    result = message.get("result")
    rows = result.get("rows") if isinstance(result, dict) else None
    if not isinstance(result, dict) or not isinstance(rows, list) or len(rows) <= _ROWS:
        yield encode(message)
        return
    whole = encode({**message, "result": {**result, "rows": []}})
    head, _, tail = whole.rpartition(b'"rows":[')
    yield head + b'"rows":['
    for start in range(0, len(rows), _ROWS):
        part = jsontext.dumps(rows[start : start + _ROWS])
        yield (b"," if start else b"") + part[1:-1]
    yield tail


def decode(line: bytes) -> dict[str, Any]:
    """Make a message of a line; `ProtocolError` if it is not one."""
    try:
        message = jsontext.loads(line)
    except ValueError:
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
