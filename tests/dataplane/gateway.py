"""A gateway made of the compiled program: its entries, and what becomes of a packet.

In process on the embedded switch here; `bmv2_walk` has one on BMv2.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from p4alg.p4constants import TICK_SHIFT, Class, Drop, FilterMode, Phase, Punt
from p4softswitch.executor.v1model import V1ModelExecutor
from p4softswitch.p4rt.proto import p4r, text_format

from ..softswitch.helpers import Bench, ethernet, ipv4, udp, update
from ..softswitch.nat_traffic import entry, named
from .reference import ACK, FIN, RST, SYN, Segment, Subscriber, Timers

ARTIFACTS = Path(__file__).resolve().parents[2] / "p4src" / "artifacts"
TICK = (1 << TICK_SHIFT) * 1000
"""Nanoseconds of a tick."""
INSIDE, OUTSIDE = 1, 2
ROUTER, HOST, SERVER = 0x0200000000AA, 0x020000000001, 0x020000000002
ICMP, TCP, UDP = 1, 6, 17
PROTO = {Class.TCP: TCP, Class.UDP: UDP, Class.ICMP: ICMP}


@cache
def program(variant: str) -> Any:
    """The ForwardingPipelineConfig of a compiled variant of the program."""
    message = p4r.ForwardingPipelineConfig()
    folder = ARTIFACTS / variant
    text_format.Parse((folder / "p4alg.p4info.txtpb").read_text(), message.p4info)
    message.p4_device_config = (folder / "p4alg.json").read_bytes()
    return message


class Packet(NamedTuple):
    """The ends of a packet, as it is on the wire."""

    proto: int
    source: int
    source_port: int
    target: int
    target_port: int


class Gateway(ABC):
    """A gateway of one inside and one outside port, whose plain flows are the switch's own."""

    def __init__(
        self,
        timers: Timers,
        filter_mode: FilterMode,
        low: tuple[int, ...],
        high: tuple[int, ...],
    ) -> None:
        self._written: dict[Subscriber, list[Any]] = {}
        self._write(*self._base(timers))
        self._write(*(_scramble("low", i, v) for i, v in enumerate(low)))
        self._write(*(_scramble("high", i, v) for i, v in enumerate(high)))
        gateway = entry("gateway", {}, "set_gateway", timers.rest, filter_mode)
        gateway.type = p4r.Update.MODIFY
        gateway.entity.table_entry.is_default_action = True
        self._write(gateway)

    @property
    @abstractmethod
    def tick(self) -> int:
        """The time as the program sees it."""

    @abstractmethod
    def pass_ticks(self, ticks: int) -> None:
        """Let time pass."""

    @abstractmethod
    def _write(self, *updates: Any) -> None: ...

    @abstractmethod
    def _read(self, entity: Any) -> list[Any]: ...

    @abstractmethod
    def _deliver(self, side: int, sent: bytes) -> tuple[list[tuple[int, bytes]], list[Punt]]:
        """Send a frame into a port; the frames that come out, and why it is punted."""

    def _base(self, timers: Timers) -> list[Any]:
        closing = [(p, p) for p in (Phase.RESET, Phase.INSIDE_FIN | Phase.OUTSIDE_FIN)]
        return [
            entry("port_zone", {"port": INSIDE, "vlan_id": 0}, "set_zone", 1, 0, ROUTER, 0),
            entry("port_zone", {"port": OUTSIDE, "vlan_id": 0}, "set_zone", 2, 1, ROUTER, 0),
            entry("source", {"zone": 1, "src_addr": (0x0A000000, 8)}, "accept_source"),
            entry("source", {"zone": 2}, "accept_source"),
            entry("route", {"addr": (0x0A000000, 8), "organisation": 0}, "via", 1),
            entry("route", {"addr": (0xC6336400, 24), "organisation": 0}, "via", 2),
            entry("next_hop", {"next_hop": 1}, "leave", INSIDE, 0, ROUTER, HOST, 1500),
            entry("next_hop", {"next_hop": 2}, "leave", OUTSIDE, 0, ROUTER, SERVER, 1500),
            entry("pool", {"addr": (0xCB007100, 24)}, "in_pool"),
            _timer({"proto": UDP}, "set_ttl", timers.udp),
            _timer({"proto": ICMP}, "set_ttl", timers.icmp),
            *(_timer({"proto": TCP, "outbound": 1}, "set_ttl", timers.transitory, phase=p, first=9)
              for p in closing),
            _timer({"proto": TCP, "outbound": 1}, "set_ttl", timers.established,
                   phase=(Phase.ESTABLISHED, Phase.ESTABLISHED), first=5),
            _timer({"proto": TCP, "outbound": 1}, "set_ttl", timers.transitory),
            _timer({"proto": TCP, "outbound": 0}, "cut_ttl", timers.transitory,
                   phase=(Phase.RESET, Phase.RESET)),
        ]  # fmt: skip

    def add(self, sub: Subscriber) -> None:
        """Give a block to an inside address."""
        span = sub.block_size.bit_length() - 1
        self._written[sub] = [
            entry("subscriber", {"inside_addr": sub.inside, "organisation": 0}, "own_block",
                  sub.number, sub.outside, sub.port_base, sub.block_size - 1, sub.salt),
            entry("block", {"outside_addr": sub.outside, "outside_id": (sub.port_base, 32 - span)},
                  "held_by", sub.number, sub.inside, 0),
        ]  # fmt: skip
        self._write(*self._written[sub])

    def remove(self, sub: Subscriber) -> None:
        """Take the block of a subscriber back."""
        gone = self._written.pop(sub)
        self._write(*(update("DELETE", table_entry=u.entity.table_entry) for u in gone))

    def send(
        self, side: int, packet: Packet, tcp: Segment | None = None
    ) -> Packet | Punt | Drop | None:
        """What becomes of a packet: as it leaves, or why it does not."""
        before = self._drops()
        sent, told = self._deliver(side, frame(packet, tcp))
        if told:
            return told[0]
        if sent:
            (out,) = sent
            assert out[0] == INSIDE + OUTSIDE - side
            return parse(out[1])
        after = self._drops()
        changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
        return Drop(changed[0]) if changed else None

    def _drops(self) -> list[int]:
        wanted = p4r.CounterEntry(counter_id=named("counters", "drop_counter").preamble.id)
        found = self._read(p4r.Entity(counter_entry=wanted))
        return [e.counter_entry.data.packet_count for e in found]


