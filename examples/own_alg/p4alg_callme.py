"""The CALLME ALG: the client says where it waits, and the server calls.

On TCP port 7000 the server greets with ``HELLO``, and the client answers
``CALLME 10.0.0.11 40000``. Without an ALG the server learns an address that it cannot reach. With
it the line names an outside endpoint, which is open for the server, and only once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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
from p4alg.alg.descriptor import Alg, Context

_CALLME = re.compile(rb"CALLME ([0-9.]{7,15}) ([0-9]{1,5})\r?\n")
_LONGEST = 100


class CallmeAlg:
    """One control connection (`StreamAlg`)."""

    def __init__(self, facts: SessionFacts, context: Context) -> None:
        self._facts = facts
        self._lifetime = context.pinhole_lifetime
        self._greeted = False

    def feed(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """Answer for each whole line; the rest comes again with more behind it."""
        steps: list[Step] = []
        at = 0
        while (end := data.find(b"\n", at) + 1) > 0:
            steps.append(self._line(sender, data[at:end], gateway))
            at = end
        if len(data) - at > _LONGEST:
            steps.append(Detach("line-too-long", True))
        return steps

    def _line(self, sender: Peer, line: bytes, gateway: Gateway) -> Step:
        if sender is Peer.SERVER:
            self._greeted = self._greeted or line.startswith(b"HELLO")
            return Forward(len(line))
        found = _CALLME.fullmatch(line)
        if found is None or not self._greeted:
            return Forward(len(line))
        if found[1].decode() != format_addr(self._facts.client.addr):
            return Refuse(len(line), "bounce")
        # Whoever the client talks to may call it, at the endpoint that it names.
        listen = Endpoint(self._facts.client.addr, int(found[2]))
        caller = self._facts.server.addr
        asked = PinholeRequest(TCP, Peer.CLIENT, listen, caller, None, self._lifetime)
        grant = gateway.open_pinhole(asked)
        if isinstance(grant, Refusal):
            return Refuse(len(line), grant.reason)
        # The line leaves with the endpoint that was granted, when that is open.
        told = f"{format_addr(grant.visible.addr)} {grant.visible.port}".encode()
        edit = Edit(found.start(1), found.end(2), told)
        return Forward(len(line), (edit,), f"CALLME {listen} -> {grant.visible}", (grant.number,))


ALG = Alg("callme", "CALLME, a toy protocol", services=((TCP, 7000),), make=CallmeAlg)
