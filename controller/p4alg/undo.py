"""State that can be taken back: what one event has changed, undone if deciding about it fails.

An `UndoLog` remembers the old value of everything that is changed through the
containers and records of this module. Nobody has to write the inverse of what he
does, and so nobody can forget it: a change is recorded before it is made.

Depends on nothing. Records (`Tracked`) join a log when they are put into one of its
containers; before that nobody else can see them, and nothing needs to be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_MISSING = object()
_Inverse = tuple[Callable[..., object], tuple[object, ...]]


class UndoLog:
    """The changes since `forget`, oldest first, each with what takes it back."""

    __slots__ = ("_inverses",)

    def __init__(self) -> None:
        self._inverses: list[_Inverse] = []

    def note(self, inverse: Callable[..., object], *args: object) -> None:
        """Remember that `inverse(*args)` takes back what is about to be changed."""
        self._inverses.append((inverse, args))

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

    __slots__ = ("_log",)

    def __init__(self, log: UndoLog) -> None:
        super().__init__()
        self._log = log

    def __setitem__(self, key: K, value: V) -> None:
        old = self.get(key, _MISSING)
        if old is _MISSING:
            self._log.note(dict.pop, self, key, None)
        else:
            self._log.note(dict.__setitem__, self, key, old)
        if isinstance(value, Tracked):
            object.__setattr__(value, "_log", self._log)
        dict.__setitem__(self, key, value)

    def __delitem__(self, key: K) -> None:
        self._log.note(dict.__setitem__, self, key, self[key])
        dict.__delitem__(self, key)

    def pop(self, key: K, *default: Any) -> Any:
        """Remove a key and return its value; `KeyError` without it and without a default."""
        if key in self:
            self._log.note(dict.__setitem__, self, key, self[key])
        return dict.pop(self, key, *default)

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

    def popitem(self) -> tuple[K, V]:
        """Not supported."""
        raise NotImplementedError


class TrackedCounts(Generic[K]):
    """Counts by key that are never below zero; a key is there while its count is not 0."""

    __slots__ = ("_counts",)

    def __init__(self, log: UndoLog) -> None:
        self._counts: TrackedDict[K, int] = TrackedDict(log)

    def __getitem__(self, key: K) -> int:
        return self._counts.get(key, 0)

    def __contains__(self, key: K) -> bool:
        return key in self._counts

    def __len__(self) -> int:
        return len(self._counts)

    def __iter__(self) -> Iterator[K]:
        return iter(self._counts)

    def items(self) -> Iterable[tuple[K, int]]:
        """Keys and their counts."""
        return self._counts.items()

    def view(self) -> Mapping[K, int]:
        """The counts, to be read only."""
        return self._counts

    def add(self, key: K, number: int = 1) -> None:
        """Count `number` more, or less if it is negative."""
        now = self[key] + number
        if now > 0:
            self._counts[key] = now
        else:
            self._counts.pop(key, None)


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
        self._members.setdefault(key, None)

    def discard(self, key: K) -> None:
        """Take `key` out, if it is in."""
        self._members.pop(key, None)


class Tracked:
    """A record whose attributes a log remembers from when it is put into a tracked container.

    Subclasses are dataclasses with `slots=True` and `eq=False`. What an attribute refers
    to is not tracked by that: use containers of this module for it.
    """

    __slots__ = ("_log",)

    def __setattr__(self, name: str, value: object) -> None:
        log: UndoLog | None = getattr(self, "_log", None)
        if log is not None:
            log.note(object.__setattr__, self, name, getattr(self, name))
        object.__setattr__(self, name, value)
