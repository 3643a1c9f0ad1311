"""The IKE ALG (RFC 2408, 2409, 7296; 3947, 3948 on port 4500): whose message is it.

Nothing is rewritten: the header is plain NAT's. What the ALG adds is the
initiator's SPI (the cookie of IKEv1), which every message of an exchange
carries in both directions and which tells inside hosts apart that all keep port
500 outside. Everything behind the header is encrypted sooner or later and is
not read, so neither Delete payloads nor the SPIs of ESP are known here.

`IkeExchanges` is shared by all flows of a gateway; an `IkeAlg` is one flow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from p4alg.alg.contract import (
    Forward,
    Gateway,
    Notice,
    Peer,
    Refuse,
    SessionFacts,
    Step,
    format_addr,
)
from p4alg.alg.ike.exchange import BOTH_SPOKE, HALF_OPEN, Exchange, ExchangeState
from p4alg.alg.ike.header import IkeHeader, Malformed, Natt, read_header, read_natt

NATT_PORT = 4500
"""Where IKE floats to and shares the port with ESP (RFC 3947 section 4)."""

_KEYING = (32, 35, 36)
"""What can make SAs of ESP (RFC 2409 section 5.5, RFC 7296 sections 1.2 and 1.3)."""


@dataclass(frozen=True, slots=True)
class IkeLimits:
    """Exchanges begun by either side per flow, claimed per host and in all; seconds.

    `half_open` is how long a silent exchange is kept whose beginner has not
    shown that it saw the answer, `idle` how long any other.
    """

    per_flow: int = 16
    per_host: int = 64
    total: int = 4096
    half_open: float = 60.0
    idle: float = 28800.0


class IkeExchanges:
    """Which inside host uses which initiator SPI, over all flows of a gateway.

    SPIs are held per outside address, as that and the SPI is all that the
    switch has to find the host of an answer by.
    """

    def __init__(self, limits: IkeLimits | None = None) -> None:
        self._limits = limits or IkeLimits()
        # By outside address and SPI: the inside host, once for each of its flows.
        self._claims: dict[tuple[int, int], list[int]] = {}
        self._per_host: Counter[int] = Counter()
        # By outside and remote address: how many exchanges each inside host has.
        self._hosts: dict[tuple[int, int], Counter[int]] = {}

    def __len__(self) -> int:
        return len(self._claims)

    def claim(self, outside: int, remote: int, spi: int, inside: int) -> str:
        """Let a flow of `inside` use `spi`; the reason if it may not, or an empty string."""
        held = self._claims.get((outside, spi))
        if held is None:
            if len(self._claims) >= self._limits.total:
                return "limit"
            if self._per_host[inside] >= self._limits.per_host:
                return "host-limit"
            held = self._claims[outside, spi] = []
            self._per_host[inside] += 1
        elif held[0] != inside:
            return "spi-in-use"
        held.append(inside)
        self._hosts.setdefault((outside, remote), Counter())[inside] += 1
        return ""

    def release(self, outside: int, remote: int, spi: int) -> None:
        """Take back one `claim` that was granted; unknown ones are ignored."""
        held = self._claims.get((outside, spi))
        if held is None:
            return
        inside = held.pop()
        if not held:
            del self._claims[outside, spi]
            _less(self._per_host, inside)
        hosts = self._hosts.get((outside, remote), Counter())
        _less(hosts, inside)
        if not hosts:
            self._hosts.pop((outside, remote), None)

    def host_of(self, outside: int, spi: int) -> int | None:
        """The address of the inside host that uses `spi`, if one does."""
        held = self._claims.get((outside, spi))
        return held[0] if held else None

    def is_only_host(self, outside: int, remote: int, inside: int) -> bool:
        """Whether `inside` and no other host has exchanges with `remote`."""
        return set(self._hosts.get((outside, remote), ())) == {inside}


def _less(counts: Counter[int], key: int) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]


class IkeAlg:
    """The ALG of one UDP flow to port 500 or 4500; see `DatagramAlg`.

    Notices: ``exchange`` (an initiator SPI not seen before), ``float`` (the first in a
    flow to port 4500, answered before elsewhere), ``rekey`` (a quick mode or
    CREATE_CHILD_SA exchange), ``informational``.
    """

    def __init__(
        self,
        facts: SessionFacts,
        exchanges: IkeExchanges | None = None,
        limits: IkeLimits | None = None,
    ) -> None:
        self._limits = limits or IkeLimits()
        self._shared = IkeExchanges(self._limits) if exchanges is None else exchanges
        self._facts = facts
        self._inside = facts.endpoint(facts.inside).addr
        self._remote = facts.endpoint(facts.inside.other).addr
        self._outside = facts.inside_as_seen_outside.addr
        self._exchanges: dict[int, Exchange] = {}
        self._keying_at: float | None = None
        # Not yet told by `expire`; what came back meanwhile is none of them.
        self._evicted: list[int] = []

    @property
    def initiator_spis(self) -> dict[int, float]:
        """The initiator SPIs of this flow's exchanges, and when each was last seen."""
        return {spi: exchange.last_seen for spi, exchange in self._exchanges.items()}

    @property
    def both_spoke(self) -> bool:
        """Whether an exchange of this flow has been answered."""
        return any(exchange.state in BOTH_SPOKE for exchange in self._exchanges.values())

    @property
    def keying_at(self) -> float | None:
        """When a message was last seen that can make SAs of ESP."""
        return self._keying_at

    def receive(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """Pass a well-formed message of a host's own exchange as it is; refuse any other."""
        is_natt = self._facts.server.port == NATT_PORT
        read = read_natt(data) if is_natt else read_header(data)
        if isinstance(read, Malformed):
            return [Refuse(len(data), read.reason)]
        if isinstance(read, Natt):
            return [Forward(len(data), is_message=False)]
        notices: list[Step] = []
        exchange = self._exchanges.get(read.initiator_spi)
        if exchange is None:
            floats = is_natt and not self._exchanges and read.responder_spi != 0
            begun = self._begin(sender, read, now)
            if isinstance(begun, str):
                return [Refuse(len(data), begun, str(read))]
            exchange = self._exchanges[read.initiator_spi] = begun
            between = f"{read}: {format_addr(self._inside)} and {format_addr(self._remote)}"
            notices.append(Notice("float" if floats else "exchange", between))
        exchange.message(sender, read, now)
        counted = exchange.counts(sender, read)
        if counted:
            notices.append(Notice(counted, str(read)))
        if read.exchange_type in _KEYING:
            self._keying_at = now
        return [*notices, Forward(len(data), summary=str(read))]

    def tick(self, gateway: Gateway, now: float) -> None:
        """Forget exchanges that were silent too long; see `Lasting`."""
        self.expire(now)

    def ended(self, gateway: Gateway) -> None:
        """The flow has ended, and its exchanges with it; see `Lasting`."""
        self.close()

    def expire(self, now: float) -> tuple[int, ...]:
        """Forget exchanges that were silent too long; returns their initiator SPIs."""
        half_open, idle = self._limits.half_open, self._limits.idle
        silent = self._forget(
            spi
            for spi, exchange in self._exchanges.items()
            if exchange.last_seen + (half_open if exchange.state in HALF_OPEN else idle) <= now
        )
        return (*self._told_evicted(), *silent)

    def close(self) -> tuple[int, ...]:
        """Forget all exchanges, as the flow has ended; returns their initiator SPIs."""
        return (*self._told_evicted(), *self._forget(self._exchanges))

    def _told_evicted(self) -> list[int]:
        evicted = [spi for spi in dict.fromkeys(self._evicted) if spi not in self._exchanges]
        self._evicted = []
        return evicted

    def _forget(self, gone: Iterable[int]) -> tuple[int, ...]:
        spis = tuple(gone)
        for spi in spis:
            if self._exchanges.pop(spi).is_claimed:
                self._shared.release(self._outside, self._remote, spi)
        return spis

    def _begin(self, sender: Peer, read: IkeHeader, now: float) -> Exchange | str:
        """The exchange of an SPI new to this flow, or the reason why there is none.

        A message with a responder SPI can be the first one seen: the SPIs of a rekeyed
        IKE SA were agreed on under encryption (RFC 7296 section 2.18).
        """
        spi = read.initiator_spi
        is_from_outside = sender is not self._facts.inside
        is_served = is_from_outside and self._facts.inside is Peer.SERVER
        owner = self._shared.host_of(self._outside, spi)
        if owner not in (None, self._inside):
            return "spi-in-use"
        # A peer may renew an IKE SA from its side, but not if it could mean another host.
        if (is_from_outside and not is_served) and not (
            self.both_spoke and self._shared.is_only_host(self._outside, self._remote, self._inside)
        ):
            return "unknown-spi"
        if not self._make_room(sender, now):
            return "too-many-exchanges"
        # To a served host leads a static mapping, and strangers must not fill its share.
        if not is_served:
            reason = self._shared.claim(self._outside, self._remote, spi, self._inside)
            if reason:
                return reason
        is_resumed = read.responder_spi != 0 and not is_from_outside
        state = ExchangeState.RESUMED if is_resumed else ExchangeState.BEGUN
        return Exchange(sender, not is_served, now, state)

    def _make_room(self, sender: Peer, now: float) -> bool:
        """Whether `sender` may begin one more exchange, for which its oldest may have to go."""
        begun = [spi for spi, found in self._exchanges.items() if found.begun_by is sender]
        if len(begun) < self._limits.per_flow:
            return True
        oldest = min(begun, key=lambda spi: self._exchanges[spi].last_seen)
        if self._exchanges[oldest].last_seen + self._limits.half_open > now:
            return False
        # A host that fails and tries again must not shut itself out for hours.
        self._evicted += self._forget((oldest,))
        return True
