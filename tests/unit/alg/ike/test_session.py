"""A flow of IKE, and what it and ESP have in common: tags, relations and decisions (K1, K2, K5)."""

import pytest

from p4alg.alg.contract import (
    ESP,
    Admit,
    Discard,
    Endpoint,
    Forward,
    Notice,
    Peer,
    ProtocolFlow,
    ProtocolPacket,
    SessionFacts,
)
from p4alg.alg.ike.session import IkeSession
from p4alg.alg.ike.shared import IkeShared
from tests.unit.alg.ike.test_header import message
from tests.unit.alg.invariant import Gateway

A, B, OUTSIDE, REMOTE = 0x0A00000B, 0x0A00000C, 0xCB007102, 0xC6336401


class Static:
    """A gateway whose static mapping leads to a host, or to none."""

    def __init__(self, inside: int | None = None) -> None:
        self._inside = inside

    def static_inside_of(self, proto: int, outside: Endpoint) -> Endpoint | None:
        assert (proto, outside) == (17, Endpoint(OUTSIDE, 500))
        return None if self._inside is None else Endpoint(self._inside, 500)


class Desk:
    """The IKE and ESP of a gateway."""

    def __init__(self, require_ike: bool = True) -> None:
        self.shared = IkeShared(require_ike=require_ike)

    def speak(self, host: int, spi: int = 1) -> IkeSession:
        """IKE between a host and the remote end, with an answer."""
        facts = SessionFacts(
            17, Endpoint(host, 500), Endpoint(REMOTE, 500), Peer.CLIENT, Endpoint(OUTSIDE, 500)
        )
        session, gateway = IkeSession(facts, self.shared), Gateway(facts)
        session.receive(Peer.CLIENT, message(spi), gateway, 0.0)
        session.receive(Peer.SERVER, message(spi, 9), gateway, 0.0)
        return session

    def out(self, host: int, spi: int, now: float = 0.0) -> list[object]:
        payload = spi.to_bytes(4, "big") + bytes(4)
        packet = ProtocolPacket(ESP, host, REMOTE, OUTSIDE, False, payload)
        return list(self.shared.packet(packet, Static(), now))

    def back(self, spi: int, now: float = 0.0, static: int | None = None) -> list[object]:
        payload = spi.to_bytes(4, "big") + bytes(4)
        packet = ProtocolPacket(ESP, REMOTE, OUTSIDE, OUTSIDE, True, payload)
        return list(self.shared.packet(packet, Static(static), now))


def flow(host: int, spi: int, is_inbound: bool) -> ProtocolFlow:
    return ProtocolFlow(host, OUTSIDE, REMOTE, spi, is_inbound)


def test_K1_the_tags_of_a_flow_are_its_initiator_spis_while_they_are_kept() -> None:
    desk = Desk()
    session = desk.speak(A, 0x1111)
    assert set(session.tags) == {0x1111}
    facts = SessionFacts(17, Endpoint(A, 500), Endpoint(REMOTE, 500), Peer.CLIENT, Endpoint(1, 1))
    session.tick(Gateway(facts), 1e6)
    assert set(session.tags) == set()
    assert len(desk.shared.exchanges) == 0


def test_K1_a_flow_that_ends_gives_its_spis_back() -> None:
    desk = Desk()
    session = desk.speak(A, 0x1111)
    facts = SessionFacts(17, Endpoint(A, 500), Endpoint(REMOTE, 500), Peer.CLIENT, Endpoint(1, 1))
    session.ended(Gateway(facts))
    assert len(desk.shared.exchanges) == 0


def test_K2_esp_passes_once_ike_was_answered() -> None:
    desk = Desk()
    assert desk.out(A, 0x1000) == [Discard("dropped.no-ike")]
    desk.speak(A)
    (admit,) = desk.out(A, 0x1000)
    assert isinstance(admit, Admit)
    assert (admit.flow, admit.label) == (flow(A, 0x1000, False), "esp out")
    (answer,) = desk.back(0x2000)
    assert isinstance(answer, Admit)
    assert (answer.flow, answer.label) == (flow(A, 0x2000, True), "esp in")


