"""What somebody who is neither client nor server does to an FTP control connection."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from attacks import wire
from attacks.table import Attack, Vacuous, World
from attacks.wire import ACK, ADDRESSES, FIN, RST, SERVER_OUTSIDE, SYN, Raw, segment
from p4alg.lab import runner
from p4alg.protocols import TCP

_FTP = 21
_FLOWS = 50
_SPOOFED = 400


@dataclass(slots=True)
class Session:
    """An FTP control connection of a client and a server that are both played here."""

    client: socket.socket
    server: socket.socket
    outside: tuple[str, int]
    """The end that is behind the gateway, as it is seen outside."""

    def say(self, sender: str, line: str) -> str:
        """What comes of a line at the other end; empty if nothing does."""
        ends = {"client": self.client, "server": self.server}
        with suppress(OSError):
            ends.pop(sender).sendall(line.encode() + b"\r\n")
            return ends.popitem()[1].recv(4096).decode("latin-1")
        return ""

    def announce(self, port: int) -> tuple[str, int] | None:
        """Have the client announce a port; what the server is told instead, or None."""
        host = ADDRESSES["inside1"].replace(".", ",")
        heard = self.say("client", f"PORT {host},{port >> 8},{port & 255}")
        self.say("server", "200 ok")
        found = re.fullmatch(r"PORT (203,0,113,\d+),(\d+),(\d+)\r\n", heard)
        if found is None:
            return None
        return found[1].replace(",", "."), int(found[2]) * 256 + int(found[3])


@contextmanager
def session() -> Iterator[Session]:
    """A connection of inside1 to outside1, logged in."""
    with wire.listening("outside1", _FTP) as waiting, wire.tcp("inside1") as client:
        client.connect((ADDRESSES["outside1"], _FTP))
        server, outside = waiting.accept()
        server.settimeout(2.0)
        with server:
            talk = Session(client, server, outside)
            talk.say("server", "220 ready")
            talk.say("client", "USER a")
            talk.say("server", "230 in")
            yield talk


def _works(talk: Session, port: int) -> None:
    if talk.announce(port) is None:
        raise Vacuous("not even an honest PORT is rewritten")


def _segments(world: World) -> int:
    """How many segments of FTP connections were dropped so far."""
    counters: dict[str, int] = world.client.call("show", what="counters")
    return sum(n for name, n in counters.items() if name.startswith("alg.ftp.segments."))


def _blind(world: World, flags: int, port: int) -> list[str]:
    through: list[str] = []
    with session() as talk, Raw("outside2") as attacker:
        _works(talk, port)
        before, refused = len(world.show("pinholes")), _segments(world)
        for _ in range(50):
            data = segment(
                ADDRESSES["outside1"], talk.outside[0], (_FTP, talk.outside[1]), flags,
                random.getrandbits(32), random.getrandbits(32),
            )  # fmt: skip
            attacker.send(ADDRESSES["outside1"], talk.outside[0], TCP, data)
        time.sleep(0.5)
        if _segments(world) == refused:
            raise Vacuous("the forged segments did not reach what reads the connection")
        if len(world.show("pinholes")) < before:
            through.append("a pinhole was closed")
        if talk.announce(port + 1) is None:
            through.append("the connection is not followed any more, or it is dead")
    return through


def blind_reset(world: World) -> list[str]:
    """Fifty RSTs in the server's name with random numbers, to end a session and its pinhole."""
    return _blind(world, RST, 50011)


def blind_fin(world: World) -> list[str]:
    """Fifty FINs in the server's name with random numbers, to cut the stream."""
    return _blind(world, FIN | ACK, 50021)


