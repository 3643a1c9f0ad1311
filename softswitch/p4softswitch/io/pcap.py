"""Classic pcap files (libpcap's format, Ethernet only), read as a whole and written in batches."""

from __future__ import annotations

import ctypes
import struct
import sys
import weakref
from collections.abc import Iterator
from ctypes import c_int64, c_uint64, c_void_p
from pathlib import Path

from p4softswitch.errors import PortError
from p4softswitch.executor.interface import Executor, RawOutput
from p4softswitch.native.library import PortStats, RawInput, runtime

Record = tuple[int, bytes]  # time in nanoseconds, frame

_GLOBAL = struct.Struct("IHHiIII")
_HEADER = struct.Struct("=I")
_ETHERNET = 1
_MICROSECONDS, _NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
_MAX_FRAME = 262144
_PORTS = 512


class Capture:
    """The frames of a file; `PortError` if it cannot be read or is not pcap over Ethernet."""

    def __init__(self, path: Path, port: int = 0) -> None:
        try:
            self._data = data = path.read_bytes()
        except OSError as exc:
            raise PortError(f"cannot read {path}: {exc.strerror}") from exc
        if len(data) < 24:
            raise PortError(f"{path} is not a pcap file: too short")
        (magic,) = _HEADER.unpack_from(data)
        swapped = magic not in (_MICROSECONDS, _NANOSECONDS)
        order = "<" if (sys.byteorder == "little") is not swapped else ">"
        (magic,) = struct.unpack_from(order + "I", data)
        if magic not in (_MICROSECONDS, _NANOSECONDS):
            raise PortError(f"{path} is not a classic pcap file (pcapng is not read)")
        if struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF != _ETHERNET:
            raise PortError(f"{path} does not hold Ethernet frames")
        unit = 1 if magic == _NANOSECONDS else 1000
        index = runtime().p4_pcap_index
        count = index(data, len(data), swapped, unit, port, None, 0)
        if count < 0:
            raise PortError(f"{path} is cut off at byte {-1 - count}")
        self.inputs = (RawInput * count)()
        """The frames, in the order of the file."""
        index(data, len(data), swapped, unit, port, self.inputs, count)

    def records(self) -> Iterator[Record]:
        """Time and bytes of each frame."""
        for found in self.inputs:
            yield found.time, ctypes.string_at(found.data, found.length)


def read_pcap(path: Path) -> list[Record]:
    """All frames of a file; `PortError` if it cannot be read or is not pcap over Ethernet."""
    return list(Capture(path).records())


class PcapWriter:
    """Writes frames with nanosecond times, nothing held back, so that a kill loses none."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as exc:
            raise PortError(f"cannot write {path}: {exc.strerror}") from exc
        self._file.write(_GLOBAL.pack(_NANOSECONDS, 2, 4, 0, 0, _MAX_FRAME, _ETHERNET))

    def fileno(self) -> int:
        """The descriptor of the file."""
        return self._file.fileno()

    def write(self, frame: bytes, now: int) -> None:
        """Append a frame sent at `now` (ns)."""
        seconds, fraction = divmod(now, 1_000_000_000)
        head = struct.pack("IIII", seconds & 0xFFFFFFFF, fraction, len(frame), len(frame))
        self._file.write(head + frame)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FilePort(ctypes.Structure):
    """`struct p4_file`: counters of a port of files, and where its frames go."""

    stats: PortStats
    _fields_ = (
        ("stats", PortStats),
        ("fd", c_int64),
        ("buffer", c_void_p),
        ("used", c_uint64),
        ("size", c_uint64),
    )


class Replay:
    """Feeds the frames of all input files to a program, in order of their times."""

    def __init__(self) -> None:
        self._captures: list[Capture] = []
        self._ports = (FilePort * _PORTS)()
        for port in self._ports:
            port.fd = -1
        weakref.finalize(self, runtime().p4_files_free, self._ports)
        self._inputs: ctypes.Array[RawInput] | None = None
        self._at = 0

    def add_port(self, number: int, source: Path | None, sink: PcapWriter | None) -> FilePort:
        """Read what comes in by a port, and note where what leaves by it goes."""
        if source is not None:
            self._captures.append(Capture(source, number))
        if sink is not None:
            self._ports[number].fd = sink.fileno()
        return self._ports[number]

    def run(self, executor: Executor, count: int, now: int) -> list[RawOutput] | None:
        """Run the next `count` frames at time `now`; what goes to other ports than those of
        files is returned. None when all frames have been run."""
        if self._inputs is None:
            self._inputs = self._merged()
        if self._at >= len(self._inputs):
            return None
        count = min(count, len(self._inputs) - self._at)
        first = ctypes.addressof(self._inputs) + self._at * ctypes.sizeof(RawInput)
        self._at += count
        return executor.run_inputs(first, count, ctypes.addressof(self._ports), now)

    def _merged(self) -> ctypes.Array[RawInput]:
        if len(self._captures) == 1:
            inputs: ctypes.Array[RawInput] = self._captures[0].inputs
            return inputs
        merged = sorted((i for c in self._captures for i in c.inputs), key=lambda i: i.time)
        return (RawInput * len(merged))(*merged)
