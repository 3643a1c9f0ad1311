"""Protocols without ports, of which an ALG finds out whose a packet is: ESP by its SPI (K2).

The ALG (a `ProtocolAlg`) decides which flow a packet belongs to. This module checks the decision
and writes the flow. From then on the switch forwards its packets by the identifier alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from p4alg.alg.contract import (
    Admit,
    Discard,
    Endpoint,
    Notice,
    ProtocolAlg,
    ProtocolFlow,
    ProtocolPacket,
)
from p4alg.engine.actions import PacketOut, Subsystem
from p4alg.engine.control.guard import StepError
from p4alg.engine.control.table import ControlSessions
from p4alg.engine.faults import Faults
from p4alg.engine.flow_table import Flows
from p4alg.engine.flows import Flow, flow_id, number_of
from p4alg.engine.settings import AlgSettings
from p4alg.engine.tables import FlowKey, Side
from p4alg.nat.bindings import Kind, Refused
from p4alg.packet.ipv4 import Ipv4
from p4alg.protocols import proto_name
from p4alg.undo import UndoLog

_T = TypeVar("_T")


class Unported:
    """The packets and flows of all protocols without ports that ALGs serve."""

    def __init__(
        self,
        algs: Mapping[str, AlgSettings],
        sessions: ControlSessions,
        flows: Flows,
        faults: Faults,
        log: UndoLog,
    ) -> None:
        self._flows = flows
        self._mappings = flows.mappings
        self._outbox = flows.outbox
        self._counters = flows.counters
        self._sessions = sessions
        self._faults = faults
        self._log = log
        self._algs = algs
        self._alg_of = {proto: name for name, alg in algs.items() for proto in alg.alg.protocols}

    def serves(self, proto: int) -> bool:
        """Whether an ALG that is on decides about the packets of a protocol."""
        return proto in self._alg_of and self._algs[self._alg_of[proto]].enabled

    def packet(self, packet: Ipv4, side: Side, out: PacketOut, now: float) -> None:
        """Let the ALG decide about a packet of a flow that the switch does not know."""
        is_inbound = side is Side.OUTSIDE
        outside = packet.dst if is_inbound else self._mappings.outside_addr_of(packet.src)
        if outside is None:
            self._flows.refused("pool-exhausted")
            return
        proto = packet.proto
        told = ProtocolPacket(proto, packet.src, packet.dst, outside, is_inbound, packet.payload)

        def decide(alg: ProtocolAlg) -> Sequence[Admit | Discard | Notice]:
            steps = list(alg.packet(told, _Gateway(self._flows), now))
            self._check(told, steps)
            return steps

        nothing: Sequence[Admit | Discard | Notice] = ()
        for step in self._call(proto, decide, nothing, now):
            match step:
                case Notice():
                    self._noticed(proto, step)
                case Discard():
                    self._count(proto, step.event)
                case Admit():
                    self._admit(proto, step, out, now)

    def flow_gone(self, flow: Flow, now: float) -> None:
        """Tell the ALG that a flow has ended, and end the flows that it says have to end too."""
        proto = flow.key.proto
        if proto in self._alg_of:
            self._ended(proto, _flow_of(flow), now)

    def adopt(self, now: float) -> None:
        """Tell the ALGs which of their flows were found in the switch."""
        for flow in self._flows.all():
            proto = flow.key.proto
            if proto in self._alg_of:
                self._adopt(proto, _flow_of(flow), now)

    def _adopt(self, proto: int, flow: ProtocolFlow, now: float) -> None:
        self._call(proto, lambda alg: alg.adopt(flow, now), None, now)

    def switched_off(self, name: str, now: float) -> None:
        """Tell an ALG that it was switched off; one without protocols here is told nothing."""
        for proto in self._algs[name].alg.protocols:
            self._call(proto, lambda alg: alg.switched_off(), None, now)

    def tick(self, now: float) -> None:
        """End the flows whose time is over by the decision of their ALG."""
        for proto in self._alg_of:
            self._end(proto, lambda alg: alg.expire_flows(now), now)

    def _admit(self, proto: int, step: Admit, out: PacketOut, now: float) -> None:
        key = _key(proto, step.flow)
        if key in self._flows:
            self._outbox.send(out)
            return
        side = Side.OUTSIDE if step.flow.is_inbound else Side.INSIDE
        flow = self._flows.prepare(key, side, now, step.flow.outside)
        if isinstance(flow, Refused):
            self._flows.refused(flow.reason)
            self._ended(proto, step.flow, now)
            return
        flow.alg, flow.label = self._alg_of[proto], step.label
        self._count(proto, "learnt")
        if step.summary:
            self._outbox.log(logging.INFO, f"{flow.alg}: {step.summary}", Subsystem.ALG)
        self._flows.commit(flow, [out])

    def _ended(self, proto: int, flow: ProtocolFlow, now: float) -> None:
        self._end(proto, lambda alg: alg.flow_ended(flow), now)

    def _end(
        self, proto: int, leaving: Callable[[ProtocolAlg], Sequence[ProtocolFlow]], now: float
    ) -> None:
        """End the flows that an ALG gives up; what it returns is read where faults are caught."""
        nothing: list[FlowKey] = []
        for key in self._call(
            proto, lambda alg: [_key(proto, gone) for gone in leaving(alg)], nothing, now
        ):
            flow = self._flows.get(key)
            if flow is not None:
                self._flows.remove(flow, now, "by-alg")

    def _check(self, packet: ProtocolPacket, steps: Sequence[Any]) -> None:
        """Check what an ALG decided about a packet; `StepError` if it may not be done.

        There has to be one decision. A flow must be the packet's own, and must not lead to a
        host that does not have the outside address which the packet was sent to.
        """
        decisions = [step for step in steps if not isinstance(step, Notice)]
        if len(decisions) != 1 or not isinstance(decisions[0], Admit | Discard):
            raise StepError(f"{len(decisions)} decisions about one packet")
        if isinstance(decisions[0], Discard):
            return
        flow = decisions[0].flow
        sender, receiver = flow.inside, flow.remote
        if packet.is_inbound:
            sender, receiver = flow.remote, flow.outside
        if (sender, receiver, flow.outside, flow.is_inbound) != (
            *(packet.source, packet.target),
            *(packet.outside, packet.is_inbound),
        ):
            raise StepError("a flow that the packet is not of")
        if packet.is_inbound and not self._owns(flow.inside, flow.outside):
            raise StepError("a flow to a host that does not have that outside address")

    def _owns(self, inside: int, outside: int) -> bool:
        """Whether a host has an outside address: as its own, or by a static mapping."""
        return self._mappings.outside_addr_of(inside) == outside or any(
            (binding.inside_addr, binding.outside_addr) == (inside, outside)
            for binding in self._mappings.bindings
            if binding.kind is Kind.STATIC
        )

    def _call(self, proto: int, call: Callable[[ProtocolAlg], _T], default: _T, now: float) -> _T:
        """Call the ALG of a protocol. If it raises, undo what it changed and return `default`."""
        name = self._alg_of[proto]
        savepoint, actions = self._log.savepoint(), self._outbox.savepoint()
        try:
            return call(self._sessions.shared[name])
        except Exception as error:
            self._log.roll_back(savepoint)
            self._outbox.roll_back(actions)
            what = f"{name}: a packet or flow of {proto_name(proto)}"
            self._faults.report(f"alg.{name}.faults", what, error, now)
            return default

    def _noticed(self, proto: int, notice: Notice) -> None:
        self._count(proto, notice.event)
        if notice.summary:
            level = logging.WARNING if notice.is_warning else logging.INFO
            self._outbox.log(level, f"{self._alg_of[proto]}: {notice.summary}", Subsystem.ALG)

    def _count(self, proto: int, event: str) -> None:
        self._counters.count(f"alg.{self._alg_of[proto]}.{proto_name(proto)}.{event}")


class _Gateway:
    """The gateway of a `ProtocolAlg` (see `ProtocolGateway`)."""

    def __init__(self, flows: Flows) -> None:
        self._mappings = flows.mappings

    def static_inside_of(self, proto: int, outside: Endpoint) -> Endpoint | None:
        number = flow_id(proto, outside.port)
        binding = self._mappings.inside_endpoint(proto, outside.addr, number)
        if binding is None or binding.kind is not Kind.STATIC:
            return None
        return Endpoint(binding.inside_addr, number_of(proto, binding.inside_id))


def _key(proto: int, flow: ProtocolFlow) -> FlowKey:
    """The key of a flow. In it the identifier of the sending end is 0."""
    number = flow_id(proto, flow.identifier)
    if flow.is_inbound:
        return FlowKey(proto, flow.inside, number, flow.remote, 0)
    return FlowKey(proto, flow.inside, 0, flow.remote, number)


def _flow_of(flow: Flow) -> ProtocolFlow:
    key = flow.key
    is_inbound = key.inside_id != 0
    number = number_of(key.proto, key.inside_id if is_inbound else key.remote_id)
    outside = flow.binding.outside_addr
    return ProtocolFlow(key.inside_addr, outside, key.remote_addr, number, is_inbound)