def wrong_checksum(world: World) -> list[str]:
    """Data with the right numbers and a wrong checksum, for the gateway to mend."""
    with session() as talk, Raw("outside1") as spy:
        _works(talk, 50003)
        with Raw("inside1"):
            talk.client.sendall(b"NOOP\r\n")
            seen = spy.seen(lambda p: p[9] == TCP and b"NOOP\r\n" in p, 0.5)
        if not seen:
            raise Vacuous("the client's segment was not seen")
        talk.server.recv(4096)
        body = seen[-1][(seen[-1][0] & 15) * 4 :]
        seq, ack = (int.from_bytes(body[n : n + 4]) for n in (4, 8))
        goal, port = talk.outside
        forged = segment(
            ADDRESSES["outside1"], goal, (_FTP, port), ACK | wire.PSH, ack, seq + 6,
            b"200 forged\r\n", wrong=True,
        )  # fmt: skip
        spy.send(ADDRESSES["outside1"], goal, TCP, forged)
        talk.client.settimeout(0.7)
        with suppress(TimeoutError):
            if b"forged" in talk.client.recv(4096):
                return ["the client took it: the gateway gave it a right checksum"]
    return []


def spoofed_syns(world: World) -> list[str]:
    """Four hundred SYNs of forged sources to a server inside, to have its ALG give up."""
    with Raw("outside2") as attacker:
        for n in range(_SPOOFED):
            src = f"198.51.100.{20 + n % 200}"
            data = segment(src, SERVER_OUTSIDE, (2000 + n, _FTP), SYN, random.getrandbits(32))
            attacker.send(src, SERVER_OUTSIDE, TCP, data)
    time.sleep(0.5)
    with wire.listening("inside1", _FTP) as waiting, wire.tcp("outside1", 6.0) as client:
        client.connect((SERVER_OUTSIDE, _FTP))
        server, _ = waiting.accept()
        server.settimeout(2.0)
        with server:
            talk = Session(client, server, (SERVER_OUTSIDE, _FTP))
            talk.say("server", "220 ready")
            talk.say("client", "PASV")
            heard = talk.say("server", "227 Entering Passive Mode (10,0,0,11,200,11)")
    if "203,0,113" not in heard:
        return [f"an honest client behind them is told {heard!r}"]
    return []


@contextmanager
def _stopped_controller() -> Iterator[None]:
    (pid,) = [p.pid for p in runner.current().processes if p.name == runner.CONTROLLER]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.5)


def many_flows(world: World) -> list[str]:
    """Fifty connections by the server to one announced port, while the controller is behind."""
    with session() as talk, Raw("outside1") as attacker, Raw("inside1") as victim:
        told = talk.announce(50004)
        if told is None:
            raise Vacuous("not even an honest PORT is rewritten")
        time.sleep(0.3)
        with _stopped_controller():
            for n in range(_FLOWS):
                data = segment(ADDRESSES["outside1"], told[0], (3000 + n, told[1]), SYN, n)
                attacker.send(ADDRESSES["outside1"], told[0], TCP, data)
            seen = victim.seen(lambda p: p[9] == TCP and p[22:24] == (50004).to_bytes(2), 1.0)
        ports = {packet[20:22] for packet in seen}
        if not ports:
            raise Vacuous("not even one connection came in")
    return [f"{len(ports)} of {_FLOWS} flows came in by one pinhole"] if len(ports) > 1 else []


def bare_ack(world: World) -> list[str]:
    """A forged ACK without a connection, to use up the announced port before the server comes."""
    with session() as talk, Raw("outside1") as attacker, Raw("inside1") as victim:
        told = talk.announce(50005)
        if told is None:
            raise Vacuous("not even an honest PORT is rewritten")
        time.sleep(0.3)

        def came(flags: int, port: int) -> bool:
            data = segment(ADDRESSES["outside1"], told[0], (port, told[1]), flags, 1, 1)
            attacker.send(ADDRESSES["outside1"], told[0], TCP, data)
            return bool(victim.seen(lambda p: p[9] == TCP and p[22:24] == (50005).to_bytes(2)))

        through = ["the ACK came in"] if came(ACK, 3001) else []
        if not came(SYN, 3002):
            through.append("the server cannot connect any more")
    return through


ATTACKS = [
    Attack(4, "blind reset", "outside host", blind_reset),
    Attack(4, "blind FIN", "outside host", blind_fin),
    Attack(4, "wrong checksum", "server", wrong_checksum),
    Attack(4, "spoofed SYNs to a server", "outside host", spoofed_syns),
    Attack(7, "many flows by one pinhole", "server", many_flows),
    Attack(7, "bare ACK into a pinhole", "outside host", bare_ack),
]
