"""An engine on an in-memory switch: applies its writes, refuses what a switch would refuse."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import Action, LogRecord, PacketOut, Remind, TraceRecord, Transaction
from p4alg.engine.engine import Engine
from p4alg.engine.reconcile import EntryKey, entry_key
from p4alg.engine.settings import (
    AddressForward,
    AlgSettings,
    Limits,
    PortForward,
    PortSpan,
    Prefix,
    RefuseMode,
    Settings,
    StaticRoute,
    Timers,
    Zone,
)
from p4alg.engine.tables import Op, Side
from p4alg.packet.arp import arp_request, parse_arp
from p4alg.packet.checksum import transport_checksum
from p4alg.packet.errors import PacketError
from p4alg.packet.ethernet import ETH_ARP, build_ethernet, parse_ethernet
from p4alg.packet.ipv4 import build_ipv4, parse_ipv4
from p4alg.packet.tcp import ACK, FIN, RST, SYN

IN_MAC, OUT_MAC = 0x020000010001, 0x020000010002
HOST_MAC, PEER_MAC = 0x02000000000A, 0x02000000000B
INSIDE, INSIDE2, GATEWAY = 0x0A00000B, 0x0A00000C, 0x0A000001
REMOTE, REMOTE2, UPLINK = 0xC633640B, 0xC633640C, 0xC6336401
POOL, SERVER = 0xCB007100, 0xCB007105
WHOLE, WHOLE_OUT = 0x0A000014, 0xC0000214
TCP, UDP, ICMP = 6, 17, 1
IN_PORT, OUT_PORT = 1, 3
BEGIN = (ev.Reason.NEW_FLOW, ev.Reason.SUBSCRIBER, ev.Reason.OVERFLOW)
_MACS = (IN_MAC, HOST_MAC)

_E = TypeVar("_E", bound=t.Entry)


def with_alg(
    settings: Settings,
    name: str,
    enabled: bool | None = None,
    services: tuple[str, ...] | None = None,
) -> Settings:
    """Settings with an ALG on or off, or on other services."""
    changes: dict[str, Any] = {"enabled": enabled, "services": services}
    given = {key: value for key, value in changes.items() if value is not None}
    algs = [replace(alg, **given) if alg.name == name else alg for alg in settings.algs]
    return replace(settings, algs=tuple(algs))


def settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "zones": (
            Zone("inside", 1, Side.INSIDE, (1, 2), 0, GATEWAY, 24, IN_MAC),
            Zone("outside", 2, Side.OUTSIDE, (3, 4), 0, UPLINK, 24, OUT_MAC, 1400),
        ),
        "pools": (Prefix(POOL, 28),),
        "routes": (StaticRoute(Prefix(0, 0), REMOTE2),),
        "forwards": (PortForward(TCP, INSIDE, 21, SERVER, 21),),
        "address_forwards": (AddressForward(WHOLE, WHOLE_OUT),),
        "services": {
            "ftp": (PortSpan(TCP, 21, 21),),
            "ftp-alt": (PortSpan(TCP, 2120, 2129),),
        },
        "algs": (AlgSettings(algs()["ftp"], True, ("ftp",)),),
        "timers": Timers(),
        "limits": Limits(),
        "refuse": RefuseMode.RESET,
    }
    return Settings(**{**values, **changes})


E = TypeVar("E", bound=t.Entry)


class Bench:
    """The engine, its clock, and the switch's tables."""

    def __init__(
        self, present: Iterable[t.Entry] = (), engine: Engine | None = None, **changes: Any
    ) -> None:
        self.now = 100.0
        self.entries: dict[EntryKey, t.Entry] = {entry_key(entry): entry for entry in present}
        self.sent: list[PacketOut] = []
        self.logs: list[LogRecord] = []
        self.traces: list[TraceRecord] = []
        self.reminders: list[float] = []
        self.introduces = True
        """Whether hosts speak ARP before they send, as they do."""
        self._known: set[tuple[int, int]] = set()
        self.refuses: Callable[[t.Update], bool] = lambda update: False
        self.engine = engine or Engine(settings(**changes), random.Random(1))
        self.perform(self.engine.start(list(self.entries.values()), self.now))

    def reconfigure(self, settings: Settings) -> None:
        """Change the settings of the engine."""
        self.perform(self.engine.reconfigure(settings, self.now))

    def switch(self, alg: str, enabled: bool) -> None:
        """Switch an ALG on or off."""
        self.reconfigure(with_alg(self.engine.settings, alg, enabled))

    def perform(self, actions: Iterable[Action]) -> None:
        queue = list(actions)
        while queue:
            action = queue.pop(0)
            match action:
                case Transaction():
                    event = self._write(action)
                    queue += self.engine.handle(event, self.now)
                case PacketOut():
                    self.sent.append(action)
                case LogRecord():
                    self.logs.append(action)
                case TraceRecord():
                    self.traces.append(action)
                case Remind():
                    self.reminders.append(self.now + action.seconds)

    def _write(self, transaction: Transaction) -> ev.TransactionDone | ev.TransactionFailed:
        failed = ""
        inserted = []
        for update in transaction.updates:
            key = entry_key(update.entry)
            exists = key in self.entries or update.entry.declaration.is_default
            wrong = exists if update.op is Op.INSERT else not exists
            assert not wrong, f"{update} on a table that has {self.entries.get(key)}"
            if self.refuses(update):
                failed = "full"
            elif update.op is Op.DELETE:
                del self.entries[key]
            else:
                self.entries[key] = update.entry
                if update.op is Op.INSERT:
                    inserted.append(key)
        if failed:
            for key in inserted:
                del self.entries[key]
            return ev.TransactionFailed(transaction.transaction_id, failed)
        self.sent += transaction.then
        return ev.TransactionDone(transaction.transaction_id)

    def event(self, event: ev.Event) -> list[PacketOut]:
        """Give the engine an event; what it sends because of it."""
        self.sent = []
        self.perform(self.engine.handle(event, self.now))
        return self.sent

    def punt(
        self,
        reason: ev.Reason,
        frame: bytes,
        port: int = IN_PORT,
        alg_id: int = 0,
        hairpin: bool = False,
        mapped_id: int = 0,
    ) -> list[PacketOut]:
        if reason in BEGIN and port in (1, 2) and not hairpin and self.introduces:
            with suppress(PacketError):
                self.introduce(parse_ipv4(frame).src, port)
        return self.event(ev.PacketIn(port, reason, alg_id, hairpin, frame, mapped_id))

    def introduce(self, source: int, port: int = IN_PORT) -> None:
        """A host of the inside zone asks for the gateway, as hosts do before they send to it."""
        if source >> 8 == GATEWAY >> 8 and (source, port) not in self._known:
            self._known.add((source, port))
            question = who_has(HOST_MAC, source, GATEWAY)
            self.event(ev.PacketIn(port, ev.Reason.ARP, 0, False, question))

    def new(
        self, frame: bytes, port: int = IN_PORT, alg_id: int = 0, hairpin: bool = False
    ) -> list[PacketOut]:
        return self.punt(ev.Reason.NEW_FLOW, frame, port, alg_id, hairpin)

    def tick(self, seconds: float = 0.0) -> list[PacketOut]:
        self.now += seconds
        return self.event(ev.Tick())

    def of(self, kind: type[_E]) -> list[_E]:
        return [entry for entry in self.entries.values() if isinstance(entry, kind)]

    def sessions(self) -> dict[t.FlowKey, t.Session]:
        return {entry.flow: entry for entry in self.of(t.Session)}

    def dynamic(self) -> set[Hashable]:
        """Entries that flows made: nothing of it is left when all have gone."""
        static = Bench(engine=Engine(settings(), random.Random(1))).entries
        kinds = (t.MapOut, t.MapIn, t.Session, t.PinholeEntry, t.Sequence, t.PeerEntry)
        return {
            key
            for key, entry in self.entries.items()
            if isinstance(entry, kinds) and key not in static
        }

    def counter(self, name: str) -> int:
        found: int = self.show("counters").get(name, 0)
        return found

    def show(self, what: str) -> Any:
        return self.engine.show(what, self.now)

    def outside_of(self, proto: int, addr: int, number: int) -> tuple[int, int]:
        entry = self.entries[entry_key(t.MapOut(proto, addr, number, 0, 0))]
        assert isinstance(entry, t.MapOut)
        return entry.outside_addr, entry.outside_id

    def idle_everything(self) -> None:
        """Every session goes idle, and the clock runs past every lifetime."""
        for key in list(self.sessions()):
            self.event(ev.SessionIdle(key))
        self.tick(1000.0)


