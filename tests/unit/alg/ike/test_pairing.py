"""The two machines of ESP as tables: what they promise, and that every row of them happens."""

import random
from collections.abc import Iterator, Mapping
from typing import TypeVar

import pytest

from p4alg.alg.ike import esp
from p4alg.alg.ike.esp import EspLimits, EspTracker, Learn, Sa
from p4alg.alg.ike.pairing import SA_STATES, TURNS, SaEvent, SaState, Turn, TurnEvent

OUTBOUND = {SaState.PENDING, SaState.OVERDUE, SaState.ANSWERED}
INBOUND = {SaState.UNASKED, SaState.ALONE, SaState.ANSWER}
K = TypeVar("K")
V = TypeVar("V")


class Recorded(Mapping[K, V]):
    """A table that remembers which of its rows were looked up."""

    def __init__(self, rows: Mapping[K, V], used: set[tuple[object, ...]], *outer: object) -> None:
        self._rows, self._used, self._outer = rows, used, outer

    def __getitem__(self, key: K) -> V:
        found = self._rows[key]
        if isinstance(found, Mapping):
            return Recorded(found, self._used, key)  # type: ignore[return-value]
        self._used.add((*self._outer, key))
        return found

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[K]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def reachable(state: SaState) -> set[SaState]:
    """Every state that can follow."""
    found: set[SaState] = set()
    todo = [state]
    while todo:
        new = set(SA_STATES[todo.pop()].values()) - found
        found |= new
        todo += new
    return found


def test_K2_an_sa_keeps_its_direction_and_ends() -> None:
    assert set(SA_STATES) == {*OUTBOUND, *INBOUND, SaState.GONE}
    for states in (OUTBOUND, INBOUND):
        for state in states:
            assert reachable(state) <= {*states, SaState.GONE}
            assert SaState.GONE in reachable(state)
    assert reachable(SaState.PENDING) == {*OUTBOUND - {SaState.PENDING}, SaState.GONE}
    assert reachable(SaState.UNASKED) == {*INBOUND - {SaState.UNASKED}, SaState.GONE}
    assert SA_STATES[SaState.GONE] == {}


def test_K3_only_unanswered_sas_are_withdrawn_and_only_a_lost_answer_takes_its_mate() -> None:
    having = {state: set(row) for state, row in SA_STATES.items()}
    assert [state for state in having if SaEvent.WITHDRAWN in having[state]] == [SaState.OVERDUE]
    assert [state for state in having if SaEvent.MATE_GONE in having[state]] == [SaState.ANSWERED]
    assert all(SaEvent.IDLE in having[state] for state in having if state is not SaState.GONE)


def test_K2_events_of_a_line_do_to_a_host_what_their_name_says() -> None:
    assert set(TURNS) == set(Turn)
    for turn, row in TURNS.items():
        assert row[TurnEvent.SENDS_FIRST] is Turn.HOLDS
        behind = row[TurnEvent.SENDS_BEHIND]
        assert (behind.holds, behind.waits) == (turn.holds, True)
        assert (TurnEvent.SETTLED in row) is turn.holds
        assert (TurnEvent.GAVE_UP in row) is turn.waits
        if turn.holds:
            settled = row[TurnEvent.SETTLED]
            assert (settled.holds, settled.waits) == (False, turn.waits)
        if turn.waits:
            gave_up = row[TurnEvent.GAVE_UP]
            assert (gave_up.holds, gave_up.waits) == (turn.holds, False)


def test_K2_every_row_of_the_tables_happens_and_no_other_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: set[tuple[object, ...]] = set()
    monkeypatch.setattr(esp, "SA_STATES", Recorded(SA_STATES, used))
    monkeypatch.setattr(esp, "TURNS", Recorded(TURNS, used))
    # Too rare for chance: who waits before the holder gives up, and the holder goes on.
    tracker = EspTracker(require_ike=False)
    sent = [(0, 256, 0.0), (1, 257, 0.0), (0, 258, 3.0), (0, 258, 6.0)]
    decisions = [tracker.outbound(host, 7, 8, spi, now) for host, spi, now in sent]
    assert [isinstance(found, Learn) for found in decisions] == [True, False, False, True]
    rng = random.Random(3)
    for _ in range(400):
        tracker = EspTracker(EspLimits(per_host=6, unsolicited=3, waiting=2), require_ike=False)
        now, known = 0.0, list[Sa]()
        for _ in range(40):
            now += rng.choice([0.0, 0.0, 0.0, 1.0, 3.0, 3.0, 6.0, 11.0, 71.0])
            host, spi = rng.randrange(3), rng.randrange(256, 262)
            what = rng.randrange(7)
            if what < 2:
                decision = tracker.outbound(host, 7, 8, spi, now)
            elif what < 4:
                decision = tracker.inbound(8, 7, spi, now, static=host)
            elif what == 4:
                tracker.adopt(Sa(host, 7, 8, spi, bool(rng.randrange(2))), now)
                continue
            elif what == 5:
                tracker.expire(now)
                continue
            else:
                tracker.forget(rng.choice(known) if known else Sa(host, 7, 8, spi, True))
                continue
            if isinstance(decision, Learn):
                known.append(decision.sa)
    rows: set[tuple[object, ...]] = set()
    rows |= {(state, event) for state, row in SA_STATES.items() for event in row}
    rows |= {(turn, event) for turn, row in TURNS.items() for event in row}
    assert used == rows
