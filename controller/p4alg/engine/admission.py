"""Decides about the first packet of a flow.

It says whether the flow is let in, and whether an ALG reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from p4alg.engine import events as ev
from p4alg.engine.actions import PacketOut
from p4alg.engine.control.carrier import Carrier
from p4alg.engine.control.data import DataFlows
from p4alg.engine.control.session import ControlSession
from p4alg.engine.control.table import ControlSessions
from p4alg.engine.expectations import Expectation, Expectations
from p4alg.engine.flow_table import Flows
from p4alg.engine.flows import Flow
from p4alg.engine.pinholes import Pinholes
from p4alg.engine.settings import AlgSettings
from p4alg.engine.tables import FlowKey, Side, Update
from p4alg.nat.bindings import Refused
from p4alg.protocols import TCP


class Admission:
    """Lets new flows in.

    Some were announced by a control message, some come through a pinhole, and some belong to the
    service of an ALG. All others are plain NAT.
    """

    def __init__(
        self,
        algs: Mapping[str, AlgSettings],
        flows: Flows,
        pinholes: Pinholes,
        expectations: Expectations,
        sessions: ControlSessions,
        carrier: Carrier,
        data_flows: DataFlows,
    ) -> None:
        self._algs = algs
        self._flows = flows
        self._pinholes = pinholes
        self._expectations = expectations
        self._sessions = sessions
        self._carrier = carrier
        self._data_flows = data_flows

    def first_packet(
        self, event: ev.PacketIn, key: FlowKey, side: Side, now: float
    ) -> Refused | None:
        """The first packet of a flow arrived. Returns why the flow is refused, if it is."""
        expected = self._expectations.take(key, now) if side is Side.INSIDE else None
        flow = self._prepare(event, key, side, expected, now)
        if isinstance(flow, Refused):
            self._flows.refused(flow.reason)
            return flow
        pinhole = self._pinholes.to_inspect(key) if side is Side.OUTSIDE else None
        parent = self._sessions.of_owner(pinhole.owner if pinhole else None)
        if expected is not None:
            self._announced(event, flow, expected, now)
        elif pinhole is not None and parent is not None:
            more = self._pinholes.use(pinhole, flow)
            self._through_pinhole(event, flow, parent, more, now)
        else:
            self._begin(event, flow, self._session_of(event, flow, now), (), now)
        return None

    def _prepare(
        self,
        event: ev.PacketIn,
        key: FlowKey,
        side: Side,
        expected: Expectation | None,
        now: float,
    ) -> Flow | Refused:
        outside = expected.owner.outside_addr if expected else None
        if self._keeps_port(event, key, side):
            flow = self._flows.prepare(key, side, now, outside, share=True)
            if not isinstance(flow, Refused):
                return flow
            # Another host has a binding of that port which is not shared. The flow gets
            # another port, as any other flow does.
        mapped = event.mapped_id if side is Side.INSIDE else 0
        return self._flows.prepare(key, side, now, outside, mapped_id=mapped)

    def _keeps_port(self, event: ev.PacketIn, key: FlowKey, side: Side) -> bool:
        chosen = self._alg(event)
        if chosen is None or side is not Side.INSIDE:
            return False
        ports = (key.proto, key.inside_id, key.remote_id)
        return chosen.alg.keeps_port(chosen.all_options, *ports)

    def _alg(self, event: ev.PacketIn) -> AlgSettings | None:
        found = (alg for alg in self._algs.values() if alg.alg.alg_id == event.alg_id)
        return next(found, None) if event.alg_id else None

    def _session_of(self, event: ev.PacketIn, flow: Flow, now: float) -> ControlSession | None:
        """Make a new flow a control session, if it is to a service of an ALG that is on."""
        chosen = self._alg(event)
        if chosen is None or not chosen.enabled or flow.key.proto not in chosen.alg.transports:
            return None
        given_up = self._sessions.to_give_up(flow.key.inside_addr)
        if given_up is not None and self._sessions.leave(given_up):
            self._flows.counters.count(f"alg.{given_up.alg.name}.controls.given-up")
            self._flows.modify(given_up.flow)
        return self._sessions.attach(flow, chosen.alg, hairpin=event.hairpin, now=now)

    def _announced(self, event: ev.PacketIn, flow: Flow, expected: Expectation, now: float) -> None:
        """Begin a flow from inside that a control message has announced."""
        request, owner = expected.request, expected.owner
        flow.alg, flow.label = owner.alg, request.label
        if request.flow_idle is not None:
            flow.idle_timeout = request.flow_idle
        self._flows.counters.count(f"alg.{owner.alg}.expected.used")
        parent = self._sessions.of_owner(owner)
        if request.inspect and parent is not None and parent.machine.follows_data:
            self._begin_data(event, flow, parent, (), now)
        else:
            self._begin(event, flow, None, (), now)

    def _through_pinhole(
        self,
        event: ev.PacketIn,
        flow: Flow,
        parent: ControlSession,
        more: Sequence[Update],
        now: float,
    ) -> None:
        """Begin a flow from outside through a pinhole with `inspect`.

        It is a data flow if the ALG reads data flows, and a control session of its own otherwise.
        """
        if parent.machine.follows_data:
            self._begin_data(event, flow, parent, more, now)
            return
        session = self._sessions.attach(flow, parent.alg, hairpin=event.hairpin, now=now)
        self._begin(event, flow, session, more, now)

    def _begin_data(
        self,
        event: ev.PacketIn,
        flow: Flow,
        parent: ControlSession,
        more: Sequence[Update],
        now: float,
    ) -> None:
        data = self._data_flows.begin(parent, flow, flow.opened_by)
        self._flows.commit(flow, (), more)
        self._data_flows.packet(data, flow.opened_by, event.port, event.frame, now)

    def _begin(
        self,
        event: ev.PacketIn,
        flow: Flow,
        session: ControlSession | None,
        more: Sequence[Update],
        now: float,
    ) -> None:
        """Write a new flow and send its first packet on. An ALG reads the packet first."""
        if session is None:
            out = PacketOut(event.frame, event.port, hairpin=event.hairpin)
            self._flows.commit(flow, [out], more)
        elif flow.key.proto == TCP:
            then = self._carrier.first_segments(session, event.port, event.frame, now)
            self._flows.commit(flow, then, more)
        else:
            # The first datagram is a message already. The flow is written before it is read.
            self._flows.commit(flow, (), more)
            self._carrier.packet(session, flow.opened_by, event.port, event.frame, now)
