"""The one double of the gateway that ALGs are tested at (`alg.contract.Gateway`).

It grants what the real one grants, by the engine's own rules (`engine.safety`), and
knows what is open and reserved. Inside ports are never kept: what an ALG forgot to
translate is seen at once. Nothing expires by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from p4alg.alg.contract import (
    Endpoint,
    Gateway,
    Grant,
    PinholeRequest,
    Refusal,
    SessionFacts,
)
from p4alg.engine.safety import Safety
from p4alg.engine.settings import Limits
from p4alg.protocols import TUNNELS, UDP

OUTSIDE = 0xCB007102
"""203.0.113.2"""
FIRST_PORT, FIRST_CALL_ID = 30000, 61001
DENIED = frozenset({6000})
"""Inside ports that nothing may lead to, in most tests."""


class Reserved(NamedTuple):
    """Inside endpoints whose outside ones are reserved."""

    proto: int
    ends: tuple[Endpoint, ...]


@dataclass
class Nat:
    """The gateway behind all control sessions: one outside address, and what was granted.

    An outside port is the inside one's as long as anything uses it: a pinhole, a
    reservation, or a flow (`bind`). Numbers are never used again.
    """

    outside: int = OUTSIDE
    denied: frozenset[int] = frozenset()
    refuse_with: str = ""
    """What is refused from now on is refused with this word; empty: nothing is."""
    refuse_only: str = ""
    """Part of the label of the pinholes that are; empty: all of them, and reservations too."""
    refused_turns: frozenset[int] = frozenset()
    """Of the requests that may be granted, counted from 0, those that are refused all the same."""
    answer_with: Endpoint | None = None
    """What reserving is answered with instead of the endpoint itself."""
    bindings: dict[tuple[int, Endpoint], Endpoint] = field(default_factory=dict)
    reservations: dict[int, Reserved] = field(default_factory=dict)
    open: dict[int, PinholeRequest] = field(default_factory=dict)
    """Pinholes, and the flows of inside hosts that are expected."""
    granted: list[PinholeRequest] = field(default_factory=list)
    """All pinholes that were, as they were asked for."""
    closed: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    turns: int = 0
    last: int = 0
    """The newest number."""
    next_port: int = FIRST_PORT
    next_call_id: int = FIRST_CALL_ID
    owners: dict[int, SessionGateway] = field(default_factory=dict)
    uses: dict[tuple[int, Endpoint], int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is open and nothing reserved."""
        return not self.open and not self.reservations

    @property
    def kept(self) -> dict[int, PinholeRequest | Reserved]:
        """All that is open or reserved."""
        return {**self.open, **self.reservations}

    def bind(self, proto: int, inside: Endpoint, port: int = 0) -> Endpoint:
        """One user more of an inside endpoint's outside one; `port`, if a new one is to have it."""
        key = (proto, inside)
        if key not in self.bindings:
            self.bindings[key] = Endpoint(self.outside, port or self._free(proto, inside.port))
        self.uses[key] = self.uses.get(key, 0) + 1
        return self.bindings[key]

    def let_go(self, proto: int, inside: Endpoint) -> None:
        """One user less."""
        key = (proto, inside)
        self.uses[key] -= 1
        if not self.uses[key]:
            del self.bindings[key], self.uses[key]

    def openings(self) -> set[str]:
        """What is open, as "proto inside<-opener label"."""
        return {
            f"{'udp' if r.proto == UDP else 'tcp'} {r.listen}<-"
            f"{str(Endpoint(r.opener_addr, 0))[:-2]} {r.label}"
            for r in self.open.values()
        }

    def reserved(self) -> set[str]:
        """The inside endpoints of all that is reserved."""
        return {str(inside) for _, ends in self.reservations.values() for inside in ends}

    def number(self) -> int:
        """A number that was never used."""
        self.last += 1
        return self.last

    def _free(self, proto: int, inside: int) -> int:
        if proto in TUNNELS:
            self.next_call_id += 1
            return self.next_call_id - 1
        # An even port has an even one outside, an odd one an odd one (RFC 4787 REQ-4).
        port = self.next_port + ((self.next_port ^ inside) & 1)
        self.next_port = port + 1
        return port


