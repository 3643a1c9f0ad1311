"""Gives each event to the engine of its organisation, and joins what the engines answer.

An organisation (a tenant) is an address realm of its own, with an engine of its own. The switch
tells the organisation of an entry or a digest. A packet-in does not: a packet from inside belongs
to the organisation of its zone, and one from outside to the one whose outside address it goes to.
What belongs to nobody, such as ARP of an outside zone, is decided by the engine that leads.

Engines have the interface that this has, and know of no organisations: events are given to them
without the number, and their outbox writes it into entries (`stamping`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import Action, Transaction
from p4alg.engine.budget import Budget
from p4alg.engine.capabilities import Capabilities
from p4alg.engine.clearing import Cleared, Wanted
from p4alg.engine.commons import Commons
from p4alg.engine.engine import Engine
from p4alg.engine.layout import own_outside
from p4alg.engine.plain import Known, Owner
from p4alg.engine.reconfiguring import reconfigure
from p4alg.engine.settings import AlgSettings, Settings
from p4alg.engine.starting import start
from p4alg.engine.tables import FlowKey, Side
from p4alg.nat.numbers import HIGHEST
from p4alg.packet.errors import PacketError
from p4alg.packet.ethernet import ETH_IPV4, parse_ethernet
from p4alg.packet.ipv4 import parse_ipv4

Rows = list[dict[str, object]]


class Organisations:
    """The engines of all organisations, as one."""

    def __init__(
        self,
        organisations: Sequence[Settings],
        rng: random.Random,
        able: Capabilities | None = None,
    ) -> None:
        """One or more organisations; their names, numbers and pools are different.

        `able` is what the switch can do; None for one that lacks nothing.
        """
        self._commons = Commons(organisations, rng, able.highest_number if able else HIGHEST)
        self._engines = {s.organisation: Engine(s, rng, self._commons) for s in organisations}
        self._by_name = {engine.settings.name: engine for engine in self._engines.values()}
        self._leader = self._engines[self._commons.leader]
        self._budget = Budget({s.organisation: s.share for s in organisations})
        self._outside = _Outside(organisations)
        self._waiting: dict[int, int] = {}
        """Whose each transaction is that the switch has not answered to yet."""

    @property
    def names(self) -> list[str]:
        """The names of the organisations, in the order of the configuration."""
        return list(self._by_name)

    def trace_while(self, is_traced: Callable[[], bool]) -> None:
        """Make trace records only while `is_traced` says so; see `Engine`."""
        for engine in self._engines.values():
            engine.trace_while(is_traced)

    def hear(self) -> None:
        """Make event records from now on."""
        self._commons.outbox.is_heard = True

    # The life of the controller

    def start(self, present: Sequence[t.Entry], now: float) -> Sequence[Action]:
        """Take over entries of the switch (`present`), and write what differs from the settings."""
        start(self._engines.values(), self._commons, present, now)
        self._commons.log.forget()
        return self._commons.outbox.take()

    def stop(self, now: float) -> Sequence[Action]:
        """Prepare the switch for going on alone: no packet may wait for this controller."""
        return [action for engine in self._engines.values() for action in engine.stop(now)]

    def handle(self, event: ev.Event, now: float) -> Sequence[Action]:
        """Decide what to do about `event`. Never raises."""
        if not self._commons.is_shared():
            return self._leader.handle(event, now)
        match event:
            case ev.Tick() | ev.Reminder():
                engines = self._engines.values()
                return [action for engine in engines for action in self._decide(engine, event, now)]
            case ev.TransactionDone() | ev.TransactionFailed():
                return self._decide(self._ended(event.transaction_id), event, now)
            case ev.PacketIn():
                return self._packet(event, now)
            case ev.TcpEvent() | ev.PinholeHit() | ev.SessionIdle():
                whose = event.flow.organisation
                event = replace(event, flow=FlowKey(*event.flow[:-1]))
            case ev.PinholeIdle() | ev.SubscriberIdle():
                whose = event.organisation
                event = replace(event, organisation=0)
            case ev.BlockIdle():
                whose = self._outside.owner(event.outside_addr)
        engine = self._engines.get(whose)
        # Entries of an organisation that is gone are deleted at the start, but a notice of one
        # may have been on its way.
        return () if engine is None else self._decide(engine, event, now)

    def _decide(self, engine: Engine, event: ev.Event, now: float) -> Sequence[Action]:
        return self._noted(engine, engine.handle(event, now))

    def _noted(self, engine: Engine, actions: Sequence[Action]) -> Sequence[Action]:
        """Note whose transactions are on their way to the switch."""
        whose = engine.settings.organisation
        for action in actions:
            if isinstance(action, Transaction):
                self._waiting[action.transaction_id] = whose
                self._budget.begun(whose)
        return actions

    def _ended(self, transaction_id: int) -> Engine:
        """The engine that has to be told the outcome of a transaction."""
        whose = self._waiting.pop(transaction_id, None)
        if whose is None:
            return self._leader  # It is of the start, or of a command.
        self._budget.ended(whose)
        return self._engines[whose]

    def _packet(self, event: ev.PacketIn, now: float) -> Sequence[Action]:
        whose = self._owner(event)
        engine = self._engines.get(whose)
        if engine is None:
            return [*self._decide(self._leader, event, now), *self._released(now)]
        # Neighbours would be lost without their ARP; the switch meters it by port.
        may_write = event.reason is ev.Reason.ARP or self._budget.may_write(whose)
        if not may_write or not self._budget.allows(whose, now):
            engine.count("packets.over-share")
            return ()
        return self._decide(engine, event, now)

    def _released(self, now: float) -> list[Action]:
        """Remind the engines whose packets have waited for a neighbour outside, and go now."""
        engines = [self._engines[n] for n in self._commons.neighbours.with_released()]
        return [a for engine in engines for a in self._decide(engine, ev.Reminder(), now)]

    def _owner(self, event: ev.PacketIn) -> int:
        """Whose a packet is; -1 if it is nobody's in particular."""
        try:
            frame = parse_ethernet(event.frame)
            zone = self._commons.neighbours.zone_at(event.port, frame.vlan_id)
            if zone is not None and zone.side is Side.INSIDE and not event.hairpin:
                return zone.organisation
            if frame.ether_type == ETH_IPV4:
                return self._outside.owner(parse_ipv4(event.frame).dst)
        except PacketError:
            pass
        return -1

    # What the operator asks for

    def show(
        self, what: str, now: float, organisation: str | None = None
    ) -> Rows | dict[str, object]:
        """A view for the operator: of all organisations, or of one by its name.

        Each row of a list tells its `organisation`; counters are added up. Raises KeyError if
        there is no such view or no such organisation.
        """
        engines = self._chosen(organisation)
        found = {engine.settings.name: engine.show(what, now) for engine in engines}
        if what == "counters":
            return self._counters(found, organisation)
        return [
            {**row, "organisation": name}
            for name, rows in found.items()
            for row in rows
            if isinstance(row, dict)
        ]

    def _counters(
        self, found: Mapping[str, Rows | dict[str, object]], organisation: str | None
    ) -> dict[str, object]:
        total: Counter[str] = Counter()
        if self._commons.is_shared() and organisation is None:
            total.update(self._commons.counters.under(""))
        for counters in found.values():
            if isinstance(counters, dict):
                total.update({name: n for name, n in counters.items() if isinstance(n, int)})
        return dict(sorted(total.items()))

    def clear(
        self,
        what: str,
        wanted: Wanted,
        now: float,
        organisation: str | None = None,
        *,
        really: bool = True,
    ) -> tuple[Cleared, Sequence[Action]]:
        """End what is wanted of a view, of all organisations or of one; see `Engine`."""
        total, actions = Cleared(), list[Action]()
        for engine in self._chosen(organisation):
            cleared, its = engine.clear(what, wanted, now, really=really)
            if self._commons.is_shared():
                its = self._noted(engine, its)
            total, actions = total + cleared, [*actions, *its]
        return total, actions

    def clear_counters(
        self,
        wanted: Callable[[str], bool],
        organisation: str | None = None,
        *,
        really: bool = True,
    ) -> set[str]:
        """Set the wanted counters to 0, of all organisations or of one; their names."""
        names = [e.clear_counters(wanted, really=really) for e in self._chosen(organisation)]
        if self._commons.is_shared() and organisation is None:
            names.append(self._commons.counters.clear(wanted, really=really))
        return set().union(*names)

    def known_hosts(self) -> Known:
        """What is known of the inside hosts that have plain flows."""
        of = {name: engine.known_hosts() for name, engine in self._by_name.items()}

        def static(owner: Owner, proto: int, inside_id: int) -> tuple[int, int] | None:
            return of[owner.organisation].static(owner, proto, inside_id)

        owners = {number: owner for known in of.values() for number, owner in known.owners.items()}
        outside = [known.has_outside for known in of.values()]
        return Known(owners, static, lambda prefix: any(has(prefix) for has in outside))

    def algs(self, organisation: str) -> Mapping[str, AlgSettings]:
        """The settings that the ALGs of an organisation have now. Raises KeyError."""
        return self._by_name[organisation].algs

    def objection(self, organisations: Sequence[Settings]) -> str:
        """Why they cannot have other settings just now, in one line; empty if they can."""
        found = (self._engines[one.organisation].objection(one) for one in organisations)
        return next(filter(None, found), "")

    def reconfigure(self, organisations: Sequence[Settings], now: float) -> Sequence[Action]:
        """Change the settings of all while everything goes on; see `Engine`.

        The organisations have the same names and numbers as before.
        """
        reconfigure(tuple(self._engines.values()), self._commons, organisations, now)
        self._commons.log.forget()
        return self._commons.outbox.take()

    def _chosen(self, organisation: str | None) -> list[Engine]:
        if organisation is None:
            return list(self._engines.values())
        return [self._by_name[organisation]]


class _Outside:
    """Whose outside addresses are. No address is two organisations'."""

    def __init__(self, organisations: Sequence[Settings]) -> None:
        self._by_mask: dict[int, dict[int, int]] = {}
        for settings in organisations:
            for prefix in own_outside(settings):
                self._by_mask.setdefault(prefix.mask, {})[prefix.addr] = settings.organisation

    def owner(self, addr: int) -> int:
        """The number of the organisation that has an outside address; -1 if none has it."""
        for mask, owners in self._by_mask.items():
            found = owners.get(addr & mask)
            if found is not None:
                return found
        return -1
