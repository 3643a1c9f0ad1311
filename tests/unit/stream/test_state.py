"""The tables of states: the text says what the data says, and nothing else ever happens."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import Peer
from p4alg.stream import state as module
from p4alg.stream.state import (
    DIRECTION,
    READING,
    ConnectionState,
    DirectionEvent,
    DirectionState,
    IllegalEventError,
    Reading,
    ReadingEvent,
)

C, S = Peer.CLIENT, Peer.SERVER
D, E = DirectionState, DirectionEvent
SEGMENTS = [E.SYN, E.SYN_AGAIN, E.BAD_SYN, E.DATA, E.FIN, E.RST]


def printed(first: str) -> dict[str, dict[str, str]]:
    """A table of the module's text, by row and column; `first` is its first column's name."""
    lines = iter((module.__doc__ or "").splitlines())
    columns = next(line.split() for line in lines if line.split()[:1] == [first])
    rows = {}
    for line in lines:
        if not line.strip():
            break
        name, *cells = line.split()
        assert len(cells) == len(columns)
        rows[name] = {c: to for c, to in zip(columns, cells, strict=True) if to != "-"}
    return rows


def test_the_table_of_directions_is_the_one_in_the_text() -> None:
    table = {
        state.name: {event.name: to.name for event, to in row.items()}
        for state, row in DIRECTION.items()
    }
    assert printed("SYN") == table


def test_the_table_of_the_reading_is_the_one_in_the_text() -> None:
    table = {
        state.name: {event.name: to.name for event, to in row.items()}
        for state, row in READING.items()
    }
    assert printed("TABLES_NEEDED") == table


def test_every_state_has_a_row_and_is_reached() -> None:
    assert set(DIRECTION) == set(DirectionState)
    assert set(READING) == set(Reading)
    reached = {to for row in DIRECTION.values() for to in row.values()}
    # OPEN is entered by both directions together.
    assert reached | {D.UNSEEN, D.OPEN} == set(DirectionState)
    assert {to for row in READING.values() for to in row.values()} == set(Reading)


def handshaken() -> ConnectionState:
    state = ConnectionState()
    state.happened(C, E.SYN)
    assert state.directions == {C: D.SYN_SEEN, S: D.UNSEEN}
    state.happened(S, E.SYN)
    assert state.directions == {C: D.OPEN, S: D.OPEN}
    return state


def test_N5382_2_both_ends_may_open_at_once_and_repeat_their_syns() -> None:
    state = ConnectionState()
    state.happened(S, E.SYN)
    state.happened(S, E.SYN_AGAIN)
    state.happened(C, E.SYN)
    state.happened(S, E.SYN_AGAIN)
    assert state.directions == {C: D.OPEN, S: D.OPEN}


def test_a_connection_is_over_when_both_fins_were_sent_on() -> None:
    state = handshaken()
    for peer in (C, S):
        assert not state.is_over
        state.happened(peer, E.FIN)
        state.happened(peer, E.DATA)
        assert not state.is_over
        state.happened(peer, E.FIN_SENT)
    assert state.is_over
    assert not state.is_reset


@pytest.mark.parametrize("before", [[], [E.FIN], [E.FIN, E.FIN_SENT]])
@pytest.mark.parametrize("peer", [C, S])
def test_a_reset_ends_both_directions_wherever_they_are(
    peer: Peer, before: list[DirectionEvent]
) -> None:
    state = handshaken()
    for event in before:
        state.happened(C, event)
    state.happened(peer, E.RST)
    assert state.is_over
    assert state.is_reset
    for other in Peer:
        assert state.directions[other] is D.RESET
        assert not state.allows(other, E.DATA)
        assert state.allows(other, E.RST)


def test_nothing_but_a_syn_has_a_place_before_both_syns() -> None:
    state = ConnectionState()
    state.happened(C, E.SYN)
    for event in SEGMENTS:
        assert state.allows(S, event) is (event is E.SYN)
        assert state.allows(C, event) is (event is E.SYN_AGAIN)


def test_rule_2_a_message_that_waits_outlives_the_stepping_aside_of_the_alg() -> None:
    for outcome in (ReadingEvent.TABLES_WRITTEN, ReadingEvent.TABLES_REFUSED):
        state = ConnectionState()
        state.reading_happened(ReadingEvent.TABLES_NEEDED)
        assert (state.blocked, state.detached) == (True, False)
        state.reading_happened(ReadingEvent.STEP_ASIDE)
        assert (state.blocked, state.detached) == (True, True)
        state.reading_happened(outcome)
        assert (state.blocked, state.detached) == (False, True)
        assert not any(state.reading_allows(event) for event in ReadingEvent)


def test_a_reset_does_not_answer_for_the_tables() -> None:
    state = handshaken()
    state.reading_happened(ReadingEvent.TABLES_NEEDED)
    state.happened(C, E.RST)
    assert state.blocked
    state.reading_happened(ReadingEvent.TABLES_WRITTEN)
    assert not state.blocked


moves = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(list(Peer)), st.sampled_from(list(DirectionEvent))),
        st.tuples(st.none(), st.sampled_from(list(ReadingEvent))),
    ),
    max_size=40,
)


@given(moves)
def test_what_is_in_no_table_raises_and_changes_nothing(
    found: list[tuple[Peer | None, DirectionEvent | ReadingEvent]],
) -> None:
    state = ConnectionState()
    for peer, event in found:
        before = (dict(state.directions), state.reading)
        apply: Callable[[], None]
        if isinstance(event, ReadingEvent):
            allowed = state.reading_allows(event)
            apply = partial(state.reading_happened, event)
        else:
            assert peer is not None
            allowed = state.allows(peer, event)
            apply = partial(state.happened, peer, event)
        if allowed:
            apply()
        else:
            with pytest.raises(IllegalEventError):
                apply()
            assert (dict(state.directions), state.reading) == before
        states = set(state.directions.values())
        assert (D.RESET in states) == (states == {D.RESET}) == state.is_reset
        # Past its SYN a direction only gets together with the other.
        early = states & {D.UNSEEN, D.SYN_SEEN}
        assert not early or states <= {D.UNSEEN, D.SYN_SEEN}
