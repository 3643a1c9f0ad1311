"""Which rows of a view somebody wants to see, in which order, and how many.

A request of `p4alg show` or `p4alg clear` brings a selection as an object of text and numbers,
`selected_by` says which; `parse` checks it. Nothing here knows where rows come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network
from typing import Any, TypeVar

from p4alg.config.errors import UsageError
from p4alg.protocols import NUMBERS, proto_name

Row = Mapping[str, object]
_Row = TypeVar("_Row", bound=Row)
End = tuple[int, int | None]
"""An address, and the port or other id; None where the row has none, or where any will do."""

ENDS = ("inside", "outside", "remote", "address", "client", "server")
"""The keys of rows that hold the ends of something, in the text of `p4alg show`."""
_ADDRESS, _PORT = "ADDRESS[/LENGTH][:PORT[-PORT]]", "PORT[-PORT]"
MAX_LIMIT = 10_000_000


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports, or other ids, from `first` to `last`."""

    first: int
    last: int

    def hold(self, number: int | None) -> bool:
        """Whether a port is one of them. A row without port, or for any, has them all."""
        return number is None or self.first <= number <= self.last


@dataclass(frozen=True, slots=True)
class Place:
    """Where an end has to be."""

    network: int
    mask: int
    ports: Ports | None

    def holds(self, end: End | None) -> bool:
        """Whether an end lies there."""
        if end is None or end[0] & self.mask != self.network:
            return False
        return self.ports is None or self.ports.hold(end[1])


@dataclass(frozen=True, slots=True)
class Selection:
    """What is wanted. Everything that is given has to fit; what is not given fits all rows."""

    anywhere: Place | None = None
    inside: Place | None = None
    outside: Place | None = None
    remote: Place | None = None
    ports: Ports | None = None
    """Some end has to have one of these."""
    proto: str | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    """What other keys of the row have to be, regardless of case."""
    name: re.Pattern[str] | None = None
    """What the names of counters have to match."""
    sort: str | None = None
    descending: bool = False
    limit: int | None = None

    def fits_ends(self, proto: int, inside: End, outside: End | None, remote: End | None) -> bool:
        """Whether a flow between these ends may be wanted; `fits` decides.

        This is for those who have numbers, and would make rows of them in vain.
        """
        if self.proto is not None and self.proto != proto_name(proto):
            return False
        return self._places(inside, outside, remote, (inside, outside, remote))

    def may_be_of(self, inside_addr: int) -> bool:
        """Whether something of this inside host may be wanted."""
        return self.inside is None or self.inside.holds((inside_addr, None))

    def fits(self, row: Row) -> bool:
        """Whether a row is wanted."""
        if self.proto is not None and str(row.get("proto", "")) not in (self.proto, "any"):
            return False
        if any(str(row.get(key, "")).lower() != word for key, word in self.words.items()):
            return False
        if not self._has_places:
            return True
        ends = {key: end_of(str(row.get(key, ""))) for key in ENDS}
        inside = ends["inside"] or ends["address"]
        return self._places(inside, ends["outside"], ends["remote"], ends.values())

    def cut(self, found: list[_Row]) -> list[_Row]:
        """Rows that fit, in the wanted order and no more than wanted.

        Raises `UsageError` if no row has the key of that order.
        """
        key = self.sort
        if key is not None:
            if found and not any(key in row for row in found):
                known = ", ".join(found[0])
                raise UsageError(f"cannot sort by '{key}': the rows have {known}")
            found = sorted(found, key=lambda row: _rank(row.get(key)), reverse=self.descending)
        return found if self.limit is None else found[: self.limit]

    def names(self, counters: Mapping[str, object]) -> dict[str, object]:
        """The wanted ones of counters, by name."""
        return {
            name: value
            for name, value in counters.items()
            if self.name is None or self.name.fullmatch(name)
        }

    @property
    def _has_places(self) -> bool:
        return bool(self.anywhere or self.inside or self.outside or self.remote or self.ports)

    def _places(
        self,
        inside: End | None,
        outside: End | None,
        remote: End | None,
        ends: Iterable[End | None],
    ) -> bool:
        if self.inside is not None and not self.inside.holds(inside):
            return False
        if self.outside is not None and not self.outside.holds(outside):
            return False
        if self.remote is not None and not self.remote.holds(remote):
            return False
        known = [end for end in ends if end is not None]
        if self.anywhere is not None and not any(self.anywhere.holds(end) for end in known):
            return False
        ports = self.ports
        return ports is None or any(ports.hold(n) for _, n in known if n is not None)


EVERYTHING = Selection()
"""All rows in the order in which they come."""


