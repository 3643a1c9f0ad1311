"""G9, what every ALG keeps whatever it is fed; the fuzzers of all ALGs check it here.

1. Nothing raises.
2. The steps consume a prefix of a stream's bytes, or a datagram exactly; behind a Detach
   nothing more is consumed.
3. Edits are in order, do not overlap, and lie within the bytes of their step.
4. A reason or event is one countable word: small letters, digits and hyphens.
5. A message that is refused leaves nothing reserved that was not reserved before it.
6. Nothing is asked of the gateway that it would have to refuse as malformed: ports are
   0 to 65535, lifetimes are positive, and an id is given back once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from p4alg.alg.contract import (
    GRE,
    Detach,
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
    Watch,
    apply_edits,
)
from p4alg.engine.safety import Safety
from p4alg.engine.settings import Limits

_WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")

HOSTILE_NUMBERS = [
    b"", b" ", b"x", b"-1", b"+1", b"1_0", b"1.5", b"1e3", b"0x10", b"00000000001", b"1 1", b"0",
    "\u0663".encode(), b"\xb2", b"\xff", b"\0", b"5\n6", b"5\r\n6", b"5,6", b"5;6", b"255", b"256",
    b"65535", b"65536", b"99999", b"4294967296", b"9" * 20, b"9" * 4400, b"0" * 4400 + b"7",
]  # fmt: skip
"""What a peer may write where a number has to be; Python's `int` refuses some by raising."""


SAFETY = Safety(Limits(), frozenset({6000}))
"""The rules of the engine itself."""


@dataclass
class Gateway:
    """A gateway of one outside address for the session `facts`.

    It refuses the requests whose turn is in `refused` (counted from 0), and knows what is
    reserved by its id.
    """

    facts: SessionFacts
    refused: frozenset[int] = frozenset()
    asked: int = 0
    reserved: dict[int, tuple[object, ...]] = field(default_factory=dict)
    was_reserved: set[int] = field(default_factory=set)
    ports: dict[tuple[int, Endpoint], Endpoint] = field(default_factory=dict)

    def objection(self, proto: int, listen: Endpoint) -> str:
        inside_addr = self.facts.endpoint(self.facts.inside).addr
        return SAFETY.of_endpoint(proto, listen, inside_addr)

    def open_pinhole(self, request: PinholeRequest) -> Grant | Refusal:
        objection = SAFETY.of_request(request, self.facts)
        if objection:
            return Refusal(objection)
        assert request.opener_port is None or 0 <= request.opener_port <= 0xFFFF
        assert request.lifetime > 0
        assert request.max_flows > 0
        ends = {self.facts.client.addr, self.facts.server.addr}
        assert {request.listen.addr, request.opener_addr} == ends
        if self._is_refused():
            return Refusal("pinhole-limit")
        key = (request.proto, request.listener, request.listen, request.opener_addr)
        for number, known in self.reserved.items():
            if known == key:
                return Grant(number, self._shown(request.proto, request.listener, request.listen))
        shown = self._shown(request.proto, request.listener, request.listen)
        return Grant(self._keep(key), shown)

    def close_pinhole(self, pinhole_id: int) -> None:
        assert pinhole_id in self.was_reserved
        self.reserved.pop(pinhole_id, None)

    def reserve(self, proto: int, listen: Endpoint, *, pair: bool = False) -> Grant | Refusal:
        objection = self.objection(proto, listen)
        if objection or self._is_refused():
            return Refusal(objection or "port-limit")
        return Grant(
            self._keep(("reserved", proto, listen)), self._shown(proto, self.facts.inside, listen)
        )

    def end(self, number: int) -> None:
        assert number in self.reserved, "ended twice, or never granted"
        del self.reserved[number]

    def inside_of(self, proto: int, outside: Endpoint) -> Endpoint | None:
        for (known, inside), shown in self.ports.items():
            if (known, shown) == (proto, outside):
                return inside
        return None

    def _is_refused(self) -> bool:
        self.asked += 1
        return self.asked - 1 in self.refused

    def _keep(self, what: tuple[object, ...]) -> int:
        number = len(self.was_reserved) + 1
        self.was_reserved.add(number)
        self.reserved[number] = what
        return number

    def _shown(self, proto: int, listener: Peer, listen: Endpoint) -> Endpoint:
        if listener is not self.facts.inside:
            return listen
        addr = self.facts.inside_as_seen_outside.addr
        first = 61000 if proto == GRE else 30000
        return self.ports.setdefault((proto, listen), Endpoint(addr, first + len(self.ports)))


def check_steps(data: bytes, steps: Sequence[Step], *, is_datagram: bool) -> bytes:
    """Points 2 to 4 of the invariant; returns what goes on to the other end."""
    at, out = 0, b""
    for index, step in enumerate(steps):
        assert step.length >= 0
        taken = data[at : at + step.length]
        assert len(taken) == step.length, "more consumed than there was"
        at += step.length
        if isinstance(step, Forward):
            check_edits(taken, step)
            out += apply_edits(taken, step.edits)
        elif isinstance(step, Refuse | Detach):
            assert _WORD.fullmatch(step.reason), step
        elif isinstance(step, Notice):
            assert _WORD.fullmatch(step.event), step
        elif isinstance(step, Watch):
            assert 0 <= step.below <= 0x10000
        if isinstance(step, Detach):
            assert all(later.length == 0 for later in steps[index:])
            return out + data[at:]
    assert at == len(data) or not is_datagram
    return out


def check_edits(taken: bytes, step: Forward) -> None:
    """Point 3 of the invariant."""
    end = 0
    for edit in step.edits:
        assert end <= edit.start <= edit.end <= len(taken)
        end = edit.end


def check_refusal(steps: Sequence[Step], before: set[int], after: set[int]) -> None:
    """Point 5 of the invariant: what was reserved before a message, and after it."""
    has_refused = any(isinstance(step, Refuse) for step in steps)
    if has_refused and not any(isinstance(step, Forward) for step in steps):
        assert after <= before


def check_feed(
    gateway: Gateway, before: set[int], data: bytes, steps: Sequence[Step], *, is_datagram: bool
) -> bytes:
    """Points 2 to 5 for one feed of an ALG at `gateway`, where `before` was reserved before it."""
    check_refusal(steps, before, set(gateway.reserved))
    for step in steps:
        if isinstance(step, Forward):
            assert set(step.pinholes) <= gateway.was_reserved
    return check_steps(data, steps, is_datagram=is_datagram)
