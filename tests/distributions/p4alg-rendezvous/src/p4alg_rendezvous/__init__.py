"""The Rendezvous ALG: a client tells its server where to call back, and the server calls.

The toy protocol runs on TCP 7777. The server says ``RDV 1``; the client answers with
``AT 10.0.0.11 40000``, and the server connects to that endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from p4alg.alg.contract import (
    TCP,
    Detach,
    Edit,
    Endpoint,
    Forward,
    Gateway,
    Peer,
    PinholeRequest,
    Refusal,
    Refuse,
    SessionFacts,
    Step,
    format_addr,
)
from p4alg.alg.descriptor import Alg, Column, Context, Option, View

_LONGEST = 80
_AT = re.compile(rb"AT ([0-9.]{7,15}) ([0-9]{1,5})\r?\n")


class Meetings:
    """What all control sessions have in common: where clients have asked to be called."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.rows: list[dict[str, object]] = []

    def add(self, client: str, visible: str) -> None:
        """Remember a meeting; the oldest goes."""
        self.rows = [*self.rows[-self._most + 1 :], {"client": client, "visible": visible}]


class RendezvousAlg:
    """One control connection; see `StreamAlg`."""

    def __init__(self, facts: SessionFacts, context: Context) -> None:
        self._facts = facts
        self._lifetime = float(context.options["seconds"])
        self._meetings: Meetings = context.shared
        self._greeted = False

    def feed(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """Consume whole lines."""
        steps: list[Step] = []
        at = 0
        while (end := data.find(b"\n", at) + 1) > 0:
            steps.append(self._line(sender, data[at:end], gateway))
            if isinstance(steps[-1], Detach):
                return steps
            at = end
        if len(data) - at > _LONGEST:
            steps.append(Detach("line-too-long", True))
        return steps

    def _line(self, sender: Peer, line: bytes, gateway: Gateway) -> Step:
        if sender is Peer.SERVER:
            self._greeted = self._greeted or line.startswith(b"RDV 1")
            return Forward(len(line)) if self._greeted else Detach("not-rendezvous", True)
        found = _AT.fullmatch(line)
        if found is None or not self._greeted:
            return Refuse(len(line), "bad-syntax")
        if found[1].decode() != format_addr(self._facts.client.addr):
            return Refuse(len(line), "bounce")
        return self._meet(line, int(found[2]), found.span(1)[0], found.span(2)[1], gateway)

    def _meet(self, line: bytes, port: int, start: int, end: int, gateway: Gateway) -> Step:
        asked = PinholeRequest(
            TCP,
            Peer.CLIENT,
            Endpoint(self._facts.client.addr, port),
            self._facts.server.addr,
            None,
            self._lifetime,
            label="rendezvous AT",
        )
        grant = gateway.open_pinhole(asked)
        if isinstance(grant, Refusal):
            return Refuse(len(line), grant.reason)
        text = f"{format_addr(grant.visible.addr)} {grant.visible.port}"
        self._meetings.add(str(asked.listen), str(grant.visible))
        summary = f"AT {asked.listen} -> {grant.visible}"
        edit = Edit(start, end, text.encode())
        return Forward(len(line), (edit,), summary, (grant.number,))


def _rows(shared: Meetings, _now: float) -> Sequence[Mapping[str, Any]]:
    return shared.rows


ALG = Alg(
    "rendezvous",
    "Rendezvous, a toy protocol",
    services=((TCP, 7777),),
    make=RendezvousAlg,
    is_on=False,
    options=(
        Option("seconds", 30, "how long the server may take to call", low=1, high=600),
        Option("meetings", 16, "how many meetings are remembered", low=1, high=1000),
    ),
    share=lambda context: Meetings(int(context.options["meetings"])),
    views={
        "meetings": View(
            _rows,
            (
                Column("CLIENT", lambda row: row["client"]),
                Column("VISIBLE", lambda row: row["visible"]),
            ),
        )
    },
)
