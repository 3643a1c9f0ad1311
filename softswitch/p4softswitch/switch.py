"""The switch itself: ports around an executor. No sockets, no clock, no event loop, no gRPC.

A frame goes in by `receive` with the time at which it came; what comes out goes to the ports, and
what is meant for the control plane to a `Listener`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from p4softswitch.executor.factory import make_executor
from p4softswitch.executor.interface import Executor, Options
from p4softswitch.native.library import FRAME, PortStats
from p4softswitch.program.model import Program
from p4softswitch.state.digests import DigestList, DigestStore
from p4softswitch.state.tables import Entry

log = logging.getLogger(__name__)

_MAX_LOGGED_FAULTS = 10

Transmit = Callable[[bytes], None]


class Listener(Protocol):
    """Takes what the data plane sends to the control plane; must not block."""

    def packet_in(self, frame: bytes) -> None:
        """A frame that the program sent to the CPU port."""

    def digest(self, digest: DigestList) -> None:
        """A digest list that is due."""

    def idle(self, table: str, entries: Sequence[Entry], now: int) -> None:
        """Entries that were not hit for their idle timeout."""


class DataPath(Protocol):
    """Runs packets between some of the ports by itself; shall use the program of the switch."""

    def use(self, executor: Executor | None) -> None:
        """Use another executor from the next packet on."""


class Switch:
    """Ports, an executor once a program is loaded, and a listener for the control plane."""

    def __init__(self, cpu_port: int = 510, options: Options | None = None) -> None:
        self.cpu_port = cpu_port
        self.options = options or Options()
        self.executor: Executor | None = None
        self.listener: Listener | None = None
        self.data_path: DataPath | None = None
        self.port_stats: dict[int, PortStats] = {}
        self.no_such_port = 0
        self.no_program = 0
        self.faults = 0
        self._transmit: dict[int, Transmit] = {}
        self._counted_here: set[int] = set()
        self._digests: tuple[DigestStore, ...] = ()

    def add_port(self, port: int, transmit: Transmit, stats: PortStats | None = None) -> None:
        """Attach a port; frames that leave by it are handed to `transmit`.

        A port that counts its frames itself gives its `stats`.
        """
        self._transmit[port] = transmit
        if stats is None:
            self._counted_here.add(port)
        self.port_stats[port] = stats or PortStats()

    def prepare(self, program: Program) -> Executor:
        """An executor for `program`, not yet in use; `ProgramError` if it cannot be run."""
        return make_executor(program, self.options)

    def activate(self, executor: Executor | None) -> None:
        """Use another executor from the next packet on."""
        if self.data_path is not None:
            self.data_path.use(executor)
        self.executor = executor
        self._digests = () if executor is None else tuple(executor.state.digests.values())

    def receive(self, port: int, frame: bytes, now: int) -> None:
        """Run a frame that came in by `port` at `now` (ns) and send what comes of it."""
        if port in self._counted_here:
            stats = self.port_stats[port]
            stats.rx_packets += 1
            stats.rx_bytes += len(frame)
        executor = self.executor
        if executor is None:
            self.no_program += 1
            return
        try:
            outputs = executor.process(port, frame, now)
        except Exception:
            # An executor does not raise for what is in a frame; if it has a fault after all,
            # that frame is lost and the switch goes on.
            self.faults += 1
            if self.faults <= _MAX_LOGGED_FAULTS:
                log.exception("cannot process frame from port %d: %s", port, frame[:256].hex())
            return
        for out_port, data in outputs:
            self._send(out_port, data)
        self._send_digests(now)

    def deliver(self, outputs: Iterable[tuple[int, int, bytes, int]], now: int) -> None:
        """Send on what a data path had no port for: kind, port or digest, bytes, time of each."""
        for kind, number, data, then in outputs:
            if kind == FRAME:
                self._send(number, data)
            elif self.executor is not None:
                self.executor.add_sample(number, data, then)
        self._send_digests(now)

    def _send(self, port: int, data: bytes) -> None:
        if port == self.cpu_port:
            if self.listener is not None:
                self.listener.packet_in(data)
            return
        transmit = self._transmit.get(port)
        if transmit is None:
            self.no_such_port += 1
            return
        if port in self._counted_here:
            out = self.port_stats[port]
            out.tx_packets += 1
            out.tx_bytes += len(data)
        transmit(data)

    def _send_digests(self, now: int) -> None:
        if any(store.is_busy for store in self._digests):
            self.flush_digests(now)

    def flush_digests(self, now: int) -> None:
        """Hand over digest lists that are full or have waited long enough."""
        if self.executor is None or self.listener is None:
            return
        for store in self.executor.state.digests.values():
            for digest in store.due(now):
                self.listener.digest(digest)

    def digest_deadline(self) -> int | None:
        """When `flush_digests` is next due if nothing else happens; None if nothing waits."""
        if self.executor is None:
            return None
        times = [d.next_deadline() for d in self.executor.state.digests.values()]
        return min((t for t in times if t is not None), default=None)

    def sweep_idle(self, now: int) -> None:
        """Report idle entries; to be called once a second, as BMv2 does."""
        if self.executor is None or self.listener is None:
            return
        for name, table in self.executor.state.tables.items():
            if table.table.support_timeout:
                idle = table.sweep(now)
                if idle:
                    self.listener.idle(name, idle, now)
