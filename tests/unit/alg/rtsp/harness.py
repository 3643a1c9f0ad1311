"""A gateway that keeps the contract, and two ends that talk RTSP through the ALG."""

from __future__ import annotations

from dataclasses import dataclass, field

from p4alg.alg.contract import (
    UDP,
    Detach,
    Edit,
    Endpoint,
    Forward,
    Grant,
    Notice,
    Peer,
    PinholeRequest,
    Refusal,
    Refuse,
    SessionFacts,
    Step,
    apply_edits,
    format_addr,
)
from p4alg.alg.rtsp.alg import RtspAlg
from p4alg.alg.rtsp.limits import RtspLimits
from tests.unit.alg.invariant import SAFETY

C, S = Peer.CLIENT, Peer.SERVER
INSIDE, OUTSIDE, REMOTE, OTHER = 0x0A00000B, 0xCB007105, 0xC633640B, 0xC633640C
"""10.0.0.11, 203.0.113.5, 198.51.100.11 and 198.51.100.12."""
URL = b"rtsp://198.51.100.11/test"
TOLD = b"RTP/AVP;unicast;client_port=60000-60001;server_port=6970-6971"
"""How a server outside answers `Wire.set_up`."""
OPEN = {"198.51.100.11:6970 -> 10.0.0.11:5000", "198.51.100.11:6971 -> 10.0.0.11:5001"}
"""What is open after that."""


@dataclass
class Gate:
    """The gateway: the outside port of an inside one is `first` on, pairs are neighbours.

    An inside port with a reservation keeps its outside port, as a binding does.
    """

    first: int = 60000
    refuse: str = ""
    """What every request is refused with from now on, if it is not empty."""
    bindings: dict[int, int] = field(default_factory=dict)
    holds: dict[int, tuple[int, ...]] = field(default_factory=dict)
    pinholes: dict[int, PinholeRequest] = field(default_factory=dict)
    expires: dict[int, float] = field(default_factory=dict)
    """When a pinhole goes by itself; media that came through it before goes on."""
    granted: set[int] = field(default_factory=set)
    """Granted for the message being handled."""
    last: int = 0
    now: float = 0.0

    def reserve(self, proto: int, listen: Endpoint, *, pair: bool = False) -> Grant | Refusal:
        assert proto == UDP
        assert listen.addr == INSIDE
        if self.refuse or self.objection(proto, listen):
            return Refusal(self.refuse or self.objection(proto, listen))
        ports = (listen.port, listen.port + 1) if pair else (listen.port,)
        if pair and not any(port in self.bindings for port in ports):
            self.first += self.first % 2
        for port in ports:
            if port not in self.bindings:
                self.bindings[port] = self.first
                self.first += 1
        number = self._number()
        self.holds[number] = ports
        return Grant(number, Endpoint(OUTSIDE, self.bindings[listen.port]))

    def open_pinhole(self, request: PinholeRequest) -> Grant | Refusal:
        if self.refuse:
            return Refusal(self.refuse)
        assert self.objection(request.proto, request.listen) == ""
        assert any(request.listen.port in ports for ports in self.holds.values())
        visible = Endpoint(OUTSIDE, self.bindings[request.listen.port])
        for number, known in self.pinholes.items():
            if known == request and self.expires[number] > self.now:
                self.expires[number] = self.now + request.lifetime
                return Grant(number, visible)
        number = self._number()
        self.pinholes[number] = request
        self.expires[number] = self.now + request.lifetime
        return Grant(number, visible)

    def close_pinhole(self, pinhole_id: int) -> None:
        raise AssertionError("not asked for by RTSP")

    def objection(self, proto: int, listen: Endpoint) -> str:
        return SAFETY.of_endpoint(proto, listen, INSIDE)

    def end(self, number: int) -> None:
        assert number in self.pinholes or number in self.holds, "ended twice, or never granted"
        self.granted.discard(number)
        self.pinholes.pop(number, None)
        for port in self.holds.pop(number, ()):
            if not any(port in ports for ports in self.holds.values()):
                del self.bindings[port]

    def inside_of(self, proto: int, outside: Endpoint) -> Endpoint | None:
        for own, seen in self.bindings.items():
            if outside == (OUTSIDE, seen):
                return Endpoint(INSIDE, own)
        return None

    def use_up(self, port: int) -> None:
        """The pinhole of an inside port has had all its flows."""
        for number, request in self.pinholes.items():
            if request.listen.port == port:
                self.expires[number] = self.now

    def opened(self) -> set[str]:
        """What is open: who may send (to) which inside port."""
        return {
            f"{format_addr(r.opener_addr)}:{r.opener_port or '*'} -> {r.listen}"
            for number, r in self.pinholes.items()
            if self.expires[number] > self.now
        }

    def _number(self) -> int:
        self.last += 1
        self.granted.add(self.last)
        return self.last


