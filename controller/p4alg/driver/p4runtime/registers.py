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
from p4alg.driver.target import TargetError

ANSWER_SECONDS = 10.0
"""Seconds to wait for a part of the answer."""
_ASKED = 2000
"""The most cells that are asked for by one request, if not all of the array are."""


async def is_offered(switch: fy.Switch, register_id: int) -> bool:
    """Whether the switch lets registers be read. `TargetError` if it cannot be asked."""
    try:
        async with _channel(switch) as channel:
            await _first(channel, _request(switch.device_id, register_id, [0]))
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return False
        raise TargetError(status_text(error.code(), error.details())) from None
    return True


async def read(
    switch: fy.Switch, register_id: int, cells: Sequence[int] | None
) -> AsyncIterator[dict[int, int]]:
    """The cells that do not hold 0, by index: all of the array, or of those named.

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
                async for part in _parts(channel, request):
                    yield _cells(part)
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


async def _parts(channel: grpc.aio.Channel, request: Any) -> AsyncIterator[Any]:
    stub: Any = p4r_grpc.P4RuntimeStub(channel)
    answer = stub.Read(request)
    while True:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                part = await answer.read()
        except TimeoutError:
            raise TargetError("it does not answer") from None
        if part is grpc.aio.EOF:
            return
        yield part


async def _first(channel: grpc.aio.Channel, request: Any) -> None:
    async for _ in _parts(channel, request):
        pass


def _cells(part: Any) -> dict[int, int]:
    found: dict[int, int] = {}
    for entity in part.entities:
        entry = entity.register_entry
        value = entry.data.bitstring
        if value != b"\0":
            found[entry.index.index] = int.from_bytes(value, "big")
    return found
