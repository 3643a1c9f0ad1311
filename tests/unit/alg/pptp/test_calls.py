"""The calls of a control connection: ids on both sides, and what is granted and given back."""

import pytest

from p4alg.alg.contract import GRE, Endpoint, Peer, SessionFacts
from p4alg.alg.pptp.calls import Call, Calls
from tests.unit.alg.invariant import Gateway

INSIDE, OUTSIDE, REMOTE = 0x0A00000B, 0xCB007102, 0xC6336401
C, S = Peer.CLIENT, Peer.SERVER


class Desk:
    """The calls of an inside client, at a gateway that refuses some requests."""

    def __init__(self, *refused: int) -> None:
        facts = SessionFacts(
            6, Endpoint(INSIDE, 4000), Endpoint(REMOTE, 1723), C, Endpoint(OUTSIDE, 4000)
        )
        self.gateway = Gateway(facts, frozenset(refused))
        self.calls = Calls(facts, 60.0, 7440.0)

    def begin(self, caller: Peer = C, own: int = 5) -> Call:
        call = Call(False, caller)
        assert self.calls.begin(call, own, self.gateway) == ""
        return call

    def agreed(self, own: int = 5, other: int = 9) -> Call:
        call = self.begin(C, own)
        assert self.calls.take_id(call, S, other, self.gateway) == ""
        assert self.calls.agree(call, self.gateway) == ""
        return call


def test_P1_the_outside_is_told_another_id_for_the_inside_hosts() -> None:
    desk = Desk()
    call = desk.agreed()
    assert call.visible is not None
    assert call.visible != 5
    assert desk.calls.translated(call, C, C) == call.visible
    assert desk.calls.translated(call, C, S) == 5
    assert desk.calls.translated(call, S, C) == desk.calls.translated(call, S, S) == 9
    assert desk.calls.told(C, call.visible) is call
    assert desk.calls.told(C, 5) is None
    assert desk.calls.told(S, 9) is desk.calls.own(S, 9) is call


def test_P2_an_agreed_call_has_its_id_and_a_pinhole_for_each_direction() -> None:
    desk = Desk()
    call = desk.agreed()
    assert call.granted == sorted(desk.gateway.reserved)
    assert [ends.proto for ends in desk.gateway.nat.reservations.values()] == [GRE]
    assert [request.proto for request in desk.gateway.nat.open.values()] == [GRE, GRE]
    desk.calls.end(call, desk.gateway)
    assert not desk.gateway.reserved
    assert len(desk.calls) == 0


@pytest.mark.parametrize("refused", [1, 2])
def test_P4_a_call_that_is_refused_half_way_gives_all_back_when_it_ends(refused: int) -> None:
    desk = Desk(refused)
    call = desk.begin()
    desk.calls.take_id(call, S, 9, desk.gateway)
    assert desk.calls.agree(call, desk.gateway) == "pinhole-limit"
    assert not call.is_agreed
    desk.calls.end(call, desk.gateway)
    assert not desk.gateway.reserved


def test_G4_a_call_whose_id_is_refused_never_was() -> None:
    desk = Desk(0)
    assert desk.calls.begin(Call(False, C), 5, desk.gateway) == "port-limit"
    assert len(desk.calls) == 0


def test_P4_an_id_that_is_used_again_ends_the_call_it_was_of() -> None:
    desk = Desk()
    desk.agreed(own=5)
    kept = desk.agreed(own=6, other=10)
    desk.calls.end_of(C, 5, desk.gateway)
    desk.calls.end_of(C, 77, desk.gateway)
    assert len(desk.calls) == 1
    assert set(desk.gateway.reserved) == set(kept.granted)


def test_P4_a_call_cleared_before_it_was_answered_is_found_by_that() -> None:
    desk = Desk()
    desk.agreed()
    call = desk.begin(C, 6)
    assert not desk.calls.end_aborted(S, desk.gateway)
    call.is_clearing = True
    assert desk.calls.end_aborted(S, desk.gateway)
    assert desk.calls.own(C, 6) is None
    assert desk.calls.own(C, 5) is not None


def test_P4_what_is_not_agreed_on_can_be_ended_alone() -> None:
    desk = Desk()
    call = desk.agreed()
    desk.begin(C, 6)
    desk.calls.end_all(desk.gateway, agreed=False)
    assert set(desk.gateway.reserved) == set(call.granted)
    desk.calls.end_all(desk.gateway)
    assert not desk.gateway.reserved


def test_G7_an_id_of_no_call_that_would_mean_one_to_its_receiver_is_told() -> None:
    desk = Desk()
    call = desk.agreed()
    assert call.visible is not None
    assert desk.calls.means_another(C, call.visible)
    assert desk.calls.means_another(S, 5)
    assert not desk.calls.means_another(C, 5)
    assert not desk.calls.means_another(S, call.visible)
