"""What a control session and its ALG know of the flow that it is."""

from __future__ import annotations

from p4alg.alg.contract import TCP, UDP, Endpoint, Peer, SessionFacts
from p4alg.engine.control.session import facts_of
from p4alg.engine.tables import Side
from tests.unit.engine.harness import INSIDE, REMOTE
from tests.unit.engine.parts import NOW, TOY_PORT, Parts

HERE, THERE = Endpoint(INSIDE, 6000), Endpoint(REMOTE, TOY_PORT)


def test_who_opened_the_flow_is_the_client() -> None:
    parts = Parts()
    flow = parts.flow()
    seen = Endpoint(flow.binding.outside_addr, flow.binding.outside_id)
    assert facts_of(flow) == SessionFacts(UDP, HERE, THERE, Peer.CLIENT, seen)
    flow = parts.flow(TCP, Side.OUTSIDE)
    seen = Endpoint(flow.binding.outside_addr, flow.binding.outside_id)
    assert facts_of(flow) == SessionFacts(TCP, THERE, HERE, Peer.SERVER, seen)


def test_an_end_is_found_by_its_side() -> None:
    parts = Parts()
    for port, opened_by, inside in ((1, Side.INSIDE, Peer.CLIENT), (2, Side.OUTSIDE, Peer.SERVER)):
        flow = parts.flow(UDP, opened_by, port)
        session = parts.sessions.attach(flow, parts.alg, hairpin=False, now=NOW)
        assert session is not None
        assert session.peer_on(Side.INSIDE) is session.facts.inside is inside
        assert session.peer_on(Side.OUTSIDE) is inside.other
        assert session.inside_addr == INSIDE


def test_a_session_is_named_by_its_ALG_and_its_ends() -> None:
    parts = Parts()
    session = parts.sessions.attach(parts.flow(), parts.alg, hairpin=False, now=NOW)
    assert str(session) == "toy: 10.0.0.11:6000 -> 198.51.100.11:7777"
