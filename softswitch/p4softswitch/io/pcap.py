"""Classic pcap files (libpcap's format, Ethernet only): read a whole file, write as frames come."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from p4softswitch.errors import PortError

Record = tuple[int, bytes]  # time in nanoseconds, frame

_GLOBAL = struct.Struct("IHHiIII")
_ETHERNET = 1
_MICROSECONDS, _NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
_MAX_FRAME = 262144


def read_pcap(path: Path) -> list[Record]:
    """All frames of a file; `PortError` if it cannot be read or is not pcap over Ethernet."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise PortError(f"cannot read {path}: {exc.strerror}") from exc
    if len(data) < 24:
        raise PortError(f"{path} is not a pcap file: too short")
    for order in "<>":
        magic = struct.unpack_from(order + "I", data)[0]
        if magic in (_MICROSECONDS, _NANOSECONDS):
            break
    else:
        raise PortError(f"{path} is not a classic pcap file (pcapng is not read)")
    if struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF != _ETHERNET:
        raise PortError(f"{path} does not hold Ethernet frames")
    unit = 1 if magic == _NANOSECONDS else 1000
    header = struct.Struct(order + "IIII")
    records: list[Record] = []
    at = 24
    while at < len(data):
        if at + header.size > len(data):
            raise PortError(f"{path} is cut off at byte {at}")
        seconds, fraction, size, _ = header.unpack_from(data, at)
        at += header.size
        if size > _MAX_FRAME or at + size > len(data):
            raise PortError(f"{path} is cut off at byte {at}")
        records.append((seconds * 1_000_000_000 + fraction * unit, data[at : at + size]))
        at += size
    return records


class PcapWriter:
    """Writes frames with nanosecond times, flushed one by one so that a kill loses none."""

    def __init__(self, path: Path) -> None:
        try:
            self._file: BinaryIO = path.open("wb")
        except OSError as exc:
            raise PortError(f"cannot write {path}: {exc.strerror}") from exc
        self._file.write(_GLOBAL.pack(_NANOSECONDS, 2, 4, 0, 0, _MAX_FRAME, _ETHERNET))

    def write(self, frame: bytes, now: int) -> None:
        """Append a frame sent at `now` (ns)."""
        seconds, fraction = divmod(now, 1_000_000_000)
        self._file.write(
            struct.pack("IIII", seconds & 0xFFFFFFFF, fraction, len(frame), len(frame))
        )
        self._file.write(frame)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
