"""What the gateway has granted to the SIP ALG, and which calls and registrations use it.

There are two kinds of *resource*: a reserved outside endpoint, to which nothing leads yet,
and a pinhole. Several *users* (calls, dialogs, registrations) can share one: two calls
of a phone have the same signalling port, and an early answer and the final one name the
same media port. A resource is given back when its last user releases it.

What a message has taken since `begin` can be undone, so that a message that is refused
leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

from p4alg.alg.contract import Endpoint, Gateway, Grant, PinholeRequest, Refusal
from p4alg.alg.sip.message import SipError

User = Hashable


class Kind(Enum):
    """What a resource is."""

    RESERVED = "reserved"
    """An outside endpoint to which nothing leads yet."""
    PINHOLE = "pinhole"


class Key(NamedTuple):
    """Which resource it is: `opener` is the address a pinhole is open to, 0 if reserved."""

    kind: Kind
    proto: int
    listen: Endpoint
    opener: int


def reserved_key(proto: int, listen: Endpoint) -> Key:
    """The key of the outside endpoint reserved for the inside host's `listen`."""
    return Key(Kind.RESERVED, proto, listen, 0)


def pinhole_key(proto: int, listen: Endpoint, opener: int) -> Key:
    """The key of the pinhole that leads from the address `opener` to `listen`."""
    return Key(Kind.PINHOLE, proto, listen, opener)


_IDS = 8
"""Numbers of the gateway that one resource may have had; the oldest is left to its timer."""


@dataclass(slots=True)
class _Resource:
    """`ids` are the gateway's numbers for it, the current one last.

    `until` is when each user's need of a pinhole ends, which may be earlier than its release.
    """

    visible: Endpoint
    ids: list[int]
    is_pair: bool = False
    users: set[User] = field(default_factory=set)
    until: dict[User, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _New:
    """A number granted since `begin`, and what the resource was before it."""

    key: Key
    number: int
    visible_before: Endpoint
    was_pair: bool


class Ledger:
    """Every reserved endpoint and every pinhole of the ALG, at most `limit` of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._resources: dict[Key, _Resource] = {}
        # What each user has, in the order in which it was taken.
        self._of: dict[User, dict[Key, None]] = {}
        # Since `begin`: what a user has now and had not before, and what was granted.
        self._taken: list[tuple[User, Key]] = []
        self._new: list[_New] = []

    def __len__(self) -> int:
        return len(self._resources)

    def begin(self) -> None:
        """A message begins: `undo` takes back what is taken from here on."""
        self._taken.clear()
        self._new.clear()

    @property
    def granted(self) -> list[int]:
        """What the gateway granted since `begin`."""
        return [new.number for new in self._new]

    def undo(self) -> list[int]:
        """Forget what was taken since `begin`; returns the numbers to end at the gateway."""
        ids = [grant.number for grant in reversed(self._new)]
        for new in reversed(self._new):
            resource = self._resources.get(new.key)
            if resource is not None and new.number in resource.ids:
                resource.ids.remove(new.number)
                resource.visible, resource.is_pair = new.visible_before, new.was_pair
        for user, key in self._taken:
            ids += self._drop(user, key)
        self.begin()
        return ids

    def reserve(
        self, user: User, gateway: Gateway, proto: int, listen: Endpoint, *, pair: bool = False
    ) -> Endpoint:
        """Reserve the outside endpoint of `listen` for `user`, and return it.

        With `pair` the next port is reserved too, see `Gateway.reserve`. Raises `SipError` if
        the gateway refuses.
        """
        key = reserved_key(proto, listen)
        resource = self._resources.get(key)
        if resource is None or (pair and not resource.is_pair):
            self._check(key)
            grant = gateway.reserve(proto, listen, pair=pair)
            if isinstance(grant, Refusal):
                raise SipError(grant.reason)
            resource = self._keep(key, grant)
            resource.is_pair = pair
        self._use(user, key, resource)
        return resource.visible

    def pinhole(self, user: User, gateway: Gateway, request: PinholeRequest, now: float) -> int:
        """Open a pinhole for `user`, or prolong the one there is; returns its number.

        It stays open for the user that needs it longest. Raises `SipError` if the gateway
        refuses.
        """
        key = pinhole_key(request.proto, request.listen, request.opener_addr)
        self._check(key)
        known = self._resources.get(key)
        others = known.until.items() if known else ()
        until = max((end for other, end in others if other != user), default=now)
        longest = max(request.lifetime, until - now)
        grant = gateway.open_pinhole(replace(request, lifetime=longest))
        if isinstance(grant, Refusal):
            raise SipError(grant.reason)
        resource = self._keep(key, grant)
        self._use(user, key, resource)
        resource.until[user] = now + request.lifetime
        announced = self.visible(request.proto, request.listen)
        if announced is not None and announced != grant.visible:
            raise SipError("port-moved")
        return grant.number

    def visible(self, proto: int, listen: Endpoint) -> Endpoint | None:
        """The outside endpoint that is reserved for `listen`, if one is."""
        resource = self._resources.get(reserved_key(proto, listen))
        return resource.visible if resource else None

    def release(self, user: User, keep: Collection[Key] = ()) -> list[int]:
        """Take from `user` all but `keep`.

        Returns the numbers of what has no user any more, to end at the gateway: pinholes
        first, as they lead through reserved endpoints.
        """
        gone = [key for key in self._of.get(user, ()) if key not in keep]
        ids: list[int] = []
        for key in sorted(gone, key=lambda k: k.kind is Kind.RESERVED):
            ids += self._drop(user, key)
        return ids

    def ids(self, user: User) -> list[int]:
        """The gateway's numbers for what a user has, in ascending order."""
        found = (self._resources[key].ids for key in self._of.get(user, ()))
        return sorted(number for ids in found for number in ids)

    def _check(self, key: Key) -> None:
        if key not in self._resources and len(self._resources) >= self._limit:
            raise SipError("resource-limit")

    def _keep(self, key: Key, grant: Grant) -> _Resource:
        number = grant.number
        resource = self._resources.setdefault(key, _Resource(grant.visible, []))
        if number not in resource.ids:
            self._new.append(_New(key, number, resource.visible, resource.is_pair))
            # A pinhole that was used up or has expired is granted again under another number,
            # but flows that came through the old one go on.
            resource.ids = [*resource.ids[-_IDS:], number]
            resource.visible = grant.visible
        return resource

    def _use(self, user: User, key: Key, resource: _Resource) -> None:
        if user not in resource.users:
            resource.users.add(user)
            self._of.setdefault(user, {})[key] = None
            self._taken.append((user, key))

    def _drop(self, user: User, key: Key) -> list[int]:
        resource = self._resources.get(key)
        mine = self._of.get(user)
        if mine is not None:
            mine.pop(key, None)
            if not mine:
                del self._of[user]
        if resource is None:
            return []
        resource.users.discard(user)
        resource.until.pop(user, None)
        if resource.users:
            return []
        del self._resources[key]
        return resource.ids
