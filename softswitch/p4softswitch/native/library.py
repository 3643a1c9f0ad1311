"""The runtime as Python calls it: structures and functions of runtime.h, by ctypes.

Every call gives up Python's lock while it runs.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes import c_int, c_int64, c_uint32, c_uint64, c_void_p
from functools import cache
from typing import Any

from p4softswitch.errors import CompilerError
from p4softswitch.native.compiler import build, runtime_sources

NONE = 0xFFFFFFFF
EXISTS, FULL, NO_MEMORY = -1, -2, -3
EXACT, LPM, TERNARY = range(3)
FRAME, DIGEST, REPORT = range(3)
_ABI = 1
MAX_WORKERS = 16
"""Threads that may run packets of interfaces."""
_HUGE = 1 << 21
"""Bytes of a huge page."""


class RawEntry(ctypes.Structure):
    """`struct p4_entry`, without its words."""

    _fields_ = (
        ("packets", c_uint64),
        ("bytes", c_uint64),
        ("last_hit", c_uint64),
        ("idle_timeout", c_uint64),
        ("seq", c_uint64),
        ("controller_metadata", c_uint64),
        ("meter", c_void_p),
        ("action", c_uint32),
        ("priority", c_uint32),
        ("handle", c_uint32),
        ("next", c_uint32),
        ("older", c_uint32),
        ("newer", c_uint32),
        ("ranges", c_uint32),
        ("flags", c_uint32),
    )


class RawRange(ctypes.Structure):
    """`struct p4_range`."""

    _fields_ = (("shift", c_uint32), ("width", c_uint32), ("low", c_uint64), ("high", c_uint64))


class RawMeter(ctypes.Structure):
    """`struct p4_meter`; the buckets are 128 bits wide."""

    _fields_ = (
        ("configured", c_uint64),
        ("cir", c_uint64),
        ("cburst", c_uint64),
        ("pir", c_uint64),
        ("pburst", c_uint64),
        ("last", c_int64),
        ("peak", c_uint64 * 2),
        ("committed", c_uint64 * 2),
    )


class RawCopy(ctypes.Structure):
    """`struct p4_copy`."""

    _fields_ = (("port", c_uint32), ("instance", c_uint32))


class Output(ctypes.Structure):
    """`struct p4_output`."""

    _fields_ = (
        ("kind", c_uint32),
        ("port", c_uint32),
        ("length", c_uint32),
        ("unused", c_uint32),
        ("offset", c_uint64),
        ("now", c_uint64),
    )


class PortStats(ctypes.Structure):
    """`struct p4_port_stats`: frames and bytes of one port, counted by native code."""

    _fields_ = (
        ("rx_packets", c_uint64),
        ("rx_bytes", c_uint64),
        ("tx_packets", c_uint64),
        ("tx_bytes", c_uint64),
        ("tx_dropped", c_uint64),
        ("rx_errors", c_uint64),
        ("rx_cut_off", c_uint64),
        ("rx_missed", c_uint64),
    )


class RawInput(ctypes.Structure):
    """`struct p4_input`: a frame that waits to be run."""

    _fields_ = (
        ("time", c_uint64),
        ("data", c_void_p),
        ("length", c_uint32),
        ("port", c_uint32),
    )


class Worker(ctypes.Structure):
    """The beginning of `struct p4_worker`."""

    _fields_ = (
        ("outputs", ctypes.POINTER(Output)),
        ("count", c_uint32),
        ("room", c_uint32),
        ("bytes", c_void_p),
        ("used", c_uint64),
    )


class Stats(ctypes.Structure):
    """The beginning of `struct p4_switch`: what was counted since it was made."""

    _fields_ = (
        ("packets", c_uint64),
        ("dropped_ingress", c_uint64),
        ("dropped_egress", c_uint64),
        ("parser_errors", c_uint64),
        ("loop_limit", c_uint64),
        ("failed_assertions", c_uint64),
    )


_WORDS = c_void_p
_TABLE, _SWITCH, _WORKER, _PROGRAM, _IO = (c_void_p,) * 5
_KEY = (_TABLE, _WORDS, _WORDS, c_void_p, c_uint32, c_uint32)
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "p4_lock": (None, ()),
    "p4_unlock": (None, ()),
    "p4_table_new": (_TABLE, (*(c_uint32,) * 5, c_uint64)),
    "p4_table_free": (None, (_TABLE,)),
    "p4_table_find": (c_uint32, _KEY),
    "p4_table_insert": (c_int64, (*_KEY, c_uint32, _WORDS, c_uint32, c_uint64)),
    "p4_table_modify": (None, (_TABLE, c_uint32, c_uint32, _WORDS, c_uint32)),
    "p4_table_delete": (None, (_TABLE, c_uint32)),
    "p4_table_lookup": (c_uint32, (_TABLE, _WORDS)),
    "p4_table_count": (c_uint32, (_TABLE,)),
    "p4_table_list": (c_uint32, (_TABLE, c_void_p, c_void_p, c_uint32)),
    "p4_table_sweep": (c_uint32, (_TABLE, c_uint64, c_void_p, c_void_p, c_uint32)),
    "p4_entry_address": (c_void_p, (_TABLE, c_uint32)),
    "p4_entry_set_meter": (c_int, (_TABLE, c_uint32, c_void_p)),
    "p4_entry_get_meter": (c_int, (_TABLE, c_uint32, c_void_p)),
    "p4_meter_run": (c_uint64, (c_void_p, c_uint64, c_uint64)),
    "p4_meter_configure": (None, (c_void_p, c_int, *(c_uint64,) * 4, c_int64)),
    "p4_switch_new": (_SWITCH, (*(c_uint32,) * 4, c_uint64)),
    "p4_switch_set_object": (None, (_SWITCH, c_uint32, c_void_p)),
    "p4_switch_set_copies": (c_int, (_SWITCH, c_int, c_uint32, c_void_p, c_uint32, c_uint32)),
    "p4_switch_free": (None, (_SWITCH,)),
    "p4_worker_new": (ctypes.POINTER(Worker), ()),
    "p4_worker_free": (None, (_WORKER,)),
    "p4_process": (
        c_uint32,
        (_PROGRAM, _SWITCH, _WORKER, c_uint32, ctypes.c_char_p, c_uint32, c_uint64),
    ),
    "p4_process_batch": (
        c_uint32,
        (_PROGRAM, _SWITCH, _WORKER, c_uint32, ctypes.c_char_p, c_void_p, c_uint32, c_uint64),
    ),
    "p4_pcap_index": (
        c_int64,
        (ctypes.c_char_p, c_uint64, c_int, c_uint64, c_uint32, c_void_p, c_uint64),
    ),
    "p4_files_free": (None, (c_void_p,)),
    "p4_run_inputs": (
        c_uint32,
        (_PROGRAM, _SWITCH, _WORKER, c_void_p, c_uint32, c_void_p, c_uint64),
    ),
    "p4_spread": (c_int, (c_int, c_uint32, c_uint32)),
    "p4_io_new": (_IO, (c_uint32,)),
    "p4_io_free": (None, (_IO,)),
    "p4_io_wake_fd": (c_int, (_IO,)),
    "p4_io_add_port": (c_int, (_IO, c_uint32, c_void_p)),
    "p4_io_count_missed": (c_uint64, (_IO,)),
    "p4_io_stats": (c_void_p, (_IO, c_uint32)),
    "p4_io_use": (None, (_IO, _PROGRAM, _SWITCH)),
    "p4_io_take": (c_uint64, (_IO, c_void_p, c_uint64)),
    "p4_io_send": (None, (_IO, c_uint32, ctypes.c_char_p, c_uint32)),
    "p4_io_run": (None, (_IO, c_uint32)),
    "p4_io_stop": (None, (_IO,)),
    "p4_size_of": (c_uint64, (c_int,)),
    "p4_cells_find": (
        c_uint32,
        (c_void_p, *(c_uint32,) * 3, ctypes.c_char_p, c_uint32, c_void_p, c_void_p),
    ),
    "p4_switch_time": (c_uint64, (_SWITCH, c_uint64)),
}


@cache
def runtime() -> Any:
    """The runtime, compiled if need be; `CompilerError` if that is not possible."""
    sources = runtime_sources()
    sources["all.c"] = "".join(f'#include "{name}"\n' for name in sources if name.endswith(".c"))
    library = ctypes.CDLL(str(build("runtime", sources, "all.c")))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    sizes = [ctypes.sizeof(t) for t in (RawEntry, RawMeter, Output)]
    numbers = [_ABI, MAX_WORKERS]
    if [library.p4_size_of(i) for i in (0, 1, 2, 4, 5)] != sizes + numbers:
        raise CompilerError("the C compiler lays structures out in an unexpected way")
    return library


@contextmanager
def locked() -> Iterator[None]:
    """Keep packets out; may be used inside itself. To be held for microseconds only."""
    library = runtime()
    library.p4_lock()
    try:
        yield
    finally:
        library.p4_unlock()


def zeroed(size: int) -> bytearray | mmap.mmap:
    """Memory that may be written; in huge pages, where Linux gives them, if it fills some."""
    if size < _HUGE:
        return bytearray(size)
    memory = mmap.mmap(-1, -(-size // _HUGE) * _HUGE)
    with suppress(OSError, AttributeError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    for at in range(0, size, _HUGE):
        memory[at] = 0  # Linux clears a huge page now rather than when a packet comes
    return memory


def words(value: int, count: int) -> bytes:
    """A number as `count` 64-bit words of this machine, least significant first."""
    return value.to_bytes(8 * count, "little")


def number(data: bytes | memoryview) -> int:
    """The number that words stand for."""
    return int.from_bytes(data, "little")
