"""The ledger: resources shared by several users, given back by the last, and undone whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import Endpoint, Peer, PinholeRequest, SessionFacts
from p4alg.alg.sip.ledger import Kind, Ledger, pinhole_key, reserved_key
from p4alg.alg.sip.message import SipError
from tests.unit.alg.gateway import OUTSIDE, SessionGateway
from tests.unit.alg.sip.harness import TCP, UDP, Nat, at, ip

HOST, REMOTE, OTHER = ip("10.0.0.11"), ip("198.51.100.20"), ip("198.51.100.21")
RTP, RTCP = at("10.0.0.11:40000"), at("10.0.0.11:40001")


def request(opener: int = REMOTE, lifetime: float = 60.0, proto: int = UDP) -> PinholeRequest:
    return PinholeRequest(proto, Peer.CLIENT, RTP, opener, None, lifetime, label="rtp")


class Desk:
    """A ledger at a gateway."""

    def __init__(self, limit: int = 100) -> None:
        self.nat, self.ledger = Nat(), Ledger(limit)
        ends = Endpoint(HOST, 5060), Endpoint(REMOTE, 5060)
        facts = SessionFacts(UDP, *ends, Peer.CLIENT, Endpoint(OUTSIDE, 5060))
        self.gateway = SessionGateway(facts, self.nat, outlives=True)
        self.ledger.begin()

    def reserve(self, user: str, pair: bool = False) -> None:
        shown = self.ledger.reserve(user, self.gateway, UDP, RTP, pair=pair)
        assert shown.addr == OUTSIDE

    def open(
        self, user: str, opener: int = REMOTE, lifetime: float = 60.0, now: float = 0.0
    ) -> int:
        return self.ledger.pinhole(user, self.gateway, request(opener, lifetime), now)

    def end(self, numbers: list[int]) -> None:
        for number in numbers:
            self.gateway.end(number)

    def is_empty(self) -> bool:
        return not (self.nat.open or self.nat.reservations or len(self.ledger))


def test_S6_what_two_users_share_is_asked_for_once_and_given_back_by_the_last() -> None:
    desk = Desk()
    desk.reserve("early answer")
    desk.reserve("final answer")
    assert len(desk.nat.reservations) == 1
    assert desk.ledger.release("early answer") == []
    gone = desk.ledger.release("final answer")
    assert gone == list(desk.nat.reservations)
    assert len(desk.ledger) == 0


def test_S6_pinholes_are_ended_before_the_endpoint_they_lead_through() -> None:
    desk = Desk()
    desk.reserve("call")
    number = desk.open("call")
    (reserved,) = desk.nat.reservations
    assert desk.ledger.ids("call") == [reserved, number]
    assert desk.ledger.release("call") == [number, reserved]


def test_S6_a_user_keeps_what_it_still_needs() -> None:
    desk = Desk()
    desk.reserve("call")
    first, second = desk.open("call", REMOTE), desk.open("call", OTHER)
    keep = {reserved_key(UDP, RTP), pinhole_key(UDP, RTP, OTHER)}
    assert desk.ledger.release("call", keep) == [first]
    assert second in desk.ledger.ids("call")
    assert desk.ledger.visible(UDP, RTP) is not None
    assert desk.ledger.visible(TCP, RTP) is None


def test_S5_a_pinhole_stays_open_for_the_user_that_needs_it_longest() -> None:
    desk = Desk()
    number = desk.open("registration", lifetime=3600.0)
    assert desk.open("call", lifetime=60.0, now=100.0) == number
    assert desk.nat.open[number].lifetime == 3500.0
    # Its own need may become shorter.
    desk.ledger.release("registration")
    desk.open("call", lifetime=10.0, now=200.0)
    assert desk.nat.open[number].lifetime == 10.0


def test_S4_a_pair_is_reserved_when_one_port_was_before_it() -> None:
    desk = Desk()
    desk.reserve("offer")
    desk.reserve("answer", pair=True)
    assert desk.nat.reserved() == {str(RTP), str(RTCP)}
    desk.end(desk.ledger.release("offer") + desk.ledger.release("answer"))
    assert desk.is_empty()


def test_G9_a_message_that_is_refused_leaves_nothing_behind() -> None:
    desk = Desk()
    desk.reserve("before")
    before = desk.ledger.ids("before")
    desk.ledger.begin()
    desk.reserve("call", pair=True)
    desk.open("call")
    assert len(desk.ledger.granted) == 2
    desk.end(desk.ledger.undo())
    assert desk.ledger.ids("before") == before
    assert desk.ledger.ids("call") == []
    assert list(desk.nat.reservations) == before
    assert desk.nat.open == {}


def test_G4_at_the_limit_the_new_is_refused_and_the_old_may_be_prolonged() -> None:
    desk = Desk(limit=1)
    number = desk.open("call")
    with pytest.raises(SipError, match="resource-limit"):
        desk.open("call", OTHER)
    assert desk.open("call", now=5.0) == number


def test_G4_what_the_gateway_refuses_has_its_word_and_is_not_kept() -> None:
    desk = Desk()
    desk.nat.refuse_with = "port-limit"
    with pytest.raises(SipError, match="port-limit"):
        desk.reserve("call")
    with pytest.raises(SipError, match="port-limit"):
        desk.open("call")
    assert desk.is_empty()
    assert desk.ledger.undo() == []


def test_G6_a_pinhole_elsewhere_than_what_was_announced_is_refused_and_undone() -> None:
    desk = Desk()
    desk.nat.answer_with = at("203.0.113.2:50000")
    desk.reserve("call")
    with pytest.raises(SipError, match="port-moved"):
        desk.open("call")
    desk.end(desk.ledger.undo())
    assert desk.is_empty()


def test_S6_keys_of_both_kinds_are_never_equal() -> None:
    assert reserved_key(UDP, RTP) != pinhole_key(UDP, RTP, 0)
    assert {kind.value for kind in Kind} == {"reserved", "pinhole"}


ACTS = st.tuples(
    st.sampled_from(["reserve", "pair", "open", "open", "release", "begin", "undo"]),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([REMOTE, OTHER]),
)


@given(st.lists(ACTS, max_size=40))
def test_G9_whatever_users_do_the_gateway_has_what_the_ledger_has(
    acts: list[tuple[str, str, int]],
) -> None:
    desk = Desk()
    for what, user, opener in acts:
        if what in ("reserve", "pair"):
            desk.reserve(user, pair=what == "pair")
        elif what == "open":
            desk.open(user, opener)
        elif what == "release":
            desk.end(desk.ledger.release(user))
        elif what == "begin":
            desk.ledger.begin()
        else:
            desk.end(desk.ledger.undo())
        known = {number for one in "abc" for number in desk.ledger.ids(one)}
        assert known == {*desk.nat.open, *desk.nat.reservations}
    for user in "abc":
        desk.end(desk.ledger.release(user))
    assert desk.is_empty()
