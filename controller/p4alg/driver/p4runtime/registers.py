"""Reads registers of a P4Runtime switch.

finsy would make an object of each cell, which for all cells takes several times as long as the
switch needs. So this asks the switch itself, by a connection of its own: what is sent and reported
meanwhile does not wait behind a hundred thousand cells.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import finsy as fy
import grpc
from finsy.grpcutil import grpc_channel
from finsy.proto import p4r, p4r_grpc

from p4alg.driver.p4runtime.errors import status_text
from p4alg.driver.target import MAX_KEYS, TargetError
from p4alg.engine.cells import Key

ANSWER_SECONDS = 10.0
"""Seconds to wait for a part of the answer."""
_ASKED = 2000
"""The most cells that are asked for by one request, if not all of the array are."""


_HINT, _TIME = "p4softswitch-cells", "p4softswitch-time"
"""How the embedded switch is asked to leave cells out, and how it tells its time with them.

A switch that does not know these sends all cells and no time: docs/embedded-switch.md."""


async def probe(switch: fy.Switch, register_id: int) -> tuple[bool, int | None]:
    """Whether the switch lets registers be read, and what it tells that its program's clock says.

    The time is in microseconds, None if the switch does not tell. Raises `TargetError` if it
    cannot be asked.
    """
    request = _request(switch.device_id, register_id, [0])
    try:
        async with _channel(switch) as channel:
            answer = _asked(channel, request, ())
            async for _ in _parts(answer):
                pass
            told = dict(await answer.initial_metadata() or ()).get(_TIME)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return False, None
        raise TargetError(status_text(error.code(), error.details())) from None
    return True, int(told) if isinstance(told, str) and told.isdigit() else None


async def read(
    switch: fy.Switch, register_id: int, cells: Sequence[int] | None, keys: Sequence[Key] = ()
) -> AsyncIterator[dict[int, int]]:
    """The cells that do not hold 0, by index: all of the array, or of those named.

    With `keys`, those of them that fit one.

    As they come, a few hundred at a time. Raises `TargetError` if the switch refuses or is gone.
    """
    try:
        device_id = switch.device_id
        async with _channel(switch) as channel:
            if cells is None:
                requests = [_request(device_id, register_id, None)]
            else:
                requests = [
                    _request(device_id, register_id, cells[start : start + _ASKED])
                    for start in range(0, len(cells), _ASKED)
                ]
            for request in requests:
                async for part in _parts(_asked(channel, request, keys)):
                    found = _cells(part)
                    if keys:
                        found = {i: v for i, v in found.items() if any(k.fits(v) for k in keys)}
                    yield found
    except grpc.aio.AioRpcError as error:
        raise TargetError(status_text(error.code(), error.details())) from None


def _channel(switch: fy.Switch) -> grpc.aio.Channel:
    """A channel of our own, to where the switch's goes and with the same TLS."""
    return grpc_channel(switch.address, credentials=switch.options.channel_credentials)


def _request(device_id: int, register_id: int, cells: Sequence[int] | None) -> Any:
    request = p4r.ReadRequest(device_id=device_id)
    if cells is None:
        request.entities.add().register_entry.register_id = register_id
        return request
    for index in cells:
        entry = request.entities.add().register_entry
        entry.register_id, entry.index.index = register_id, index
    return request


def _hint(keys: Sequence[Key]) -> tuple[tuple[str, str], ...]:
    """The metadata that has empty cells left out, and those that fit no key if these are few."""
    texts = [f"{key.value:x}/{key.mask:x}" for key in keys]
    return ((_HINT, ",".join(texts) if 0 < len(texts) <= MAX_KEYS else "held"),)


def _asked(channel: grpc.aio.Channel, request: Any, keys: Sequence[Key]) -> Any:
    """The answer of the switch to a request, as it comes."""
    stub: Any = p4r_grpc.P4RuntimeStub(channel)
    return stub.Read(request, metadata=_hint(keys))


async def _parts(answer: Any) -> AsyncIterator[Any]:
    while True:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                part = await answer.read()
        except TimeoutError:
            raise TargetError("it does not answer") from None
        if part is grpc.aio.EOF:
            return
        yield part


def _cells(part: Any) -> dict[int, int]:
    found: dict[int, int] = {}
    for entity in part.entities:
        entry = entity.register_entry
        value = entry.data.bitstring
        if value != b"\0":
            found[entry.index.index] = int.from_bytes(value, "big")
    return found
