"""State that can be taken back: what one event has changed, undone if deciding about it fails.

An `UndoLog` remembers the old value of everything that is changed through the
containers and records of this module. Nobody has to write the inverse of what he
does, and so nobody can forget it: a change is recorded before it is made.

Depends on nothing. Records (`Tracked`) join a log when they are put into one of its
containers; before that nobody else can see them, and nothing needs to be undone.

This is on the path of every packet that the controller sees, so it makes no call that
it can do without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_MISSING: Any = object()
_Inverse = tuple[Callable[..., object], tuple[object, ...]]
_set, _delete, _pop = dict.__setitem__, dict.__delitem__, dict.pop
_set_attribute = object.__setattr__


class UndoLog:
    """The changes since `forget`, oldest first, each with what takes it back."""

    __slots__ = ("_inverses", "append")

    def __init__(self) -> None:
        self._inverses: list[_Inverse] = []
        self.append = self._inverses.append
        """Takes (inverse, args): `inverse(*args)` takes back what is about to be changed."""

    def savepoint(self) -> int:
        """A place to which `roll_back` can return."""
        return len(self._inverses)

    def roll_back(self, savepoint: int = 0) -> None:
        """Take back every change since `savepoint`, latest first."""
        while len(self._inverses) > savepoint:
            inverse, args = self._inverses.pop()
            inverse(*args)

    def forget(self) -> None:
        """Let all changes stand."""
        self._inverses.clear()


class TrackedDict(dict[K, V]):
    """A dict whose changes a log remembers. A key that comes back by undo is the last one.

    Only what is listed here may be used to change it: the rest of dict's methods that
    change it raise `NotImplementedError`.
    """

    __slots__ = ("_log", "_note")

    def __init__(self, log: UndoLog) -> None:
        super().__init__()
        self._log = log
        self._note = log.append

    def __setitem__(self, key: K, value: V) -> None:
        old: Any = self.get(key, _MISSING)
        if old is _MISSING:
            self._note((_pop, (self, key, None)))
        else:
            self._note((_set, (self, key, old)))
        _keep(value, self._note)
        _set(self, key, value)

    def __delitem__(self, key: K) -> None:
        self._note((_set, (self, key, self[key])))
        _delete(self, key)

    def pop(self, key: K, *default: Any) -> Any:
        """Remove a key and return its value; `KeyError` without it and without a default."""
        if key in self:
            self._note((_set, (self, key, self[key])))
        return _pop(self, key, *default)

    def setdefault(self, key: K, default: V) -> V:
        """The value of a key, set to `default` if it is missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Remove everything."""
        for key in list(self):
            del self[key]

    def update(self, *_args: object, **_kwargs: object) -> None:
        """Not supported: set keys one by one."""
        raise NotImplementedError

    def __ior__(self, _other: object) -> Any:  # type: ignore[misc]
        raise NotImplementedError

    def popitem(self) -> tuple[K, V]:
        """Not supported."""
        raise NotImplementedError


class TrackedCounts(TrackedDict[K, int]):
    """Counts by key that are never below zero; a key is there while its count is not 0."""

    __slots__ = ()

    def __missing__(self, _key: K) -> int:
        return 0

    def add(self, key: K, number: int = 1) -> None:
        """Count `number` more, or less if it is negative."""
        old = self[key]
        new = old + number
        if not old:
            self._note((_pop, (self, key, None)))
        else:
            self._note((_set, (self, key, old)))
        if new > 0:
            _set(self, key, new)
        else:
            _pop(self, key, None)


class TrackedSet(Generic[K]):
    """A set whose changes a log remembers."""

    __slots__ = ("_members",)

    def __init__(self, log: UndoLog) -> None:
        self._members: TrackedDict[K, None] = TrackedDict(log)

    def __contains__(self, key: object) -> bool:
        return key in self._members

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[K]:
        return iter(self._members)

    def add(self, key: K) -> None:
        """Put `key` in."""
        if key not in self._members:
            self._members[key] = None

    def discard(self, key: K) -> None:
        """Take `key` out, if it is in."""
        self._members.pop(key, None)


class Tracked:
    """A record whose attributes a log remembers from when it is put into a tracked container.

    Subclasses are dataclasses with `slots=True` and `eq=False`. What an attribute refers
    to is not tracked by that: use containers of this module for it.

    Python calls `__setattr__` for every field of a new record too, which would cost as much
    as all the rest of it. So a record gets a class with that method only when it is kept:
    a subclass of its own class, made once, which adds nothing else.
    """

    __slots__ = ("_note",)
    _note: Callable[[_Inverse], None]


def _set_tracked(record: Tracked, name: str, value: object) -> None:
    record._note((_set_attribute, (record, name, getattr(record, name))))
    _set_attribute(record, name, value)


_TRACKING: dict[type, type | None] = {}
"""By the class of a value that was kept: the class that tracks it, None if it is no record."""


def _tracking(kind: type) -> type | None:
    made: type | None = None
    if issubclass(kind, Tracked):
        made = type(
            kind.__name__,
            (kind,),
            {"__slots__": (), "__setattr__": _set_tracked, "__doc__": kind.__doc__},
        )
        _TRACKING[made] = None
    _TRACKING[kind] = made
    return made


def _keep(value: Any, note: Callable[[_Inverse], None]) -> None:
    """Track `value` from now on, if it is a record."""
    kind = type(value)
    made = _TRACKING[kind] if kind in _TRACKING else _tracking(kind)
    if made is not None:
        value._note = note
        value.__class__ = made
