"""What one call of an ALG is granted, and what becomes of it."""

from __future__ import annotations

from p4alg.alg.contract import TCP, UDP, Endpoint, Grant, Peer, Refusal
from p4alg.engine import tables as t
from p4alg.engine.control.gateway import Granting, SessionGateway
from p4alg.engine.pinhole import Stage
from p4alg.engine.pinholes import GRACE
from p4alg.engine.settings import Limits
from p4alg.engine.tables import FlowKey, Op
from p4alg.protocols import GRE
from tests.unit.engine.harness import INSIDE, INSIDE2, REMOTE
from tests.unit.engine.parts import NOW, Parts, asked, lines, updates


class Desk(Parts):
    """One control session, and the gateway of each call of its ALG."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits=limits or Limits(), denied_ports=frozenset({3306}))
        session = self.sessions.attach(self.flow(), self.alg, hairpin=False, now=NOW)
        assert session is not None
        self.session = session
        self.granting = Granting(
            self.settings.limits,
            self.safety,
            self.mappings,
            self.pinholes,
            self.expectations,
            self.outbox,
            self.faults,
            self.log,
        )

    def call(self) -> SessionGateway:
        return SessionGateway(self.granting, self.session, NOW)

    def ports(self) -> set[int]:
        """Inside ports that are bound beside that of the control session itself."""
        return {b.inside_id for b in self.bindings if b.inside_id != 6000}


def granted(found: Grant | Refusal) -> Grant:
    assert isinstance(found, Grant), found
    return found


def test_an_inside_listener_gets_a_pinhole_and_an_outside_one_is_expected() -> None:
    desk = Desk()
    gateway = desk.call()
    hole = granted(gateway.open_pinhole(asked()))
    outward = asked(listener=Peer.SERVER, listen=Endpoint(REMOTE, 40000), opener_addr=INSIDE)
    flow = granted(gateway.open_pinhole(outward))
    held = granted(gateway.reserve(UDP, Endpoint(INSIDE, 50002), pair=True))
    assert list(gateway.granted) == [hole.number, flow.number, held.number]
    # The session's other end is told the outside endpoints, the inside one where to connect.
    binding = desk.bindings.outbound(UDP, INSIDE, 50000)
    assert binding is not None
    assert hole.visible == Endpoint(binding.outside_addr, binding.outside_id)
    assert hole.visible.addr == held.visible.addr == desk.session.owner.outside_addr
    assert flow.visible == Endpoint(REMOTE, 40000)
    assert desk.expectations.get(flow.number) is not None
    # Only that the first packet of the expected flow is punted is written already.
    (written,) = updates(desk.answer())
    assert isinstance(written.entry, t.PinholeEntry)
    assert (written.entry.inside_id, written.entry.remote_id) == (None, 40000)


def test_a_direction_of_a_call_is_a_pinhole_whoever_receives() -> None:
    desk = Desk()
    there = Endpoint(REMOTE, 9)
    request = asked(proto=GRE, listener=Peer.SERVER, listen=there, opener_addr=INSIDE)
    hole = granted(desk.call().open_pinhole(request))
    assert desk.pinholes.get(hole.number) is not None
    assert desk.expectations.get(hole.number) is None


def test_rule_11_what_is_refused_is_counted_by_its_reason() -> None:
    desk = Desk()
    gateway = desk.call()
    denied, low = Endpoint(INSIDE, 3306), Endpoint(INSIDE, 22)
    assert gateway.open_pinhole(asked(3306)) == Refusal("denied-port")
    assert gateway.reserve(UDP, low) == Refusal("low-port")
    assert [gateway.objection(UDP, e) for e in (denied, low, Endpoint(INSIDE2, 5000))] == [
        "denied-port",
        "low-port",
        "bounce",
    ]
    assert gateway.objection(UDP, Endpoint(INSIDE, 50000)) == ""
    assert desk.count("alg.toy.pinholes.refused.denied-port") == 1
    assert desk.count("alg.toy.reservations.refused.low-port") == 1
    assert not gateway.granted


def test_G4_a_message_is_granted_so_much() -> None:
    desk = Desk(Limits(grants_per_message=2))
    gateway = desk.call()
    granted(gateway.open_pinhole(asked(50000)))
    granted(gateway.reserve(UDP, Endpoint(INSIDE, 50002)))
    assert gateway.open_pinhole(asked(50004)) == Refusal("message-limit")
    assert gateway.reserve(UDP, Endpoint(INSIDE, 50004)) == Refusal("message-limit")
    # The next call is another message.
    granted(desk.call().open_pinhole(asked(50004)))


def test_rule_11_what_no_step_names_is_taken_back() -> None:
    desk = Desk()
    gateway = desk.call()
    named = granted(gateway.open_pinhole(asked(50000)))
    granted(gateway.open_pinhole(asked(50002)))
    granted(gateway.reserve(UDP, Endpoint(INSIDE, 50004)))
    outward = asked(listener=Peer.SERVER, listen=Endpoint(REMOTE, 40000), opener_addr=INSIDE)
    expected = granted(gateway.open_pinhole(outward))
    gateway.settle([named.number])
    assert desk.session.granted == (named.number,)
    assert desk.ports() == {50000}
    assert desk.expectations.get(expected.number) is None
    assert [update.op for update in updates(desk.answer())] == [Op.INSERT, Op.DELETE]
    assert not gateway.granted


def test_rule_10_a_call_that_fails_has_changed_nothing() -> None:
    desk = Desk()
    before = desk.call()
    hole = granted(before.open_pinhole(asked(50000)))
    before.settle([hole.number])
    gateway = desk.call()
    granted(gateway.open_pinhole(asked(50002)))
    granted(gateway.reserve(UDP, Endpoint(INSIDE, 50004), pair=True))
    gateway.close_pinhole(hole.number)
    gateway.end(hole.number)
    assert desk.pinholes.get(hole.number) is None
    gateway.undo(ValueError("no"))
    assert desk.ports() == {50000}
    kept = desk.pinholes.get(hole.number)
    assert kept is not None
    assert kept.stage is Stage.RESERVED
    assert desk.session.withdrawn == ()
    assert not gateway.granted
    actions = desk.answer()
    assert updates(actions) == []
    (told,) = lines(actions)
    assert told.startswith("fault: toy: 10.0.0.11:6000 -> 198.51.100.11:7777: ValueError: no")
    assert desk.count("alg.toy.faults") == 1


def test_a_pinhole_is_withdrawn_when_the_message_leaves_and_ended_at_once() -> None:
    desk = Desk()
    desk.subscribe()
    hole = granted(desk.call().open_pinhole(asked()))
    desk.pinholes.opened(desk.pinholes.begin([hole.number]))
    desk.call().close_pinhole(hole.number)
    assert desk.session.withdrawn == (hole.number,)
    desk.pinholes.expire(NOW + GRACE)
    assert desk.answer() == []
    desk.call().end(hole.number)
    kinds = [type(update.entry) for update in updates(desk.answer())]
    assert kinds == [t.PinholeEntry, t.MapOut, t.MapIn]


def test_an_expected_flow_is_ended_by_its_number() -> None:
    desk = Desk()
    outward = asked(
        proto=TCP, listener=Peer.SERVER, listen=Endpoint(REMOTE, 40000), opener_addr=INSIDE
    )
    number = granted(desk.call().open_pinhole(outward)).number
    desk.call().end(number)
    assert desk.expectations.take(FlowKey(TCP, INSIDE, 1, REMOTE, 40000), NOW) is None


def test_the_inside_endpoint_behind_an_outside_one_is_told() -> None:
    desk = Desk()
    gateway = desk.call()
    held = granted(gateway.reserve(UDP, Endpoint(INSIDE, 50000)))
    call = granted(gateway.open_pinhole(asked(7, proto=GRE)))
    assert gateway.inside_of(UDP, held.visible) == Endpoint(INSIDE, 50000)
    assert gateway.inside_of(GRE, call.visible) == Endpoint(INSIDE, 7)
    assert gateway.inside_of(TCP, held.visible) is None
