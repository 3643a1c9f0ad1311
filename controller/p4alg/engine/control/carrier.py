"""Carries packets of control sessions: gives them to the follower, carries out its effects.

A *follower* (`stream.effects.Follower`) reads the packets of one session for its ALG. It returns
effects: packets to send, tables to write, things to report.

The carrier keeps the rule "pinhole before message". What a message was granted is one transaction.
It is written before the message leaves, and is taken back if the message cannot leave.

The carrier also contains faults. If the follower or the carrier itself raises, the session goes
on as plain NAT, and no other session is affected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from p4alg.alg.contract import Peer
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.control.gateway import Granting, SessionGateway
from p4alg.engine.control.guard import FAULT
from p4alg.engine.control.reports import Reports
from p4alg.engine.control.session import ControlSession
from p4alg.engine.control.table import ControlSessions
from p4alg.engine.control.tags import Tags
from p4alg.engine.flow_table import Flows
from p4alg.engine.flows import session_entry
from p4alg.engine.pinholes import Batch
from p4alg.engine.tables import Op, SessionFlags, Side, Update
from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.stream.effects import (
    Answer,
    Barrier,
    Closed,
    Detached,
    Dropped,
    Effect,
    Finished,
    Noticed,
    Seen,
    Send,
    Watched,
)
from p4alg.stream.segments import Segment

_COUNTER = "faults.carrier"
_NO_MEMORY = "memory-limit"
"""Why a session is left to the switch if the bytes of all streams are at their limit."""


class Carrier:
    """Gives packets to the followers of control sessions, and carries out their effects."""

    def __init__(
        self,
        sessions: ControlSessions,
        flows: Flows,
        granting: Granting,
        reports: Reports,
        tags: Tags,
    ) -> None:
        self._sessions = sessions
        self._flows = flows
        self._granting = granting
        self._pinholes = granting.pinholes
        self._expectations = granting.expectations
        self._outbox = granting.outbox
        self._reports = reports
        self._tags = tags

    def gateway(self, session: ControlSession, now: float) -> SessionGateway:
        """The gateway that the ALG of a session is given for one call."""
        return SessionGateway(self._granting, session, now)

    # Packets

    def packet(
        self, session: ControlSession, side: Side, port: int, frame: bytes, now: float
    ) -> None:
        """Handle a packet of a control session that the switch punted."""

        def read() -> list[Effect]:
            peer = session.peer_on(side)
            return session.stream.packet(peer, port, frame, self.gateway(session, now), now)

        self.handle(session, read, now)

    def first_segments(
        self, session: ControlSession, port: int, frame: bytes, now: float
    ) -> list[PacketOut]:
        """Give the follower the SYN of a new session; returns the packets to send with its flow."""
        gateway = self.gateway(session, now)
        found: list[PacketOut] = []
        for effect in session.stream.packet(Peer.CLIENT, port, frame, gateway, now):
            if isinstance(effect, Send):
                found += self._packets(session, effect.segments)
            else:
                self._carry_out(session, [effect], now)
        return found

    def begin_again(self, session: ControlSession, port: int, frame: bytes, now: float) -> None:
        """Begin a session anew: its connection is over, and the client opens another there."""
        self.drop_promises(session, now)
        if self._sessions.renew(session, now):
            then = self.first_segments(session, port, frame, now)
        else:
            self._sessions.leave(session)
            then = self._packets(session, (Segment(port, frame),))
        self._outbox.transact(self._flows.reopen(session.flow), then)

    def handle(
        self, session: ControlSession, read: Callable[[], list[Effect]], now: float
    ) -> list[Effect]:
        """Carry out the effects that `read` returns. Returns those that concern a data flow.

        Never raises. After a fault the session goes on as plain NAT.
        """
        savepoint, actions = self._granting.log.savepoint(), self._outbox.savepoint()
        try:
            effects = read()
            self._tags.update(session)
        except Exception as error:
            self._roll_back(session, savepoint, actions, error, now)
            self.give_up(session, now)
            return []
        return self._deliver(session, effects, now)

    def _deliver(
        self, session: ControlSession, effects: Sequence[Effect], now: float
    ) -> list[Effect]:
        savepoint, actions = self._granting.log.savepoint(), self._outbox.savepoint()
        try:
            self._carry_out(session, effects, now)
            if not session.stream.blocked:
                self._settle(session, now)
            if self._sessions.takes_too_much(session):
                self._save_memory(session, now)
            if session.stream.may_leave_to_switch:
                self._to_switch(session)
        except Exception as error:
            self._roll_back(session, savepoint, actions, error, now)
            self._salvage(session, effects, now)
            return []
        return [effect for effect in effects if isinstance(effect, Watched | Finished)]

    def _save_memory(self, session: ControlSession, now: float) -> None:
        session.stream.shed()
        self._reports.count(session, f"segments.{_NO_MEMORY}")
        if self._sessions.takes_too_much(session):
            self._carry_out(session, session.stream.detach(_NO_MEMORY, now), now)
            self._sessions.takes_too_much(session)

    # Faults

    def _roll_back(
        self, session: ControlSession, savepoint: int, actions: int, error: Exception, now: float
    ) -> None:
        self._granting.log.roll_back(savepoint)
        self._outbox.roll_back(actions)
        self._granting.faults.report(_COUNTER, str(session), error, now)

    def _salvage(self, session: ControlSession, effects: Sequence[Effect], now: float) -> None:
        """Carrying out effects has failed: send the packets among them, then give up the session.

        A message that waits for its tables is handled as if the switch had refused them.
        """
        savepoint, actions = self._granting.log.savepoint(), self._outbox.savepoint()
        try:
            left = list(effects)
            while left:
                effect = left.pop(0)
                if isinstance(effect, Send):
                    for packet in self._packets(session, effect.segments):
                        self._outbox.send(packet)
                elif isinstance(effect, Barrier):
                    left += session.stream.resume(False, self.gateway(session, now), now)
            for effect in session.stream.detach(FAULT, now):
                if isinstance(effect, Send):
                    for packet in self._packets(session, effect.segments):
                        self._outbox.send(packet)
        except Exception as error:
            self._roll_back(session, savepoint, actions, error, now)
        self.give_up(session, now)

    def give_up(self, session: ControlSession, now: float) -> None:
        """Leave a session to the switch, and take back what unsent messages were granted."""
        self._take_back(session, now)
        session.withdrawn = ()
        self.drop_promises(session, now, keep_flows=True)
        self._to_switch(session)

    # Sessions end

    def detach_all(self, alg: str | None, reason: str, now: float) -> None:
        """Leave every control session (of one ALG, or of all) to the switch, as plain NAT."""
        for session in self._sessions.all(alg):
            self.handle(session, partial(session.stream.detach, reason, now), now)
            if alg is not None:
                self.drop_promises(session, now, keep_flows=True)
            self._to_switch(session)

    def drop_promises(
        self, session: ControlSession, now: float, *, keep_flows: bool = False
    ) -> None:
        """Close what a session was granted and nobody has used (F3).

        Without `keep_flows` the ALG is told that the session has ended, so that it ends the flows
        which both ends had agreed on too.
        """
        if not session.alg.outlives:
            self._pinholes.close_of(session.owner, now)
        if not keep_flows:
            session.machine.ended(self.gateway(session, now))
        self._expectations.withdraw_of(session.owner)

    def tick(self, now: float) -> None:
        """Tell the ALG of each session the time."""
        for session in self._sessions.all():
            if not session.machine.tick(self.gateway(session, now), now):
                self.handle(session, partial(session.stream.detach, FAULT, now), now)

    def ended(self, session: ControlSession, now: float) -> None:
        """The flow of a control session has ended: close what nobody has used, and forget it."""
        self.drop_promises(session, now)
        self._sessions.leave(session)

    def _to_switch(self, session: ControlSession) -> None:
        if self._sessions.leave(session):
            self._flows.modify(session.flow)

    # Effects

    def _carry_out(self, session: ControlSession, effects: Sequence[Effect], now: float) -> None:
        for effect in effects:
            match effect:
                case Send():
                    for packet in self._packets(session, effect.segments):
                        self._outbox.send(packet)
                case Answer():
                    self._answer(session, effect.segment)
                case Barrier():
                    self._write(session, effect)
                case Seen():
                    self._reports.seen(session, effect, now)
                case Noticed():
                    self._reports.noticed(session, effect, now)
                case Dropped():
                    self._reports.count(session, f"segments.{effect.reason}")
                case Closed():
                    self._reports.count(session, f"closed.{effect.reason}")
                    self.drop_promises(session, now)
                    self._flows.close(session.flow)
                case Detached():
                    self._reports.detached(session, effect, now)
                    if effect.is_error or effect.reason == FAULT:
                        # What both ends had agreed on before stays until its timers end it.
                        self.drop_promises(session, now, keep_flows=True)

    def _answer(self, session: ControlSession, segment: Segment) -> None:
        """Send a frame back by the port at which the packet came that it answers."""
        if session.outside_is_hairpin and parse_ipv4(segment.frame).dst != session.inside_addr:
            # The sender is another inside host, and the packet was translated once already.
            return
        self._outbox.send(PacketOut(segment.frame, egress_port=segment.port))

    def _settle(self, session: ControlSession, now: float) -> None:
        """Take back what is still only granted, and close what the ALG has withdrawn.

        Called when no message waits, so that what was granted belongs to no message.
        """
        if not session.granted and not session.withdrawn:
            return
        self._take_back(session, now)
        for number in session.withdrawn:
            self._pinholes.close(number, now)
            self._expectations.withdraw(number)
        session.withdrawn = ()

    def _take_back(self, session: ControlSession, now: float) -> None:
        self._pinholes.abandon(session.granted, now)
        for number in session.granted:
            self._expectations.withdraw(number)
        session.granted = ()

    def _write(self, session: ControlSession, barrier: Barrier) -> None:
        """Write the tables of a message, then send it (design rule 2)."""
        session.granted = tuple(n for n in session.granted if n not in barrier.grants)
        batch = self._pinholes.begin(barrier.grants)
        updates = list(batch.updates)
        flow = session.flow
        first = barrier.resized and not flow.flags & SessionFlags.CORRECT_SEQUENCE
        if barrier.resized:
            updates.append(Update(Op.INSERT if first else Op.MODIFY, _sequence(session)))
        if first:
            flow.flags |= SessionFlags.CORRECT_SEQUENCE
            updates.append(Update(Op.MODIFY, session_entry(flow)))
        packets = self._packets(session, barrier.segments)
        waiter = _MessageWritten(self, session, batch, barrier.grants, first)
        self._outbox.transact(updates, packets, waiter)

    def written(self, waiter: _MessageWritten, reason: str | None, now: float) -> None:
        """The transaction of a message has ended: tell the follower, which goes on from there."""
        session = waiter.session
        if reason is None:
            self._pinholes.opened(waiter.batch)
            for number in session.withdrawn:
                self._pinholes.close(number, now)
        else:
            self._pinholes.failed(waiter.batch, now)
            for number in waiter.numbers:
                self._expectations.withdraw(number)
            self._reports.tables_refused(session, reason, now)
        session.withdrawn = ()
        if reason is not None and waiter.first_correction:
            session.flow.flags &= ~SessionFlags.CORRECT_SEQUENCE
            self._flows.modify(session.flow)
        gateway = self.gateway(session, now)
        self.handle(session, partial(session.stream.resume, reason is None, gateway, now), now)

    def _packets(self, session: ControlSession, segments: Sequence[Segment]) -> list[PacketOut]:
        packets: list[PacketOut] = []
        for segment in segments:
            hairpin = False
            if session.outside_is_hairpin:
                try:
                    hairpin = parse_ipv4(segment.frame).src != session.inside_addr
                except PacketError:
                    continue
            packets.append(
                PacketOut(segment.frame, segment.port, sequence_is_final=True, hairpin=hairpin)
            )
        return packets


@dataclass(frozen=True, slots=True)
class _MessageWritten:
    """Waits until the entries of a message are written: pinholes and sequence correction."""

    carrier: Carrier
    session: ControlSession
    batch: Batch
    numbers: tuple[int, ...]
    first_correction: bool

    def ended(self, reason: str | None, now: float) -> None:
        self.carrier.written(self, reason, now)


def _sequence(session: ControlSession) -> t.Sequence:
    inside = session.facts.inside
    out, back = session.stream.shift(inside), session.stream.shift(inside.other)
    return t.Sequence(
        session.flow.key,
        t.Correction(out.position, out.before, out.after),
        t.Correction(back.position, back.before, back.after),
    )
