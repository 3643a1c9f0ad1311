"""The plain flows of the switch for `p4alg show`: from cells of registers to rows.

The switch sets up plain flows by itself and tells nobody. What is in its registers is read on
demand, in parts, and each part is `take`n here. Then there are rows for those flows that are alive.
Rows come one by one, so that whoever asks for them may do something else in between.

Few switches tell the time of their program. But a session's end is never further away than its
timer, so each end says how late it is at least (`SwitchClock`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from p4alg.alg.contract import format_addr
from p4alg.engine import cells
from p4alg.engine.cells import Slot
from p4alg.engine.defaults import DEFAULT_ORGANISATION
from p4alg.engine.settings import Prefix, Timers
from p4alg.p4constants import GRACE_TICKS, Class, Phase
from p4alg.protocols import proto_name

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose the cells with a subscriber's number are; `outside_addr` is that of its block.

    `organisation` is the name of the host's organisation.
    """

    inside_addr: int
    outside_addr: int | None
    organisation: str = DEFAULT_ORGANISATION


@dataclass(frozen=True, slots=True)
class Known:
    """What the controller knows of the inside hosts that have plain flows."""

    owners: Mapping[int, Owner]
    """By the number of the subscriber."""
    static: Callable[[Owner, int, int], tuple[int, int] | None]
    """Outside address and id of an inside endpoint (host, protocol, id) by a static mapping."""
    has_outside: Callable[[Prefix], bool]
    """Whether an address of this prefix may be the outside address of something."""


_PROTOCOLS = {int(kind): proto for kind, proto in cells.PROTOCOLS.items()}
_ESTABLISHED = int(Phase.ESTABLISHED)
_OVER = int(Phase.RESET | Phase.INSIDE_FIN | Phase.OUTSIDE_FIN)
End = tuple[int, int]
"""An address, and a port or ICMP query id."""
Wanted = Callable[[int, End, End | None, End | None], bool]
"""Whether somebody wants a row: by protocol, inside, outside and remote end, as far as known."""


def _everything(proto: int, inside: End, outside: End | None, remote: End | None) -> bool:
    return True


class SwitchClock:
    """What time it is in the switch, at least, in ticks of its clock.

    It is right as soon as one flow has been seen just after a packet, and goes on with our clock
    from then on. Where nothing was seen, it is behind, and flows that have ended are shown as
    alive. After a timer has been shortened, it may be ahead until older flows have ended.
    """

    def __init__(self) -> None:
        self._origin: float | None = None
        self._is_told = False

    def observe(self, tick: int, now: float) -> None:
        """At `now` (seconds of our clock) it is `tick` in the switch, or later."""
        origin = now - cells.seconds(tick)
        if self._is_told:
            return
        if self._origin is None or origin < self._origin:
            self._origin = origin

    def tell(self, tick: int, now: float) -> None:
        """At `now` it was `tick` in the switch just before: it has told its time itself."""
        self._origin, self._is_told = now - cells.seconds(tick), True

    def ticks(self, now: float) -> int:
        """The time in the switch at `now`; 0 if nothing was seen yet."""
        return 0 if self._origin is None else int((now - self._origin) / cells.TICK_SECONDS)


@dataclass(slots=True)
class Ending:
    """What is to be written so that plain flows end.

    Cells may be others' by the time of writing, so that what was read of them stands here too.
    """

    sessions: dict[int, int] = field(default_factory=dict)
    """The cell of each session that ends, by its index. Its state becomes 0."""
    slots: dict[int, tuple[int, int]] = field(default_factory=dict)
    """The cell of each mapping that changes, by its index, and its state from then on."""


