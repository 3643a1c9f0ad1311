"""The only place where the machine of a control session is called.

An ALG may raise an exception, return steps that contradict the message, or never name what it
asked for. A call that fails in this way harms only its own control session: what the call has
changed is undone, the fault is counted and logged, and the session goes on as plain NAT.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, cast

from p4alg.alg.contract import (
    Detach,
    Edit,
    Endpoint,
    Finish,
    Forward,
    Gateway,
    Lasting,
    Notice,
    Peer,
    Refuse,
    Step,
    Tagged,
    Watch,
)

FAULT = "fault"
"""The reason for which a session is detached whose ALG has failed."""
_LONGEST_DATAGRAM = 65507
_MOST_GROWTH = 65536
_LONGEST_ANSWER = 8192
_LONGEST_LINGER = 86400.0
_MOST_STEPS = 65536
_MOST_TAGS = 1024
_TAG_LIMIT = 1 << 64


class StepError(Exception):
    """The steps of an ALG are malformed, or do not fit the bytes that it was given."""


class MessageGateway(Gateway, Protocol):
    """The gateway for one call of an ALG, with methods for its caller.

    The caller learns what was granted in the call, and can take it back.
    """

    @property
    def granted(self) -> Collection[int]:
        """The numbers of what was granted in this call."""
        ...

    def settle(self, named: Collection[int]) -> None:
        """The call has ended. Keep `named` for the messages that name them; take back the rest."""
        ...

    def undo(self, error: Exception) -> None:
        """The call has failed with `error`. Undo all that it has changed, and report the fault."""
        ...


class GuardedAlg:
    """The machine of one control session (see `Alg.make`). It is not called again after a fault."""

    def __init__(self, machine: object, *, is_stream: bool) -> None:
        self._machine = machine
        # Asked once: it takes ten times as long as most calls.
        self._lasting = machine if isinstance(machine, Lasting) else None
        self._tagged = machine if isinstance(machine, Tagged) else None
        self._is_stream = is_stream
        self._failed = False

    @property
    def follows_data(self) -> bool:
        """Whether the ALG reads the data flows that it announces (`TransferAlg`)."""
        return not self._failed and hasattr(self._machine, "receive_data")

    def tags(self) -> frozenset[int] | None:
        """The tags of the session's inside host (`Tagged`); None if the ALG has no tags."""
        if self._failed or self._tagged is None:
            return None
        found = frozenset(self._tagged.tags)
        if len(found) > _MOST_TAGS or not all(0 <= tag < _TAG_LIMIT for tag in found):
            raise StepError("tags that are too many or no 64-bit numbers")
        return found

    def feed(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """Call `StreamAlg.feed`. If that fails, the result is a `Detach`."""
        return self._steps("feed", (sender, data, gateway, now), gateway)

    def receive(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """Call `DatagramAlg.receive`. If that fails, the result is a `Detach`."""
        return self._steps("receive", (sender, data, gateway, now), gateway)

    def receive_data(
        self, opener: Endpoint, sender: Peer, data: bytes, gateway: Gateway, now: float
    ) -> Sequence[Step]:
        """Call `TransferAlg.receive_data`. If that fails, the result is a `Detach`."""
        return self._steps("receive_data", (opener, sender, data, gateway, now), gateway)

    def tick(self, gateway: MessageGateway, now: float) -> bool:
        """Call `Lasting.tick` if the ALG has it. False if that fails."""
        machine = self._lasting
        if machine is not None:
            return self._plain(lambda: machine.tick(gateway, now), gateway)
        return True

    def ended(self, gateway: MessageGateway) -> bool:
        """Call `Lasting.ended` if the ALG has it. False if that fails."""
        machine = self._lasting
        if machine is not None:
            return self._plain(lambda: machine.ended(gateway), gateway)
        return True

    def _plain(self, call: Callable[[], None], gateway: MessageGateway) -> bool:
        if self._failed:
            return True
        try:
            call()
            gateway.settle(())
        except Exception as error:
            self._failed = True
            gateway.undo(error)
            return False
        return True

    def _steps(self, method: str, args: tuple[Any, ...], gateway: Gateway) -> Sequence[Step]:
        if self._failed:
            return [Detach(FAULT)]
        # The follower passes on the gateway that the engine made, which has these methods.
        call = cast(MessageGateway, gateway)
        try:
            steps = list(getattr(self._machine, method)(*args))
            size = next(len(arg) for arg in args if isinstance(arg, bytes))
            named = self._checked(steps, size, call.granted, is_data=method == "receive_data")
            call.settle(named)
        except Exception as error:
            self._failed = True
            call.undo(error)
            return [Detach(FAULT)]
        return steps

    def _checked(
        self, steps: list[Step], size: int, granted: Collection[int], *, is_data: bool
    ) -> set[int]:
        """Check `steps` for a message of `size` bytes; `StepError` if they are wrong.

        Returns the numbers of `granted` that the steps name.
        """
        if len(steps) > _MOST_STEPS:
            raise StepError(f"{len(steps)} steps for {size} bytes")
        used = 0
        named: set[int] = set()
        ends = False
        for step in steps:
            _check(step, is_data=is_data)
            if ends and step.length:
                raise StepError("bytes after a Detach")
            ends = ends or isinstance(step, Detach)
            used += step.length
            if isinstance(step, Forward):
                named.update(step.grants)
        if used > size:
            raise StepError(f"steps for {used} of {size} bytes")
        if not self._is_stream and not ends and used != size:
            raise StepError(f"steps for {used} of a datagram of {size} bytes")
        if not self._is_stream and sum(isinstance(step, Forward | Refuse) for step in steps) > 1:
            raise StepError("a datagram is one message")
        return named & set(granted)


def _check(step: object, *, is_data: bool) -> None:
    match step:
        case Forward():
            _check_forward(step)
        case Refuse() | Detach():
            if not isinstance(step.reason, str) or not _is_size(step.length):
                raise StepError(f"{type(step).__name__} without a reason or a length")
            if isinstance(step, Refuse):
                _check_answer(step.answer)
        case Notice():
            if not isinstance(step.event, str) or not isinstance(step.summary, str):
                raise StepError("Notice without words")
        case Watch() | Finish():
            _check_data(step, is_data=is_data)
        case _:
            raise StepError(f"{type(step).__name__} is no step")


def _check_forward(step: Forward) -> None:
    if not _is_size(step.length) or not isinstance(step.summary, str):
        raise StepError("Forward without a length or with a summary that is no text")
    if not all(isinstance(number, int) for number in step.grants):
        raise StepError("Forward with grants that are no numbers")
    _check_answer(step.answer)
    at = grown = 0
    for edit in step.edits:
        if not isinstance(edit, Edit) or not at <= edit.start <= edit.end <= step.length:
            raise StepError("edits out of order or outside of their message")
        at = edit.end
        grown += len(bytes(edit.data)) - (edit.end - edit.start)
    if grown > _MOST_GROWTH:
        raise StepError(f"a message that grows by {grown} bytes")


def _check_answer(answer: object) -> None:
    if answer is not None and not (isinstance(answer, bytes) and len(answer) <= _LONGEST_ANSWER):
        raise StepError("an answer that is no message")


def _check_data(step: Watch | Finish, *, is_data: bool) -> None:
    if not is_data:
        raise StepError(f"{type(step).__name__} of a control message")
    if isinstance(step, Watch):
        if not _is_size(step.below) or step.below > _LONGEST_DATAGRAM:
            raise StepError(f"Watch below {step.below!r} bytes")
    elif not math.isfinite(step.linger) or not 0 <= step.linger <= _LONGEST_LINGER:
        raise StepError(f"Finish with {step.linger!r} seconds")


def _is_size(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0
