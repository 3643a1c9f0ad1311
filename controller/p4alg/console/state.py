"""What the parts of a running console have in common."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from p4alg.console.audit import Audit
from p4alg.console.devices import Device
from p4alg.console.logins import Login, Logins
from p4alg.console.rates import Rate
from p4alg.console.users import Users
from p4alg.console.watch import now_text

MAX_STREAMS = 64
MAX_STREAMS_OF_A_LOGIN = 8
MAX_CHECKS = 2
"""The most passwords that are checked at the same time, with 32 MB each."""
MAX_CHECKS_WAITING = 8


@dataclass(slots=True)
class Console:
    """A console. `now` is monotonic, in seconds."""

    devices: Mapping[str, Device]
    users: Users
    audit: Audit
    secure: bool = False
    """Whether it is served by TLS."""
    now: Callable[[], float] = time.monotonic
    logins: Logins = field(default_factory=Logins)
    requests: Rate = field(default_factory=lambda: Rate(50.0, 200))
    """Requests of a login."""
    strangers: Rate = field(default_factory=lambda: Rate(10.0, 60))
    """Requests of an address that is not logged in."""
    tries_of_name_and_address: Rate = field(default_factory=lambda: Rate(1 / 30, 5))
    tries_of_address: Rate = field(default_factory=lambda: Rate(1 / 5, 20))
    tries_of_name: Rate = field(default_factory=lambda: Rate(1 / 5, 50))
    """Tries to log in. Who guesses from one address does not shut the user out at another."""
    checks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CHECKS))
    checks_waiting: int = 0
    streams: dict[str, int] = field(default_factory=dict)
    """How many streams each login reads, by its key."""

    @property
    def cookie(self) -> str:
        """The name of the cookie. With TLS no other host or path can set one of that name."""
        return "__Host-p4alg" if self.secure else "p4alg"

    def login_of(self, cookie: str | None) -> Login | None:
        """Whose cookie it is, if he is logged in and still the user that he was."""
        login = self.logins.find(cookie, self.now()) if cookie else None
        return login if login is not None and self._is_as_before(login) else None

    def lives(self, login: Login) -> bool:
        """Whether a login still holds."""
        return self.logins.lives(login, self.now()) and self._is_as_before(login)

    def _is_as_before(self, login: Login) -> bool:
        if self.users.get(login.name) == login.user:
            return True
        self.logins.end(login)
        return False

    def wait_to_try(self, name: str, address: str) -> float:
        """Count a try to log in. Returns 0 if it may be made, else in how many seconds it may."""
        now = self.now()
        for rate, key in self._tries(name, address):
            if wait := rate.take(key, now):
                return wait
        return 0.0

    def tried_well(self, name: str, address: str) -> None:
        """It was the right password: that try does not count."""
        for rate, key in self._tries(name, address):
            rate.give_back(key)

    def _tries(self, name: str, address: str) -> tuple[tuple[Rate, Hashable], ...]:
        return (
            (self.tries_of_address, address),
            (self.tries_of_name_and_address, (name, address)),
            (self.tries_of_name, name),
        )

    def note(self, who: str, address: str, what: str, device: str = "", why: str = "") -> None:
        """Keep a record of what somebody does. Raises `UserError` if that is not possible."""
        self.audit.write(
            {
                "time": now_text(),
                "who": who,
                "address": address,
                "device": device,
                "what": what,
                "why": why,
            }
        )
