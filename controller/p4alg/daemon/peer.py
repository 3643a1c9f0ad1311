"""Who is at the other end of the control socket, for the journal of changes.

The kernel tells it (SO_PEERCRED). Somebody who has become root by sudo is known by the name he
has logged in with (the audit's login uid, proc(5)), which root itself cannot change later.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path

_CREDENTIALS = struct.Struct("=iII")
_NO_LOGIN = 0xFFFFFFFF
_ROOT = 0
MAX_NAME = 64
"""The most characters of a name that a client gives."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A client of the control socket: its user's id, and the name of who has logged in."""

    uid: int
    name: str

    def asking_for(self, who: object) -> Peer:
        """This client, by the name of the one for whom it says to ask.

        Root and whoever runs the controller may say so, as the console does for its users; of
        others it is not believed.
        """
        if self.uid in (_ROOT, os.geteuid()) and isinstance(who, str) and who:
            return replace(self, name=who[:MAX_NAME])
        return self


def myself() -> Peer:
    """This process, for what the controller does by itself."""
    return Peer(os.geteuid(), _name(os.geteuid()))


_sender: ContextVar[Peer] = ContextVar("sender")


def tell_sender(peer: Peer) -> None:
    """From now on in this task, requests are of `peer`."""
    _sender.set(peer)


def sender() -> Peer:
    """Who sent the request that is being answered; this process, if nobody did."""
    return _sender.get(None) or myself()


def of_socket(link: socket.socket) -> Peer:
    """Who has connected to a Unix socket."""
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    login = _login(pid)
    return Peer(uid, _name(uid if login is None else login))


def _login(pid: int) -> int | None:
    """The user id that a process has logged in with; None if it has not, or has ended."""
    try:
        number = int(Path(f"/proc/{pid}/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if number == _NO_LOGIN else number


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
