"""The screen of `p4alg top`: from two samples of a controller's views to lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from p4alg.printable import printable

MIN_WIDTH, MIN_HEIGHT = 80, 12
"""Below this size there is no room for anything."""
SORTS = ("bits", "packets", "sessions", "bindings")
"""What subscribers can be ordered by, largest first."""
_TABLES = 36
"""Columns for the fill of tables."""
_GAP = "  "
_PUNTS = "switch.punts."

Rows = Sequence[Mapping[str, Any]]
Line = tuple[str, bool]
"""A line of the screen, and whether it is a heading."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the views told at `clock` (seconds of any clock)."""

    clock: float
    time: str
    counters: Mapping[str, int] = field(default_factory=dict)
    algs: Rows = ()
    subscribers: Rows = ()
    tables: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    program: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """How the screen is to look."""

    width: int
    height: int
    sort: str = SORTS[0]
    paused: bool = False
    seconds: float = 2.0


def screen(before: Sample | None, after: Sample, look: Look) -> list[Line]:
    """The lines of the screen, at most `height` of at most `width` columns.

    Rates are of the time between the samples; without an earlier one they are not known yet.
    """
    if look.width < MIN_WIDTH or look.height < MIN_HEIGHT:
        small = f"too small: {MIN_WIDTH}x{MIN_HEIGHT} at least"
        return [(small[: look.width], False)][: look.height]
    rates = _Rates(before, after)
    head = _head(after, look, rates)
    room = look.height - len(head) - 1
    upper = max(4, room // 2)
    middle = _side_by_side(
        _counters(rates, upper, look.width - _TABLES - len(_GAP)),
        _tables(after.tables, upper),
        look.width,
    )
    hosts = _subscribers(rates, after.subscribers, look, room - len(middle) - 1)
    lines = [*head, *middle, ("", False), *hosts]
    lines += [("", False)] * (look.height - 1 - len(lines))
    pause = "go on" if look.paused else "pause"
    lines.append((f"q quit   s sort (by {look.sort})   p {pause}", True))
    return [(printable(text)[: look.width].rstrip(), bold) for text, bold in lines]


class _Rates:
    """How much per second things grew from one sample to the next."""

    def __init__(self, before: Sample | None, after: Sample) -> None:
        self._before, self._after = before, after
        self._seconds = 0.0 if before is None else after.clock - before.clock
        hosts = () if before is None else before.subscribers
        self._hosts = {(row["organisation"], row["address"]): row for row in hosts}

    @property
    def known(self) -> bool:
        """Whether there are rates."""
        return self._seconds > 0

    def counter(self, name: str) -> float | None:
        """Of a counter; None if it is not known."""
        if self._before is None:
            return None
        return self._per_second(self._after.counters[name], self._before.counters.get(name, 0))

    def host(self, row: Mapping[str, Any], *keys: str) -> float | None:
        """Of the sum of some values of a subscriber; None if it is not known."""
        old = self._hosts.get((row["organisation"], row["address"]), {})
        if self._before is None or any(not isinstance(row.get(key), int) for key in keys):
            return None
        return self._per_second(
            sum(row[key] for key in keys), sum(old.get(key) or 0 for key in keys)
        )

    def _per_second(self, new: int, old: int) -> float | None:
        if not self.known:
            return None
        # A counter that has become less was set to 0, or the switch was started again.
        return (new - old if new >= old else new) / self._seconds


def _head(after: Sample, look: Look, rates: _Rates) -> list[Line]:
    state = "paused" if look.paused else f"every {look.seconds:g} s"
    title = f"p4alg top  {after.time}  program {after.program}"
    by_alg: dict[str, int] = {}
    for row in after.algs:
        by_alg[row["name"]] = by_alg.get(row["name"], 0) + row["sessions"]
    busy = ", ".join(f"{name} {count}" for name, count in by_alg.items() if count)
    controls = f"{sum(by_alg.values())}" + (f" ({busy})" if busy else "")
    pinholes = sum(row["pinholes"] for row in after.subscribers)
    punts = [
        (name.removeprefix(_PUNTS), rates.counter(name))
        for name in after.counters
        if name.startswith(_PUNTS)
    ]
    running = sorted(((rate, name) for name, rate in punts if rate), reverse=True)
    total = si(sum(rate for rate, _ in running)) if rates.known else "-"
    classes = "  ".join(f"{name} {si(rate)}" for rate, name in running)
    return [
        (f"{title:<{look.width - len(state) - 1}} {state}", True),
        (
            f"subscribers {len(after.subscribers)}   ALG sessions {controls}   pinholes {pinholes}",
            False,
        ),
        (f"punts/s {total}   {classes}", False),
        ("", False),
    ]


def _counters(rates: _Rates, room: int, width: int) -> list[Line]:
    """The fastest counters, then those that stand still."""
    names = [name for name in rates._after.counters if not name.startswith(_PUNTS)]
    found = [(rates.counter(name), name) for name in names]
    found.sort(key=lambda pair: (-(pair[0] or 0.0), pair[1]))
    name_width = width - 18
    lines = [(f"{'COUNTER':<{name_width}} {'/S':>8} {'TOTAL':>8}", True)]
    for rate, name in found[: room - 1]:
        total = rates._after.counters[name]
        lines.append((f"{_cut(name, name_width)} {_told(rate):>8} {si(total):>8}", False))
    return lines


def _tables(tables: Mapping[str, Mapping[str, int]], room: int) -> list[Line]:
    """The fullest tables."""
    rows = [
        (table["entries"] / table["size"] if table["size"] else 0.0, name, table)
        for name, table in tables.items()
    ]
    rows.sort(key=lambda row: (-row[0], row[1]))
    name_width = _TABLES - 21
    lines = [(f"{'TABLE':<{name_width}} {'ENTRIES':>7} {'SIZE':>6} {'FILL':>5}", True)]
    for fill, name, table in rows[: room - 1]:
        numbers = f"{si(table['entries']):>7} {si(table['size']):>6} {fill:>5.0%}"
        lines.append((f"{_cut(name, name_width)} {numbers}", False))
    return lines


def _side_by_side(left: Sequence[Line], right: Sequence[Line], width: int) -> list[Line]:
    left_width = width - _TABLES - len(_GAP)
    count = max(len(left), len(right))
    padded = [*left, *[("", False)] * (count - len(left))]
    others = [*right, *[("", False)] * (count - len(right))]
    return [
        (f"{one:<{left_width}}{_GAP}{two}", bold or heading)
        for (one, bold), (two, heading) in zip(padded, others, strict=True)
    ]


def _subscribers(rates: _Rates, rows: Rows, look: Look, room: int) -> list[Line]:
    """The subscribers with the most traffic, or with most of what they are ordered by."""

    def rank(row: Mapping[str, Any]) -> tuple[float, ...]:
        bits = rates.host(row, "bytes_out", "bytes_in") or 0.0
        packets = rates.host(row, "packets_out", "packets_in") or 0.0
        own: dict[str, float] = {
            "bits": bits,
            "packets": packets,
            "sessions": row["sessions"],
            "bindings": row["bindings"],
        }
        return own[look.sort], bits, packets

    several = len({row["organisation"] for row in rows}) > 1
    name_width = look.width - 62
    titles = ("BIT/S OUT", "BIT/S IN", "PKT/S OUT", "PKT/S IN", "SESS")
    heads = " ".join(f"{title:>9}" for title in titles[:4]) + f" {titles[4]:>5}"
    lines = [(f"{'SUBSCRIBER':<{name_width}} {'OUTSIDE':<15} {heads}", True)]
    for row in sorted(rows, key=rank, reverse=True)[: max(0, room - 1)]:
        name = f"{row['organisation']} {row['address']}" if several else row["address"]
        values = [
            None if (rate := rates.host(row, key)) is None else rate * factor
            for key, factor in (
                *(("bytes_out", 8), ("bytes_in", 8)),
                *(("packets_out", 1), ("packets_in", 1)),
            )
        ]
        numbers = " ".join(f"{_told(value):>9}" for value in values)
        outside = row["outside"] or "-"
        lines.append(
            (f"{_cut(name, name_width)} {outside:<15} {numbers} {row['sessions']:>5}", False)
        )
    return lines


def si(value: float) -> str:
    """A number in at most six columns: 999, 1.2k, 34M."""
    for unit in ("", "k", "M", "G", "T"):
        if value < 999.5 or unit == "T":
            break
        value /= 1000
    if unit and value < 9.95:
        return f"{value:.1f}{unit}"
    if not unit and value < 9.95 and value != int(value):
        return f"{value:.1f}"
    return f"{value:.0f}{unit}"


def _told(rate: float | None) -> str:
    return "-" if rate is None else si(rate)


def _cut(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else f"{text[: width - 1]}~"
