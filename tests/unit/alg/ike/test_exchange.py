"""One IKE exchange: what confirms it, and which of its messages count."""

import pytest

from p4alg.alg.contract import Peer
from p4alg.alg.ike.exchange import (
    BOTH_SPOKE,
    EXCHANGE_STATES,
    HALF_OPEN,
    Exchange,
    ExchangeEvent,
    ExchangeState,
)
from p4alg.alg.ike.header import IkeHeader

C, S = Peer.CLIENT, Peer.SERVER
BEGUN, RESUMED = ExchangeState.BEGUN, ExchangeState.RESUMED
ANSWERED, CONFIRMED = ExchangeState.ANSWERED, ExchangeState.CONFIRMED


def header(
    responder: int = 0, kind: int = 34, flags: int = 0, number: int = 0, major: int = 2
) -> IkeHeader:
    return IkeHeader(1, responder, 0, major, 0, kind, flags, number, 28)


@pytest.mark.parametrize(
    ("first", "said", "state"),
    [
        (BEGUN, [(C, 0)], BEGUN),
        (BEGUN, [(C, 0), (C, 0)], BEGUN),
        (BEGUN, [(C, 0), (S, 9)], ANSWERED),
        (BEGUN, [(C, 0), (S, 9), (S, 9), (C, 0)], ANSWERED),
        (BEGUN, [(C, 0), (S, 9), (C, 9)], CONFIRMED),
        (BEGUN, [(C, 0), (C, 9)], BEGUN),
        (BEGUN, [(C, 0), (C, 9), (S, 9)], ANSWERED),
        (RESUMED, [(C, 9)], RESUMED),
        (RESUMED, [(C, 9), (C, 0), (S, 9)], CONFIRMED),
        (BEGUN, [(C, 0), (S, 9), (C, 9), (C, 0), (S, 0)], CONFIRMED),
    ],
)
def test_K3_an_exchange_is_confirmed_when_its_beginner_has_seen_the_answer(
    first: ExchangeState, said: list[tuple[Peer, int]], state: ExchangeState
) -> None:
    exchange = Exchange(C, True, 0.0, first)
    for now, (sender, responder) in enumerate(said):
        exchange.message(sender, header(responder), float(now))
    assert exchange.state is state
    assert exchange.last_seen == len(said) - 1


def test_K3_every_message_may_come_in_every_state_and_nothing_is_unsaid() -> None:
    assert set(EXCHANGE_STATES) == set(ExchangeState)
    order = [BEGUN, RESUMED, ANSWERED, CONFIRMED]
    for state, row in EXCHANGE_STATES.items():
        assert set(row) == set(ExchangeEvent)
        assert all(order.index(after) >= order.index(state) for after in row.values())
        # Both ends have spoken exactly when an answer has come.
        assert row[ExchangeEvent.ANSWERS] in BOTH_SPOKE
    assert {BEGUN, RESUMED, ANSWERED} == HALF_OPEN
    assert {ANSWERED, CONFIRMED} == BOTH_SPOKE


def test_K3_the_messages_of_one_rekey_count_once_and_other_messages_never() -> None:
    exchange = Exchange(C, True, 0.0)
    assert exchange.counts(C, header(9, 36, number=2)) == "rekey"
    assert exchange.counts(S, header(9, 36, 0x20, 2)) == ""
    # The other side counts its own requests from zero.
    assert exchange.counts(S, header(9, 36, number=2)) == "rekey"
    assert exchange.counts(C, header(9, 37, number=3)) == "informational"
    assert exchange.counts(C, header(9, 35, number=1)) == ""


def test_K3_a_message_id_of_version_1_is_that_of_both_sides() -> None:
    exchange = Exchange(C, True, 0.0)
    assert exchange.counts(C, header(9, 32, number=7, major=1)) == "rekey"
    assert exchange.counts(S, header(9, 32, number=7, major=1)) == ""
    assert exchange.counts(S, header(9, 5, number=8, major=1)) == "informational"