class InProcess(Gateway):
    """On the embedded switch, in process, with a clock that stands still unless told."""

    def __init__(self, variant: str, *rest: Any) -> None:
        self._bench = Bench(message=program(variant))
        self._start = self._bench.now
        # The switch counts time from its first packet.
        self._bench.receive(INSIDE, bytes(60))
        super().__init__(*rest)

    @property
    def tick(self) -> int:
        """The time as the program sees it."""
        return (self._bench.now - self._start) // 1000 // (TICK // 1000) + 1

    def pass_ticks(self, ticks: int) -> None:
        """Let time pass."""
        self._bench.now += ticks * TICK

    def forget(self) -> None:
        """Take all blocks back and empty the registers."""
        for sub in list(self._written):
            self.remove(sub)
        executor = self._bench.switch.executor
        assert isinstance(executor, V1ModelExecutor)
        for store in executor.state.registers.values():
            for index in range(store.size):
                store.write(index, 0)

    def _write(self, *updates: Any) -> None:
        codes = self._bench.controller.write(*updates)
        assert not any(codes), codes

    def _read(self, entity: Any) -> list[Any]:
        return self._bench.controller.read(entity)

    def _deliver(self, side: int, sent: bytes) -> tuple[list[tuple[int, bytes]], list[Punt]]:
        out = self._bench.receive(side, sent)
        told = self._bench.controller.take("packet")
        return out, [Punt(int.from_bytes(p.metadata[1].value, "big")) for p in told]


def _scramble(which: str, byte: int, value: int) -> Any:
    return entry(f"scramble_{which}", {"byte": byte}, "scramble", value)


def _timer(
    match: dict[str, int],
    action: str,
    ticks: int,
    phase: tuple[int, int] = (0, 0),
    first: int = 1,
) -> Any:
    masks = {"proto": 0xFF, "outbound": 1}
    key: dict[str, Any] = {name: (value, masks[name]) for name, value in match.items()}
    return entry("timer", {**key, "phase": phase}, action, ticks, priority=first)


def frame(packet: Packet, tcp: Segment | None) -> bytes:
    """A packet as bytes; `tcp` is what is in a TCP header."""
    src, dst = packet.source, packet.target
    ports = (packet.source_port, packet.target_port)
    if packet.proto == UDP:
        body = udp(b"data", src=src, dst=dst, sport=ports[0], dport=ports[1])
    elif packet.proto == TCP:
        assert tcp is not None
        body = struct.pack(">HHIIBBHHH", *ports, tcp.seq, tcp.ack, 0x50, tcp.flags, 512, 0, 0)
    else:
        # An echo has one identifier: that of the inside end.
        body = struct.pack(">BBHHH", 8 if ports[0] else 0, 0, 0, ports[0] or ports[1], 1)
    return ethernet(ipv4(body, protocol=packet.proto, src=src, dst=dst), ROUTER, HOST)


def parse(raw: bytes) -> Packet:
    """The ends of a packet."""
    proto = raw[23]
    source, target = struct.unpack(">II", raw[26:34])
    ports = struct.unpack(">HH", raw[34:38])
    if proto == ICMP:
        (ident,) = struct.unpack(">H", raw[38:40])
        ports = (ident, 0) if raw[34] == 8 else (0, ident)
    return Packet(proto, source, ports[0], target, ports[1])


__all__ = ["ACK", "FIN", "RST", "SYN", "Gateway", "Packet", "Segment"]
