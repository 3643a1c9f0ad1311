"""Tells what an error of a P4Runtime switch means to the controller."""

from __future__ import annotations

from typing import NoReturn

import finsy as fy
import grpc

from p4alg.driver.target import TargetError

BROKEN, DISPLACED = "the connection broke", "another controller became primary"
# Errors that say nothing about the updates: the switch cannot be reached any more.
_GONE = {
    fy.GRPCStatusCode.UNAVAILABLE: BROKEN,
    fy.GRPCStatusCode.CANCELLED: BROKEN,
    fy.GRPCStatusCode.DEADLINE_EXCEEDED: "it does not answer",
}


def refusals(error: fy.P4ClientError, number: int) -> dict[int, str]:
    """Which of `number` updates were refused, and why. `TargetError` if the switch is gone."""
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
    """Whether the switch says that it does not implement the request."""
    codes = {detail.canonical_code for detail in error.details.values()} or {error.code}
    return codes == {fy.GRPCStatusCode.UNIMPLEMENTED}


def raise_unusable(error: fy.P4ClientError) -> NoReturn:
    """Raise the `TargetError` for a request that does not fail on a switch in order."""
    raise TargetError(_GONE.get(error.code) or first_line(error.message)) from None


def status_text(code: grpc.StatusCode, details: str | None) -> str:
    """What is to be said of a request that ended with this gRPC status."""
    return _GONE.get(fy.GRPCStatusCode(code.value[0])) or first_line(details or "")


def first_line(text: str) -> str:
    """The first line of a message, for an operator."""
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
