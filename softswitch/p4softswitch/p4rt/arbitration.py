"""Who may write: client arbitration (P4Runtime specification, chapter 5).

Pure bookkeeping: each call returns the notices to be sent. A role has at most one primary, the
client whose election id is the highest the role has ever seen; when it leaves nobody is primary
until somebody comes with an id at least as high.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from p4softswitch.p4rt.codes import (
    ALREADY_EXISTS,
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    NOT_FOUND,
    OK,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
    RpcError,
)
from p4softswitch.p4rt.proto import p4r

MAX_CLIENTS = 16
MAX_ROLES = 16

Notice = tuple["Client", Any]


@dataclass(eq=False, slots=True)
class Client:
    """A stream that has sent an arbitration request; election id None can only be a backup."""

    role: str = ""
    election_id: int | None = None
    joined: bool = False


@dataclass(slots=True)
class _Role:
    clients: list[Client] = field(default_factory=list)
    highest: int | None = None
    primary: Client | None = None


def election_id_of(message: Any) -> int | None:
    """Election id of a message that has one, None if it is left out."""
    if not message.HasField("election_id"):
        return None
    return int(message.election_id.high) << 64 | int(message.election_id.low)


def role_of(message: Any) -> str:
    """Role that an arbitration message asks for; roles by number are deprecated but accepted."""
    role = message.role
    if role.HasField("config"):
        raise RpcError(UNIMPLEMENTED, "role configurations are not supported")
    return str(role.name) or (f"#{role.id}" if role.id else "")


class Arbitration:
    """All clients of one device."""

    def __init__(self, device_id: int) -> None:
        self.device_id = device_id
        self._roles: dict[str, _Role] = {}

    def primary(self, role: str = "") -> Client | None:
        """The primary of a role."""
        state = self._roles.get(role)
        return None if state is None else state.primary

    def check_primary(self, role: str, election_id: int | None) -> None:
        """Raise PERMISSION_DENIED unless `election_id` is that of the role's primary."""
        primary = self.primary(role)
        if primary is None or election_id is None or primary.election_id != election_id:
            raise RpcError(PERMISSION_DENIED, "not primary")

    def arbitrate(self, client: Client, message: Any) -> list[Notice]:
        """Handle a MasterArbitrationUpdate; an `RpcError` means that the stream must end."""
        if message.device_id != self.device_id:
            raise RpcError(NOT_FOUND, f"there is no device {message.device_id}")
        name, election_id = role_of(message), election_id_of(message)
        if client.joined and client.role != name:
            raise RpcError(FAILED_PRECONDITION, "a client cannot change its role")
        role = self._roles.get(name)
        if role is None:
            if len(self._roles) >= MAX_ROLES:
                raise RpcError(RESOURCE_EXHAUSTED, f"more than {MAX_ROLES} roles")
            role = self._roles[name] = _Role()
        taken = {c.election_id for c in role.clients if c is not client}
        if election_id is not None and election_id in taken:
            raise RpcError(INVALID_ARGUMENT, "election id is in use by another client")
        if not client.joined:
            if sum(len(r.clients) for r in self._roles.values()) >= MAX_CLIENTS:
                raise RpcError(RESOURCE_EXHAUSTED, f"more than {MAX_CLIENTS} clients")
            role.clients.append(client)
            client.joined, client.role = True, name
        client.election_id = election_id
        before = role.primary
        if before is client and (election_id is None or election_id < (role.highest or 0)):
            role.primary = None
        if election_id is not None and (role.highest is None or election_id >= role.highest):
            role.highest, role.primary = election_id, client
        if role.primary is not before or role.primary is client:
            return [(c, self._notice(role, c)) for c in role.clients]
        return [(client, self._notice(role, client))]

    def leave(self, client: Client) -> list[Notice]:
        """Forget a client whose stream has ended."""
        role = self._roles.get(client.role)
        if not client.joined or role is None:
            return []
        client.joined = False
        role.clients.remove(client)
        if role.primary is not client:
            return []
        role.primary = None
        return [(c, self._notice(role, c)) for c in role.clients]

    def _notice(self, role: _Role, client: Client) -> Any:
        message = p4r.StreamMessageResponse()
        part = message.arbitration
        part.device_id = self.device_id
        if client.role:
            part.role.name = client.role
        if role.highest is not None:
            part.election_id.high = role.highest >> 64
            part.election_id.low = role.highest & 0xFFFFFFFFFFFFFFFF
        if role.primary is client:
            part.status.code, part.status.message = OK, "is primary"
        elif role.primary is not None:
            part.status.code, part.status.message = ALREADY_EXISTS, "is backup"
        else:
            part.status.code, part.status.message = NOT_FOUND, "is backup, there is no primary"
        return message