class Wire:
    """A control connection: holds back what the ALG has not consumed, as its carrier does."""

    def __init__(
        self,
        inside: Peer = C,
        limits: RtspLimits | None = None,
        gate: Gate | None = None,
        port: int = 554,
        follow_source: bool = False,
    ) -> None:
        self.gate = gate or Gate()
        client = Endpoint(INSIDE if inside is C else REMOTE, 40000)
        server = Endpoint(INSIDE if inside is S else REMOTE, 554)
        seen = Endpoint(OUTSIDE, 41000 if inside is C else port)
        self.facts = SessionFacts(6, client, server, inside, seen)
        self.alg = RtspAlg(self.facts, limits, follow_source=follow_source)
        self.held = {peer: b"" for peer in Peer}
        self.steps: list[Step] = []
        self.now = 0.0
        self.detached = False
        self.cseq = 0

    def say(self, peer: Peer, data: bytes, size: int = 0) -> bytes:
        """`peer` says `data`, in segments of `size`; what comes out at the other end."""
        out = b""
        for at in range(0, len(data), size or len(data)):
            held = self.held[peer] + data[at : at + (size or len(data))]
            if not self.detached:
                held, part = self._feed(peer, held)
                out += part
            if self.detached:
                out, held = out + held, b""
            self.held[peer] = held
        return out

    def _feed(self, peer: Peer, held: bytes) -> tuple[bytes, bytes]:
        out, offered = b"", len(held)
        self.gate.now = self.now
        self.gate.granted.clear()
        steps = self.alg.feed(peer, held, self.gate, self.now)
        assert sum(step.length for step in steps) <= offered
        named = {n for step in steps if isinstance(step, Forward) for n in step.grants}
        assert self.gate.granted <= named, "granted, but no message waits for it"
        for step in steps:
            assert not self.detached, "a step behind a Detach"
            self.steps.append(step)
            if isinstance(step, Forward):
                check_edits(step)
                assert set(step.grants) <= {*self.gate.pinholes, *self.gate.holds}
                out += apply_edits(held[: step.length], step.edits)
            self.detached = isinstance(step, Detach)
            held = held[step.length :]
        return held, out

    def tick(self, now: float) -> None:
        """Time passes, up to `now`."""
        self.now = self.gate.now = now
        self.alg.tick(self.gate, now)

    def ask(self, method: bytes, *headers: bytes, url: bytes = URL, by: Peer = C) -> bytes:
        """A request, with the next CSeq; what comes out at the other end."""
        self.cseq += 1
        start = b"%s %s RTSP/1.0" % (method, url)
        return self.say(by, message(start, b"CSeq: %d" % self.cseq, *headers))

    def answer(self, *headers: bytes, status: bytes = b"200 OK", by: Peer = S) -> bytes:
        """A response to the request asked last; what comes out at the other end."""
        return self.say(by, message(b"RTSP/1.0 " + status, b"CSeq: %d" % self.cseq, *headers))

    def greet(self) -> None:
        """Both ends show that they speak RTSP."""
        self.ask(b"OPTIONS")
        self.answer(b"Public: DESCRIBE, SETUP, PLAY, TEARDOWN")

    def set_up(
        self,
        asked: bytes = b"RTP/AVP;unicast;client_port=5000-5001",
        told: bytes = TOLD,
        session: bytes = b"12345678",
        url: bytes = URL + b"/stream=0",
    ) -> tuple[bytes, bytes]:
        """A SETUP and its 200; the Transport headers as they come out."""
        request = self.ask(b"SETUP", b"Transport: " + asked, url=url)
        response = self.answer(b"Transport: " + told, b"Session: " + session)
        return transport(request), transport(response)

    def refusals(self) -> list[str]:
        """The reasons of what was refused."""
        return [step.reason for step in self.steps if isinstance(step, Refuse)]

    def events(self) -> list[str]:
        """What the ALG told, and why it stepped aside if it did."""
        told = [step.event for step in self.steps if isinstance(step, Notice)]
        return told + [step.reason for step in self.steps if isinstance(step, Detach)]


def ready(
    inside: Peer = C,
    limits: RtspLimits | None = None,
    gate: Gate | None = None,
    port: int = 554,
    follow_source: bool = False,
) -> Wire:
    """A connection whose ends have shown that they speak RTSP."""
    wire = Wire(inside, limits, gate, port, follow_source)
    wire.greet()
    return wire


def message(start: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    lines = [start, *headers]
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def frame(size: int, channel: int = 0, fill: bytes = b"x") -> bytes:
    """An interleaved frame."""
    return b"$" + bytes([channel]) + size.to_bytes(2, "big") + fill * size


def transport(data: bytes) -> bytes:
    """The value of the Transport header of a message."""
    for line in data.split(b"\r\n"):
        if line.startswith(b"Transport: "):
            return line.removeprefix(b"Transport: ")
    return b""


def check_edits(step: Forward) -> None:
    """Edits are in order, do not overlap and stay within the message."""
    at = 0
    for edit in step.edits:
        assert isinstance(edit, Edit)
        assert at <= edit.start <= edit.end <= step.length
        at = edit.end
