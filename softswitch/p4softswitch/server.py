"""Runs a switch: ports, timers and P4Runtime in one asyncio loop, so nothing needs a lock."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from p4softswitch.executor.interface import Options
from p4softswitch.io.afpacket import InterfacePort
from p4softswitch.io.pcap import PcapWriter, Record, read_pcap
from p4softswitch.io.spec import InterfaceSpec, PcapSpec, PortSpec
from p4softswitch.p4rt.device import Device
from p4softswitch.p4rt.proto import p4r
from p4softswitch.p4rt.service import start_server
from p4softswitch.switch import Switch

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
_BURST = 32  # frames taken from one port before others and gRPC have their turn


@dataclass(slots=True)
class Settings:
    """What a server needs to know; `config` is a pipeline to start with."""

    ports: Sequence[PortSpec]
    grpc: str = "127.0.0.1:9559"
    device_id: int = 1
    cpu_port: int = 510
    drop_port: int = 511
    config: Any = None


class Server:
    """A running switch. `clock` gives nanoseconds and never goes back."""

    def __init__(self, settings: Settings, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.settings = settings
        self.clock = clock
        self.switch = Switch(settings.cpu_port, Options(drop_port=settings.drop_port))
        self.device = Device(self.switch, settings.device_id, clock)
        self.grpc_port = 0
        self._open = ExitStack()
        self._interfaces: list[tuple[int, InterfacePort]] = []
        self._replay: list[tuple[int, Record]] = []
        self._grpc: Any = None
        self._timers: list[asyncio.Task[None]] = []
        self._digest_timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Open ports, load the initial pipeline, serve; `PortError` or `RpcError` if that fails."""
        try:
            if self.settings.config is not None:
                action = p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT
                self.device.pipeline.set(action, self.settings.config)
            for spec in self.settings.ports:
                self._open_port(spec)
            self._grpc, self.grpc_port = await start_server(self.device, self.settings.grpc)
        except BaseException:
            self._open.close()
            raise
        loop = asyncio.get_running_loop()
        for number, port in self._interfaces:
            loop.add_reader(port.fileno(), self._readable, number, port)
        self._timers.append(asyncio.create_task(self._sweep()))
        if self._replay:
            self._timers.append(asyncio.create_task(self._replay_files()))

    async def stop(self) -> None:
        """Close everything; may be called once after `start`."""
        loop = asyncio.get_running_loop()
        for _, port in self._interfaces:
            loop.remove_reader(port.fileno())
        for task in self._timers:
            task.cancel()
        if self._digest_timer is not None:
            self._digest_timer.cancel()
        if self._grpc is not None:
            await self._grpc.stop(0.2)
        self._open.close()

    def _open_port(self, spec: PortSpec) -> None:
        if isinstance(spec, InterfaceSpec):
            port = InterfacePort(spec.interface)
            self._open.callback(port.close)
            self._interfaces.append((spec.port, port))
            self.switch.add_port(spec.port, port.send)
            return
        self._open_files(spec)

    def _open_files(self, spec: PcapSpec) -> None:
        if spec.input is not None:
            self._replay += [(spec.port, record) for record in read_pcap(spec.input)]
        if spec.output is None:
            self.switch.add_port(spec.port, lambda frame: None)
            return
        writer = PcapWriter(spec.output)
        self._open.callback(writer.close)
        self.switch.add_port(spec.port, lambda frame: writer.write(frame, self.clock()))

    def _readable(self, number: int, port: InterfacePort) -> None:
        for _ in range(_BURST):
            frame = port.receive()
            if frame is None:
                break
            self.switch.receive(number, frame, self.clock())
        self._arm_digest_timer()

    def _arm_digest_timer(self) -> None:
        deadline = self.switch.digest_deadline()
        if deadline is None or self._digest_timer is not None:
            return
        delay = max(0, deadline - self.clock()) / 1e9
        self._digest_timer = asyncio.get_running_loop().call_later(delay, self._digests_due)

    def _digests_due(self) -> None:
        self._digest_timer = None
        self.switch.flush_digests(self.clock())
        self._arm_digest_timer()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.switch.sweep_idle(self.clock())
            if self._digest_timer is None:
                self._digests_due()

    async def _replay_files(self) -> None:
        """Feed input files in order of their times, as fast as packets can be processed, from
        the moment when a program is loaded."""
        while self.switch.executor is None:
            await asyncio.sleep(0.05)
        for number, (_, frame) in sorted(self._replay, key=lambda item: item[1][0]):
            self.switch.receive(number, frame, self.clock())
            await asyncio.sleep(0)
        log.info("all input files are read")
