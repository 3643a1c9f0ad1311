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

from p4alg.alg.contract import (
    Detach,
    Forward,
    Grant,
    Notice,
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
from tests.unit.alg.gateway import DENIED, Nat, Reserved, SessionGateway

_WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")

HOSTILE_NUMBERS = [
    b"", b" ", b"x", b"-1", b"+1", b"1_0", b"1.5", b"1e3", b"0x10", b"00000000001", b"1 1", b"0",
    "\u0663".encode(), b"\xb2", b"\xff", b"\0", b"5\n6", b"5\r\n6", b"5,6", b"5;6", b"255", b"256",
    b"65535", b"65536", b"99999", b"4294967296", b"9" * 20, b"9" * 4400, b"0" * 4400 + b"7",
]  # fmt: skip
"""What a peer may write where a number has to be; Python's `int` refuses some by raising."""


SAFETY = Safety(Limits(), DENIED)
"""The rules of the engine itself."""


class Gateway(SessionGateway):
    """A gateway for the session `facts`, and for an ALG whose flows all join its two ends.

    It refuses the requests whose turn is in `refused` (counted from 0).
    """

    def __init__(self, facts: SessionFacts, refused: frozenset[int] = frozenset()) -> None:
        addr = facts.inside_as_seen_outside.addr
        super().__init__(facts, Nat(addr, DENIED, refused_turns=refused))

    @property
    def reserved(self) -> dict[int, PinholeRequest | Reserved]:
        """All that is granted now, by number."""
        return self.nat.kept

    def open_pinhole(self, request: PinholeRequest) -> Grant | Refusal:
        """As `SessionGateway.open_pinhole`."""
        found = super().open_pinhole(request)
        if isinstance(found, Grant):
            ends = {self.facts.client.addr, self.facts.server.addr}
            assert {request.listen.addr, request.opener_addr} == ends
        return found

    def end(self, number: int) -> None:
        """As `SessionGateway.end`, once for each number."""
        assert number in self.reserved, "ended twice"
        super().end(number)


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
            assert set(step.grants) <= set(range(1, gateway.nat.last + 1))
    return check_steps(data, steps, is_datagram=is_datagram)
