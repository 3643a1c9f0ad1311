"""Runs packets through a program that was translated to C and compiled.

The architecture around the program, as simple_switch implements it, is native/v1model.h.
"""

from __future__ import annotations

import ctypes
import secrets
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from p4softswitch.errors import ProgramError
from p4softswitch.executor.compiler import translate
from p4softswitch.executor.interface import Options, Output, RawOutput
from p4softswitch.native import library as native
from p4softswitch.native.compiler import build, runtime_sources
from p4softswitch.native.library import RawCopy, Stats, runtime
from p4softswitch.program.model import Program
from p4softswitch.state.replication import Replica
from p4softswitch.state.store import SwitchState


class V1ModelExecutor:
    """A program in native code, with its state."""

    def __init__(self, program: Program, options: Options | None = None) -> None:
        self.program = program
        self.options = o = options or Options()
        translation = translate(program, o.reports)
        self.source = translation.source
        self.points = translation.points
        sources = {n: t for n, t in runtime_sources().items() if n.endswith(".h")}
        # The first time both have to be compiled, which two cores can do at once.
        with ThreadPoolExecutor(1) as aside:
            library = aside.submit(runtime)
            path = build("program", {**sources, "program.c": self.source}, "program.c")
            self._native = library.result()
        self._library = ctypes.CDLL(str(path))
        self.code = ctypes.addressof(ctypes.c_char.in_dll(self._library, "p4_program"))
        seed = secrets.randbits(64) if o.seed is None else o.seed
        self.pointer: int = self._native.p4_switch_new(
            len(translation.objects), o.drop_port, o.max_passes, o.max_copies, seed | 1 << 63
        )
        self._worker: Any = self._native.p4_worker_new()
        if not self.pointer or not self._worker:
            raise ProgramError("there is no memory for the program")
        # Not at exit: the thread of packet I/O may still be running then.
        weakref.finalize(self, _free, self._native, self.pointer, self._worker).atexit = False
        self.stats = Stats.from_address(self.pointer)
        self.state = SwitchState(program, _sink(self._native, self.pointer))
        for number, (kind, name) in enumerate(translation.objects):
            address = self.state.address(kind, name)
            self._native.p4_switch_set_object(self.pointer, number, address)
        self._samples = {
            d.id: tuple((w + 63) // 64 for w in d.widths) for d in program.learn_lists.values()
        }

    def time(self, now: int) -> int:
        """See `interface.Executor`."""
        return int(self._native.p4_switch_time(self.pointer, now))

    def process(self, port: int, frame: bytes, now: int) -> list[Output]:
        """Run one frame; see `interface.Executor`."""
        worker = self._worker
        count = self._native.p4_process(
            self.code, self.pointer, worker, port, frame, len(frame), now
        )
        return self._outputs(count) if count else []

    def follow(self, port: int, frame: bytes, now: int) -> list[RawOutput]:
        """Run one frame, as `process` does. Returns all that it puts out, in order: frames, samples
        of digests, and with `Options.reports` the reports of `points`."""
        count = self._native.p4_process(
            self.code, self.pointer, self._worker, port, frame, len(frame), now
        )
        return self._raw_outputs(count)

    def process_batch(self, port: int, frames: Sequence[bytes], now: int) -> list[Output]:
        """Run frames one after the other; see `interface.Executor`."""
        offsets = (ctypes.c_uint64 * (len(frames) + 1))()
        at = 0
        for i, frame in enumerate(frames):
            at += len(frame)
            offsets[i + 1] = at
        count = self._native.p4_process_batch(
            self.code, self.pointer, self._worker, port, b"".join(frames), offsets, len(frames), now
        )
        return self._outputs(count)

    def run_inputs(self, inputs: int, count: int, files: int, now: int) -> list[RawOutput]:
        """Run frames of files; see `interface.Executor`."""
        left = self._native.p4_run_inputs(
            self.code, self.pointer, self._worker, inputs, count, files, now
        )
        return self._raw_outputs(left)

    def _raw_outputs(self, count: int) -> list[RawOutput]:
        worker = self._worker.contents
        base, outputs = worker.bytes, worker.outputs
        return [
            (out.kind, out.port, ctypes.string_at(base + out.offset, out.length), out.now)
            for out in outputs[:count]
        ]

    def _outputs(self, count: int) -> list[Output]:
        """Frames of the worker; samples of digests go to their stores."""
        frames: list[Output] = []
        for kind, port, data, now in self._raw_outputs(count):
            if kind == native.FRAME:
                frames.append((port, data))
            elif kind == native.DIGEST:
                self.add_sample(port, data, now)
        return frames

    def add_sample(self, digest: int, data: bytes, now: int) -> None:
        """Take a sample of a digest as native code writes it."""
        self.state.digests[digest].add(self.sample(digest, data), now)

    def sample(self, digest: int, data: bytes) -> tuple[int, ...]:
        """The values of a sample of a digest as native code writes it."""
        values, at = [], 0
        for count in self._samples[digest]:
            values.append(native.number(data[at : at + 8 * count]))
            at += 8 * count
        return tuple(values)


def _sink(library: Any, pointer: int) -> Any:
    def set_copies(session: bool, number: int, copies: tuple[Replica, ...], limit: int) -> None:
        raw = (RawCopy * len(copies))(*(RawCopy(c.port, c.instance) for c in copies))
        if not library.p4_switch_set_copies(pointer, session, number, raw, len(copies), limit):
            raise MemoryError(f"no memory for {len(copies)} copies")

    return set_copies


def _free(library: Any, pointer: int, worker: Any) -> None:
    library.p4_worker_free(worker)
    library.p4_switch_free(pointer)
