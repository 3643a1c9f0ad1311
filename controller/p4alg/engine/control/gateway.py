"""The gateway that an ALG asks for pinholes, for one control session (`alg.contract.Gateway`)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from p4alg.alg.contract import Endpoint, Grant, PinholeRequest, Refusal
from p4alg.engine.control.session import ControlSession
from p4alg.engine.expectations import Expectations
from p4alg.engine.faults import Faults
from p4alg.engine.flows import flow_id, number_of
from p4alg.engine.mappings import Mappings
from p4alg.engine.outbox import Outbox
from p4alg.engine.pinholes import Pinholes
from p4alg.engine.safety import Safety
from p4alg.engine.settings import Limits
from p4alg.protocols import TUNNELS
from p4alg.undo import UndoLog


@dataclass(slots=True)
class Granting:
    """The parts of the engine that grant what ALGs ask for. The limits may be changed."""

    limits: Limits
    safety: Safety
    mappings: Mappings
    pinholes: Pinholes
    expectations: Expectations
    outbox: Outbox
    faults: Faults
    log: UndoLog


class SessionGateway:
    """The gateway for one call of the ALG of `session`. Keeps `guard.MessageGateway`."""

    def __init__(self, parts: Granting, session: ControlSession, now: float) -> None:
        self._parts = parts
        self._session = session
        self._now = now
        self._begin()

    def _begin(self) -> None:
        self._granted: dict[int, None] = {}
        self._savepoint = self._parts.log.savepoint()
        self._actions = self._parts.outbox.savepoint()

    # For the ALG (see `alg.contract.Gateway`)

    def open_pinhole(self, request: PinholeRequest) -> Grant | Refusal:
        """Reserve a pinhole. If the inside host opens the flow, expect the flow instead."""
        session, now = self._session, self._now
        inside_listens = request.listener is session.facts.inside
        if self._is_at_limit():
            found: Grant | Refusal = Refusal("message-limit")
        elif inside_listens or request.proto in TUNNELS:
            pinhole = self._parts.pinholes.request(session.owner, request, now)
            if isinstance(pinhole, Refusal):
                found = pinhole
            else:
                found = Grant(pinhole.pinhole_id, pinhole.visible)
        else:
            found = self._parts.expectations.add(session.owner, request, now)
        return self._answer(found, "pinholes")

    def reserve(self, proto: int, listen: Endpoint, *, pair: bool = False) -> Grant | Refusal:
        """Reserve the outside endpoint of an inside one."""
        if self._is_at_limit():
            return self._answer(Refusal("message-limit"), "reservations")
        owner = self._session.owner
        found = self._parts.pinholes.reserve(owner, proto, listen, self._now, pair=pair)
        if isinstance(found, Refusal):
            return self._answer(found, "reservations")
        return self._answer(Grant(found.number, found.visible), "reservations")

    def objection(self, proto: int, listen: Endpoint) -> str:
        """Why nothing may be opened at an inside endpoint; empty if it may."""
        session = self._session
        return self._parts.safety.of_endpoint(
            proto, listen, session.inside_addr, for_others=session.owner.for_others
        )

    def close_pinhole(self, pinhole_id: int) -> None:
        """Close an unused pinhole as soon as the message has left."""
        self._session.withdrawn = (*self._session.withdrawn, pinhole_id)

    def end(self, number: int) -> None:
        """End a pinhole and its flows, a reservation, or an expectation."""
        self._parts.pinholes.end(number, self._now)
        self._parts.expectations.withdraw(number)

    def inside_of(self, proto: int, outside: Endpoint) -> Endpoint | None:
        """The inside endpoint that an outside one leads to."""
        number = flow_id(proto, outside.port)
        binding = self._parts.mappings.inside_endpoint(proto, outside.addr, number)
        if binding is None:
            return None
        return Endpoint(binding.inside_addr, number_of(proto, binding.inside_id))

    # For the caller of the ALG (see `guard.MessageGateway`)

    @property
    def granted(self) -> Collection[int]:
        """Numbers granted in this call."""
        return self._granted.keys()

    def settle(self, named: Collection[int]) -> None:
        """Keep `named` for the messages that name them, and take back everything else."""
        unnamed = [number for number in self._granted if number not in named]
        self._take_back(unnamed)
        self._session.granted = (*self._session.granted, *named)
        self._begin()

    def undo(self, error: Exception) -> None:
        """Undo everything that the call has changed, and report the fault."""
        self._parts.log.roll_back(self._savepoint)
        self._parts.outbox.roll_back(self._actions)
        session = self._session
        counter = f"alg.{session.alg.name}.faults"
        self._parts.faults.report(counter, str(session), error, self._now)
        self._begin()

    def _take_back(self, numbers: Collection[int]) -> None:
        self._parts.pinholes.abandon(numbers, self._now)
        for number in numbers:
            self._parts.expectations.withdraw(number)

    def _is_at_limit(self) -> bool:
        return len(self._granted) >= self._parts.limits.grants_per_message

    def _answer(self, found: Grant | Refusal, what: str) -> Grant | Refusal:
        if isinstance(found, Refusal):
            name = f"alg.{self._session.alg.name}.{what}.refused.{found.reason}"
            self._parts.pinholes.counters.count(name)
        else:
            self._granted[found.number] = None
        return found
