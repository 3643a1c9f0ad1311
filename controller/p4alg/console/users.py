"""Who may log in to the console: names, roles, scrypt hashes of passwords; a file of mode 0600.

The file is read again when it has changed, so that a user who is removed, or given another role or
password, loses what he had with his next request.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from p4alg.config.errors import UsageError, UserError

ADMIN, READ_ONLY = "admin", "read-only"
ROLES = (ADMIN, READ_ONLY)
"""`admin` may change what gateways do, `read-only` may look at it."""
LEAST_PASSWORD = 12
"""Characters that a password has at least."""
MOST_PASSWORD = 256
"""Characters that a password has at most: to hash a longer one would cost too much."""
_NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
_COST, _BLOCK, _PARALLEL = 2**15, 8, 1
"""The costs of scrypt (RFC 7914): 32 MB and about a tenth of a second for a password."""
_MEMORY = 2 * 128 * _COST * _BLOCK


@dataclass(frozen=True, slots=True)
class User:
    """A user as the file has him. Salt and hash are hexadecimal."""

    role: str
    salt: str
    digest: str

    def knows(self, password: str) -> bool:
        """Whether this is his password. Takes about a tenth of a second."""
        return hmac.compare_digest(self.digest, _digest(password, bytes.fromhex(self.salt)))


def make(role: str, password: str) -> User:
    """A user with that password. Raises `UsageError` for one that is too short or too long."""
    if role not in ROLES:
        raise UsageError(f"no role '{role}' (known: {', '.join(ROLES)})")
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise UsageError(f"a password has {LEAST_PASSWORD} to {MOST_PASSWORD} characters")
    salt = secrets.token_bytes(16)
    return User(role, salt.hex(), _digest(password, salt))


def _digest(password: str, salt: bytes) -> str:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=_COST,
        r=_BLOCK,
        p=_PARALLEL,
        maxmem=_MEMORY,
    ).hex()


_NOBODY = User(READ_ONLY, "00" * 16, "00" * 64)
"""Checked in place of a user who is not there, so that the time tells nothing about names."""


class Users:
    """The users in the file at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, int, int], Mapping[str, User]] | None = None

    def all(self) -> Mapping[str, User]:
        """All users by name. Raises `UserError` if the file cannot be read."""
        try:
            with self._path.open(encoding="utf-8") as file:
                status = os.fstat(file.fileno())
                if status.st_mode & 0o077:
                    raise UserError(f"{self._path} can be read by others: chmod 600 it")
                # The file is replaced as a whole, so that another content has another inode.
                stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
                if self._read is None or self._read[0] != stamp:
                    self._read = (stamp, _parse(file.read()))
                return self._read[1]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UserError(f"cannot read {self._path}: {error.strerror}; use sudo") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UserError(f"{self._path} is damaged: remove it and add the users again") from None

    def get(self, name: str) -> User | None:
        """The user of that name, if there is one."""
        return self.all().get(name)

    def check(self, name: str, password: str) -> User | None:
        """The user, if there is one of that name and with that password."""
        user = self.get(name)
        known = (user or _NOBODY).knows(password[:MOST_PASSWORD])
        return user if known else None

    def put(self, name: str, user: User) -> None:
        """Add a user, or replace one. Raises `UsageError` for a name that cannot be one."""
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"'{name}' cannot be a user's name: it has up to 32 of a-z, 0-9, '_', '.' and '-'"
            )
        self._write({**self.all(), name: user})

    def remove(self, name: str) -> None:
        """Remove a user. Raises `UsageError` if there is none of that name."""
        users = dict(self.all())
        if name not in users:
            raise UsageError(f"no user '{name}' (known: {', '.join(users) or 'none'})")
        del users[name]
        self._write(users)

    def _write(self, users: Mapping[str, User]) -> None:
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        content = {"users": {name: asdict(user) for name, user in users.items()}}
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(content, indent=1))
            part.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise UserError(f"cannot write {self._path}: {error.strerror}") from None


def _parse(text: str) -> dict[str, User]:
    users = {
        str(name): User(str(user["role"]), str(user["salt"]), str(user["digest"]))
        for name, user in json.loads(text)["users"].items()
    }
    for user in users.values():
        bytes.fromhex(user.salt)
        if user.role not in ROLES:
            raise ValueError
    return users
