"""What the SIP ALG has of the gateway: held endpoints and pinholes, and who needs each.

Calls, dialogs and registrations share them: two calls of one phone have the same
signalling port, an early answer and the final one the same media. Each is given
back when its last user lets go. What one message took is given back if that
message is refused, so that a refused message leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass, field, replace

from p4alg.alg.contract import Endpoint, Gateway, Grant, PinholeRequest, Refusal
from p4alg.alg.sip.message import SipError

User = Hashable
Key = tuple[str, int, Endpoint, int]
"""Kind, IP protocol, inside endpoint, and who may come (0 for a hold)."""

_HOLD, _PINHOLE = "hold", "pinhole"
_IDS = 8


@dataclass(slots=True)
class _Resource:
    visible: Endpoint
    ids: list[int]
    is_pair: bool = False
    users: set[User] = field(default_factory=set)
    until: dict[User, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _New:
    """An id granted since `begin`, and what was announced before it."""

    key: Key
    number: int
    visible_before: Endpoint
    was_pair: bool


class Ledger:
    """Every hold and pinhole of the ALG, at most `limit` of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._resources: dict[Key, _Resource] = {}
        # By user, in the order they were taken.
        self._of: dict[User, dict[Key, None]] = {}
        # Since `begin`: what a user had not, and ids that did not exist.
        self._taken: list[tuple[User, Key]] = []
        self._new: list[_New] = []

    def __len__(self) -> int:
        return len(self._resources)

    def begin(self) -> None:
        """A message begins: what is taken from here on can be undone."""
        self._taken.clear()
        self._new.clear()

    @property
    def granted(self) -> list[int]:
        """What the gateway granted since `begin`."""
        return [new.number for new in self._new]

    def undo(self) -> list[int]:
        """Forget what was taken since `begin`; the ids to end."""
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
        """The outside endpoint of `listen`, held for `user`; raises `SipError` if refused."""
        key: Key = (_HOLD, proto, listen, 0)
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
        """Open a pinhole for `user`, or prolong it; its id. Raises `SipError` if refused.

        It lives as long as the user that needs it longest.
        """
        key: Key = (_PINHOLE, request.proto, request.listen, request.opener_addr)
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
        return grant.pinhole_id

    def visible(self, proto: int, listen: Endpoint) -> Endpoint | None:
        """The outside endpoint of `listen`, if it is held."""
        resource = self._resources.get((_HOLD, proto, listen, 0))
        return resource.visible if resource else None

    def release(self, user: User, keep: Collection[Key] = ()) -> list[int]:
        """`user` lets go of all but `keep`; the ids nobody needs any more, pinholes first."""
        gone = [key for key in self._of.get(user, ()) if key not in keep]
        ids: list[int] = []
        for key in sorted(gone, key=lambda k: k[0] == _HOLD):
            ids += self._drop(user, key)
        return ids

    def ids(self, user: User) -> list[int]:
        """The ids of what a user has, in their order."""
        found = (self._resources[key].ids for key in self._of.get(user, ()))
        return sorted(number for ids in found for number in ids)

    def _check(self, key: Key) -> None:
        if key not in self._resources and len(self._resources) >= self._limit:
            raise SipError("resource-limit")

    def _keep(self, key: Key, grant: Grant) -> _Resource:
        number = grant.pinhole_id
        resource = self._resources.setdefault(key, _Resource(grant.visible, []))
        if number not in resource.ids:
            self._new.append(_New(key, number, resource.visible, resource.is_pair))
            # A used-up or expired pinhole is asked for anew; flows of the old one go on.
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
