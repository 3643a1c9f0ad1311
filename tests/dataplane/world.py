"""A gateway and the reference side by side, and what may happen to them."""

from __future__ import annotations

import random
from collections import Counter
from typing import NamedTuple

from p4alg.p4constants import Class, Drop, FilterMode, Phase, Punt

from .gateway import INSIDE, OUTSIDE, PROTO, Gateway, Packet
from .reference import (
    ACK,
    FIN,
    RST,
    SYN,
    Endpoint,
    In,
    Nat,
    Out,
    Segment,
    Sizes,
    Subscriber,
    Timers,
    Verdict,
)

TINY = Sizes(slot_bits=4, session_bits=4, window_bits=3)
BLOCK = 64
POOL = (0xCB007101, 0xCB007102)
REMOTES = tuple(0xC6336400 + i for i in range(1, 5))
REMOTE_PORTS = (53, 80, 4000)
FLAGS = (SYN, SYN, SYN | ACK, ACK, ACK, FIN | ACK, RST, RST | ACK)
NUMBERS = (0, 1, 1000)
"""Few sequence numbers, so that a reset often has the right one."""
PORTS = (*range(1024, 1056), 40001, 50003, 65535, 80)


HOSTS = 3
RNG = random.Random(11)
LOW, HIGH = (tuple(RNG.randrange(1 << 16) for _ in range(256)) for _ in range(2))


class World:
    """The program and the reference, side by side."""

    def __init__(self, gateway: Gateway, timers: Timers, mode: FilterMode, seed: int) -> None:
        self.rng = random.Random(seed)
        self.gateway = gateway
        self.nat = Nat(TINY, timers, mode, LOW, HIGH)
        self.numbers = iter(self.rng.sample(range(1, 1 << 14), 1000))
        self.seen: Counter[object] = Counter()
        for host in range(HOSTS):
            self.begin(host)

    def begin(self, host: int) -> None:
        """Give a host a block; two hosts share an outside address."""
        sub = Subscriber(
            number=next(self.numbers),
            inside=0x0A000001 + host,
            outside=POOL[host // 2],
            port_base=1024 + BLOCK * (host % 2),
            block_size=BLOCK,
            salt=self.rng.randrange(1 << 16),
        )
        self.nat.subscribers[host] = sub
        self.gateway.add(sub)

    def replace(self, host: int) -> None:
        """Take a host's block back and give it out anew, whatever lives on it."""
        self.gateway.remove(self.nat.subscribers[host])
        self.begin(host)

    def outbound(
        self, host: int, kind: Class, port: int, to: tuple[int, int], tcp: Segment
    ) -> None:
        """A packet of a host: both must agree on what becomes of it."""
        sub = self.nat.subscribers[host]
        remote = (to[0], 0 if kind is Class.ICMP else to[1])
        segment = tcp if kind is Class.TCP else None
        end = Endpoint(kind, sub.number, port)
        expected = self.nat.outbound(sub, end, *remote, self.gateway.tick, segment)
        packet = Packet(PROTO[kind], sub.inside, port, *remote)
        got = self.gateway.send(INSIDE, packet, segment)
        if isinstance(expected, Out):
            assert got == packet._replace(source=sub.outside, source_port=expected.port)
        else:
            assert got == expected
        self._note(expected)

    def inbound(self, host: int, kind: Class, port: int, of: tuple[int, int], tcp: Segment) -> None:
        """A packet from outside to a port of a host's block."""
        sub = self.nat.subscribers[host]
        remote = (of[0], 0 if kind is Class.ICMP else of[1])
        segment = tcp if kind is Class.TCP else None
        expected = self.nat.inbound(sub, kind, port, *remote, self.gateway.tick, segment)
        packet = Packet(PROTO[kind], *remote, sub.outside, port)
        got = self.gateway.send(OUTSIDE, packet, segment)
        if isinstance(expected, In):
            assert got == packet._replace(target=sub.inside, target_port=expected.port)
        else:
            assert got == expected
        self._note(expected)

    def ports_in_use(self, host: int, kind: Class) -> list[int]:
        """Outside ports that the host's endpoints of a protocol have or had."""
        number = self.nat.subscribers[host].number
        return sorted(
            m.port
            for m in self.nat.mappings.values()
            if (m.endpoint.subscriber, m.endpoint.kind) == (number, kind)
        )

    def _note(self, verdict: Verdict) -> None:
        self.seen[verdict if isinstance(verdict, Punt | Drop) else type(verdict)] += 1
        self._check()

    def _check(self) -> None:
        """What must hold of a NAT at any time (RFC 4787 REQ-1, REQ-3, REQ-4)."""
        now = self.gateway.tick
        live = [m for m in self.nat.mappings.values() if m.end >= now]
        assert len({m.endpoint for m in live}) == len(live), "two mappings of an endpoint"
        taken = {(m.endpoint.kind, m.endpoint.subscriber, m.port) for m in live}
        assert len(taken) == len(live), "two endpoints on a port"
        for m in live:
            assert m.endpoint.kind is Class.ICMP or (m.port - m.endpoint.port) % 2 == 0
            assert m.port & 6 != 6, "a port of the controller"
        has_mapping = {m.endpoint for m in live}
        for s in self.nat.sessions.values():
            # What only outside has sent a SYN for holds no mapping.
            if s.end >= now and s.phase & Phase.INSIDE_SYN:
                assert s.flow.inside in has_mapping, "a session without a mapping"


class Event(NamedTuple):
    """Something that happens; what of it matters depends on `what`."""

    what: str
    host: int
    kind: Class
    port: int
    remote: int
    remote_port: int
    segment: Segment
    ticks: int


def happen(world: World, event: Event) -> None:
    """Let an event happen to both."""
    ends = (event.remote, event.remote_port)
    match event.what:
        case "out":
            world.outbound(event.host, event.kind, PORTS[event.port], ends, event.segment)
        case "in":
            ports = world.ports_in_use(event.host, event.kind)
            if ports:
                port = ports[event.port % len(ports)]
                world.inbound(event.host, event.kind, port, ends, event.segment)
        case "stray":
            base = world.nat.subscribers[event.host].port_base
            world.inbound(event.host, event.kind, base + event.port, ends, event.segment)
        case "pass":
            world.gateway.pass_ticks(event.ticks)
        case "replace":
            world.replace(event.host)


def step(world: World, ticks: tuple[int, ...]) -> None:
    """Let something happen at random; `ticks` are the times that may pass, if any."""
    rng = world.rng
    whats = {"out": 60, "in": 40, "pass": 4 if ticks else 0, "stray": 4, "replace": 0.2}
    (what,) = rng.choices(list(whats), list(whats.values()))
    segment = Segment(rng.choice(FLAGS), rng.choice(NUMBERS), rng.choice(NUMBERS))
    host, kind, port = rng.randrange(HOSTS), rng.choice(list(PROTO)), rng.randrange(len(PORTS))
    remote, remote_port = rng.choice(REMOTES), rng.choice(REMOTE_PORTS)
    passing = rng.choice(ticks) if ticks else 0
    happen(world, Event(what, host, kind, port, remote, remote_port, segment, passing))
