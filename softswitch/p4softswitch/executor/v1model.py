"""The v1model architecture around a compiled program, as simple_switch implements it.

After ingress, in this order: clone, digest, resubmit, multicast, drop, unicast. After egress:
clone, drop, deparse, recirculate, send. A clone at ingress carries the packet as it came in; a
clone at egress carries it as it leaves.
"""

from __future__ import annotations

from typing import Any

from p4softswitch.executor.compiler import compile_program
from p4softswitch.executor.interface import Options, Output, Stats
from p4softswitch.program.model import Program
from p4softswitch.state.replication import Replica
from p4softswitch.state.store import SwitchState

NORMAL, INGRESS_CLONE, EGRESS_CLONE, COALESCED, RECIRCULATED, REPLICATED, RESUBMITTED = range(7)
_US = 1000


class V1ModelExecutor:
    """Runs packets through a program compiled to Python."""

    def __init__(self, program: Program, options: Options | None = None) -> None:
        self.program = program
        self.options = options or Options()
        self.stats = Stats()
        self.state = SwitchState(program)
        self._c = compile_program(program, self.state, self.options, self.stats)
        self._free = self._c.packet()
        self._origin: int | None = None
        self._no_error = program.errors.get("NoError", 0)

    @property
    def source(self) -> str:
        """The Python source that the program was compiled to."""
        return self._c.source

    def process(self, port: int, frame: bytes, now: int) -> list[Output]:
        """Run one frame; see `interface.Executor`."""
        if self._origin is None:
            self._origin = now
        self.stats.packets += 1
        p = self._free
        self._c.reset(p)
        p.ingress_port = port
        p.frame = frame
        p.packet_length = p.length = p.ingress_length = len(frame)
        p.now = now
        p.ingress_global_timestamp = (now - self._origin) // _US & 0xFFFFFFFFFFFF
        outputs: list[Output] = []
        waiting: list[Any] = []
        self._ingress(p, outputs, waiting)
        passes = 1
        while waiting:
            passes += 1
            if passes > self.options.max_passes:
                self.stats.loop_limit += len(waiting)
                break
            self._ingress(waiting.pop(0), outputs, waiting)
        return outputs

    # --- ingress ---------------------------------------------------------------------------

    def _ingress(self, p: Any, outputs: list[Output], again: list[Any]) -> None:
        """One pass; packets that go back to ingress are added to `again`."""
        c = self._c
        c.parse(p, p.frame)
        if p.parser_error != self._no_error:
            self.stats.parser_errors += 1
        p.standard_parser_error = p.parser_error
        p.standard_checksum_error = p.checksum_error
        received_length = p.length
        c.ingress(p)
        if p.clone:
            self._clone_at_ingress(p, received_length, outputs, again)
        if p.digest:
            store = self.state.digests.get(p.digest)
            if store is not None and store.config is not None:
                store.add(c.samples[p.digest](p), p.now)
        if p.resubmit:
            again.append(self._resubmitted(p, received_length))
            return
        if p.mcast_grp:
            p.instance_type = REPLICATED
            for replica in self.state.replication.copies(p.mcast_grp):
                self._copy_to(p, replica, outputs, again)
            return
        if p.egress_spec == self.options.drop_port:
            self.stats.dropped_ingress += 1
            return
        p.instance_type = NORMAL
        self._egress(p, p.egress_spec, outputs, again)

    def _clone_at_ingress(
        self, p: Any, received_length: int, outputs: list[Output], again: list[Any]
    ) -> None:
        session, fields = p.clone & 0x7FFF, p.clone_list
        p.clone = p.clone_list = 0
        copies = self.state.replication.clone_copies(session)
        if not copies:
            return
        q = self._fresh(p, received_length)
        q.ingress_port = p.ingress_port
        self._c.parse(q, q.frame)
        self._c.reset_metadata(q)
        self._keep(q, p, fields)
        q.instance_type = INGRESS_CLONE
        limit = self._limit(session)
        for replica in copies:
            self._copy_to(q, replica, outputs, again, limit)

    def _resubmitted(self, p: Any, received_length: int) -> Any:
        q = self._fresh(p, received_length)
        self._keep(q, p, p.resubmit)
        q.instance_type = RESUBMITTED
        q.packet_length = received_length
        return q

    def _fresh(self, p: Any, length: int) -> Any:
        """A new packet of the bytes with which `p` came in; its metadata is not kept."""
        q = self._c.packet()
        self._c.reset(q)
        q.frame = p.frame
        q.length = length
        q.ingress_length = p.ingress_length
        q.now = p.now
        return q

    def _keep(self, q: Any, p: Any, fields: int) -> None:
        keep = self._c.keep.get(fields)
        if keep is not None:
            keep(q, p)

    def _limit(self, session: int) -> int:
        config = self.state.replication.session(session)
        return 0 if config is None else config.truncate_to

    def _copy_to(
        self,
        p: Any,
        replica: Replica,
        outputs: list[Output],
        again: list[Any],
        limit: int = 0,
    ) -> None:
        """Send a copy, truncated as its own session says and not as the original is."""
        if len(outputs) >= self.options.max_copies:
            self.stats.loop_limit += 1
            return
        q = self._c.copy(p)
        q.clone = q.clone_list = q.digest = q.resubmit = q.recirculate = 0
        q.truncate_to = limit
        q.egress_rid = replica.instance
        self._egress(q, replica.port, outputs, again)

    # --- egress ----------------------------------------------------------------------------

    def _egress(self, p: Any, port: int, outputs: list[Output], again: list[Any]) -> None:
        c = self._c
        timestamp = (p.now - (self._origin or 0)) // _US
        p.enq_timestamp = timestamp & 0xFFFFFFFF
        p.egress_global_timestamp = timestamp & 0xFFFFFFFFFFFF
        drop = self.options.drop_port
        p.egress_port = port
        p.egress_spec = (drop + 1) & 0x1FF
        p.packet_length = p.length & 0xFFFFFFFF
        c.egress(p)
        if p.clone:
            self._clone_at_egress(p, outputs, again)
        if p.egress_spec == drop:
            self.stats.dropped_egress += 1
            return
        cut_off = b""
        if p.truncate_to:
            # BMv2 lets a checksum over the payload see no more of it than this either.
            p.payload, cut_off = p.payload[: p.truncate_to], p.payload[p.truncate_to :]
        frame = c.deparse(p)
        if p.recirculate:
            frame += cut_off  # truncation does not outlive this pass
            q = self._c.packet()
            self._c.reset(q)
            self._keep(q, p, p.recirculate)
            q.instance_type = RECIRCULATED
            q.packet_length = len(frame)
            q.frame, q.now = frame, p.now
            q.length = q.ingress_length = len(frame)
            again.append(q)
            return
        outputs.append((port, frame[: p.truncate_to] if p.truncate_to else frame))

    def _clone_at_egress(self, p: Any, outputs: list[Output], again: list[Any]) -> None:
        session, fields = p.clone & 0x7FFF, p.clone_list
        p.clone = p.clone_list = 0
        copies = self.state.replication.clone_copies(session)
        if not copies:
            return
        q = self._c.copy(p)
        self._c.reset_metadata(q)
        self._keep(q, p, fields)
        q.instance_type = EGRESS_CLONE
        limit = self._limit(session)
        for replica in copies:
            self._copy_to(q, replica, outputs, again, limit)
