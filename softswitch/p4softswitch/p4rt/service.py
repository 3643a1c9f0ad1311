"""The P4Runtime service on gRPC: a thin asyncio shell around `device.Device`."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import grpc

from p4softswitch.p4rt import cells
from p4softswitch.p4rt.codes import DETAILS_KEY, RpcError, batch_details
from p4softswitch.p4rt.device import Device, Stream
from p4softswitch.p4rt.listening import Tls, listen
from p4softswitch.p4rt.proto import p4r, p4r_grpc

QUEUE_MESSAGES = 4096
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
)


class P4RuntimeService(p4r_grpc.P4RuntimeServicer):
    """Every method turns an `RpcError` of the device into a gRPC status."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._loading = asyncio.Lock()

    async def SetForwardingPipelineConfig(self, request: Any, context: Any) -> Any:
        """Set the program. While it is compiled, everybody else is served."""
        try:
            async with self._loading:
                loaded = None
                if self._device.check_pipeline(request):
                    load = self._device.pipeline.load
                    loaded = await asyncio.to_thread(load, request.config)
                # The client may have lost its place as primary meanwhile, which is asked again.
                self._device.set_pipeline(request, loaded)
            # The program and the like stay. To look through them for garbage again and again
            # would hold up packet-ins for a tenth of a second each time.
            gc.collect()
            gc.freeze()
        except RpcError as exc:
            await context.abort(exc.grpc_code, exc.message)
        return p4r.SetForwardingPipelineConfigResponse()

    async def GetForwardingPipelineConfig(self, request: Any, context: Any) -> Any:
        """Get the program."""
        try:
            return self._device.get_pipeline(request)
        except RpcError as exc:
            await context.abort(exc.grpc_code, exc.message)

    async def Write(self, request: Any, context: Any) -> Any:
        """Apply updates; if any fails, UNKNOWN with an error for each in the details."""
        try:
            errors = self._device.write(request)
        except RpcError as exc:
            await context.abort(exc.grpc_code, exc.message)
        if any(error is not None for error in errors):
            failed = sum(error is not None for error in errors)
            await context.abort(
                grpc.StatusCode.UNKNOWN,
                f"{failed} of {len(errors)} updates failed",
                ((DETAILS_KEY, batch_details(errors)),),
            )
        return p4r.WriteResponse()

    async def Read(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Stream entities in chunks."""
        try:
            keys = cells.wanted(context.invocation_metadata() or ())
            if keys is not None:
                await context.send_initial_metadata(((cells.TIME, str(self._device.time())),))
            for answer in self._device.read(request, keys):
                yield answer
        except RpcError as exc:
            await context.abort(exc.grpc_code, exc.message)

    async def Capabilities(self, request: Any, context: Any) -> Any:
        """Report the version of P4Runtime."""
        return self._device.capabilities()

    async def StreamChannel(  # type: ignore[override]  # writes by itself
        self, requests: Any, context: Any
    ) -> None:
        """Arbitration, packets, digests and notifications of one client."""
        queue: asyncio.Queue[Any] = asyncio.Queue(QUEUE_MESSAGES)

        def offer(message: Any) -> bool:
            try:
                queue.put_nowait(message)
            except asyncio.QueueFull:
                return False
            return True

        async def drain() -> None:
            while True:
                await context.write(await queue.get())

        stream = Stream(offer)
        writer = asyncio.create_task(drain())
        try:
            async for message in requests:
                self._device.stream_message(stream, message)
        except asyncio.CancelledError:
            pass  # the client went away or the server stops; gRPC has already ended the call
        except RpcError as exc:
            await context.abort(exc.grpc_code, exc.message)
        finally:
            writer.cancel()
            self._device.stream_closed(stream)


async def start_server(device: Device, address: str, tls: Tls | None = None) -> tuple[Any, int]:
    """Serve `device` on `address` (``HOST:PORT`` or ``unix:/PATH``).

    Returns the server and the port it got. Raises `PortError` if the address cannot be used.
    """
    server = grpc.aio.server(options=_OPTIONS)
    p4r_grpc.add_P4RuntimeServicer_to_server(P4RuntimeService(device), server)
    port = listen(server, address, tls)
    await server.start()
    return server, port
