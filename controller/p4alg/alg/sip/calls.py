"""The calls, registrations and transactions of a whole gateway, shared by all SIP sessions.

A call here is what one inside host has of a call. When two inside hosts call each other
through an outside proxy, there are two of them.

Methods that return ids return the gateway's numbers for what nobody needs any more, and
the caller has to end them there.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Mapping

from p4alg.alg.contract import Endpoint, format_addr
from p4alg.alg.sip.flood import RateMeter
from p4alg.alg.sip.ledger import Ledger, User
from p4alg.alg.sip.limits import SipSettings
from p4alg.alg.sip.message import SipError
from p4alg.alg.sip.records import (
    Call,
    CallKey,
    Registration,
    RegistrationKey,
    Transaction,
    TransactionKey,
)


class SipCalls:
    """All calls, registrations and transactions, within limits; there is one for a gateway."""

    def __init__(self, settings: SipSettings | None = None) -> None:
        self.settings = settings or SipSettings()
        limits = self.settings.limits
        self.ledger = Ledger(limits.resources)
        self.calls: dict[CallKey, Call] = {}
        self.registrations: dict[RegistrationKey, Registration] = {}
        self.transactions: dict[TransactionKey, Transaction] = {}
        self.new_calls = RateMeter(limits.sources)
        self.new_registrations = RateMeter(limits.sources)
        self._per_host: Counter[Hashable] = Counter()
        self._registrars: dict[tuple[int, int], set[RegistrationKey]] = {}
        self._signalling: dict[tuple[int, Endpoint], float] = {}
        self._without_port: dict[tuple[bytes, int, Endpoint], None] = {}
        self._behind: dict[tuple[int, int], float] = {}
        self._looked_at = float("-inf")

    # Calls

    def call_of(self, inside: int, call_id: bytes, local_tag: bytes) -> Call | None:
        """The call that a message of or to an inside host belongs to."""
        outgoing = self.calls.get(CallKey(inside, call_id, True))
        if outgoing is not None and outgoing.caller_tag == local_tag:
            return outgoing
        return self.calls.get(CallKey(inside, call_id, False))

    def add(self, call: Call) -> None:
        """Add a new call; raises `SipError` at a limit."""
        limits = self.settings.limits
        self._count("call", call.key.inside, limits.calls_per_host, len(self.calls), limits.calls)
        self.calls[call.key] = call

    def end(self, call: Call) -> list[int]:
        """Forget a call; returns the ids to end."""
        if self.calls.pop(call.key, None) is None:
            return []
        self._uncount("call", call.key.inside)
        ids: list[int] = []
        for tag in (*call.dialogs, None):
            ids += self.ledger.release(call.user(tag))
        return ids + self.ledger.release(call.signalling)

    def end_chosen(self, wanted: Callable[[Mapping[str, object]], bool], now: float) -> list[int]:
        """Forget the calls whose rows (`rows`) are wanted; returns the ids to end."""
        chosen = [call for call in self.calls.values() if wanted(self._row(call, now))]
        return [number for call in chosen for number in self.end(call)]

    # Transactions

    def remember(self, key: TransactionKey, branch: bytes, now: float) -> tuple[Transaction, bool]:
        """Note a request that is let through; its transaction, and whether it is a new one.

        Raises `SipError` at a limit.
        """
        known = self.transactions.get(key)
        timers, limits = self.settings.timers, self.settings.limits
        expires = now + (timers.ringing if key.method == b"INVITE" else timers.transaction)
        if known is not None:
            if branch not in known.branches:
                if len(known.branches) == known.branches.maxlen:
                    known.has_port.pop(known.branches[0], None)
                known.branches.append(branch)
            known.expires = expires
            return known, False
        number = len(self.transactions)
        per_host = limits.transactions_per_host
        self._count("transaction", key.inside, per_host, number, limits.transactions)
        made = Transaction(expires, deque([branch], maxlen=limits.dialogs))
        self.transactions[key] = made
        return made, True

    def answered(self, key: TransactionKey, branch: bytes, now: float) -> Transaction | None:
        """The transaction that a response belongs to; None if there was no such request."""
        known = self.transactions.get(key)
        if known is None or known.expires <= now or branch not in known.branches:
            return None
        return known

    def forget(self, key: TransactionKey) -> None:
        """Forget a transaction: it has timed out, or its request was refused after all."""
        if self.transactions.pop(key, None) is not None:
            self._uncount("transaction", key.inside)

    # Registrations

    def register(self, key: RegistrationKey, made: Registration) -> None:
        """Note a registration that was confirmed or renewed; raises `SipError` at a limit."""
        known = self.registrations.get(key)
        if known is None:
            limits, number = self.settings.limits, len(self.registrations)
            per_host = limits.registrations_per_host
            self._count("registration", key[0], per_host, number, limits.registrations)
        else:
            made.since = known.since
        self.registrations[key] = made
        self._registrars.setdefault((key[0], key[4]), set()).add(key)

    def unregister(self, key: RegistrationKey) -> list[int]:
        """Forget a registration; returns the ids to end."""
        if self.registrations.pop(key, None) is None:
            return []
        self._uncount("registration", key[0])
        same = self._registrars[(key[0], key[4])]
        same.discard(key)
        if not same:
            del self._registrars[(key[0], key[4])]
        return self.ledger.release(key)

    def is_registrar(self, inside: int, addr: int, now: float) -> bool:
        """Whether an inside host is registered with the server at an address."""
        keys = self.registrations_at(inside, addr)
        return any(self.registrations[key].expires > now for key in keys)

    def registrations_at(self, inside: int, addr: int) -> list[RegistrationKey]:
        """The registrations of an inside host with the server at an address."""
        return list(self._registrars.get((inside, addr), ()))

    # Hosts behind an inside proxy

    def put_behind(self, proxy: int, host: int, expires: float) -> None:
        """Note that a registrar has confirmed a host that registers through a proxy."""
        full = len(self._behind) >= self.settings.limits.registrations
        if full and (proxy, host) not in self._behind:
            raise SipError("registration-limit")
        self._behind[proxy, host] = expires

    def not_behind(self, proxy: int, host: int) -> None:
        """Such a registration has ended."""
        self._behind.pop((proxy, host), None)

    def is_behind(self, proxy: int, host: int, now: float) -> bool:
        """Whether a host is registered through a proxy."""
        return self._behind.get((proxy, host), now) > now

    # Endpoints for signalling

    def use_signalling(self, proto: int, listen: Endpoint, now: float) -> User:
        """Note a use of an outside port for signalling; returns the ledger's user for it.

        That user has the port for `SipTimers.signalling_idle` after the last use.
        """
        self._signalling[(proto, listen)] = now + self.settings.timers.signalling_idle
        return ("signalling", proto, listen)

    def wrote(self, header: bytes, proto: int, listen: Endpoint, has_port: bool) -> None:
        """Note whether an inside host writes the default port of its endpoint in a header.

        It may compare what it is told later with what it wrote, so it is told it in that form.
        """
        key = (header, proto, listen)
        self._without_port.pop(key, None)
        if not has_port:
            self._without_port[key] = None
            if len(self._without_port) > self.settings.limits.resources:
                del self._without_port[next(iter(self._without_port))]

    def writes_port(self, header: bytes, proto: int, listen: Endpoint) -> bool:
        """Whether an inside host writes the default port of its endpoint in a header."""
        return (header, proto, listen) not in self._without_port

    # Time

    def tick(self, now: float) -> list[int]:
        """`expire`, at most once a second however many sessions ask."""
        if now - self._looked_at < 1.0:
            return []
        self._looked_at = now
        return self.expire(now)

    def expire(self, now: float) -> list[int]:
        """End what has timed out; returns the ids to end."""
        timers = self.settings.timers
        ids: list[int] = []
        for call in [c for c in self.calls.values() if _is_over(c, timers.call, now)]:
            ids += self.end(call)
        for call in self.calls.values():
            for tag, dialog in call.dialogs.items():
                if dialog.held_since is not None and now - dialog.held_since >= timers.hold:
                    ids += self.ledger.release(call.user(tag))
        for key in [k for k, r in self.registrations.items() if r.expires <= now]:
            ids += self.unregister(key)
        for pair in [pair for pair, until in self._behind.items() if until <= now]:
            del self._behind[pair]
        for done in [k for k, t in self.transactions.items() if t.expires <= now]:
            self.forget(done)
        for port in [p for p, until in self._signalling.items() if until <= now]:
            del self._signalling[port]
            ids += self.ledger.release(("signalling", *port))
        return ids

    def rows(self, now: float) -> list[dict[str, object]]:
        """The calls as operators see them: one row each, oldest first."""
        return [self._row(call, now) for call in self.calls.values()]

    def registration_rows(self, now: float) -> list[dict[str, object]]:
        """Registrations and subscriptions, oldest first; `expires` in seconds."""
        return [
            {
                "kind": found.kind,
                "address": found.aor.decode("utf-8", "backslashreplace"),
                "inside": str(found.inside),
                "registrar": format_addr(found.registrar),
                "expires": round(found.expires - now, 1),
                "pinholes": self.ledger.ids(key),
            }
            for key, found in self.registrations.items()
        ]

    def _row(self, call: Call, now: float) -> dict[str, object]:
        users = [call.user(tag) for tag in (*call.dialogs, None)] + [call.signalling]
        streams = [
            {
                "media": local.kind,
                "inside": str(local.media),
                "outside": str(local.visible),
                "remote": str(remote.media),
                "hairpin": remote.is_hairpin,
            }
            for dialog in call.dialogs.values()
            for local, remote in zip(dialog.local, dialog.remote, strict=False)
            if local.media is not None and remote.media is not None
        ]
        return {
            "call_id": call.key.call_id.decode("utf-8", "backslashreplace"),
            "inside": format_addr(call.key.inside),
            "direction": "out" if call.key.outgoing else "in",
            "from": call.parties[0],
            "to": call.parties[1],
            "state": call.state.value,
            "age": round(now - call.created, 1),
            "streams": streams,
            "pinholes": sorted({n for user in users for n in self.ledger.ids(user)}),
        }

    def _count(self, what: str, inside: int, per_host: int, number: int, limit: int) -> None:
        if number >= limit or self._per_host[(what, inside)] >= per_host:
            raise SipError(f"{what}-limit")
        self._per_host[(what, inside)] += 1

    def _uncount(self, what: str, inside: int) -> None:
        self._per_host[(what, inside)] -= 1
        if self._per_host[(what, inside)] <= 0:
            del self._per_host[(what, inside)]


def _is_over(call: Call, longest: float, now: float) -> bool:
    if call.ends_at is not None and call.ends_at <= now:
        return True
    return now - call.created >= longest or (not call.answered and call.ringing_until <= now)
