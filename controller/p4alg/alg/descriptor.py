"""What an ALG brings with it: one `Alg` describes all that the rest needs to know of it.

Engine, configuration and command line know ALGs by their descriptors only. A
distribution offers its descriptors by entry points of the group `registry.GROUP`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from p4alg.alg.contract import TCP, UDP, DatagramAlg, SessionFacts, StreamAlg

_NAME = re.compile(r"[a-z][a-z0-9-]{0,23}")
_OPTION = re.compile(r"[a-z][a-z0-9_]{0,39}")
MAX_ID = 254
"""An ALG's number in the data plane has 8 bits; 0 means none."""
RESERVED_OPTIONS = ("enabled", "services")
"""Keys that every ALG has in the configuration."""

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Option:
    """A key of an ALG in the configuration: what may be written there, and what holds without it.

    The type of `default` is the type of the option. `choices` lists the words that a
    text may be; `low` and `high` bound a number, both included.
    """

    name: str
    default: Value
    description: str
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 0

    def objection(self, value: object) -> str:
        """Why `value` cannot be this option's, or an empty string."""
        if isinstance(self.default, bool):
            return "" if isinstance(value, bool) else "expected true or false"
        if isinstance(self.default, str):
            words = ", ".join(self.choices)
            return "" if value in self.choices else f"'{value}' is not one of {words}"
        kinds = (int, float) if isinstance(self.default, float) else (int,)
        if isinstance(value, bool) or not isinstance(value, kinds):
            return "expected a number" if float in kinds else "expected a whole number"
        if not self.low <= value <= self.high:
            return f"{value} is not in {self.low:g}..{self.high:g}"
        return ""


