"""Looks at a P4Runtime switch from beside, without becoming its controller."""

from __future__ import annotations

import asyncio
from enum import Enum

import finsy as fy
from finsy.proto import p4r

from p4alg.driver.artifacts import Artifacts
from p4alg.driver.p4runtime.channel import Tls, find, tls_failure
from p4alg.driver.p4runtime.errors import first_line
from p4alg.driver.target import TargetError


class Running(Enum):
    """The program of a switch, against ours."""

    SAME = "same"
    OLDER = "older"
    """Another version of ours: it has the same tables."""
    OTHER = "other"
    NONE = "none"


async def running(
    address: str,
    device_id: int,
    artifacts: Artifacts,
    tls: Tls | None = None,
    timeout: float = 5.0,
) -> Running:
    """What a switch runs; nothing of it is changed, and no controller displaced.

    It may be another user's, such as that of a service: nothing is entrusted to it.
    Raises `TargetError` if the switch does not answer in `timeout` seconds, or refuses.
    """
    artifacts.verify()
    find(address)
    ask = p4r.GetForwardingPipelineConfigRequest(
        device_id=device_id,
        response_type=p4r.GetForwardingPipelineConfigRequest.P4INFO_AND_COOKIE,
    )
    credentials = None if tls is None else tls.credentials()
    try:
        async with (
            asyncio.timeout(timeout),
            fy.P4Client(address, credentials, wait_for_ready=False) as client,
        ):
            answer = await client.request(ask)
    except TimeoutError:
        raise TargetError(f"{address}: no answer in {timeout:g} s") from None
    except fy.P4ClientError as error:
        if error.code == fy.GRPCStatusCode.FAILED_PRECONDITION:
            return Running.NONE
        wrong = tls_failure(error, tls) or first_line(error.message)
        raise TargetError(f"{address}: {wrong}") from None
    theirs, ours = answer.config.p4info, fy.P4Schema(artifacts.p4info).p4info
    if not theirs.tables:
        return Running.NONE
    if theirs == ours:
        return Running.SAME
    same = {t.preamble.name for t in theirs.tables} == {t.preamble.name for t in ours.tables}
    return Running.OLDER if same else Running.OTHER
