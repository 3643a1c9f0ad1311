"""Connects to a P4Runtime switch, unless it is used by another controller or program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import finsy as fy
from finsy.switch import SwitchFailFastError

from p4alg.driver.artifacts import Artifacts
from p4alg.driver.gauges import Meter
from p4alg.driver.p4runtime.channel import Tls, refuse_strangers, tls_failure
from p4alg.driver.p4runtime.errors import first_line
from p4alg.driver.p4runtime.program import Program
from p4alg.driver.p4runtime.target import P4RuntimeTarget
from p4alg.driver.target import TargetError

_NOT_PRIMARY = "another controller is primary; stop it first"


@asynccontextmanager
async def connect(
    address: str,
    device_id: int,
    artifacts: Artifacts,
    meters: Sequence[Meter] = (),
    timeout: float = 10.0,
    tls: Tls | None = None,
) -> AsyncIterator[P4RuntimeTarget]:
    """Connect to ``HOST:PORT`` or ``unix:/PATH`` as primary, push the program unless it runs there
    already, and set `meters`.

    Raises `TargetError` if the switch cannot be reached in `timeout` seconds,
    runs another program, or another controller is primary.
    """
    artifacts.verify()
    refuse_strangers(address)
    credentials = None if tls is None else tls.credentials()
    options = fy.SwitchOptions(
        p4info=artifacts.p4info,
        p4blob=artifacts.program,
        device_id=device_id,
        fail_fast=True,
        channel_credentials=credentials,
    )
    await _refuse_other_program(address, options, timeout, tls)
    switch = fy.Switch("gateway", address, options)
    try:
        async with asyncio.timeout(timeout):
            await switch.__aenter__()
    except TimeoutError:
        raise TargetError(f"{address}: no answer from the switch in {timeout:g} s") from None
    except SwitchFailFastError:
        raise TargetError(f"{address}: {_NOT_PRIMARY}") from None
    except fy.P4ClientError as error:
        raise TargetError(f"{address}: the switch refuses: {first_line(error.message)}") from None
    target = P4RuntimeTarget(switch)
    try:
        if not switch.is_primary:
            raise TargetError(f"{address}: {_NOT_PRIMARY}")
        try:
            await target.prepare(meters)
        except TargetError as error:
            raise TargetError(f"{address}: cannot prepare the switch ({error})") from None
        yield target
    finally:
        target.close()
        # It raises this if the connection was lost. The user of the target has noticed that
        # by then.
        with suppress(SwitchFailFastError):
            await switch.__aexit__(None, None, None)


async def _refuse_other_program(
    address: str, options: fy.SwitchOptions, timeout: float, tls: Tls | None
) -> None:
    """Raise `TargetError` if nobody answers, or if the switch runs another program."""
    probe = fy.Switch("probe", address, replace(options, p4info=None, p4blob=None))
    try:
        async with asyncio.timeout(timeout), probe:
            running = probe.p4info
            ours = fy.P4Schema(options.p4info)
            Program(ours)
            if running.exists and {t.name for t in running.tables} != {t.name for t in ours.tables}:
                raise TargetError(
                    f"{address}: the switch runs another program ({running.name or 'unnamed'}); "
                    "restart it without a program"
                )
    except TimeoutError:
        raise TargetError(
            f"{address}: no answer from the switch in {timeout:g} s; "
            "start it or correct the address"
        ) from None
    except SwitchFailFastError:
        # finsy does not tell which of the two it is.
        raise TargetError(
            f"{address}: {_NOT_PRIMARY}, or correct the device id if it is not {options.device_id}"
        ) from None
    except fy.P4ClientError as error:
        wrong = tls_failure(error, tls)
        if wrong is not None:
            raise TargetError(f"{address}: {wrong}") from None
        raise TargetError(
            f"{address}: cannot use the switch ({first_line(error.message)}); "
            "start it or correct address and device id"
        ) from None
