"""Runs a switch: P4Runtime, timers and files in one asyncio loop, interfaces in native threads."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from p4softswitch.executor.interface import Options
from p4softswitch.io.native import PacketIo
from p4softswitch.io.pcap import FilePort, PcapWriter, Replay
from p4softswitch.io.spec import InterfaceSpec, PcapSpec, PortSpec
from p4softswitch.p4rt.device import Device
from p4softswitch.p4rt.lacking import Part
from p4softswitch.p4rt.listening import DEFAULT_ADDRESS, Tls, is_open_to_others, withdraw
from p4softswitch.p4rt.proto import p4r
from p4softswitch.p4rt.service import start_server
from p4softswitch.switch import Switch

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
_AT_ONCE = 256  # frames of files that are run before gRPC has its turn


@dataclass(slots=True)
class Settings:
    """What a server needs to know; `config` is a pipeline to start with, `workers` are the threads
    that run packets of interfaces (1..MAX_WORKERS)."""

    ports: Sequence[PortSpec]
    grpc: str = DEFAULT_ADDRESS
    device_id: int = 1
    cpu_port: int = 510
    drop_port: int = 511
    config: Any = None
    tls: Tls | None = None
    workers: int = 1
    lacks: frozenset[Part] = frozenset()
    """The parts of P4Runtime that it does without."""


class Server:
    """A running switch. `clock` gives nanoseconds and never goes back."""

    def __init__(self, settings: Settings, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.settings = settings
        self.clock = clock
        self.switch = Switch(settings.cpu_port, Options(drop_port=settings.drop_port))
        self.device = Device(self.switch, settings.device_id, clock, settings.lacks)
        self.grpc_port = 0
        self._open = ExitStack()
        self._io: PacketIo | None = None
        self._overflow = 0
        self._replay: Replay | None = None
        self._grpc: Any = None
        self._timers: list[asyncio.Task[None]] = []
        self._digest_timer: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        """Where P4Runtime is served, with the port that was chosen if any was left open."""
        host, _, port = self.settings.grpc.rpartition(":")
        return f"{host}:{self.grpc_port or port}"

    async def start(self) -> None:
        """Open ports, load the initial pipeline, serve; `PortError` or `RpcError` if that fails."""
        try:
            if self.settings.config is not None:
                action = p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT
                self.device.pipeline.set(action, self.settings.config)
            for spec in self.settings.ports:
                self._open_port(spec)
            address, tls = self.settings.grpc, self.settings.tls
            self._grpc, self.grpc_port = await start_server(self.device, address, tls)
        except BaseException:
            self._open.close()
            raise
        if is_open_to_others(self.settings.grpc, self.settings.tls):
            log.warning(
                "whoever reaches %s can become controller: serve on unix:/PATH, "
                "or have clients show a certificate (--tls-client-ca)",
                self.address,
            )
        if self._io is not None:
            asyncio.get_running_loop().add_reader(self._io.fileno(), self._queued, self._io)
            self._io.start()
        self._timers.append(asyncio.create_task(self._sweep()))
        if self._replay is not None:
            self._timers.append(asyncio.create_task(self._replay_files(self._replay)))

    async def stop(self) -> None:
        """Close everything; may be called once after `start`."""
        if self._io is not None:
            asyncio.get_running_loop().remove_reader(self._io.fileno())
        for task in self._timers:
            task.cancel()
        if self._digest_timer is not None:
            self._digest_timer.cancel()
        if self._grpc is not None:
            await self._grpc.stop(0.2)
            withdraw(self.settings.grpc)
        self._open.close()

    def _open_port(self, spec: PortSpec) -> None:
        if isinstance(spec, InterfaceSpec):
            if self._io is None:
                self._io = self.switch.data_path = PacketIo(self.settings.workers)
                self._open.callback(self._io.close)
                self._io.use(self.switch.executor)
            stats = self._io.add_port(spec.port, spec.interface)
            self.switch.add_port(spec.port, partial(self._io.send, spec.port), stats)
            return
        self._open_files(spec)

    def _open_files(self, spec: PcapSpec) -> None:
        if self._replay is None:
            self._replay = Replay()
        writer = None if spec.output is None else PcapWriter(spec.output)
        port = self._replay.add_port(spec.port, spec.input, writer)
        if writer is None:
            self.switch.add_port(spec.port, lambda frame: None, port.stats)
            return
        self._open.callback(writer.close)
        self.switch.add_port(spec.port, partial(self._write, writer, port), port.stats)

    def _write(self, writer: PcapWriter, port: FilePort, frame: bytes) -> None:
        """Write a frame that is no answer to one of a file, for instance a packet-out."""
        port.stats.tx_packets += 1
        port.stats.tx_bytes += len(frame)
        writer.write(frame, self.clock())

    def _queued(self, io: PacketIo) -> None:
        """Packets and samples of digests are there that native code has no port for."""
        self.switch.deliver(io.take(), self.clock())
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
            if self._io is not None:
                self._io.rebind()
                self._tell_losses(self._io)
            self.switch.sweep_idle(self.clock())
            if self._digest_timer is None:
                self._digests_due()

    def _tell_losses(self, io: PacketIo) -> None:
        missed = io.count_missed()
        if missed:
            log.info("%d frames came faster than they could be taken", missed)
        lost = int(io.counts.queue_overflow)
        if lost > self._overflow:
            log.warning("%d packets and digests found the queue full", lost - self._overflow)
            self._overflow = lost

    async def _replay_files(self, replay: Replay) -> None:
        """Feed input files in order of their times, as fast as packets can be processed, from
        the moment when a program is loaded."""
        while self.switch.executor is None:
            await asyncio.sleep(0.05)
        while self.switch.executor is not None:
            now = self.clock()
            left = replay.run(self.switch.executor, _AT_ONCE, now)
            if left is None:
                break
            self.switch.deliver(left, now)
            self._arm_digest_timer()
            await asyncio.sleep(0)
        log.info("all input files are read")
