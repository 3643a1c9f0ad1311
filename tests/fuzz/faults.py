"""Traffic while writes, digests, the switch and the clock go wrong, by a script of bytes.

Each byte is an operation, and the bytes behind it say of what. The faults are those that happen:
a write is refused, or its answer is late; the controller dies with writes that the switch has or
has not carried out; a digest is lost, comes twice, or late; the switch loses all its tables; the
clock jumps (only forward: the controller's clock is monotonic, but a machine may sleep).

When a script ends, whatever waits is carried out. Then tables, allocator and sessions have to
agree, and when all traffic has ended nothing is left.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import Action, LogRecord, PacketOut, Remind, TraceRecord, Transaction
from p4alg.engine.engine import Engine
from p4alg.engine.reconcile import entry_key
from p4alg.engine.settings import AlgSettings, PortSpan
from p4alg.engine.tables import Op
from p4alg.protocols import TCP, UDP
from tests.fuzz.invariants import check
from tests.unit.engine.harness import (
    ACK,
    INSIDE,
    INSIDE2,
    OUT_PORT,
    REMOTE,
    SYN,
    Bench,
    datagram,
    segment,
    settings,
)

_HOSTS = (INSIDE, INSIDE2)
_PORTS = (69, 7777, 5060, 4500)
_CLIENT = 41000
"""The port of the client of the control connection."""
_FTP = 1
_ROUNDS = 15
_DAY = 86400.0
_SERVICES = {"ftp": (PortSpan(TCP, 21, 21),), "tftp": (PortSpan(UDP, 69, 69),),
             "sip": (PortSpan(UDP, 5060, 5060),)}  # fmt: skip
_CONTROL = 0x0A00000B, 0x0A00000C


def _settings() -> dict[str, Any]:
    chosen = tuple(AlgSettings(algs()[name], True, (name,)) for name in _SERVICES)
    return {"services": _SERVICES, "algs": chosen}


class Faulty(Bench):
    """A bench whose switch answers when it is told to."""

    def __init__(self, seed: random.Random) -> None:
        self.pending: deque[Transaction | PacketOut] = deque()
        self.later = False
        """Whether writes wait until `carry_out`."""
        self._random = seed
        super().__init__(**_settings())

    def perform(self, actions: Iterable[Action]) -> None:
        """Queue transactions and packets as the shell does; carry them out at once or later."""
        for action in actions:
            match action:
                case Transaction() | PacketOut():
                    self.pending.append(action)
                case LogRecord():
                    self.logs.append(action)
                case TraceRecord() | Remind():
                    pass
        if not self.later:
            self.carry_out()

    def carry_out(self, count: int | None = None, refuse: bool = False) -> None:
        """Carry out what waits, or `count` of it; with `refuse` the switch refuses a part."""
        while self.pending and (count is None or count > 0):
            action = self.pending.popleft()
            if isinstance(action, PacketOut):
                self.sent.append(action)
                continue
            usual = self.refuses
            if refuse and action.updates:
                victim = self._random.choice(action.updates)
                # Deleting what is there does not fail on a switch that lives.
                if victim.op is not Op.DELETE:
                    self.refuses = lambda update, one=victim: update is one  # type: ignore[misc]
            outcome = self._write(action)
            self.refuses = usual
            self.perform_now(self.engine.handle(outcome, self.now))
            if count is not None:
                count -= 1

    def perform_now(self, actions: Iterable[Action]) -> None:
        """Queue what follows from an outcome; `carry_out` is running already."""
        was, self.later = self.later, True
        self.perform(actions)
        self.later = was

    def _write(self, transaction: Transaction) -> ev.TransactionDone | ev.TransactionFailed:
        """Carry it out as a switch does: it refuses to delete or change what is not there.

        That happens when the switch has refused an entry that is to be deleted already.
        """
        there = set(self.entries)
        wrong: list[t.Update] = []
        for update in transaction.updates:
            key = entry_key(update.entry)
            exists = key in there or update.entry.declaration.is_default
            if exists is (update.op is Op.INSERT):
                wrong.append(update)
            elif update.op is Op.DELETE:
                there.discard(key)
            else:
                there.add(key)
        if not wrong:
            return super()._write(transaction)
        assert all(update.op is not Op.INSERT for update in wrong), wrong
        good = tuple(update for update in transaction.updates if update not in wrong)
        super()._write(replace(transaction, updates=good, then=()))
        return ev.TransactionFailed(transaction.transaction_id, "NOT_FOUND")

    def restart(self, carried_out: int, forget: bool = False) -> None:
        """The controller dies; of what waited the switch has carried out the first few.

        With `forget` the switch has lost its tables too.
        """
        for _ in range(min(carried_out, len(self.pending))):
            action = self.pending.popleft()
            if isinstance(action, Transaction):
                self._write(action)
        self.pending.clear()
        if forget:
            self.entries.clear()
        self.later = False
        self._known.clear()
        self.engine = Engine(settings(**_settings()), random.Random(2))
        self.perform(self.engine.start(list(self.entries.values()), self.now))


class Script:
    """A script of bytes, and the bench that it is played on."""

    def __init__(self, data: bytes, seed: random.Random) -> None:
        self._bytes = deque(data)
        self.bench = Faulty(seed)
        self._past: deque[t.FlowKey] = deque(maxlen=16)
        self._sent = 0

    def byte(self) -> int:
        """The next byte; 0 behind the end."""
        return self._bytes.popleft() if self._bytes else 0

    def play(self) -> None:
        """Every operation, then what is left in the queue."""
        operations: tuple[Callable[[], None], ...] = (
            self.flow, self.flow, self.control, self.say, self.say, self.digest, self.digest,
            self.idle, self.hit, self.late, self.clock, self.answer, self.answer, self.refuse,
            self.restart, self.host,
        )  # fmt: skip
        for _ in range(200):
            if not self._bytes:
                break
            operations[self.byte() % len(operations)]()
        self.bench.later = False
        self.bench.carry_out()

    def flow(self) -> None:
        """The first packet of a flow that an ALG wants, or of a host."""
        which = self.byte()
        host, port = _HOSTS[which & 1], _PORTS[which >> 1 & 3]
        source = 40000 + (which >> 3 & 3)
        number = {69: 3, 5060: 2}.get(port, 0)
        reason = (
            ev.Reason.NEW_FLOW
            if number
            else (ev.Reason.SUBSCRIBER, ev.Reason.OVERFLOW)[which >> 5 & 1]
        )
        text = b"\0\1boot\0octet\0" if port == 69 else b"data"
        frame = datagram(host, source, REMOTE, port, text)
        if which & 0x80:
            frame = segment(host, source, REMOTE, port)
            reason, number = ev.Reason.OVERFLOW, 0
        self.bench.punt(reason, frame, alg_id=number)

    def control(self) -> None:
        """The handshake of an FTP control connection, and the greeting, if all goes well."""
        self._sent = 0
        self._segment(SYN, b"", ev.Reason.NEW_FLOW)
        seen = self.bench.entries.get(entry_key(t.MapOut(TCP, INSIDE, _CLIENT, 0, 0)))
        if not isinstance(seen, t.MapOut):
            return
        ends = (REMOTE, 21, seen.outside_addr, seen.outside_id)
        for flags, seq, text in ((SYN | ACK, 500, b""), (ACK, 501, b"220 ready\r\n")):
            frame = segment(*ends, flags, seq, 101, text)
            self.bench.punt(ev.Reason.ALG, frame, OUT_PORT, _FTP)
            if flags & SYN:
                self._segment(ACK, b"")

    def say(self) -> None:
        """A line on it, whose answer of the switch may be late; the segment may come again."""
        which = self.byte()
        line = (
            b"PORT 10,0,0,11,200,%d\r\n" % (which >> 2),
            b"PASV\r\n",
            b"NOOP\r\n",
            b"PORT 10,0,0,12,200,10\r\n",
        )[which & 3]
        self.bench.later = bool(which & 0x40)
        self._segment(ACK, line)
        if not which & 0x80:
            self._sent += len(line)

    def _segment(self, flags: int, text: bytes, reason: ev.Reason = ev.Reason.ALG) -> None:
        seq, ack = (100, 0) if flags & SYN else (101 + self._sent, 501)
        frame = segment(INSIDE, _CLIENT, REMOTE, 21, flags, seq, ack, text)
        self.bench.punt(reason, frame, alg_id=_FTP)

    def digest(self) -> None:
        """A report about a TCP session, once, twice, or late."""
        which, found = self.byte(), list(self.bench.sessions())
        keys = [key for key in found if key.proto == TCP]
        if not keys:
            return
        key = keys[which % len(keys)]
        flags = (1, 2, 4, 16, 17, 20)[which >> 2 & 7 if which >> 2 & 7 < 6 else 0]
        report = ev.TcpEvent(key, flags, bool(which & 0x40), bool(which & 0x80))
        self._past.append(key)
        for _ in range(1 + (which & 1)):
            self.bench.event(report)

    def idle(self) -> None:
        """A session or a pinhole is idle; told again as long as the entry is there."""
        which = self.byte()
        keys, holes = list(self.bench.sessions()), self.bench.of(t.PinholeEntry)
        if which & 1 and holes:
            self.bench.event(ev.PinholeIdle(holes[which % len(holes)].pinhole_id))
        elif keys:
            key = keys[which % len(keys)]
            self._past.append(key)
            for _ in range(1 + (which >> 7)):
                self.bench.event(ev.SessionIdle(key))

    def hit(self) -> None:
        """A flow has come through a pinhole; the report comes, twice, or is lost."""
        which, holes = self.byte(), self.bench.of(t.PinholeEntry)
        if not holes:
            return
        hole = holes[which % len(holes)]
        remote = hole.remote_addr or REMOTE
        key = t.FlowKey(hole.proto, hole.inside_addr, hole.inside_id or 0, remote, 20 + which)
        self._past.append(key)
        for _ in range(which & 3):
            self.bench.event(ev.PinholeHit(key, hole.pinhole_id))

    def late(self) -> None:
        """A report of what may be gone."""
        which = self.byte()
        if self._past:
            key = self._past[which % len(self._past)]
            self.bench.event(
                (ev.SessionIdle(key), ev.TcpEvent(key, 4, True, False), ev.PinholeHit(key, which))[
                    which % 3
                ]
            )

    def clock(self) -> None:
        """Time passes: a moment, or the machine has slept for days."""
        which = self.byte()
        self.bench.tick((0.0, 0.5, 1.0, 5.0, 30.0, 300.0, 4000.0, 9 * _DAY)[which & 7])

    def answer(self) -> None:
        """The switch answers some of what waits."""
        which = self.byte()
        self.bench.carry_out(which & 7)
        self.bench.later = bool(which & 0x80)

    def refuse(self) -> None:
        """The switch refuses a part of the next write."""
        self.bench.carry_out(1, refuse=True)

    def restart(self) -> None:
        """The controller dies, or the switch does."""
        which = self.byte()
        self.bench.restart(which & 7, forget=bool(which & 0x80))

    def host(self) -> None:
        """A host has been silent, or its block."""
        which = self.byte()
        blocks, hosts = self.bench.of(t.Block), self.bench.of(t.Subscriber)
        if which & 1 and blocks:
            block = blocks[which % len(blocks)]
            self.bench.event(ev.BlockIdle(block.outside_addr, block.outside_id))
        elif hosts:
            host = hosts[which % len(hosts)]
            self.bench.event(ev.SubscriberIdle(host.inside_addr, host.organisation))

    def end(self) -> None:
        """All traffic ends: every entry is reported idle until it is gone."""
        bench = self.bench
        for _ in range(_ROUNDS):
            for key in list(bench.sessions()):
                bench.event(ev.SessionIdle(key))
            for hole in bench.of(t.PinholeEntry):
                bench.event(ev.PinholeIdle(hole.pinhole_id))
            for host in bench.of(t.Subscriber):
                bench.event(ev.SubscriberIdle(host.inside_addr, host.organisation))
            for block in bench.of(t.Block):
                bench.event(ev.BlockIdle(block.outside_addr, block.outside_id))
            bench.tick(_DAY)


def _lasting(bench: Bench, view: str) -> list[dict[str, object]]:
    """A view without what differs between two benches in the same state."""
    return [{**row, "age": None} for row in bench.show(view)]


def play(data: bytes, seed: random.Random) -> None:
    """Play a script. Raises AssertionError if something does not agree, or is left."""
    script = Script(data, seed)
    script.play()
    check(script.bench, frozenset(_CONTROL))
    script.end()
    check(script.bench, frozenset(_CONTROL))
    fresh = Faulty(random.Random(0))
    for view in ("sessions", "pinholes", "subscribers", "bindings"):
        assert _lasting(script.bench, view) == _lasting(fresh, view), view
    known = set(fresh.entries)
    kinds = (t.MapOut, t.MapIn, t.Session, t.PinholeEntry, t.Sequence, t.PeerEntry, t.Block)
    stays = [
        entry
        for key, entry in script.bench.entries.items()
        if key not in known and isinstance(entry, kinds)
    ]
    assert stays == []