def _place(text: str) -> Place:
    host, colon, ports = text.partition(":")
    try:
        network = IPv4Network(host)
    except ValueError:
        raise UsageError(f"'{text}' is not {_ADDRESS}") from None
    return Place(
        int(network.network_address), int(network.netmask), _ports(ports) if colon else None
    )


def _ports(text: str) -> Ports:
    first, dash, last = text.partition("-")
    digits = [
        part for part in ((first, last) if dash else (first,)) if re.fullmatch(r"[0-9]{1,10}", part)
    ]
    numbers = [int(part) for part in digits]
    if len(numbers) != 1 + bool(dash) or numbers != sorted(numbers):
        raise UsageError(f"'{text}' is not {_PORT}")
    return Ports(numbers[0], numbers[-1])


def _proto(text: str) -> str:
    name = text.lower()
    if name in NUMBERS:
        return name
    if re.fullmatch(r"[0-9]{1,3}", name) and int(name) < 256:
        return proto_name(int(name))
    raise UsageError(f"'{text}' is no protocol (known: {', '.join(NUMBERS)}, or a number)")


def _pattern(text: str) -> re.Pattern[str]:
    # A star stands for any text; everything else stands for itself.
    return re.compile(".*".join(re.escape(part) for part in text.split("*")))


_READ: dict[str, tuple[str, Callable[[str], Any]]] = {
    "address": ("anywhere", _place),
    "inside": ("inside", _place),
    "outside": ("outside", _place),
    "remote": ("remote", _place),
    "port": ("ports", _ports),
    "proto": ("proto", _proto),
    "name": ("name", _pattern),
}
_ORDER = ("sort", "limit")
"""`sort` is a key of the rows, with a `-` in front for descending."""
_FLOWS = ("address", "inside", "outside", "remote", "port", "proto", "alg", "state", *_ORDER)
_SELECTED_BY = {
    "algs": ("alg", *_ORDER),
    "services": ("alg", *_ORDER),
    "sessions": _FLOWS,
    "bindings": ("address", "inside", "outside", "port", "proto", "kind", *_ORDER),
    "pinholes": _FLOWS,
    "subscribers": ("address", "outside", *_ORDER),
    "audit": _ORDER,
    "nat": _ORDER,
    "limits": _ORDER,
    "config": (),
    "events": ("level", "limit"),
    "counters": ("name",),
    "happenings": ("address", "inside", "outside", "remote", "port", "proto", "alg", "kind"),
    "switch": (),
}
_ALG_VIEW = ("address", "inside", "outside", "remote", "port", "state", *_ORDER)


def selected_by(view: str) -> tuple[str, ...]:
    """What the rows of a view can be selected by. Views of ALGs are all alike."""
    return _SELECTED_BY.get(view, _ALG_VIEW)


def parse(view: str, wanted: object) -> Selection:
    """The selection that a request brings for a view.

    Raises `UsageError` for one that nobody can mean, or that the view has nothing for.
    """
    if not isinstance(wanted, dict):
        raise UsageError("a selection must be an object")
    found: dict[str, Any] = {}
    words: dict[str, str] = {}
    allowed = selected_by(view)
    for name, value in wanted.items():
        if name not in allowed:
            by = f"by {', '.join(allowed)} only" if allowed else "by nothing"
            raise UsageError(f"'{view}' can be selected {by}: leave out '{name}'")
        if name == "limit":
            if not isinstance(value, int) or not 0 <= value <= MAX_LIMIT:
                raise UsageError(f"the limit must be a number up to {MAX_LIMIT}")
            found["limit"] = value
        elif not isinstance(value, str) or not value:
            raise UsageError(f"the value of '{name}' must be a text")
        elif name == "sort":
            found["sort"], found["descending"] = value.removeprefix("-"), value.startswith("-")
        elif name in _READ:
            key, read = _READ[name]
            found[key] = read(value)
        else:
            # The rows of the view of ALGs have the name of the ALG as their own.
            words["name" if (view, name) == ("algs", "alg") else name] = value.lower()
    return Selection(**found, words=words)


@lru_cache(maxsize=65536)
def end_of(text: str) -> End | None:
    """The end that a cell of a row names, as ``10.0.0.1:80``, ``10.0.0.1:*`` or ``10.0.0.1``."""
    host, _, number = text.partition(":")
    parts = host.split(".")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    address = 0
    for part in parts:
        address = address << 8 | int(part)
    return address, int(number) if number.isascii() and number.isdigit() else None


def _rank(value: object) -> tuple[Any, ...]:
    """Where a value stands in an order: nothing first, then numbers, ends, texts."""
    if value is None or value == "":
        return (0,)
    if isinstance(value, bool | int | float):
        return 1, value
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    end = end_of(text)
    return (3, text) if end is None else (2, end[0], -1 if end[1] is None else end[1])
