"""Digests: samples gathered into lists, sent when full or old, not repeated until acknowledged."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from p4softswitch.errors import Reason, StateError

Sample = tuple[int, ...]

MAX_REMEMBERED = 1 << 16


@dataclass(frozen=True, slots=True)
class DigestConfig:
    """How long samples may wait (0: not at all), how many go in a list (0: no limit) and for
    how long, in nanoseconds, an unacknowledged sample is not sent again (0: it may be at once)."""

    max_timeout_ns: int = 0
    max_list_size: int = 0
    ack_timeout_ns: int = 0


@dataclass(frozen=True, slots=True)
class DigestList:
    """A list that is ready to be sent."""

    digest: str
    list_id: int
    samples: tuple[Sample, ...]
    timestamp_ns: int


class DigestStore:
    """One digest of the program. Disabled, and so silent, until it is configured."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.config: DigestConfig | None = None
        self.dropped = 0
        self._enabled = ctypes.c_uint64()
        self._waiting: list[Sample] = []
        self._since = 0
        self._next_id = 1
        self._seen: set[Sample] = set()
        self._unacked: dict[int, tuple[int, tuple[Sample, ...]]] = {}

    @property
    def address(self) -> int:
        """Where generated code sees whether samples are wanted."""
        return ctypes.addressof(self._enabled)

    def configure(self, config: DigestConfig | None, *, exists: bool | None = None) -> None:
        """Set or, with None, remove the configuration; forgets everything that waits.

        `exists` is what the caller expects of the present state; ALREADY_EXISTS or NOT_FOUND if
        it is otherwise.
        """
        if exists is False and self.config is not None:
            raise StateError(Reason.ALREADY_EXISTS, f"digest {self.name} is configured already")
        if exists is True and self.config is None:
            raise StateError(Reason.NOT_FOUND, f"digest {self.name} is not configured")
        if (
            config is not None
            and min(config.max_timeout_ns, config.max_list_size, config.ack_timeout_ns) < 0
        ):
            raise StateError(Reason.INVALID_ARGUMENT, "digest limits are not negative")
        self.config = config
        self._enabled.value = config is not None
        self._waiting.clear()
        self._seen.clear()
        self._unacked.clear()

    def add(self, sample: Sample, now: int) -> None:
        """Note a sample at time `now`, unless one like it waits or is unacknowledged."""
        if self.config is None or sample in self._seen:
            return
        if len(self._seen) >= MAX_REMEMBERED:
            self.dropped += 1
            return
        if not self._waiting:
            self._since = now
        self._seen.add(sample)
        self._waiting.append(sample)

    def due(self, now: int) -> list[DigestList]:
        """Lists to send at time `now`; also forgets lists whose acknowledgement is overdue."""
        config = self.config
        if config is None:
            return []
        for list_id in [i for i, (t, _) in self._unacked.items() if t <= now]:
            self.ack(list_id)
        lists = []
        limit = config.max_list_size
        while self._waiting:
            full = limit and len(self._waiting) >= limit
            if not full and now - self._since < config.max_timeout_ns:
                break
            size = limit or len(self._waiting)
            samples, self._waiting = tuple(self._waiting[:size]), self._waiting[size:]
            lists.append(DigestList(self.name, self._next_id, samples, now))
            if config.ack_timeout_ns:
                self._unacked[self._next_id] = (now + config.ack_timeout_ns, samples)
            else:
                self._seen.difference_update(samples)
            self._next_id += 1
            self._since = now
        return lists

    @property
    def is_busy(self) -> bool:
        """Whether `due` may have something to do, now or later."""
        return bool(self._waiting or self._unacked)

    def ack(self, list_id: int) -> None:
        """Acknowledge a list, so that its samples may be sent again; unknown lists are ignored."""
        _, samples = self._unacked.pop(list_id, (0, ()))
        self._seen.difference_update(samples)

    def next_deadline(self) -> int | None:
        """When `due` has something to do if nothing else happens."""
        if self.config is None or not self._waiting:
            return None
        return self._since + self.config.max_timeout_ns