def port_of(hole: t.PinholeEntry) -> int:
    """The inside port that a pinhole leads to."""
    assert hole.inside_id is not None
    return hole.inside_id


def segment(
    src: int,
    sport: int,
    dst: int,
    dport: int,
    flags: int = SYN,
    seq: int = 1,
    ack: int = 0,
    payload: bytes = b"",
) -> bytes:
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, 65535, 0, 0)
    body = head + payload
    check = transport_checksum(src, dst, TCP, body)
    body = body[:16] + check.to_bytes(2, "big") + body[18:]
    return build_ipv4(_MACS, 0, src, dst, TCP, body)


def datagram(src: int, sport: int, dst: int, dport: int, payload: bytes = b"data") -> bytes:
    head = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0)
    return build_ipv4(_MACS, 0, src, dst, UDP, head + payload)


def ping(src: int, dst: int, ident: int = 77) -> bytes:
    return build_ipv4(_MACS, 0, src, dst, ICMP, struct.pack("!BBHHH", 8, 0, 0, ident, 1))


def who_has(sender_mac: int, sender: int, target: int) -> bytes:
    return arp_request(sender_mac, 0, sender, target)


def is_at(mac: int, addr: int, asker_mac: int, asker: int) -> bytes:
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2)
    body += mac.to_bytes(6, "big") + addr.to_bytes(4, "big")
    body += asker_mac.to_bytes(6, "big") + asker.to_bytes(4, "big")
    return build_ethernet(asker_mac, mac, 0, ETH_ARP, body)


def is_arp(frame: bytes) -> bool:
    return parse_ethernet(frame).ether_type == ETH_ARP


__all__ = ["ACK", "FIN", "RST", "SYN", "AlgSettings", "PortSpan", "parse_arp"]
