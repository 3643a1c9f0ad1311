"""The IKE ALG (RFC 2408, 2409, 7296; 3947, 3948 on port 4500): which host a message belongs to.

Nothing is rewritten, as plain NAT translates the addresses. But several inside hosts may
all keep port 500 outside, since some gateways insist on it. Every message of an exchange
carries the initiator's SPI (the cookie of IKEv1) in both directions, and the ALG
notes which inside host uses which one. What follows the header is encrypted sooner or later
and is not read: neither Delete payloads nor the SPIs of ESP are known here.

`IkeExchanges` is shared by all flows of a gateway; an `IkeAlg` is one flow. The states of
an exchange are in `exchange`.
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
"""Where IKE moves to when it finds a NAT, and shares the port with ESP (RFC 3947 section 4)."""


@dataclass(frozen=True, slots=True)
class IkeLimits:
    """How many exchanges there may be, and how many seconds a silent one is kept.

    Each side may begin `per_flow` exchanges in a flow. An inside host may claim `per_host`
    initiator SPIs, and all hosts together `total`. A silent exchange is kept for
    `half_open` seconds in the states `exchange.HALF_OPEN`, and otherwise for `idle`.
    """

    per_flow: int = 16
    per_host: int = 64
    total: int = 4096
    half_open: float = 60.0
    idle: float = 28800.0


class IkeExchanges:
    """Which inside host uses which initiator SPI, in all flows of a gateway.

    An SPI is claimed for one outside address: the address and the SPI are all by which the
    switch finds the host that an answer is for.
    """

    def __init__(self, limits: IkeLimits | None = None) -> None:
        self._limits = limits or IkeLimits()
        # By outside address and SPI: the inside host, once for each of its flows that has the SPI.
        self._claims: dict[tuple[int, int], list[int]] = {}
        self._per_host: Counter[int] = Counter()
        # By outside and remote address: how many claims each inside host has.
        self._hosts: dict[tuple[int, int], Counter[int]] = {}

    def __len__(self) -> int:
        return len(self._claims)

    def claim(self, outside: int, remote: int, spi: int, inside: int) -> str:
        """Let a flow of `inside` use `spi`; returns why it may not, or an empty string."""
        users = self._claims.get((outside, spi))
        if users is None:
            if len(self._claims) >= self._limits.total:
                return "limit"
            if self._per_host[inside] >= self._limits.per_host:
                return "host-limit"
            users = self._claims[outside, spi] = []
            self._per_host[inside] += 1
        elif users[0] != inside:
            return "spi-in-use"
        users.append(inside)
        self._hosts.setdefault((outside, remote), Counter())[inside] += 1
        return ""

    def release(self, outside: int, remote: int, spi: int) -> None:
        """Take back one granted `claim`; unknown ones are ignored."""
        users = self._claims.get((outside, spi))
        if users is None:
            return
        inside = users.pop()
        if not users:
            del self._claims[outside, spi]
            _less(self._per_host, inside)
        hosts = self._hosts.get((outside, remote), Counter())
        _less(hosts, inside)
        if not hosts:
            self._hosts.pop((outside, remote), None)

    def host_of(self, outside: int, spi: int) -> int | None:
        """The address of the inside host that uses `spi`, if one does."""
        users = self._claims.get((outside, spi))
        return users[0] if users else None

    def is_only_host(self, outside: int, remote: int, inside: int) -> bool:
        """Whether `inside` and no other host has exchanges with `remote`."""
        return set(self._hosts.get((outside, remote), ())) == {inside}


def _less(counts: Counter[int], key: int) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]


class IkeAlg:
    """The ALG of one UDP flow to port 500 or 4500; see `DatagramAlg`.

    Notices: ``exchange`` (an initiator SPI not seen before in this flow), ``float`` (the same,
    for an exchange that was answered on port 500 and moved to port 4500), ``rekey`` (a quick
    mode or CREATE_CHILD_SA exchange), ``informational``.
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
        # SPIs that had to make room, until `expire` or `close` returns them.
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
        """When the remote last agreed to new SAs of ESP; None before the first."""
        return self._keying_at

    def receive(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """Pass a well-formed message of this host's exchanges as it is, and refuse any other."""
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
        if exchange.agrees(sender, read, self._facts.inside.other):
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
        """Begin the exchange of an SPI that is new to this flow; returns it, or why it may not be.

        The first message that is seen may have a responder SPI already, as the SPIs of a
        rekeyed IKE SA are agreed on under encryption (RFC 7296 section 2.18).
        """
        spi = read.initiator_spi
        is_from_outside = sender is not self._facts.inside
        is_served = is_from_outside and self._facts.inside is Peer.SERVER
        owner = self._shared.host_of(self._outside, spi)
        if owner not in (None, self._inside):
            return "spi-in-use"
        # The remote end may rekey the IKE SA, but then its new SPI has to be this host's for
        # certain: no other host may have exchanges with that remote end.
        if (is_from_outside and not is_served) and not (
            self.both_spoke and self._shared.is_only_host(self._outside, self._remote, self._inside)
        ):
            return "unknown-spi"
        if not self._make_room(sender, now):
            return "too-many-exchanges"
        # A static mapping leads to a host that serves, so its SPIs need not be claimed, and
        # strangers cannot use up what the host may claim.
        if not is_served:
            reason = self._shared.claim(self._outside, self._remote, spi, self._inside)
            if reason:
                return reason
        is_resumed = read.responder_spi != 0 and not is_from_outside
        state = ExchangeState.RESUMED if is_resumed else ExchangeState.BEGUN
        return Exchange(sender, not is_served, now, state)

    def _make_room(self, sender: Peer, now: float) -> bool:
        """Whether `sender` may begin one more exchange; at the limit its oldest may have to go."""
        begun = [spi for spi, found in self._exchanges.items() if found.begun_by is sender]
        if len(begun) < self._limits.per_flow:
            return True
        oldest = min(begun, key=lambda spi: self._exchanges[spi].last_seen)
        if self._exchanges[oldest].last_seen + self._limits.half_open > now:
            return False
        # Otherwise a host whose attempts fail would be shut out by them for hours.
        self._evicted += self._forget((oldest,))
        return True
