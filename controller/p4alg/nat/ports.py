"""The identifiers of one outside address and protocol: ports, ICMP query ids, call ids.

A search starts at random and takes the next that is free (RFC 6056), so that nobody can guess
it. An inside port below 1024 gets an outside port below 1024, any other one from 1024
up; an even port gets an even one, an odd port an odd one (RFC 4787 REQ-3 and REQ-4). An
identifier that was freed rests before it is given out again (RFC 6888 REQ-8).
"""

from __future__ import annotations

import random
from collections import deque
from typing import NamedTuple

from p4alg.protocols import GRE, ICMP
from p4alg.undo import UndoLog

_FREE, _USED, _RESTING = 0, 1, 2
OUR_WAY = 6
"""The way of the controller: bits 2..1 of an outside port that the switch never gives out."""


class Wanted(NamedTuple):
    """The identifiers to choose from: `first`, `first` + `step` and so on, up to `last`."""

    first: int
    last: int
    step: int


def in_blocks(proto: int, inside_id: int) -> bool:
    """Whether the outside identifier of an inside one is of a block.

    Those of ports below 1024 and of GRE are not: the former keep to ports below 1024.
    """
    return proto == ICMP or (proto != GRE and inside_id >= 1024)


def of_block(first: int, last: int, parity: int, *, is_own: bool) -> Wanted:
    """The ports with this parity of the block `first` to `last` that the controller gives out.

    In the block where the switch makes mappings (`is_own`) these are the ports of its way.
    """
    start = first + parity + (OUR_WAY if is_own else 0)
    return Wanted(start, last, 8 if is_own else 2)


def wanted_for(proto: int, inside_id: int) -> Wanted:
    """Which outside identifiers an inside one may get."""
    if proto in (ICMP, GRE):
        return Wanted(0, 65535, 1)
    if inside_id < 1024:
        return Wanted(2 - inside_id % 2, 1023, 2)
    return Wanted(1024 + inside_id % 2, 65535, 2)


class Ports:
    """65536 identifiers, each free, used, or resting for `rest` seconds after its use."""

    def __init__(self, rest: float, log: UndoLog | None = None) -> None:
        self._rest = rest
        self._log = log or UndoLog()
        self._state = bytearray(65536)
        self._resting: deque[tuple[float, int]] = deque()

    def take(self, wanted: Wanted, rng: random.Random, now: float) -> int | None:
        """Take a free identifier at random; None if there is none."""
        self._wake(now)
        first, last, step = wanted
        start = first + step * rng.randrange((last - first) // step + 1)
        for low, high in ((start, last + 1), (first, start)):
            # A slice with a step has one parity only; `find` searches it without a Python loop.
            at = self._state[low:high:step].find(_FREE)
            if at >= 0:
                number = low + at * step
                self._set(number, _USED)
                return number
        return None

    def take_pair(self, wanted: Wanted, rng: random.Random, now: float) -> int | None:
        """Take one of these even identifiers that is free together with the next; both are taken.

        None if there is none.
        """
        self._wake(now)
        first, last, step = wanted
        evens, odds = self._state[first : last + 1 : step], self._state[first + 1 : last + 2 : step]
        start = rng.randrange(len(evens))
        for low, high in ((start, len(evens)), (0, start)):
            at = low
            while (at := evens.find(_FREE, at, high)) >= 0:
                if odds[at] == _FREE:
                    number = first + at * step
                    self._set(number, _USED)
                    self._set(number + 1, _USED)
                    return number
                at += 1
        return None

    def take_exactly(self, number: int) -> bool:
        """Take this identifier, resting or not; False if it is in use."""
        if self._state[number] == _USED:
            return False
        self._set(number, _USED)
        return True

    def release(self, number: int, now: float) -> None:
        """Let a used identifier rest."""
        if self._state[number] == _USED:
            self._set(number, _RESTING)
            entry = (now + self._rest, number)
            self._log.append(
                (
                    _discard,
                    (
                        self._resting,
                        entry,
                    ),
                )
            )
            self._resting.append(entry)

    def _wake(self, now: float) -> None:
        while self._resting and self._resting[0][0] <= now:
            self._log.append((self._resting.appendleft, (self._resting[0],)))
            _, number = self._resting.popleft()
            # It may be in use again, as `take_exactly` takes resting ones too.
            if self._state[number] == _RESTING:
                self._set(number, _FREE)

    def _set(self, number: int, state: int) -> None:
        self._log.append(
            (
                self._state.__setitem__,
                (
                    number,
                    self._state[number],
                ),
            )
        )
        self._state[number] = state


def _discard(resting: deque[tuple[float, int]], entry: tuple[float, int]) -> None:
    if entry in resting:
        resting.remove(entry)
