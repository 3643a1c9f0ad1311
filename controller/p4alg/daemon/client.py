"""The client of a running controller. Its errors tell the user what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from p4alg.config.errors import ConfigError, UsageError, UserError
from p4alg.daemon.protocol import MAX_REQUEST, ProtocolError, decode, encode

_TIMEOUT = 20.0


class Client:
    """Talks to the controller that serves the control socket at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def call(self, command: str, **arguments: Any) -> Any:
        """Carry out a command and return its result.

        Raises `UserError` or `UsageError` with the text of the controller if it refuses.
        """
        request = encode({"command": command, **arguments})
        if len(request) > MAX_REQUEST:
            raise UsageError(f"the command is longer than {MAX_REQUEST} bytes: give fewer names")
        with self._connect() as link:
            link.settimeout(_TIMEOUT)
            try:
                link.sendall(request)
                line = link.makefile("rb").readline()
                reply = decode(line)
            except (OSError, ProtocolError):
                raise UserError(f"the controller at {self._path} does not answer") from None
        if reply.get("ok"):
            return reply.get("result")
        raise _refusal(reply)

    def trace(self) -> Iterator[dict[str, Any]]:
        """Yield trace records as they come, until the controller ends."""
        return self.follow("trace")

    def follow(self, command: str) -> Iterator[dict[str, Any]]:
        """Yield what a command without reply sends, as it comes, until the controller ends."""
        with self._connect() as link:
            try:
                link.sendall(encode({"command": command}))
                for line in link.makefile("rb"):
                    record = decode(line)
                    if record.get("ok") is False:
                        raise _refusal(record)
                    yield record
            except (OSError, ProtocolError):
                raise UserError(
                    f"the controller at {self._path} was cut off: see its log, start it again"
                ) from None

    def _connect(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(str(self._path))
        except PermissionError:
            link.close()
            raise UserError(f"no permission to use {self._path}: use sudo") from None
        except OSError:
            link.close()
            raise UserError(
                f"no controller at {self._path}: start one with 'p4alg run -c CONFIG'"
            ) from None
        return link


def _refusal(reply: dict[str, Any]) -> UserError:
    """The error to raise for a reply that refuses."""
    error = str(reply.get("error", "the controller gave no reason"))
    if "\n" in error:
        return ConfigError.joined([ConfigError(line) for line in error.splitlines()])
    return UsageError(error) if reply.get("status") == 2 else UserError(error)
