"""What the errors of a P4Runtime switch mean to the controller."""

from __future__ import annotations

from typing import NoReturn

import finsy as fy

from p4alg.driver.target import TargetError

BROKEN, DISPLACED = "the connection broke", "another controller became primary"
# Failures that say nothing about the updates: the switch is gone, or as good as gone.
_GONE = {
    fy.GRPCStatusCode.UNAVAILABLE: BROKEN,
    fy.GRPCStatusCode.CANCELLED: BROKEN,
    fy.GRPCStatusCode.DEADLINE_EXCEEDED: "it does not answer",
}


def refusals(error: fy.P4ClientError, number: int) -> dict[int, str]:
    """The refused ones of `number` updates, and why; `TargetError` if the switch is gone."""
    if error.code in _GONE:
        raise TargetError(_GONE[error.code]) from None
    refused = {
        index: f"{detail.canonical_code.name}: {detail.message or 'refused'}"
        for index, detail in error.details.items()
        if detail.canonical_code != fy.GRPCStatusCode.OK
    }
    if refused:
        return refused
    return {index: f"{error.code.name}: {first_line(error.message)}" for index in range(number)}


def is_unimplemented(error: fy.P4ClientError) -> bool:
    """Whether the switch says that it does not have what it was asked for."""
    codes = {detail.canonical_code for detail in error.details.values()} or {error.code}
    return codes == {fy.GRPCStatusCode.UNIMPLEMENTED}


def raise_unusable(error: fy.P4ClientError) -> NoReturn:
    """Raise the `TargetError` of what should not fail on a switch that is in order."""
    raise TargetError(_GONE.get(error.code) or first_line(error.message)) from None


def first_line(text: str) -> str:
    """What an operator is told of a message."""
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