def test_K2_a_host_behind_another_waits_and_is_counted() -> None:
    desk = Desk()
    desk.speak(A, 1)
    desk.speak(B, 2)
    desk.out(A, 0x1000)
    assert desk.out(B, 0x1001) == [Discard("held")]


def test_K2_an_spi_that_may_be_anothers_late_answer_is_told_to_the_operator() -> None:
    desk = Desk()
    desk.speak(A, 1)
    desk.speak(B, 2)
    desk.out(A, 0x1000)
    desk.out(B, 0x1001, 11.0)
    notice, admit = desk.back(0x2000, 11.0)
    assert isinstance(notice, Notice)
    assert (notice.event, notice.is_warning) == ("contested", True)
    assert isinstance(admit, Admit)
    assert admit.flow.inside == B


def test_K2_that_it_cannot_be_told_whose_an_spi_is_is_said_once() -> None:
    desk = Desk()
    for host, spi in ((A, 1), (B, 2)):
        session = desk.speak(host, spi)
        facts = SessionFacts(
            17, Endpoint(host, 500), Endpoint(REMOTE, 500), Peer.CLIENT, Endpoint(OUTSIDE, 500)
        )
        if host == B:
            desk.out(A, 0x1000, 0.5)
        session.receive(Peer.SERVER, message(spi, 9, kind=36), Gateway(facts), 1.0)
    notice, discard = desk.back(0x2000, 1.5)
    assert isinstance(notice, Notice)
    assert (notice.event, notice.is_warning) == ("ambiguous", True)
    assert "10.0.0.11 or 10.0.0.12" in notice.summary
    assert discard == Discard("dropped.ambiguous")
    assert desk.back(0x2000, 1.6) == [Discard("dropped.ambiguous")]


@pytest.mark.parametrize(("static", "said"), [(None, "dropped.unknown-spi"), (A, "")])
def test_K5_a_gateway_inside_is_found_by_the_static_mapping_of_its_ike(
    static: int | None, said: str
) -> None:
    (decision,) = Desk(require_ike=False).back(0x2000, static=static)
    assert decision == Discard(said) if said else isinstance(decision, Admit)


def test_K3_a_lost_answer_and_an_unanswered_exchange_take_their_flows_with_them() -> None:
    desk = Desk()
    desk.speak(A)
    desk.out(A, 0x1000)
    desk.back(0x2000)
    assert desk.shared.flow_ended(flow(A, 0x2000, True)) == [flow(A, 0x1000, False)]
    desk.out(A, 0x1001, 1.0)
    assert desk.shared.expire_flows(70.0) == []
    assert desk.shared.expire_flows(71.0) == [flow(A, 0x1001, False)]
    assert list(desk.shared.expire(71.0)) == []


def test_K3_what_was_found_in_the_switch_is_known() -> None:
    desk = Desk()
    desk.shared.adopt(flow(A, 0x2000, True), 0.0)
    (admit,) = desk.back(0x2000)
    assert isinstance(admit, Admit)
    assert admit.flow == flow(A, 0x2000, True)


def test_G4_relations_beyond_the_limit_are_counted_and_ike_goes_on() -> None:
    desk = Desk()
    for remote in range(65):
        facts = SessionFacts(
            17, Endpoint(A, 500), Endpoint(remote, 500), Peer.CLIENT, Endpoint(OUTSIDE, 500)
        )
        session, gateway = IkeSession(facts, desk.shared), Gateway(facts)
        session.receive(Peer.CLIENT, message(7), gateway, 0.0)
        steps = session.receive(Peer.SERVER, message(7, 9), gateway, 0.0)
    assert any(isinstance(step, Forward) for step in steps)
    assert [step.event for step in steps if isinstance(step, Notice)] == [
        "esp.relations.refused.host-limit"
    ]
