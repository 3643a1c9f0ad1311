"""The parts of an engine, joined as `Engine` joins them, for the tests of one of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from p4alg.alg.contract import (
    TCP,
    UDP,
    Endpoint,
    Forward,
    Gateway,
    Peer,
    PinholeRequest,
    SessionFacts,
    Step,
)
from p4alg.alg.descriptor import Alg, Context
from p4alg.engine.actions import Action, LogRecord, PacketOut, Transaction
from p4alg.engine.control.table import ControlSessions
from p4alg.engine.counters import Counters
from p4alg.engine.engine import make_bindings
from p4alg.engine.expectations import Expectations
from p4alg.engine.faults import Faults
from p4alg.engine.flow_table import Flows
from p4alg.engine.flows import Flow
from p4alg.engine.mappings import Mappings
from p4alg.engine.outbox import Outbox
from p4alg.engine.pinhole import Owner
from p4alg.engine.pinholes import Pinholes
from p4alg.engine.safety import Safety
from p4alg.engine.subscribers import Subscribers
from p4alg.engine.tables import FlowKey, Side, Update
from p4alg.nat.bindings import Refused
from p4alg.undo import UndoLog
from tests.unit.engine.harness import INSIDE, POOL, REMOTE, AlgSettings, PortSpan, settings

NOW = 100.0
TOY_ID, TOY_PORT = 200, 7777
SEEN = Endpoint(POOL + 1, 6000)


class Toy:
    """The machine of an ALG that passes everything on."""

    def __init__(self, facts: SessionFacts, context: Context) -> None:
        self.facts = facts
        self.context = context

    def receive(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        return [Forward(len(data))]

    feed = receive


def toy(**more: Any) -> Alg:
    """An ALG on UDP and TCP port 7777."""
    values: dict[str, Any] = {
        "name": "toy",
        "description": "passes everything on",
        "services": ((UDP, TOY_PORT), (TCP, TOY_PORT)),
        "make": Toy,
        "alg_id": TOY_ID,
    }
    return Alg(**{**values, **more})


class Parts:
    """Everything up to control sessions; nothing is written but by `answer`."""

    def __init__(self, alg: Alg | None = None, **changes: Any) -> None:
        self.alg = alg or toy()
        spans = tuple(PortSpan(proto, port, port) for proto, port in self.alg.services)
        ours = {
            "algs": (AlgSettings(self.alg, True, (self.alg.name,)),),
            "services": {self.alg.name: spans},
            "forwards": (),
        }
        self.settings = settings(**{**ours, **changes})
        self.log = UndoLog()
        self.counters = Counters()
        self.outbox = Outbox(self.log)
        self.faults = Faults(self.outbox, self.counters)
        self.bindings = make_bindings(self.settings, random.Random(1), self.log)
        self.blocks = self.bindings.blocks
        self.subscribers = Subscribers(
            self.settings, self.blocks, self.outbox, self.counters, self.log
        )
        self.mappings = Mappings(self.settings, self.bindings, self.subscribers, self.outbox)
        self.flows = Flows(self.settings, self.mappings, self.outbox, self.counters, self.log)
        self.safety = Safety(self.settings.limits, self.settings.denied_ports)
        self.pinholes = Pinholes(self.settings.limits, self.safety, self.flows, self.log)
        self.expectations = Expectations(
            self.settings.limits, self.safety, self.pinholes, self.outbox, self.log
        )
        self.sessions = ControlSessions(
            self.settings, self.outbox, self.counters, self.faults, self.log
        )

    def answer(self, reason: str | None = None, now: float = NOW) -> list[Action]:
        """The switch makes what is in the outbox, or refuses it for `reason`.

        Returns the actions, with those that follow from the answers, which succeed.
        """
        done: list[Action] = []
        while actions := self.outbox.take():
            done += actions
            for action in actions:
                if isinstance(action, Transaction):
                    waiter = self.outbox.waiter(action.transaction_id)
                    if waiter is not None:
                        waiter.ended(reason, now)
            reason = None
        return done

    def subscribe(self, inside: int = INSIDE, outside: int = POOL + 1) -> None:
        """A host has a block at an outside address, and the switch knows it."""
        self.bindings.pair(inside, outside)
        assert self.subscribers.arrived(inside, 1, NOW, may_move=True) == ""
        self.answer()

    def count(self, name: str) -> int:
        return self.counters.under("").get(name, 0)

    def flow(
        self, proto: int = UDP, opened_by: Side = Side.INSIDE, port: int = 6000, **more: Any
    ) -> Flow:
        """A flow between the inside host and the service of the ALG."""
        key = FlowKey(proto, INSIDE, port, REMOTE, TOY_PORT)
        made = self.flows.prepare(key, opened_by, NOW, **more)
        assert not isinstance(made, Refused)
        return made


def updates(actions: Sequence[Action]) -> list[Update]:
    """The updates of all transactions among some actions."""
    return [u for action in actions if isinstance(action, Transaction) for u in action.updates]


def frames(actions: Sequence[Action]) -> list[bytes]:
    """The frames that actions send, at once or behind a transaction, in order."""
    found: list[bytes] = []
    for action in actions:
        if isinstance(action, Transaction):
            found += [packet.frame for packet in action.then]
        elif isinstance(action, PacketOut):
            found.append(action.frame)
    return found


def lines(actions: Sequence[Action]) -> list[str]:
    """The texts that actions log."""
    return [action.text for action in actions if isinstance(action, LogRecord)]


def owner(inside: int = INSIDE, *, outlives: bool = False, seen: Endpoint = SEEN) -> Owner:
    """A control session of the ALG `toy` with a client inside."""
    client, server = Endpoint(inside, 6000), Endpoint(REMOTE, TOY_PORT)
    facts = SessionFacts(UDP, client, server, Peer.CLIENT, seen)
    return Owner("toy", TOY_ID, facts, outlives)


def asked(port: int = 50000, **more: Any) -> PinholeRequest:
    """A request for a pinhole to the inside host."""
    values: dict[str, Any] = {
        "proto": UDP,
        "listener": Peer.CLIENT,
        "listen": Endpoint(INSIDE, port),
        "opener_addr": REMOTE,
        "opener_port": None,
        "lifetime": 60.0,
        "label": "toy DATA",
    }
    return PinholeRequest(**{**values, **more})
