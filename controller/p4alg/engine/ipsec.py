"""IPsec: ESP by SPI, and hosts that all keep port 500 outside (K1, K2).

`alg.ike` and `alg.esp` decide whose an exchange or an SPI is; this carries it
out in tables. The switch then forwards both by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from p4alg.alg.contract import format_addr
from p4alg.alg.ike.alg import IKE, IkeAlg
from p4alg.alg.ike.esp import Drop, EspTracker, Learn, Sa, Wait, read_spi
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.controls import Control
from p4alg.engine.counters import Counters
from p4alg.engine.flows import IKE_PORT, Flow
from p4alg.engine.outbox import Outbox
from p4alg.engine.settings import Settings
from p4alg.engine.tables import FlowKey, Op, Side, Update
from p4alg.engine.translation import Translation
from p4alg.nat.bindings import Binding, Kind, Refused
from p4alg.packet.ipv4 import Ipv4
from p4alg.protocols import ESP, UDP

_COUNTER = f"alg.{IKE.name}.esp"


class Ipsec:
    """The ESP of all hosts, and the exchanges of those that share port 500."""

    def __init__(
        self, settings: Settings, translation: Translation, outbox: Outbox, counters: Counters
    ) -> None:
        self._settings = settings
        self._translation = translation
        self._outbox = outbox
        self._counters = counters
        self._tracker = EspTracker(require_ike=settings.ike.require_ike)
        # What `ike_in` holds for each host that shares port 500.
        self._spis: dict[Binding, set[int]] = {}

    # IKE

    def shares_port(self, key: FlowKey, side: Side) -> bool:
        """Whether a new flow is to keep port 500 outside, whoever else has it."""
        ends = (key.proto, key.inside_id, key.remote_id)
        return (
            self._settings.ike.keep_port
            and side is Side.INSIDE
            and ends == (UDP, IKE_PORT, IKE_PORT)
        )

    def read(self, control: Control, now: float) -> None:
        """An IKE message was read and has not left yet: what follows for the tables."""
        machine = control.machine
        if not isinstance(machine, IkeAlg):
            return
        if machine.both_spoke:
            key, outside = control.flow.key, control.flow.binding.outside_addr
            refused = self._tracker.note_ike(
                key.inside_addr,
                outside,
                key.remote_addr,
                now,
                keying=machine.keying_at == now,
            )
            if refused is not None:
                self._counters.count(f"{_COUNTER}.relations.refused.{refused.reason}")
        self._learn_spis(control.flow.binding, machine.initiator_spis)

    def _learn_spis(self, binding: Binding, spis: Iterable[int]) -> None:
        """Let the switch know the exchanges of a host that shares port 500."""
        if binding.kind is not Kind.SHARED:
            return
        have = self._spis.setdefault(binding, set())
        new = sorted(set(spis) - have)
        have.update(new)
        self._outbox.write_all([Update(Op.INSERT, _ike_in(binding, spi)) for spi in new])

    def _forget_spis(self, binding: Binding, spis: Iterable[int]) -> None:
        gone = sorted(self._spis[binding] & set(spis))
        self._spis[binding] -= set(gone)
        if not self._spis[binding]:
            del self._spis[binding]
        self._outbox.write_all([Update(Op.DELETE, _ike_in(binding, spi)) for spi in gone])

    # ESP

    def packet(self, packet: Ipv4, side: Side, out: PacketOut, now: float) -> None:
        """An ESP packet that the switch does not know."""
        spi = read_spi(packet.payload)
        if isinstance(spi, Drop):
            self._counters.count(f"{_COUNTER}.dropped.{spi.reason}")
        elif side is Side.INSIDE:
            self._outbound(packet, spi, out, now)
        else:
            self._inbound(packet, spi, out, now)

    def _outbound(self, packet: Ipv4, spi: int, out: PacketOut, now: float) -> None:
        outside = self._translation.outside_addr_of(packet.src)
        if outside is None:
            self._translation.refused("pool-exhausted")
            return
        decision = self._tracker.outbound(packet.src, outside, packet.dst, spi, now)
        self._carry_out(decision, out, now)

    def _inbound(self, packet: Ipv4, spi: int, out: PacketOut, now: float) -> None:
        # A gateway inside is known by the static mapping of its IKE (K5).
        static = self._translation.inside_endpoint(UDP, packet.dst, IKE_PORT)
        inside = None
        if static is not None and static.kind is Kind.STATIC:
            inside = static.inside_addr
        decision = self._tracker.inbound(packet.src, packet.dst, spi, now, static=inside)
        self._carry_out(decision, out, now)

    def _carry_out(self, decision: Learn | Wait | Drop, out: PacketOut, now: float) -> None:
        match decision:
            case Wait():
                self._counters.count(f"{_COUNTER}.held")
            case Drop():
                self._counters.count(f"{_COUNTER}.dropped.{decision.reason}")
            case Learn():
                if decision.contested is not None and decision.is_new:
                    self._contested(decision.sa, decision.contested)
                self._learn(decision.sa, out, now)

    def _contested(self, sa: Sa, other: int) -> None:
        self._counters.count(f"{_COUNTER}.contested")
        self._outbox.log(
            logging.WARNING,
            f"{IKE.name}: SPI {sa.spi:08x} of {format_addr(sa.remote)} goes to "
            f"{format_addr(sa.inside)}, but {format_addr(other)} was never answered",
        )

    def _learn(self, sa: Sa, out: PacketOut, now: float) -> None:
        key = _key(sa)
        if key in self._translation.flows:
            self._outbox.send(out)
            return
        side = Side.OUTSIDE if sa.is_inbound else Side.INSIDE
        opening = self._translation.prepare(key, side, now, sa.outside)
        if isinstance(opening, Refused):
            self._translation.refused(opening.reason)
            self._remove(self._tracker.forget(sa), now)
            return
        opening.flow.alg = IKE.name
        opening.flow.label = "esp in" if sa.is_inbound else "esp out"
        self._counters.count(f"{_COUNTER}.learnt")
        towards = "from" if sa.is_inbound else "to"
        self._outbox.log(
            logging.INFO,
            f"{IKE.name}: ESP of {format_addr(sa.inside)} {towards} "
            f"{format_addr(sa.remote)}: SPI {sa.spi:08x}",
        )
        self._translation.commit(opening, [out])

    def flow_gone(self, flow: Flow, now: float) -> None:
        """A flow has ended: its SPI is not known any more, and maybe another with it."""
        if flow.key.proto == ESP:
            self._remove(self._tracker.forget(_sa(flow)), now)
        elif flow.binding in self._spis and not flow.binding.sessions:
            self._forget_spis(flow.binding, set(self._spis[flow.binding]))

    def adopt(self, present: Iterable[t.Entry], now: float) -> list[t.Entry]:
        """Take over the SPIs found in the switch; the entries to keep of them."""
        for flow in self._translation.flows.values():
            if flow.key.proto == ESP:
                self._tracker.adopt(_sa(flow), now)
        kept: list[t.Entry] = []
        for entry in present:
            if isinstance(entry, t.IkeIn):
                inside = (entry.inside_addr, entry.inside_id)
                binding = self._translation.bindings.outbound(UDP, *inside)
                if binding is not None and binding.kind is Kind.SHARED:
                    self._spis.setdefault(binding, set()).add(entry.initiator_spi)
                    kept.append(entry)
        return kept

    def tick(self, controls: Iterable[Control], now: float) -> None:
        """Give up what has had its time."""
        self._remove(self._tracker.expire(now), now)
        alive: dict[Binding, set[int]] = {}
        for control in controls:
            machine, binding = control.machine, control.flow.binding
            if isinstance(machine, IkeAlg) and binding in self._spis:
                alive.setdefault(binding, set()).update(machine.initiator_spis)
        # Of a host whose messages nobody reads any more, what is there stays.
        for binding, spis in alive.items():
            self._forget_spis(binding, self._spis[binding] - spis)

    def _remove(self, leaving: Sequence[Sa], now: float) -> None:
        for sa in leaving:
            flow = self._translation.flows.get(_key(sa))
            if flow is not None:
                self._translation.remove(flow, now)


def _ike_in(binding: Binding, spi: int) -> t.IkeIn:
    return t.IkeIn(
        binding.outside_addr,
        spi,
        binding.inside_addr,
        binding.inside_id,
        t.FilterMode.ADDRESS_AND_PORT,
    )


def _key(sa: Sa) -> FlowKey:
    """The flow of an SA: only the receiver's identifier is in its packets."""
    if sa.is_inbound:
        return FlowKey(ESP, sa.inside, sa.spi, sa.remote, 0)
    return FlowKey(ESP, sa.inside, 0, sa.remote, sa.spi)


def _sa(flow: Flow) -> Sa:
    key = flow.key
    is_inbound = key.inside_id != 0
    spi = key.inside_id if is_inbound else key.remote_id
    return Sa(key.inside_addr, flow.binding.outside_addr, key.remote_addr, spi, is_inbound)
