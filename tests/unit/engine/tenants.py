"""Two organisations with the same inside addresses, on an in-memory switch."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.organisations import Organisations
from p4alg.engine.settings import AlgSettings, PortForward, PortSpan, Prefix, Settings, Zone
from p4alg.engine.tables import Side
from p4alg.packet.ipv4 import parse_ipv4
from tests.unit.engine.harness import (
    ACK,
    GATEWAY,
    HOST_MAC,
    IN_MAC,
    INSIDE,
    OUT_MAC,
    POOL,
    REMOTE,
    SYN,
    TCP,
    UPLINK,
    Bench,
    segment,
    settings,
    who_has,
)

RED, BLUE = 1, 2
RED_PORT, BLUE_PORT = 1, 5
RED_POOL, BLUE_POOL = Prefix(POOL, 29), Prefix(POOL + 8, 29)
RED_SERVER, BLUE_SERVER = POOL + 5, POOL + 13
OUTSIDE = Zone("outside", 3, Side.OUTSIDE, (3, 4), 0, UPLINK, 24, OUT_MAC, 1400)
INSIDES = {
    "red": Zone("red", 1, Side.INSIDE, (1, 2), 0, GATEWAY, 24, IN_MAC, organisation=RED),
    "blue": Zone("blue", 2, Side.INSIDE, (5, 6), 0, GATEWAY, 24, IN_MAC, organisation=BLUE),
}
SERVICES = {
    "ftp": (PortSpan(TCP, 21, 21),),
    "ftp-alt": (PortSpan(TCP, 2121, 2121),),
}


def organisation(name: str, **changes: Any) -> Settings:
    """Red has FTP on port 21, and blue on port 2121."""
    is_red = name == "red"
    service, server = ("ftp", RED_SERVER) if is_red else ("ftp-alt", BLUE_SERVER)
    port = 21 if is_red else 2121
    values: dict[str, Any] = {
        "zones": (INSIDES[name], OUTSIDE),
        "pools": (RED_POOL if is_red else BLUE_POOL,),
        "forwards": (PortForward(TCP, INSIDE, port, server, port),),
        "address_forwards": (),
        "services": SERVICES,
        "algs": (AlgSettings(algs()["ftp"], True, (service,)),),
        "name": name,
        "organisation": RED if is_red else BLUE,
        "share": 0.5,
        "is_only": False,
    }
    return settings(**{**values, **changes})


def both(**changes: Any) -> tuple[Settings, Settings]:
    """Red and blue, with the same changes of both."""
    return organisation("red", **changes), organisation("blue", **changes)


class Tenants(Bench):
    """Both engines behind one interface, their clock, and the switch's tables."""

    def __init__(
        self, present: Iterable[t.Entry] = (), organisations: Sequence[Settings] = ()
    ) -> None:
        self.settings = tuple(organisations or both())
        made = Organisations(self.settings, random.Random(1))
        self.organisations = made
        super().__init__(present, made)  # type: ignore[arg-type]

    def reconfigure_all(self, *organisations: Settings) -> None:
        """Change the settings of all organisations."""
        self.perform(self.organisations.reconfigure(organisations, self.now))

    def hosts(self) -> None:
        """The host 10.0.0.11 of each speaks ARP at its port."""
        for port in (RED_PORT, BLUE_PORT):
            self.event(
                ev.PacketIn(port, ev.Reason.ARP, 0, False, who_has(HOST_MAC, INSIDE, GATEWAY))
            )

    def begin(self, port: int, frame: bytes, alg_id: int = 0) -> list[PacketOut]:
        """The first packet of a flow that an ALG wants, from inside."""
        return self.event(ev.PacketIn(port, ev.Reason.NEW_FLOW, alg_id, False, frame))

    def rows(self, what: str, *keys: str) -> set[tuple[object, ...]]:
        """Some columns of a view."""
        return {tuple(row[key] for key in keys) for row in self.show(what)}


FTP = 1
"""The number of the ALG."""
PORTS = {RED: (RED_PORT, 21), BLUE: (BLUE_PORT, 2121)}


def talking(bench: Tenants | None = None) -> Tenants:
    """The host 10.0.0.11 of each has an FTP connection to its service, from the same port."""
    bench = bench or Tenants()
    bench.hosts()
    for port, service in PORTS.values():
        bench.begin(port, segment(INSIDE, 40000, REMOTE, service), FTP)
        seen = client(bench, RED if port == RED_PORT else BLUE)
        ends = (REMOTE, service, seen.outside_addr, seen.outside_id)
        bench.punt(ev.Reason.ALG, segment(*ends, SYN | ACK, 500, 2), 3, FTP)
        first = segment(INSIDE, 40000, REMOTE, service, ACK, 2, 501)
        bench.punt(ev.Reason.ALG, first, port, FTP)
        bench.punt(ev.Reason.ALG, segment(*ends, ACK, 501, 2, b"220 hi\r\n"), 3, FTP)
    return bench


def client(bench: Tenants, whose: int) -> t.MapOut:
    """The mapping of the client of an organisation."""
    mine = [e for e in bench.of(t.MapOut) if e.organisation == whose]
    (found,) = [e for e in mine if e.inside_id == 40000]
    return found


def says(bench: Tenants, whose: int, text: bytes) -> list[bytes]:
    """The client of an organisation sends a command; the payloads that leave because of it."""
    port, service = PORTS[whose]
    command = segment(INSIDE, 40000, REMOTE, service, ACK, 2, 509, text)
    sent = bench.punt(ev.Reason.ALG, command, port, FTP)
    return [parse_ipv4(out.frame).payload[20:] for out in sent]
