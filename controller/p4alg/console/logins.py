"""Who is logged in: what a browser's cookie stands for. Decisions of events and `now`, no I/O."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from p4alg.console.users import User

IDLE_SECONDS = 1800.0
"""A login ends when nothing was asked for so long."""
LONGEST_SECONDS = 12 * 3600.0
"""It ends in any case after so long."""
MAX_LOGINS = 256
MAX_OF_A_USER = 16
"""At either limit the one that was used longest ago ends."""


@dataclass(slots=True)
class Login:
    """A user who is logged in, by one browser."""

    key: str
    """What the console knows it by: a hash, so that nobody can make the cookie of it."""
    name: str
    user: User
    """The user as he was at the login. When he is not the same any more, the login is over."""
    csrf: str
    """What a request has to bring in a header that changes something: no other site knows it."""
    began: float
    used: float

    def may_send(self, token: str) -> bool:
        """Whether a request that brings this token comes from our own page."""
        return hmac.compare_digest(self.csrf.encode(), token.encode("utf-8", "replace"))


class Logins:
    """All logins, the one that was used longest ago first."""

    def __init__(self) -> None:
        self._logins: OrderedDict[str, Login] = OrderedDict()

    def begin(self, name: str, user: User, now: float) -> tuple[str, Login]:
        """Log a user in. Gives the value of the cookie too, which is kept nowhere else."""
        self._forget(now)
        cookie = secrets.token_urlsafe(32)
        login = Login(_key(cookie), name, user, secrets.token_urlsafe(32), now, now)
        mine = [key for key, other in self._logins.items() if other.name == name]
        for key in mine[: max(0, len(mine) - MAX_OF_A_USER + 1)]:
            del self._logins[key]
        while len(self._logins) >= MAX_LOGINS:
            self._logins.popitem(last=False)
        self._logins[login.key] = login
        return cookie, login

    def find(self, cookie: str, now: float) -> Login | None:
        """Whose cookie it is, if that login is not over."""
        login = self._logins.get(_key(cookie))
        if login is None or _over(login, now):
            return None
        login.used = now
        self._logins.move_to_end(login.key)
        return login

    def lives(self, login: Login, now: float) -> bool:
        """Whether a login that was found before is not over yet. It is not used by that."""
        return self._logins.get(login.key) is login and not _over(login, now)

    def end(self, login: Login) -> None:
        """Log out."""
        self._logins.pop(login.key, None)

    def _forget(self, now: float) -> None:
        for key in [key for key, login in self._logins.items() if _over(login, now)]:
            del self._logins[key]


def _over(login: Login, now: float) -> bool:
    return now - login.used > IDLE_SECONDS or now - login.began > LONGEST_SECONDS


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "replace")).hexdigest()