class SessionGateway:
    """The gateway as the ALG of one control session has it.

    With `outlives` what it asks for is not its own alone: another session of the same ALG
    may ask for the same.
    """

    def __init__(
        self, facts: SessionFacts, nat: Nat | None = None, *, outlives: bool = False
    ) -> None:
        self.facts = facts
        self.nat = nat or Nat(facts.inside_as_seen_outside.addr)
        self._outlives = outlives

    # What an ALG may do

    def open_pinhole(self, request: PinholeRequest) -> Grant | Refusal:
        """As `Gateway.open_pinhole`."""
        nat, safety = self.nat, self._safety()
        if nat.refuse_with and nat.refuse_only in request.label:
            return Refusal(nat.refuse_with)
        objection = safety.of_request(request, self.facts)
        if objection or self._is_refused():
            return Refusal(objection or "pinhole-limit")
        assert request.lifetime > 0
        assert request.max_flows > 0
        assert request.opener_port is None or 0 <= request.opener_port <= 0xFFFF
        bounded = safety.bounded(request)
        present = self._present(request)
        listens_inside = request.listener is self.facts.inside
        if present is not None and listens_inside:
            if nat.owners[present] is not self and not self._outlives:
                return Refusal("in-use")
            nat.open[present] = replace(nat.open[present], lifetime=bounded.lifetime)
            return Grant(present, nat.bindings[request.proto, request.listen])
        if present is not None:
            # What the inside host is expected to open is expected anew.
            self._forget(present)
        visible = nat.bind(request.proto, request.listen) if listens_inside else request.listen
        number = nat.number()
        nat.open[number], nat.owners[number] = bounded, self
        nat.granted.append(request)
        return Grant(number, visible)

    def close_pinhole(self, pinhole_id: int) -> None:
        """As `Gateway.close_pinhole`; it has been granted, or the test fails."""
        assert 0 < pinhole_id <= self.nat.last, "never granted"
        self.nat.closed.append(pinhole_id)
        if pinhole_id in self.nat.open:
            self._forget(pinhole_id)

    def reserve(self, proto: int, listen: Endpoint, *, pair: bool = False) -> Grant | Refusal:
        """As `Gateway.reserve`."""
        nat = self.nat
        if nat.refuse_with and not nat.refuse_only:
            return Refusal(nat.refuse_with)
        ends = tuple(Endpoint(listen.addr, listen.port + n) for n in range(1 + pair))
        objection = next((word for end in ends if (word := self.objection(proto, end))), "")
        if objection or self._is_refused():
            return Refusal(objection or "port-limit")
        if pair and not listen.port % 2 and not any((proto, end) in nat.bindings for end in ends):
            nat.next_port += nat.next_port & 1
        shown = [nat.bind(proto, end) for end in ends]
        number = nat.number()
        nat.reservations[number] = Reserved(proto, ends)
        return Grant(number, nat.answer_with or shown[0])

    def objection(self, proto: int, listen: Endpoint) -> str:
        """As `Gateway.objection`."""
        inside = self.facts.endpoint(self.facts.inside)
        return self._safety().of_endpoint(proto, listen, inside.addr)

    def end(self, number: int) -> None:
        """As `Gateway.end`; it has been granted, or the test fails."""
        assert 0 < number <= self.nat.last, "never granted"
        self.nat.ended.append(number)
        if number in self.nat.kept:
            self._forget(number)

    def inside_of(self, proto: int, outside: Endpoint) -> Endpoint | None:
        """As `Gateway.inside_of`."""
        for (known, inside), visible in self.nat.bindings.items():
            if (known, visible) == (proto, outside):
                return inside
        return None

    # How it is done

    def _safety(self) -> Safety:
        return Safety(Limits(), self.nat.denied)

    def _is_refused(self) -> bool:
        self.nat.turns += 1
        return self.nat.turns - 1 in self.nat.refused_turns

    def _present(self, request: PinholeRequest) -> int | None:
        """The pinhole that serves the same flows, if there is one."""
        wanted = _flows(request, self.facts)
        for number, known in self.nat.open.items():
            if _flows(known, self.nat.owners[number].facts) == wanted:
                return number
        return None

    def _forget(self, number: int) -> None:
        nat = self.nat
        if number in nat.reservations:
            reserved = nat.reservations.pop(number)
            for end in reserved.ends:
                nat.let_go(reserved.proto, end)
        else:
            request, owner = nat.open.pop(number), nat.owners.pop(number)
            if request.listener is owner.facts.inside:
                nat.let_go(request.proto, request.listen)


def _flows(
    request: PinholeRequest, facts: SessionFacts
) -> tuple[int, bool, Endpoint, int, int | None]:
    """What tells the flows of a pinhole from those of others."""
    opener = (request.opener_addr, request.opener_port)
    return (request.proto, request.listener is facts.inside, request.listen, *opener)


def _keeps_the_contract(gateway: SessionGateway) -> Gateway:
    """Checked by mypy."""
    return gateway
