"""Data flows whose packets an ALG reads (`TransferAlg`, `PinholeRequest.inspect`)."""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.alg.contract import Endpoint
from p4alg.engine.control.carrier import Carrier
from p4alg.engine.control.session import ControlSession
from p4alg.engine.flow_table import Flows
from p4alg.engine.flows import Flow
from p4alg.engine.tables import FlowKey, Side
from p4alg.stream.datagram import DatagramFollower
from p4alg.stream.effects import Effect, Finished, Watched
from p4alg.undo import TrackedDict, UndoLog


@dataclass(frozen=True, slots=True)
class DataFlow:
    """A data flow, the control session that announced it, and the end that opened it."""

    flow: Flow
    session: ControlSession
    opener: Endpoint


class DataFlows:
    """All data flows that an ALG reads."""

    def __init__(self, carrier: Carrier, flows: Flows, log: UndoLog) -> None:
        self._carrier = carrier
        self._flows = flows
        self._by_key: TrackedDict[FlowKey, DataFlow] = TrackedDict(log)

    def get(self, key: FlowKey | None) -> DataFlow | None:
        """The data flow of a key; None if no ALG reads it."""
        return None if key is None else self._by_key.get(key)

    def begin(self, session: ControlSession, flow: Flow, side: Side) -> DataFlow:
        """Let the ALG of `session` read a new flow, which the host on `side` opens."""
        key = flow.key
        inside = Endpoint(key.inside_addr, key.inside_id)
        remote = Endpoint(key.remote_addr, key.remote_id)
        flow.alg_id = session.alg.alg_id
        data = DataFlow(flow, session, inside if side is Side.INSIDE else remote)
        self._by_key[key] = data
        return data

    def packet(self, data: DataFlow, side: Side, port: int, frame: bytes, now: float) -> None:
        """Give the ALG a datagram of a data flow: the first one, or one that the switch punted."""

        def read() -> list[Effect]:
            stream = data.session.stream
            if not isinstance(stream, DatagramFollower):
                return []
            peer = data.session.peer_on(side)
            gateway = self._carrier.gateway(data.session, now)
            return stream.data_packet(data.opener, peer, port, frame, gateway, now)

        for effect in self._carrier.handle(data.session, read, now):
            if self._change(data, effect):
                self._flows.modify(data.flow)

    def gone(self, key: FlowKey) -> None:
        """A flow has ended: forget it, if an ALG read it."""
        self._by_key.pop(key, None)

    def leave_all(self, alg: str | None) -> None:
        """Leave every data flow (of one ALG, or of all) to the switch."""
        for data in list(self._by_key.values()):
            if alg in (None, data.session.alg.name):
                del self._by_key[data.flow.key]
                self._flows.leave_to_switch(data.flow)

    def _change(self, data: DataFlow, effect: Effect) -> bool:
        """Carry out an effect that concerns the flow. True if its entry has to be written again."""
        match effect:
            case Watched():
                inside = effect.sender is data.session.facts.inside
                side = Side.INSIDE if inside else Side.OUTSIDE
                return self._flows.watch(data.flow, side, effect.below)
            case Finished():
                data.flow.idle_timeout = effect.linger
                return True
        return False
