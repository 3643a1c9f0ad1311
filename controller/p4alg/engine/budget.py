"""How much each organisation may have the controller do: packets, and writes to the switch.

Half of what the controller can do is dealt out by the shares of the organisations, and no one else
can use it up. Who needs more takes it from the other half, which is for all. So an organisation
that floods the controller is slowed down, and the others are not.

Packets are counted by the second. What takes longest is to write to the switch, one transaction
after the other; so it is bounded how many of one organisation may wait in front of those of others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

PACKETS = 8000
"""Packets a second that the controller is asked about at most: as many as the meters of the
switch let through of the class that has most."""
TRANSACTIONS = 128
"""Transactions that may wait for the switch before packets are dropped: a second's, at most."""


@dataclass(slots=True)
class _Bucket:
    """Tokens, which come at `rate` a second; it holds those of one second, and at least one."""

    rate: float
    tokens: float
    at: float = 0.0

    def take(self, now: float) -> bool:
        room = max(1.0, self.rate)
        self.tokens = min(room, self.tokens + max(0.0, now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Budget:
    """A bucket for each organisation, and one for all of them; and what waits of each.

    It is no part of the state that is undone: a packet whose handling failed has cost its time.
    """

    def __init__(
        self,
        shares: Mapping[int, float],
        packets: int = PACKETS,
        transactions: int = TRANSACTIONS,
    ) -> None:
        """`shares` are the parts of the organisations, by number; together at most 1."""
        half = packets / 2
        self._of = {number: _Bucket(share * half, share * half) for number, share in shares.items()}
        self._all = _Bucket(half, half)
        self._for_all = transactions // 2
        self._own = {n: max(1, int(share * self._for_all)) for n, share in shares.items()}
        self._waiting: Counter[int] = Counter()

    def allows(self, organisation: int, now: float) -> bool:
        """Whether one more packet of an organisation is decided about at `now` (seconds)."""
        return self._of[organisation].take(now) or self._all.take(now)

    def may_write(self, organisation: int) -> bool:
        """Whether an organisation may have one more transaction, for all that are waiting."""
        if self._waiting[organisation] < self._own[organisation]:
            return True
        beyond = (max(0, number - self._own[n]) for n, number in self._waiting.items())
        return sum(beyond) < self._for_all

    def begun(self, organisation: int) -> None:
        """A transaction of an organisation waits from now on."""
        self._waiting[organisation] += 1

    def ended(self, organisation: int) -> None:
        """The switch has answered to one."""
        self._waiting[organisation] -= 1
