"""Slipstreaming: bytes of another protocol that carry commands of one with an ALG."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from attacks import wire
from attacks.table import Attack, Vacuous, World

CORPUS = Path(__file__).resolve().parents[1] / "tests" / "attack" / "corpus"
_CLIENT_PORT = 40000
_PATIENCE = 0.25


@dataclass(frozen=True, slots=True)
class Case:
    """A case of the corpus (tests/attack/README.md)."""

    name: str
    protocol: str
    transport: str
    port: int
    inside: str
    opens: bool
    exchange: tuple[tuple[str, bytes], ...]


def cases() -> list[Case]:
    """Those that can be played live, the controls first."""
    found: list[Case] = []
    for path in sorted(CORPUS.glob("*.json")):
        raw = json.loads(path.read_text(encoding="ascii"))
        said = tuple((who, text.encode("latin-1")) for who, text in raw["exchange"])
        case = Case(
            path.stem, raw["protocol"], raw["transport"], raw["port"], raw["inside"],
            raw["opens"], said,
        )  # fmt: skip
        found.append(case)
    return sorted(found, key=lambda case: not case.opens)


def play(case: Case) -> bool:
    """Say everything that a case says, between inside1 and outside1; whether any of it arrived."""
    client, server = ("inside1", "outside1") if case.inside == "client" else ("outside1", "inside1")
    goal = wire.ADDRESSES["outside1"] if case.inside == "client" else wire.SERVER_OUTSIDE
    with ExitStack() as stack, suppress(OSError):
        if case.transport == "tcp":
            waiting = stack.enter_context(wire.listening(server, case.port))
            caller = stack.enter_context(wire.tcp(client))
            _bind(caller)
            caller.connect((goal, case.port))
            callee = stack.enter_context(waiting.accept()[0])
            return _converse(case, {"client": caller, "server": callee})
        callee = stack.enter_context(wire.udp(server, _PATIENCE))
        callee.bind(("", case.port))
        caller = stack.enter_context(wire.udp(client, _PATIENCE))
        caller.connect((goal, case.port))
        for who, said in case.exchange:
            if who == "client":
                caller.send(said)
                with suppress(TimeoutError):
                    callee.connect(callee.recvfrom(65535)[1])
            else:
                with suppress(OSError):
                    callee.send(said)
        # The gateway drops a datagram on an ALG's port that is nothing it knows.
        return True
    return False


def _bind(caller: socket.socket) -> None:
    # A reset connection leaves the port free; one that was closed does not, for a minute.
    with suppress(OSError):
        caller.bind(("", _CLIENT_PORT))
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def _converse(case: Case, ends: dict[str, socket.socket]) -> bool:
    for end in ends.values():
        end.settimeout(_PATIENCE)
    all_heard = 0
    for who, said in case.exchange:
        ends[who].sendall(said)
        other = ends["server" if who == "client" else "client"]
        got = 0
        # A line that is refused ends the connection.
        with suppress(OSError):
            while got < len(said):
                data = other.recv(65535)
                if not data:
                    break
                got += len(data)
        all_heard += got
    return all_heard > 0


def opened(world: World) -> dict[str, int]:
    """How much has been opened for ALGs: all pinholes so far, and what is reserved now."""
    counters: dict[str, int] = world.client.call("show", what="counters")
    found = {name: n for name, n in counters.items() if name.endswith("pinholes.opened")}
    reserved = sum(row["kind"] == "pinhole" for row in world.show("bindings"))
    return {**found, "reserved": reserved}


def slipstream(world: World) -> list[str]:
    """Every case of the corpus: TLS, TURN, h2c, HTTP, SMTP ... that carry PORT, REGISTER, SETUP."""
    through: list[str] = []
    controls, played = 0, 0
    for case in cases():
        before = opened(world)
        played += play(case)
        new = any(n > before.get(name, 0) for name, n in opened(world).items())
        controls += case.opens and new
        if new and not case.opens:
            through.append(f"{case.name} opened {world.show('pinholes')}")
    if controls == 0:
        raise Vacuous("not even an honest PORT opened anything")
    if played < 0.9 * len(cases()):
        raise Vacuous(f"only {played} of {len(cases())} connections could be made")
    return through


ATTACKS = [Attack(1, "slipstreaming", "web page", slipstream)]
