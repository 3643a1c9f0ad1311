"""What a controller counted in the last while, as points of plots. Decisions of events and `now`.

A point says what happened between two readings of counters that only grow: rates a second, and
quantiles of latencies in seconds. Where a counter has become smaller the controller was started
again, and the point has nothing but what is there now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_POINTS = 720
"""The most points that are kept: an hour with one each five seconds."""
RATES: Mapping[str, tuple[str, str]] = {
    "sessions": ("nat.sessions.opened", ""),
    "refused": ("nat.refused.", ""),
    "punts": ("switch.punts.", ""),
    "drops": ("switch.drops.", ""),
    "messages": ("alg.", ".messages"),
    "rewritten": ("alg.", ".rewritten"),
    "pinholes": ("alg.", ".pinholes.opened"),
}
"""What is plotted: the sum of the counters whose names begin and end so."""
QUANTILES = {"p50": 0.5, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Reading:
    """What the controller told at one moment. `clock` is monotonic, `time` in ISO 8601 (UTC)."""

    clock: float
    time: str
    counters: Mapping[str, Any]
    latency: Mapping[str, Any]
    algs: Sequence[Mapping[str, Any]]
    tables: Mapping[str, Mapping[str, int]]


class Past:
    """The points of one controller."""

    def __init__(self) -> None:
        self.points: deque[dict[str, Any]] = deque(maxlen=MAX_POINTS)
        self._last: Reading | None = None

    def add(self, reading: Reading) -> dict[str, Any]:
        """Keep what happened since the last reading. Returns the point."""
        last, self._last = self._last, reading
        made = point(last, reading)
        self.points.append(made)
        return made

    def interrupt(self) -> None:
        """Nothing is known of the time until the next reading."""
        self._last = None


def point(last: Reading | None, now: Reading) -> dict[str, Any]:
    """What happened between two readings."""
    rates: dict[str, float | None] = dict.fromkeys(RATES)
    latency: dict[str, dict[str, float | None]] = {
        kind: dict.fromkeys(QUANTILES) for kind in ("decide", "write")
    }
    if last is not None and now.clock > last.clock:
        seconds = now.clock - last.clock
        for name, (start, end) in RATES.items():
            grown = _sum(now.counters, start, end) - _sum(last.counters, start, end)
            rates[name] = None if grown < 0 else round(grown / seconds, 3)
        for kind, quantiles in latency.items():
            before, after = last.latency.get(kind, {}), now.latency.get(kind, {})
            for name, share in QUANTILES.items():
                quantiles[name] = quantile(before.get("buckets"), after.get("buckets"), share)
    return {
        "time": now.time,
        "rates": rates,
        "latency": latency,
        "controls": {str(row["name"]): 0 for row in now.algs} | _controls(now.algs),
        "tables": {
            name: round(table["entries"] / table["size"], 5) if table["size"] else 0.0
            for name, table in now.tables.items()
        },
    }


def _controls(algs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Control sessions by ALG, those of all organisations together."""
    found: dict[str, int] = {}
    for row in algs:
        found[str(row["name"])] = found.get(str(row["name"]), 0) + int(row["sessions"])
    return found


def _sum(counters: Mapping[str, Any], start: str, end: str) -> float:
    return sum(
        float(value)
        for name, value in counters.items()
        if name.startswith(start) and name.endswith(end)
    )


def quantile(
    before: Sequence[Sequence[Any]] | None, after: Sequence[Sequence[Any]] | None, share: float
) -> float | None:
    """Of what two histograms have counted between them, the bound that `share` of it keeps.

    Buckets are pairs of a bound in seconds (null: none) and how many took at most that. None if
    nothing was counted, or if it took longer than the largest bound.
    """
    if not before or not after or len(before) != len(after):
        return None
    grown = [(bound, count - old) for (bound, count), (_, old) in zip(after, before, strict=True)]
    total = grown[-1][1]
    if total <= 0:
        return None
    return next((bound for bound, count in grown if count >= share * total), None)
