"""The native threads that run packets between interfaces (native/packet_io.c), from Python."""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from collections.abc import Iterator
from ctypes import c_uint64

from p4softswitch.errors import PortError
from p4softswitch.executor.interface import Executor
from p4softswitch.io.afpacket import InterfacePort
from p4softswitch.native.library import PortStats, runtime

_RECORD = struct.Struct("=IIIIQ")
_MAX_PORTS = 64  # each has a ring of 8 MB
_ROOM = 1 << 18
"""Bytes that are taken from the queue at once; at least the largest packet."""


class _Counts(ctypes.Structure):
    _fields_ = (
        ("no_program", c_uint64),
        ("no_such_port", c_uint64),
        ("queue_overflow", c_uint64),
        ("frames_queued", c_uint64),
    )


class PacketIo:
    """Ports on interfaces and the `workers` (1..MAX_WORKERS), the threads that serve them.

    `fileno` is readable when `take` has something: what the program sent to other ports.
    """

    def __init__(self, workers: int = 1) -> None:
        self._native = runtime()
        self._workers = workers
        self._io: int = self._native.p4_io_new(workers)
        if not self._io:
            raise PortError("there is no memory for packet I/O")
        self.counts = _Counts.from_address(self._io)
        self._buffer = ctypes.create_string_buffer(_ROOM)
        self._ports: list[InterfacePort] = []
        self._threads: list[threading.Thread] = []
        self._executor: Executor | None = None

    def add_port(self, number: int, interface: str) -> PortStats:
        """Open an interface as a port, before `start`; `PortError` if that is not possible."""
        if len(self._ports) == _MAX_PORTS:
            raise PortError(f"{interface} is one too many: at most {_MAX_PORTS} interfaces")
        port = InterfacePort(interface, self._workers)
        files = (ctypes.c_int * self._workers)(*port.filenos())
        error = self._native.p4_io_add_port(self._io, number, files)
        if error:
            port.close()
            raise PortError(f"cannot use interface {interface}: {os.strerror(error)}")
        self._ports.append(port)
        port.bind()
        address = self._native.p4_io_stats(self._io, number)
        return PortStats.from_address(address)

    def start(self) -> None:
        """Begin to run packets."""
        for number in range(self._workers):
            thread = threading.Thread(
                target=self._native.p4_io_run,
                args=(self._io, number),
                name=f"packets-{number}",
                daemon=True,
            )
            thread.start()
            self._threads.append(thread)

    def use(self, executor: Executor | None) -> None:
        """Run another program from the next batch on; what waits in the queue is forgotten."""
        if executor is None:
            self._native.p4_io_use(self._io, None, None)
        else:
            self._native.p4_io_use(self._io, executor.code, executor.pointer)
        self._executor = executor  # not before: the former one must live until here

    def fileno(self) -> int:
        """File descriptor, readable when something waits in the queue."""
        return int(self._native.p4_io_wake_fd(self._io))

    def take(self) -> Iterator[tuple[int, int, bytes, int]]:
        """A batch of what waits: kind of output, port or digest, bytes and time of each."""
        size = self._native.p4_io_take(self._io, self._buffer, _ROOM)
        data = self._buffer.raw[:size]
        at = 0
        while at < size:
            kind, port, length, _, now = _RECORD.unpack_from(data, at)
            at += _RECORD.size
            yield kind, port, data[at : at + length], now
            at += length

    def send(self, number: int, frame: bytes) -> None:
        """Send a frame; if the interface cannot take it now, it is dropped and counted."""
        self._native.p4_io_send(self._io, number, frame, len(frame))

    def count_missed(self) -> int:
        """Frames that found a ring full since the last time; adds them to the ports' counts."""
        return int(self._native.p4_io_count_missed(self._io))

    def rebind(self) -> None:
        """Take up interfaces that had vanished and are there again."""
        for port in self._ports:
            port.rebind()

    def close(self) -> None:
        """End the threads and close everything; may be called once."""
        self._native.p4_io_stop(self._io)
        for thread in self._threads:
            thread.join()
        for port in self._ports:
            port.close()
        self._native.p4_io_free(self._io)
