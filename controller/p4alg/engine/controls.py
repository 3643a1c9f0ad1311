"""Control sessions: carries what an ALG and its TCP stream decide out to tables and packets.

Owns no table; it joins a `StreamFollower` with pinholes and flows, keeps the
rule "pinhole before message", and counts and traces every message.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from p4alg.alg.contract import (
    DatagramAlg,
    Endpoint,
    Grant,
    Lasting,
    Peer,
    PinholeRequest,
    Refusal,
    SessionFacts,
    SharedState,
    StreamAlg,
)
from p4alg.alg.registry import ALGS, AlgOptions
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut, TraceRecord
from p4alg.engine.counters import Counters
from p4alg.engine.flows import Flow, flow_id, number_of
from p4alg.engine.outbox import Outbox
from p4alg.engine.pinholes import Pinhole, Pinholes
from p4alg.engine.settings import RefuseMode, Settings
from p4alg.engine.tables import FlowKey, Op, SessionFlags, Side, Update
from p4alg.engine.translation import Translation, session_entry
from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.protocols import TUNNELS, UDP
from p4alg.stream.datagram import DatagramFollower
from p4alg.stream.effects import (
    Barrier,
    Closed,
    Detached,
    Dropped,
    Effect,
    Finished,
    Follower,
    Noticed,
    Seen,
    Send,
    Watched,
)
from p4alg.stream.segments import Segment
from p4alg.stream.tcp import StreamFollower, StreamLimits


@dataclass(frozen=True, slots=True)
class Expectation:
    """An outbound data flow that a control message announced; `expires` in seconds."""

    number: int
    control: Control
    request: PinholeRequest
    outside_addr: int
    expires: float


@dataclass(slots=True, eq=False)
class Control:
    """A control connection that an ALG serves."""

    alg: str
    flow: Flow
    facts: SessionFacts
    machine: StreamAlg | DatagramAlg
    stream: Follower
    outside_is_hairpin: bool
    reserved: list[Pinhole] = field(default_factory=list)
    """Pinholes of the message being handled, not yet in the switch."""
    writes: list[Update] = field(default_factory=list)
    """What those pinholes need written before the message leaves."""

    def __str__(self) -> str:
        return f"{self.facts.client} -> {self.facts.server}"

    @property
    def outlived(self) -> bool:
        """Whether what it opened stays when it ends."""
        return ALGS[self.alg].outlives

    @property
    def inside_addr(self) -> int:
        """The inside host."""
        return self.flow.key.inside_addr

    def peer_on(self, side: Side) -> Peer:
        """Which end is on a side."""
        return self.facts.inside if side is Side.INSIDE else self.facts.inside.other


class _Gateway:
    """What an ALG asks of us while it handles a message (`alg.contract.Gateway`)."""

    def __init__(self, controls: Controls, control: Control, now: float) -> None:
        self._controls = controls
        self._control = control
        self._now = now

    def open_pinhole(self, request: PinholeRequest) -> Grant | Refusal:
        return self._controls.open_pinhole(self._control, request, self._now)

    def close_pinhole(self, pinhole_id: int) -> None:
        self._controls.close_pinhole(pinhole_id, self._now)

    def reserve(self, proto: int, listen: Endpoint, *, pair: bool = False) -> Grant | Refusal:
        return self._controls.reserve(self._control, proto, listen, self._now, pair=pair)

    def end(self, number: int) -> None:
        self._controls.end(number, self._now, self._control)

    def inside_of(self, proto: int, outside: Endpoint) -> Endpoint | None:
        return self._controls.inside_of(proto, outside)


class Controls:
    """All control sessions."""

    def __init__(
        self,
        settings: Settings,
        translation: Translation,
        pinholes: Pinholes,
        outbox: Outbox,
        counters: Counters,
    ) -> None:
        self._settings = settings
        self._translation = translation
        self._pinholes = pinholes
        self._outbox = outbox
        self._counters = counters
        self._shared = {name: self._share(name) for name in ALGS}
        self._per_subscriber: Counter[int] = Counter()
        self._expected: dict[tuple[int, int, int, int], Expectation] = {}
        self.all: dict[FlowKey, Control] = {}
        self.on_read: Callable[[Control, float], None] = lambda _control, _now: None
        """Called when a message was read and has not left yet."""

    def _share(self, alg: str) -> object:
        settings = self._settings
        options = AlgOptions(settings.denied_ports, settings.limits.message, sip=settings.sip)
        return ALGS[alg].share(options)

    def shared(self, alg: str) -> object:
        """What all sessions of an ALG have in common."""
        return self._shared[alg]

    def follows_data(self, control: Control) -> bool:
        """Whether the ALG of a session reads the data flows it announced."""
        return hasattr(control.machine, "receive_data")

    def count_of(self, inside_addr: int) -> int:
        """How many control sessions a host has."""
        return self._per_subscriber[inside_addr]

    # Sessions begin and end

    def attach(self, flow: Flow, alg: str, hairpin: bool) -> Control | None:
        """Put a new flow under an ALG; None at the limit (then it is plain NAT)."""
        limits = self._settings.limits
        if self._per_subscriber[flow.key.inside_addr] >= limits.controls_per_subscriber:
            self._counters.count(f"alg.{alg}.controls.refused")
            self._outbox.log(
                logging.WARNING, f"{alg}: control session limit of a host reached; not followed"
            )
            return None
        facts = _facts(flow)
        machine, stream = self._followed(alg, facts)
        control = Control(alg, flow, facts, machine, stream, hairpin)
        flow.alg = alg
        flow.alg_id = ALGS[alg].info.alg_id
        flow.label = "control"
        flow.control = control
        self.all[flow.key] = control
        self._per_subscriber[flow.key.inside_addr] += 1
        self._counters.count(f"alg.{alg}.controls.opened")
        return control

    def _followed(self, alg: str, facts: SessionFacts) -> tuple[StreamAlg | DatagramAlg, Follower]:
        """A machine for a control session, and what carries its messages."""
        limits = self._settings.limits
        options = AlgOptions(
            self._settings.denied_ports,
            limits.message,
            limits.pinhole_lifetime,
            shared=self._shared[alg],
        )
        machine = ALGS[alg].make(facts, options)
        reset = self._settings.refuse is RefuseMode.RESET
        if facts.proto == UDP:
            datagrams = cast(DatagramAlg, machine)
            return machine, DatagramFollower(datagrams, pass_refused=not reset)
        bounds = StreamLimits(ALGS[alg].message or limits.message, limits.stream, reset)
        return machine, StreamFollower(cast(StreamAlg, machine), bounds)

    def begin_again(self, control: Control, port: int, frame: bytes, now: float) -> None:
        """The client of a connection that is over opens a new one from the same port."""
        self._drop_promises(control, now)
        control.machine, control.stream = self._followed(control.alg, control.facts)
        updates = self._translation.reopen(control.flow)
        self._outbox.transact(updates, self.first_segments(control, port, frame, now))

    def leave(self, control: Control) -> None:
        """Forget a control session; its flow stays."""
        if self.all.pop(control.flow.key, None) is None:
            return
        control.flow.control = None
        control.flow.alg_id = 0
        addr = control.inside_addr
        self._per_subscriber[addr] -= 1
        if self._per_subscriber[addr] <= 0:
            del self._per_subscriber[addr]

    def ended(self, control: Control, now: float) -> None:
        """The flow of a control session is gone: what it opened and nobody used goes too."""
        self._drop_promises(control, now)
        self.leave(control)

    def closing(self, control: Control, now: float) -> None:
        """Both ends have finished: unused pinholes close with the connection (F3)."""
        self._drop_promises(control, now)

    def detach_all(self, alg: str | None, reason: str, now: float) -> None:
        """Let every control session (of one ALG, or of all) go on as plain NAT."""
        for control in list(self.all.values()):
            if alg is None or control.alg == alg:
                self._effects(control, control.stream.detach(reason, now), now)
                if alg is not None:
                    self._drop_promises(control, now, keep_flows=True)
                self._to_switch(control)
        if alg is not None and ALGS[alg].outlives:
            self._pinholes.close_all(alg, now)
            self._shared[alg] = self._share(alg)
        for flow in list(self._translation.flows.values()):
            if flow.data_of is not None and alg in (None, flow.data_of.alg):
                flow.data_of = None
                self._translation.leave_to_switch(flow)

    # Packets

    def first_segments(
        self, control: Control, port: int, frame: bytes, now: float
    ) -> list[PacketOut]:
        """The SYN that began a control session, as it may go on."""
        peer = Peer.CLIENT
        effects = control.stream.packet(peer, port, frame, _Gateway(self, control, now), now)
        segments: list[PacketOut] = []
        for effect in effects:
            if isinstance(effect, Send):
                segments += self._packets(control, effect.segments)
            else:
                self._effects(control, [effect], now)
        return segments

    def packet(self, control: Control, side: Side, port: int, frame: bytes, now: float) -> None:
        """A packet of a control session was punted."""
        gateway = _Gateway(self, control, now)
        peer = control.peer_on(side)
        effects = control.stream.packet(peer, port, frame, gateway, now)
        self.on_read(control, now)
        self._effects(control, effects, now)
        if not control.stream.blocked:
            self._abandon(control, now)
        self._leave_if_done(control)

    def begin_data(
        self, control: Control, flow: Flow, side: Side, port: int, frame: bytes, now: float
    ) -> list[PacketOut]:
        """The first datagram of a data flow that an ALG follows; what leaves once it stands."""
        flow.data_of, flow.alg_id = control, ALGS[control.alg].info.alg_id
        key = flow.key
        flow.opener = (
            Endpoint(key.inside_addr, key.inside_id)
            if side is Side.INSIDE
            else Endpoint(key.remote_addr, key.remote_id)
        )
        segments: list[PacketOut] = []
        for effect in self._data_effects(control, flow, side, port, frame, now):
            match effect:
                case Send():
                    segments += self._packets(control, effect.segments)
                case Watched() | Finished():
                    self._change_data(control, flow, effect)
                case _:
                    self._effects(control, [effect], now)
        return segments

    def data_packet(self, flow: Flow, side: Side, port: int, frame: bytes, now: float) -> None:
        """A datagram of such a flow was punted."""
        control = flow.data_of
        if control is None:
            return
        for effect in self._data_effects(control, flow, side, port, frame, now):
            if isinstance(effect, Watched | Finished):
                if self._change_data(control, flow, effect):
                    self._translation.modify(flow)
            else:
                self._effects(control, [effect], now)

    def _data_effects(
        self, control: Control, flow: Flow, side: Side, port: int, frame: bytes, now: float
    ) -> list[Effect]:
        stream = control.stream
        opener = flow.opener
        if not isinstance(stream, DatagramFollower) or opener is None:
            return []
        peer, gateway = control.peer_on(side), _Gateway(self, control, now)
        return stream.data_packet(opener, peer, port, frame, gateway, now)

    def _change_data(self, control: Control, flow: Flow, effect: Watched | Finished) -> bool:
        if isinstance(effect, Watched):
            inside = effect.sender is control.facts.inside
            side = Side.INSIDE if inside else Side.OUTSIDE
            return self._translation.watch(flow, side, effect.below)
        flow.idle_timeout = effect.linger
        return True

    # What ALGs ask for

    def open_pinhole(
        self, control: Control, request: PinholeRequest, now: float
    ) -> Grant | Refusal:
        """Reserve what a message announced (`Gateway.open_pinhole`)."""
        if request.listener is not control.facts.inside and request.proto not in TUNNELS:
            return self._expect(control, request, now)
        outside = control.flow.binding.outside_addr
        found = self._pinholes.reserve(control, request, outside, now)
        if isinstance(found, Refusal):
            self._counters.count(f"alg.{control.alg}.pinholes.refused.{found.reason}")
            return found
        pinhole, updates = found
        if updates:
            control.reserved.append(pinhole)
            control.writes += updates
        return Grant(pinhole.pinhole_id, pinhole.visible)

    def close_pinhole(self, pinhole_id: int, now: float) -> None:
        """Withdraw a pinhole or expectation nobody has used (`Gateway.close_pinhole`)."""
        self._pinholes.close(pinhole_id, now)
        for key, expected in self._expected.items():
            if expected.number == pinhole_id:
                del self._expected[key]
                break

    def reserve(
        self, control: Control, proto: int, listen: Endpoint, now: float, *, pair: bool
    ) -> Grant | Refusal:
        """Reserve an outside endpoint (`Gateway.reserve`)."""
        outside = control.flow.binding.outside_addr
        found = self._pinholes.reserve_endpoint(control, proto, listen, outside, now, pair=pair)
        if isinstance(found, Refusal):
            self._counters.count(f"alg.{control.alg}.holds.refused.{found.reason}")
            return found
        hold, updates = found
        control.writes += updates
        return Grant(hold.number, hold.visible)

    def end(self, number: int, now: float, control: Control | None = None) -> None:
        """End what an ALG holds or has opened (`Gateway.end`)."""
        unwritten = control.writes if control is not None else []
        self._pinholes.end(number, now, unwritten)

    def inside_of(self, proto: int, outside: Endpoint) -> Endpoint | None:
        """Whose an outside endpoint is (`Gateway.inside_of`)."""
        number = flow_id(proto, outside.port)
        binding = self._translation.inside_endpoint(proto, outside.addr, number)
        if binding is None:
            return None
        return Endpoint(binding.inside_addr, number_of(proto, binding.inside_id))

    def expected(self, key: FlowKey, now: float) -> Expectation | None:
        """The announcement that an outbound flow answers, which is used up by it."""
        match = (key.proto, key.inside_addr, key.remote_addr, key.remote_id)
        found = self._expected.pop(match, None)
        return found if found is not None and found.expires > now else None

    def tick(self, now: float) -> None:
        """Forget announcements nobody came for, and let ALGs look at the clock."""
        for control in list(self.all.values()):
            if isinstance(control.machine, Lasting):
                control.machine.tick(_Gateway(self, control, now), now)
        for shared in self._shared.values():
            if isinstance(shared, SharedState):
                for number in shared.expire(now):
                    self.end(number, now)
        for key in [k for k, e in self._expected.items() if e.expires <= now]:
            del self._expected[key]

    def _expect(self, control: Control, request: PinholeRequest, now: float) -> Grant | Refusal:
        key = (request.proto, control.inside_addr, *request.listen)
        if key not in self._expected:
            limits = self._settings.limits
            mine = sum(1 for e in self._expected.values() if e.control is control)
            if len(self._expected) >= limits.pinholes or mine >= limits.pinholes_per_control:
                return Refusal("control-limit")
        number = self._pinholes.new_id()
        outside = control.flow.binding.outside_addr
        expires = now + request.lifetime
        self._expected[key] = Expectation(number, control, request, outside, expires)
        return Grant(number, request.listen)

    def _drop_promises(self, control: Control, now: float, *, keep_flows: bool = False) -> None:
        if not control.outlived:
            self._pinholes.close_of(control, now)
        if isinstance(control.machine, Lasting) and not keep_flows:
            control.machine.ended(_Gateway(self, control, now))
        for key in [k for k, e in self._expected.items() if e.control is control]:
            del self._expected[key]

    # Effects of the stream

    def _effects(self, control: Control, effects: Sequence[Effect], now: float) -> None:
        waits = any(isinstance(effect, Barrier) for effect in effects) or control.stream.blocked
        for effect in effects:
            match effect:
                case Send():
                    packets = self._packets(control, effect.segments)
                    if control.writes and not waits:
                        # What a message holds comes before it too.
                        self._write_for(control, [], packets)
                        continue
                    for packet in packets:
                        self._outbox.send(packet)
                case Seen():
                    self._seen(control, effect, now)
                case Dropped():
                    self._count(control, f"segments.{effect.reason}")
                case Noticed():
                    self._noticed(control, effect, now)
                case Barrier():
                    self._barrier(control, effect)
                case Closed():
                    self._count(control, f"closed.{effect.reason}")
                    self._drop_promises(control, now)
                    self._translation.close(control.flow)
                case Detached():
                    kind = "protocol-errors" if effect.is_error else "detached"
                    self._count(control, f"{kind}.{effect.reason}")
                    level = logging.WARNING if effect.is_error else logging.INFO
                    text = f"{control.alg}: {control}: not followed any more: {effect.reason}"
                    self._outbox.log(level, text)
                    if effect.is_error:
                        # What both ends agreed on before stays, with its timers.
                        self._drop_promises(control, now, keep_flows=True)

    def _barrier(self, control: Control, barrier: Barrier) -> None:
        """Tables first, then the message (design rule 2)."""
        flow = control.flow
        updates: list[Update] = []
        first = barrier.resized and not flow.flags & SessionFlags.CORRECT_SEQUENCE
        if barrier.resized:
            updates.append(Update(Op.INSERT if first else Op.MODIFY, _sequence(control)))
        if first:
            flow.flags |= SessionFlags.CORRECT_SEQUENCE
            updates.append(Update(Op.MODIFY, session_entry(flow)))

        def ended(reason: str | None, now: float) -> None:
            if reason is not None and first:
                flow.flags &= ~SessionFlags.CORRECT_SEQUENCE
                self._translation.modify(flow)
            gateway = _Gateway(self, control, now)
            self._effects(control, control.stream.resume(reason is None, gateway, now), now)
            self._leave_if_done(control)

        self._write_for(control, updates, self._packets(control, barrier.segments), ended)

    def _write_for(
        self,
        control: Control,
        more: Sequence[Update],
        then: Sequence[PacketOut],
        after: Callable[[str | None, float], None] = lambda _reason, _now: None,
    ) -> None:
        """Write what ALG asked for since the last time, and `more`; then send, and call `after`."""
        reserved, control.reserved = control.reserved, []
        updates, control.writes = control.writes, []

        def ended(reason: str | None, now: float) -> None:
            for pinhole in reserved:
                if reason is None:
                    self._pinholes.opened(pinhole)
                else:
                    self._pinholes.failed(pinhole, now)
            if reason is not None:
                self._count(control, "refused.tables")
                self._outbox.log(
                    logging.WARNING, f"{control.alg}: {control}: the switch refused: {reason}"
                )
            after(reason, now)

        self._outbox.transact([*updates, *more], then, ended)

    def _packets(self, control: Control, segments: Sequence[Segment]) -> list[PacketOut]:
        packets: list[PacketOut] = []
        for segment in segments:
            hairpin = False
            if control.outside_is_hairpin:
                try:
                    hairpin = parse_ipv4(segment.frame).src != control.inside_addr
                except PacketError:
                    continue
            packets.append(
                PacketOut(segment.frame, segment.port, sequence_is_final=True, hairpin=hairpin)
            )
        return packets

    def _seen(self, control: Control, seen: Seen, now: float) -> None:
        direction = f"{seen.sender.value}"
        if seen.verdict != "held":
            self._count(control, f"{direction}.messages")
        if seen.verdict in ("rewritten", "held"):
            self._count(control, f"{direction}.{seen.verdict}")
        elif seen.verdict == "refused":
            self._count(control, f"{direction}.refused.{seen.reason}")
            text = f"{control.alg}: {control}: refused: {seen.summary or seen.verdict}"
            self._outbox.log(logging.WARNING, f"{text} ({seen.reason})")
        self._trace(control, seen, now)

    def _noticed(self, control: Control, notice: Noticed, now: float) -> None:
        self._count(control, notice.event)
        self._outbox.log(logging.INFO, f"{control.alg}: {control}: {notice.summary}")
        told = Seen(notice.sender, notice.event, notice.summary, b"", b"")
        self._trace(control, told, now)

    def _trace(self, control: Control, seen: Seen, now: float) -> None:
        pinholes = [self._describe(number) for number in seen.pinholes]
        self._outbox.trace(
            TraceRecord(
                now,
                control.alg,
                str(control.facts.client),
                str(control.facts.server),
                seen.sender.value,
                control.inside_addr,
                seen.verdict,
                seen.summary,
                seen.before,
                seen.after,
                tuple(pinholes),
                seen.reason,
            )
        )

    def _abandon(self, control: Control, now: float) -> None:
        """Give back what was reserved for a message that went nowhere."""
        for pinhole in control.reserved:
            self._pinholes.abandon(pinhole, now)
        control.reserved, control.writes = [], []

    def _describe(self, number: int) -> str:
        pinhole = self._pinholes.get(number)
        if pinhole is not None:
            return str(pinhole)
        for key, expected in self._expected.items():
            if expected.number == number:
                return f"tcp from inside to {Endpoint(key[2], key[3])}"
        return f"pinhole {number}"

    def _count(self, control: Control, name: str) -> None:
        self._counters.count(f"alg.{control.alg}.{name}")

    # Sessions that go on without us

    def _leave_if_done(self, control: Control) -> None:
        if control.stream.may_leave_to_switch:
            self._to_switch(control)

    def _to_switch(self, control: Control) -> None:
        if control.flow.key not in self.all:
            return
        self.leave(control)
        self._translation.modify(control.flow)


def _facts(flow: Flow) -> SessionFacts:
    key = flow.key
    inside = Endpoint(key.inside_addr, key.inside_id)
    remote = Endpoint(key.remote_addr, key.remote_id)
    seen = Endpoint(flow.binding.outside_addr, flow.binding.outside_id)
    if flow.opened_by is Side.INSIDE:
        return SessionFacts(key.proto, inside, remote, Peer.CLIENT, seen)
    return SessionFacts(key.proto, remote, inside, Peer.SERVER, seen)


def _sequence(control: Control) -> t.Sequence:
    inside = control.facts.inside
    out, back = control.stream.shift(inside), control.stream.shift(inside.other)
    return t.Sequence(
        control.flow.key,
        t.Correction(out.position, out.before, out.after),
        t.Correction(back.position, back.before, back.after),
    )
