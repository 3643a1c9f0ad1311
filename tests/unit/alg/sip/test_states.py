"""The tables of a call: what they promise about every state, and that every row happens."""

import random

import pytest

from p4alg.alg.sip import records
from p4alg.alg.sip.limits import SipTimers
from p4alg.alg.sip.records import Call, CallKey
from p4alg.alg.sip.states import (
    CALL_STATES,
    DIALOG_STATES,
    MEANINGS,
    CallEvent,
    CallState,
    Carrier,
    DialogEvent,
    DialogState,
    Meaning,
    Open,
    Row,
    Timer,
)
from tests.unit.alg.sip.harness import Agent, Line, sdp, world

UNANSWERED = (CallState.CALLING, CallState.RINGING, CallState.EARLY)
ANSWERED = (CallState.ANSWERED, CallState.HELD)
TIMERS = SipTimers(transaction=32.0, ringing=200.0)


def test_S6_every_call_can_end_and_one_that_is_over_stays_so() -> None:
    assert set(CALL_STATES) == set(CallState)
    assert CALL_STATES[CallState.OVER] == {}
    for state in set(CallState) - {CallState.OVER}:
        row = CALL_STATES[state]
        assert row[CallEvent.ALL_ENDED] == Row(CallState.OVER)
        assert row[CallEvent.ENDS] == Row(CallState.ENDING, (Timer.END_SOON,))


def test_S6_an_answered_call_cannot_be_rejected_and_rings_no_more() -> None:
    for state in ANSWERED:
        assert not set(CALL_STATES[state]) & {
            CallEvent.INVITED,
            CallEvent.RINGS,
            CallEvent.EARLY_MEDIA,
            CallEvent.CHALLENGED,
            CallEvent.REJECTED,
        }
    for state in (*UNANSWERED, CallState.ENDING):
        assert CALL_STATES[state][CallEvent.REJECTED] == Row(CallState.OVER)


def test_S6_only_a_2xx_or_another_invite_revives_a_call_that_is_ending() -> None:
    row = CALL_STATES[CallState.ENDING]
    assert CallEvent.TALKS not in row
    assert CallEvent.RESTS not in row
    leaving = {event for event, after in row.items() if after.state is not CallState.ENDING}
    assert leaving == {
        CallEvent.INVITED,
        CallEvent.CONTINUES,
        CallEvent.ONLY_EARLY_LEFT,
        CallEvent.REJECTED,
        CallEvent.ALL_ENDED,
    }


def test_S8_whoever_waits_for_something_has_a_timer() -> None:
    for state, rows in CALL_STATES.items():
        for event, row in rows.items():
            if event in (CallEvent.INVITED, CallEvent.RINGS, CallEvent.EARLY_MEDIA):
                assert Timer.RING in row.timers
            if event in (CallEvent.CHALLENGED, CallEvent.ENDS):
                assert row.timers == (Timer.END_SOON,)
            if state is CallState.ENDING and row.state not in (state, CallState.OVER):
                assert Timer.GO_ON in row.timers
            if row.state in ANSWERED:
                assert row.timers == (Timer.GO_ON,)


def test_S8_a_row_begins_and_stops_the_timers_of_a_call() -> None:
    call = Call(CallKey(1, b"c", True), b"t", ("", ""), 0.0, 200.0)
    call.step(CallEvent.RINGS, TIMERS, 5.0)
    assert (call.state, call.ringing_until, call.ends_at) == (CallState.RINGING, 205.0, None)
    call.step(CallEvent.CHALLENGED, TIMERS, 6.0)
    assert (call.state, call.ringing_until, call.ends_at) == (CallState.RINGING, 205.0, 38.0)
    call.step(CallEvent.INVITED, TIMERS, 7.0)
    assert (call.state, call.ringing_until, call.ends_at) == (CallState.RINGING, 207.0, None)
    call.step(CallEvent.ONLY_EARLY_LEFT, TIMERS, 8.0)
    assert (call.state, call.ringing_until, call.ends_at) == (CallState.RINGING, 207.0, None)


def test_S7_a_2xx_ends_the_early_dialogs_of_other_branches_and_no_answered_one() -> None:
    assert set(DIALOG_STATES) == set(DialogState)
    after = {state: row.get(DialogEvent.OTHER_ACCEPTED) for state, row in DIALOG_STATES.items()}
    assert after == {
        DialogState.EARLY: DialogState.GONE,
        DialogState.CONFIRMED: DialogState.CONFIRMED,
        DialogState.GONE: None,
    }


def test_S6_sdp_answers_only_an_offer_that_is_open() -> None:
    for (carrier, waits), meaning in MEANINGS.items():
        if meaning is Meaning.ANSWER:
            assert waits is (Open.REQUEST if carrier is Carrier.RESPONSE else Open.RESPONSE)
        if waits is Open.NONE:
            assert meaning is not Meaning.ANSWER
    # Which offers can be open where such a message comes.
    for carrier in Carrier:
        open_here = {waits for known, waits in MEANINGS if known is carrier}
        other = Open.REQUEST if carrier is Carrier.RESPONSE else Open.RESPONSE
        assert open_here == {Open.NONE, other}


class Recorded(dict[CallState, dict[CallEvent, Row]]):
    """The table of calls, which remembers the rows that were looked up."""

    def __init__(self) -> None:
        super().__init__({state: dict(row) for state, row in CALL_STATES.items()})
        self.used: set[tuple[CallState, CallEvent]] = set()

    def __getitem__(self, state: CallState) -> dict[CallEvent, Row]:
        rows, used = super().__getitem__(state), self.used

        class Looked(dict[CallEvent, Row]):
            def get(self, event: CallEvent, default: object = None) -> Row | None:  # type: ignore[override]
                if event in self:
                    used.add((state, event))
                return super().get(event)

        return Looked(rows)


CODES = (100, 180, 183, 183, 183, 200, 200, 401, 404, 481, 481)
OFFERS = (sdp("10.0.0.11"), sdp("10.0.0.11", extra="a=sendonly\r\n"), "")
ANSWERS = (sdp("198.51.100.20"), sdp("0.0.0.0"), "")


def test_S6_every_row_of_a_call_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random dialogues of two phones, with forks, copies and messages out of turn."""
    table, rng = Recorded(), random.Random(8)
    monkeypatch.setattr(records, "CALL_STATES", table)
    rows = {(state, event) for state, row in CALL_STATES.items() for event in row}
    for _ in range(1500):
        line = Line(*world(), "10.0.0.11:5060")
        bob, alice = Agent("bob", "10.0.0.11:5060"), Agent("alice", "198.51.100.9:5060")
        asked: list[bytes] = []
        for _ in range(24):
            tag = rng.choice(["", "one", "one", "two"])
            if not asked or rng.random() < 0.3:
                method = rng.choice(["INVITE", "INVITE", "INVITE", "BYE", "CANCEL"])
                target = "sip:alice@198.51.100.9"
                request = bob.request(
                    method, target, call="c", to_tag=tag, sdp=rng.choice(OFFERS), to=f"<{target}>"
                )
                asked.append(line.out(request))
            else:
                code, text = rng.choice(CODES), rng.choice(ANSWERS)
                line.back(alice.answer(rng.choice(asked), code, text, tag=tag or "one"))
            assert not line.refusals() or line.refusals() == ["rejected-before"]
        if table.used == rows:
            return
    assert table.used == rows
