"""Reads the corpus of attacks, and plays a case against the engine (see README.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from p4alg.alg.contract import Peer
from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.reconcile import entry_key
from p4alg.engine.settings import AlgSettings, PortSpan
from p4alg.protocols import TCP, UDP
from tests.unit.engine.dialogue import Dialogue
from tests.unit.engine.harness import IN_PORT, INSIDE, OUT_PORT, REMOTE, Bench, datagram
from tests.unit.stream.network import PORTS

FOLDER = Path(__file__).parent / "corpus"
_CLIENT_PORT = 40000
_STRICT = t.FilterMode.ADDRESS_AND_PORT
"""Of an outside port that is only reserved: nobody gets in by it."""
Answer = Callable[[bytes], bytes]
"""What a server says, by what it has heard since it last spoke."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case; the fields are those that README.md describes."""

    name: str
    protocol: str
    proto: int
    port: int
    inside: Peer
    opens: bool
    unread: bool | None
    exchange: tuple[tuple[Peer, bytes | Answer], ...]


def cases() -> list[Case]:
    """Every case, by name."""
    return [_read(path) for path in sorted(FOLDER.glob("*.json"))]


def _read(path: Path) -> Case:
    found = json.loads(path.read_text(encoding="ascii"))
    return Case(
        path.stem,
        found["protocol"],
        TCP if found["transport"] == "tcp" else UDP,
        found["port"],
        Peer(found["inside"]),
        found["opens"],
        found.get("unread"),
        tuple((Peer(who), said.encode("latin-1")) for who, said in found["exchange"]),
    )


class Play:
    """A case that was played: the engine after it."""

    def __init__(self, case: Case, size: int | None) -> None:
        """Play `case` in segments of `size` bytes; None: each saying in one."""
        alg = algs()[case.protocol]
        service = tuple(PortSpan(proto, port, port) for proto, port in alg.services)
        self.bench = Bench(
            services={case.protocol: service},
            algs=(AlgSettings(alg, True, (case.protocol,)),),
            filter_mode=t.FilterMode.ENDPOINT_INDEPENDENT,
        )
        self._case, self._id, self._heard = case, alg.alg_id, b""
        self._before = set(self.bench.entries)
        if case.proto == TCP:
            self._stream(size)
        else:
            self._datagrams()

    @property
    def opened(self) -> list[t.Entry]:
        """Entries that let somebody in, but for those of the control connection itself."""
        own = {PORTS[Peer.SERVER], _CLIENT_PORT}
        found: list[t.Entry] = [*self.bench.of(t.PinholeEntry)]
        for entry in self.bench.of(t.MapIn):
            if entry.inside_id not in own and entry.filter_mode is not _STRICT:
                found.append(entry)
        return [entry for entry in found if entry_key(entry) not in self._before]

    @property
    def is_read(self) -> bool:
        """Whether the ALG still reads the control connection."""
        name = f"alg.{self._case.protocol}"
        ends = (f"{name}.protocol-errors.", f"{name}.detached.", f"{name}.closed.")
        return not any(counter.startswith(ends) for counter in self.bench.show("counters"))

    @property
    def faults(self) -> dict[str, int]:
        """Counters of faults of the program; a case must not cause any."""
        return {name: n for name, n in self.bench.show("counters").items() if "fault" in name}

    def _said(self, said: bytes | Answer) -> bytes:
        heard, self._heard = self._heard, b""
        return said if isinstance(said, bytes) else said(heard)

    def _stream(self, size: int | None) -> None:
        talk = Dialogue(self.bench, self._case.inside, self._id)
        for who, said in self._case.exchange:
            data = self._said(said)
            talk.say(who, data, size)
            heard = talk.heard(who.other)
            if who is Peer.CLIENT:
                self._heard += heard

    def _datagrams(self) -> None:
        case, begun = self._case, False
        for who, said in case.exchange:
            data = self._said(said)
            if who is Peer.CLIENT:
                frame = datagram(INSIDE, _CLIENT_PORT, REMOTE, case.port, data)
                if begun:
                    outs = self.bench.punt(ev.Reason.ALG, frame, IN_PORT, self._id)
                else:
                    outs = self.bench.new(frame, IN_PORT, self._id)
                begun = True
                self._heard += b"".join(out.frame[42:] for out in outs)
            else:
                seen = self.bench.outside_of(UDP, INSIDE, _CLIENT_PORT)
                frame = datagram(REMOTE, case.port, *seen, data)
                self.bench.punt(ev.Reason.ALG, frame, OUT_PORT, self._id)