@dataclass(frozen=True, slots=True)
class Context:
    """What an ALG is told when a machine of it is made.

    `message` is the longest message in bytes, `pinhole_lifetime` the seconds that an
    unused pinhole lives if the protocol says nothing else. `options` has every
    option of the descriptor. `shared` is what `Alg.share` made.
    """

    message: int = 2048
    pinhole_lifetime: float = 60.0
    options: Mapping[str, Value] = field(default_factory=dict)
    shared: Any = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a view: its title, and the cell of a row."""

    title: str
    cell: Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True, slots=True)
class View:
    """A list for `p4alg show NAME`: `rows` are made of the shared state and the time.

    A row has stable keys and values that JSON can write. `end` ends what those rows stand for
    that it is given a test of (`p4alg clear NAME`), and returns the numbers of reservations and
    pinholes that have to end with it; without it nothing of the list can be ended.
    """

    rows: Callable[[Any, float], Sequence[Mapping[str, Any]]]
    columns: tuple[Column, ...]
    end: Callable[[Any, Callable[[Mapping[str, Any]], bool], float], Sequence[int]] | None = None


def _no_shared(_context: Context) -> object:
    return None


def _keeps_no_port(_options: Mapping[str, Value], _proto: int, _client: int, _server: int) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Alg:
    """An Application Layer Gateway.

    `services` are the (IP protocol, port) pairs of the predefined service of its name;
    it can be bound to services of those protocols only. `make` makes the machine of one
    control session: a `StreamAlg` where its protocol is TCP, a `DatagramAlg` where it
    is UDP. Of `protocols`, which have no ports, the packets that the switch does not
    know go to what `share` made, a `ProtocolAlg`. `alg_id` is its number in the data
    plane, 1 to 254; 0 lets the registry choose one.
    """

    name: str
    description: str
    services: tuple[tuple[int, int], ...]
    make: Callable[[SessionFacts, Context], StreamAlg | DatagramAlg]
    alg_id: int = 0
    is_on: bool = True
    """Whether it is on where the configuration says nothing."""
    is_on_by_rfc: bool = False
    """The same in the profile `rfc`: RFC 5382 REQ-6 wants no ALG but FTP to be on by default, and
    RFC 4787 REQ-10 none for a protocol on UDP."""
    options: tuple[Option, ...] = ()
    share: Callable[[Context], object] = _no_shared
    """Makes what all control sessions have in common; a `SharedState` if it has timers."""
    protocols: tuple[int, ...] = ()
    message: int = 0
    """Bytes of a message on TCP that it takes at least, whatever limit is configured for all."""
    outlives: bool = False
    """Whether what it opened stays when the control session ends that asked for it."""
    for_others: bool = False
    """Whether it may open ports of other inside hosts than the one of its control session. It
    must not do so unless it knows that the latter speaks for them, as an inside proxy does."""
    keeps_port: Callable[[Mapping[str, Value], int, int, int], bool] = _keeps_no_port
    """By options, protocol, client's and server's port: whether a flow from inside keeps its
    port outside, also if other hosts have it (its machine is `Tagged` then)."""
    views: Mapping[str, View] = field(default_factory=dict)
    secrets: re.Pattern[bytes] | None = None
    """Finds passwords and keys in messages, whole or not. Whatever its last group matches is
    shown to nobody."""

    def hidden(self, message: bytes) -> bytes:
        """A message as people may see it: `***` in place of its secrets."""
        if self.secrets is None:
            return message
        out, at = bytearray(), 0
        for found in self.secrets.finditer(message):
            start, end = found.span(found.lastindex or 0)
            out += message[at:start] + b"***"
            at = end
        return bytes(out + message[at:])

    @property
    def has_shared(self) -> bool:
        """Whether its control sessions have something in common, made of its options."""
        return self.share is not _no_shared

    @property
    def transports(self) -> frozenset[int]:
        """The IP protocols with ports that it can serve."""
        return frozenset(proto for proto, _ in self.services)

    @property
    def defaults(self) -> dict[str, Value]:
        """Its options where nothing is configured."""
        return {option.name: option.default for option in self.options}


def objection(alg: object) -> str:
    """Why a descriptor cannot be used, in a few words, or an empty string."""
    if not isinstance(alg, Alg):
        return "it is no p4alg.alg.descriptor.Alg"
    if not isinstance(alg.name, str) or not _NAME.fullmatch(alg.name):
        return "its name is not a lower-case word of at most 24 letters, digits and hyphens"
    if not isinstance(alg.description, str) or not alg.description.isprintable():
        return "its description is not one line of text"
    if not isinstance(alg.alg_id, int) or not 0 <= alg.alg_id <= MAX_ID:
        return f"its id is not in 0..{MAX_ID}"
    if not alg.services:
        return "it has no service"
    for service in alg.services:
        is_pair = isinstance(service, tuple) and len(service) == 2
        if not is_pair or service[0] not in (TCP, UDP) or not _is_port(service[1]):
            return f"{service!r} is not (TCP or UDP, port)"
    if not callable(alg.make) or not callable(alg.share) or not callable(alg.keeps_port):
        return "make, share and keeps_port have to be functions"
    if not isinstance(alg.message, int) or not 0 <= alg.message <= 1 << 20:
        return "its longest message is not in 0..1048576 bytes"
    for proto in alg.protocols:
        if not isinstance(proto, int) or not 0 <= proto <= 255 or proto in (TCP, UDP):
            return f"{proto!r} is not the number of a protocol without ports"
    if alg.secrets is not None and not isinstance(getattr(alg.secrets, "pattern", None), bytes):
        return "its secrets are no compiled pattern of bytes"
    return _option_objection(alg) or _view_objection(alg)


def _option_objection(alg: Alg) -> str:
    seen: set[str] = set(RESERVED_OPTIONS)
    for option in alg.options:
        if not isinstance(option, Option) or not _OPTION.fullmatch(str(option.name)):
            return f"{option!r} is no option with a lower-case name"
        if option.name in seen:
            return f"its option '{option.name}' is there twice, or is one that all ALGs have"
        seen.add(option.name)
        if not isinstance(option.default, bool | int | float | str):
            return f"its option '{option.name}' is neither a flag, a number nor a word"
        reason = option.objection(option.default)
        if reason:
            return f"the default of its option '{option.name}' is wrong: {reason}"
    return ""


def _view_objection(alg: Alg) -> str:
    for name, view in alg.views.items():
        if not isinstance(view, View) or not _NAME.fullmatch(str(name)) or not view.columns:
            return f"its view '{name}' is no view with a lower-case name and columns"
    return ""


def _is_port(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= 65535