class PlainFlows:
    """All that was read of the registers, and what it means.

    Cells are kept as they were read, and decoded for the rows: there may be some 100 000.
    """

    def __init__(self, timers: Timers, clock: SwitchClock) -> None:
        self._clock = clock
        self._longest: dict[int, int] = {
            Class.TCP: max(cells.ticks(timers.tcp_transitory), GRACE_TICKS),
            Class.UDP: max(cells.ticks(max(timers.udp, timers.udp_dns)), GRACE_TICKS),
            Class.ICMP: max(cells.ticks(timers.icmp), GRACE_TICKS),
        }
        self._longest_open = max(cells.ticks(timers.tcp_established), GRACE_TICKS)
        self._sessions: dict[int, int] = {}
        self._slots: dict[int, int] = {}
        self._session_states: list[tuple[int, int]] = []
        self._slot_states: dict[int, int] = {}
        self._outside: dict[int, tuple[int, int]] = {}

    # What is read

    def take_sessions(self, part: Mapping[int, int]) -> None:
        """Cells of `session_cell`, by index."""
        self._sessions.update(part)

    def take_slots(self, part: Mapping[int, int]) -> None:
        """Cells of `slot_cell`, by index."""
        self._slots.update(part)

    @property
    def session_cells(self) -> list[int]:
        """The cells of `session_state` that are needed."""
        return list(self._sessions)

    @property
    def endpoints_read(self) -> set[int]:
        """The inside endpoints of all sessions that were read: see `cells.endpoint`."""
        return set(map(cells.endpoint_of_session, self._sessions.values()))

    @property
    def slot_cells(self) -> list[int]:
        """The cells of `slot_state` that are needed."""
        return list(self._slots)

    def take_session_states(self, part: Mapping[int, int], now: float) -> None:
        """Cells of `session_state`, which were read at `now` (seconds of our clock)."""
        latest = 0
        for index, value in part.items():
            self._session_states.append((index, value))
            latest = max(latest, self._least_time(self._sessions[index], value))
        self._clock.observe(latest, now)

    def take_slot_states(self, part: Mapping[int, int]) -> None:
        """Cells of `slot_state`."""
        for index, value in part.items():
            end = cells.decode_slot_state(value).end
            self._slot_states[index] = value
            cell = self._slots[index]
            endpoint = cells.endpoint_of_slot(cell)
            # An endpoint that comes back after a while may have got another port.
            known = self._outside.get(endpoint)
            if known is None or known[0] < end:
                self._outside[endpoint] = end, cells.outside_id_of(index, cell)

    def _least_time(self, cell: int, state: int) -> int:
        """How late it is in the switch at least, as it has let a session live so long."""
        kind = cells.session_parts(cell)[0]
        if not kind:
            return 0
        end, phase = cells.end_and_phase(state)
        is_open = kind == Class.TCP and phase & _ESTABLISHED
        return end - (self._longest_open if is_open else self._longest[kind])

    # What is shown

    def sessions(
        self, known: Known, now: float, wanted: Wanted = _everything
    ) -> Iterator[Row | None]:
        """A row for each session that is alive at `now` and `wanted`, None for any other.

        So whoever asks has a turn after each session, even if none of them is wanted.
        """
        for found in self.session_rows(known, now, wanted):
            yield None if found is None else found[1]

    def session_rows(
        self, known: Known, now: float, wanted: Wanted = _everything
    ) -> Iterator[tuple[int, Row] | None]:
        """As `sessions`, with the cell that each row is of."""
        tick = self._clock.ticks(now)
        for index, value in self._session_states:
            cell = self._sessions[index]
            kind, subscriber, inside_id, remote_addr, remote_id = cells.session_parts(cell)
            end, phase = cells.end_and_phase(value)
            owner = known.owners.get(subscriber) if kind else None
            left = end - tick
            if owner is None or left < 0:
                yield None
                continue
            proto = _PROTOCOLS[kind]
            outside = known.static(owner, proto, inside_id)
            if outside is None and owner.outside_addr is not None:
                found = self._outside.get(cells.endpoint_of_session(cell))
                outside = None if found is None else (owner.outside_addr, found[1])
            inside = owner.inside_addr, inside_id
            if not wanted(proto, inside, outside, (remote_addr, remote_id)):
                yield None
                continue
            row: Row = {
                "proto": proto_name(proto),
                "inside": _end(owner.inside_addr, inside_id),
                "outside": "" if outside is None else _end(*outside),
                "remote": _end(remote_addr, remote_id),
                "state": _state(kind, phase),
                "alg": "",
                "label": "",
                "opened_by": None,
                "age": None,
                "idle_timeout": None,
                "kept_by": "switch",
                "expires_in": _seconds(left),
                "organisation": owner.organisation,
            }
            yield index, row

    def endpoints(self, known: Known, now: float) -> Iterator[int]:
        """The inside endpoint of each session that is alive at `now`, once for each session."""
        tick = self._clock.ticks(now)
        for index, value in self._session_states:
            endpoint = cells.endpoint_of_session(self._sessions[index])
            is_alive = cells.decode_session_state(value).end >= tick
            if is_alive and cells.subscriber_of(endpoint) in known.owners:
                yield endpoint

    def bindings(
        self, used: Counter[int], known: Known, now: float, wanted: Wanted = _everything
    ) -> Iterator[Row | None]:
        """As `sessions`, a row for each mapping. `used` counts `endpoints`."""
        for found in self.binding_rows(used, known, now, wanted):
            yield None if found is None else found[1]

    def binding_rows(
        self, used: Counter[int], known: Known, now: float, wanted: Wanted = _everything
    ) -> Iterator[tuple[int, Row] | None]:
        """As `bindings`, with the cell that each row is of."""
        for index, slot, left, owner in self._alive(known, now):
            assert owner.outside_addr is not None
            inside, outside = (
                (owner.inside_addr, slot.inside_id),
                (owner.outside_addr, slot.outside_id),
            )
            if not wanted(cells.PROTOCOLS[slot.kind], inside, outside, None):
                yield None
                continue
            row: Row = {
                "proto": proto_name(cells.PROTOCOLS[slot.kind]),
                "inside": _end(owner.inside_addr, slot.inside_id),
                "outside": _end(owner.outside_addr, slot.outside_id),
                "kind": "plain",
                "sessions": used[cells.endpoint(slot.kind, slot.subscriber, slot.inside_id)],
                "age": None,
                "kept_by": "switch",
                "expires_in": _seconds(left),
                "organisation": owner.organisation,
            }
            yield index, row

    def subscribers(
        self, rows: Iterable[Row], used: Counter[int], known: Known, now: float
    ) -> Iterator[Row]:
        """The rows of the controller's view of subscribers with the plain flows of each counted.

        `used` counts `endpoints`. Every subscriber has a row there.
        """
        sessions: Counter[tuple[object, object]] = Counter()
        bindings: Counter[tuple[object, object]] = Counter()
        for endpoint, count in used.items():
            owner = known.owners[cells.subscriber_of(endpoint)]
            sessions[_host(owner)] += count
        for _, _, _, owner in self._alive(known, now):
            bindings[_host(owner)] += 1
        for row in rows:
            host = (row["organisation"], row["address"])
            yield {**row, "plain_bindings": bindings[host], "plain_sessions": sessions[host]}

    # What is ended

    def ending_sessions(self, chosen: Collection[int], now: float) -> Ending:
        """What has to be written so that the sessions in some cells end.

        A mapping of which no session is left ends too, as it does when they end by themselves.
        """
        gone, tick = set(chosen), self._clock.ticks(now)
        lost: set[int] = set()
        closed: Counter[int] = Counter()
        latest: dict[int, int] = {}
        for index, value in self._session_states:
            endpoint = cells.endpoint_of_session(self._sessions[index])
            state = cells.decode_session_state(value)
            if index in gone:
                lost.add(endpoint)
                closed[endpoint] += state.is_open
            elif state.end >= tick:
                latest[endpoint] = max(state.end, latest.get(endpoint, 0))
        ending = Ending({index: self._sessions[index] for index in gone})
        for index, value in self._slot_states.items():
            endpoint = cells.endpoint_of_slot(self._slots[index])
            if endpoint in lost and endpoint not in latest:
                ending.slots[index] = self._slots[index], self._over(now)
            elif closed[endpoint]:
                slot = cells.decode_slot_state(value).without(closed[endpoint], latest[endpoint])
                ending.slots[index] = self._slots[index], slot.value
        return ending

    def ending_bindings(self, chosen: Collection[int], now: float) -> Ending:
        """What has to be written so that the mappings in some cells end, and their sessions."""
        ends = {cells.endpoint_of_slot(self._slots[index]) for index in chosen}
        sessions = {
            index: cell
            for index, _ in self._session_states
            if cells.endpoint_of_session(cell := self._sessions[index]) in ends
        }
        over = self._over(now)
        return Ending(sessions, {index: (self._slots[index], over) for index in chosen})

    def _over(self, now: float) -> int:
        """The state of a slot that has just ended, whose port rests from now on."""
        return cells.SlotState(0, max(0, self._clock.ticks(now) - 1)).value

    def _alive(self, known: Known, now: float) -> Iterator[tuple[int, Slot, int, Owner]]:
        """The mappings that are alive: cell, slot, ticks that are left, and whose they are."""
        for index, value in self._slot_states.items():
            end = cells.decode_slot_state(value).end
            slot = cells.decode_slot(index, self._slots[index])
            owner = None if slot is None else known.owners.get(slot.subscriber)
            left = end - self._clock.ticks(now)
            if slot is None or owner is None or owner.outside_addr is None or left < 0:
                continue
            yield index, slot, left, owner


def _host(owner: Owner) -> tuple[str, str]:
    return owner.organisation, format_addr(owner.inside_addr)


@lru_cache(maxsize=4096)
def _addr(addr: int) -> str:
    return format_addr(addr)


def _end(addr: int, number: int) -> str:
    return f"{_addr(addr)}:{number}"


def _state(kind: int, phase: int) -> str:
    """As for the sessions of the controller: see `flows.Phase`."""
    if kind != Class.TCP:
        return "active"
    if phase & _OVER:
        return "closing"
    return "established" if phase & _ESTABLISHED else "opening"


def _seconds(ticks: int) -> float:
    return round(cells.seconds(ticks), 1)
