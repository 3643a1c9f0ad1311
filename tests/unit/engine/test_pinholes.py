"""A pinhole from the request of an ALG to its last flow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p4alg import p4constants as p4
from p4alg.alg.contract import Endpoint, Peer, Refusal
from p4alg.engine import tables as t
from p4alg.engine.pinhole import Owner, Pinhole, Reservation, Stage
from p4alg.engine.pinholes import GRACE, Batch
from p4alg.engine.settings import Limits
from p4alg.engine.tables import FlowKey, Op, Side, Update
from p4alg.nat.bindings import Kind, Refused
from p4alg.protocols import GRE, UDP
from tests.unit.engine.harness import INSIDE, INSIDE2, REMOTE, port_of
from tests.unit.engine.parts import NOW, SEEN, TOY_ID, Parts, asked, owner, updates

PORT = 50000


class Desk(Parts):
    """Pinholes, and an owner of them."""

    def __init__(self, limits: Limits | None = None, denied: frozenset[int] = frozenset()) -> None:
        super().__init__(limits=limits or Limits(), denied_ports=denied)
        self.owner = owner()
        self.subscribe()

    def request(self, port: int = PORT, by: Owner | None = None, **more: Any) -> Pinhole:
        asker = by or self.owner
        listen = Endpoint(asker.inside_addr, port)
        found = self.pinholes.request(asker, asked(port, listen=listen, **more), NOW)
        assert isinstance(found, Pinhole), found
        return found

    def opened(self, port: int = PORT, **more: Any) -> Pinhole:
        """A pinhole that is in the switch."""
        made = self.request(port, **more)
        self.pinholes.opened(self.pinholes.begin([made.pinhole_id]))
        return made

    def hold(self, port: int = PORT, *, pair: bool = False) -> Reservation:
        found = self.pinholes.reserve(self.owner, UDP, Endpoint(INSIDE, port), NOW, pair=pair)
        assert isinstance(found, Reservation), found
        return found

    def refused(self, port: int = PORT, by: Owner | None = None) -> str:
        asker = by or self.owner
        listen = Endpoint(asker.inside_addr, port)
        found = self.pinholes.request(asker, asked(port, listen=listen), NOW)
        assert isinstance(found, Refusal)
        return found.reason

    def written(self) -> list[Update]:
        return updates(self.answer())

    def check_empty(self) -> None:
        """Nothing is left of any pinhole or reservation."""
        assert len(self.pinholes) == 0
        assert self.pinholes.count_of(INSIDE) == 0
        assert len(self.bindings) == 0


def key(hole: Pinhole, remote_id: int = 6000) -> FlowKey:
    return FlowKey(UDP, INSIDE, port_of(hole.entry), REMOTE, remote_id)


def stage(hole: Pinhole) -> Stage:
    return hole.stage


def kinds(batch: Batch) -> list[type[t.Entry]]:
    assert {update.op for update in batch.updates} <= {Op.INSERT}
    return [type(update.entry) for update in batch.updates]


# From reserved to open


def test_what_is_granted_is_only_reserved_until_it_is_begun() -> None:
    desk = Desk()
    hole = desk.request()
    assert stage(hole) is Stage.RESERVED
    assert desk.answer() == []
    assert hole.visible.addr == SEEN.addr
    assert (hole.expires, hole.binding.reservations) == (NOW + 60.0, 1)
    entry = t.PinholeEntry(UDP, INSIDE, PORT, REMOTE, None, hole.pinhole_id, idle_timeout=60.0)
    assert hole.entry == entry


def test_rule_2_what_is_begun_is_written_with_its_mapping_and_once() -> None:
    desk = Desk()
    hole = desk.request()
    batch = desk.pinholes.begin([hole.pinhole_id, hole.pinhole_id, 4711])
    assert kinds(batch) == [t.MapOut, t.MapIn, t.PinholeEntry]
    assert stage(hole) is Stage.OPENING
    assert desk.pinholes.begin([hole.pinhole_id]).updates == ()
    desk.pinholes.opened(batch)
    assert stage(hole) is Stage.OPEN
    assert desk.count("alg.toy.pinholes.opened") == 1


def test_what_the_switch_refuses_is_gone_with_its_mapping() -> None:
    desk = Desk()
    hole, held = desk.request(), desk.hold(50002, pair=True)
    desk.pinholes.failed(desk.pinholes.begin([hole.pinhole_id, held.number]), NOW)
    assert desk.count("alg.toy.pinholes.refused.tables") == 1
    assert desk.answer() == []
    desk.check_empty()


def test_a_mapping_that_was_there_before_outlives_a_refused_pinhole() -> None:
    desk = Desk()
    held = desk.hold()
    desk.pinholes.opened(desk.pinholes.begin([held.number]))
    batch = desk.pinholes.begin([desk.request().pinhole_id])
    assert kinds(batch) == [t.PinholeEntry]
    desk.pinholes.failed(batch, NOW)
    assert desk.answer() == []
    assert desk.bindings.outbound(UDP, INSIDE, PORT) is held.bindings[0]


def test_what_was_reserved_for_a_message_that_went_nowhere_is_taken_back() -> None:
    desk = Desk()
    hole, held = desk.request(), desk.hold(50002)
    desk.pinholes.abandon([hole.pinhole_id, held.number, 4711], NOW)
    assert desk.answer() == []
    desk.check_empty()


def test_what_is_under_way_is_not_taken_back_by_another_message() -> None:
    desk = Desk()
    hole = desk.request()
    desk.pinholes.begin([hole.pinhole_id])
    desk.pinholes.abandon([hole.pinhole_id], NOW)
    assert desk.pinholes.get(hole.pinhole_id) is hole


def test_asking_again_prolongs_and_undoes_a_withdrawal() -> None:
    desk = Desk()
    hole = desk.opened()
    desk.pinholes.close(hole.pinhole_id, NOW)
    again = desk.pinholes.request(desk.owner, asked(PORT), NOW + 30.0)
    assert again is hole
    assert (hole.expires, hole.retired) == (NOW + 90.0, False)
    assert len(desk.pinholes) == 1


def test_what_another_session_has_is_in_use() -> None:
    desk = Desk()
    desk.request()
    assert desk.refused(by=owner()) == "in-use"


def test_G7_the_rules_of_safety_hold_for_pinholes_and_reservations() -> None:
    desk = Desk(denied=frozenset({3306}))
    assert desk.refused(3306) == "denied-port"
    assert desk.refused(22) == "low-port"
    for listen, pair in ((Endpoint(INSIDE2, PORT), False), (Endpoint(INSIDE, 3305), True)):
        found = desk.pinholes.reserve(desk.owner, UDP, listen, NOW, pair=pair)
        assert isinstance(found, Refusal)
    desk.check_empty()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(pinholes_per_control=2), "control-limit"),
        (Limits(pinholes_per_subscriber=2), "subscriber-limit"),
        (Limits(pinholes=2), "pinhole-limit"),
    ],
)
def test_G4_at_a_limit_the_new_is_refused(limits: Limits, reason: str) -> None:
    desk = Desk(limits)
    first = desk.request(50000)
    desk.request(50002)
    assert desk.refused(50004) == reason
    # What is there already may be asked for again.
    assert desk.request(50000) is first
    desk.pinholes.abandon([first.pinhole_id], NOW)
    desk.request(50004)


def test_G4_another_host_has_a_share_of_its_own() -> None:
    desk = Desk(Limits(pinholes_per_subscriber=1))
    desk.request()
    desk.request(by=owner(INSIDE2, seen=SEEN._replace(port=6001)))
    assert (desk.pinholes.count_of(INSIDE), desk.pinholes.count_of(INSIDE2)) == (1, 1)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(pinholes_per_control=1), "control-limit"),
        (Limits(pinholes_per_subscriber=1), "subscriber-limit"),
        (Limits(pinholes=1), "pinhole-limit"),
    ],
)
def test_G4_reserved_endpoints_are_bounded_too(limits: Limits, reason: str) -> None:
    desk = Desk(limits)
    desk.hold(50000)
    held = desk.hold(50002)
    found = desk.pinholes.reserve(desk.owner, UDP, Endpoint(INSIDE, 50004), NOW, pair=False)
    assert found == Refusal(reason)
    desk.pinholes.end(held.number, NOW)
    desk.hold(50004)


def test_a_pair_is_reserved_and_given_back_as_one() -> None:
    desk = Desk()
    held = desk.hold(50000, pair=True)
    first, second = held.bindings
    assert (first.inside_id, second.inside_id) == (50000, 50001)
    assert second.outside_id == first.outside_id + 1
    batch = desk.pinholes.begin([held.number])
    assert kinds(batch) == [t.MapOut, t.MapIn] * 2
    desk.pinholes.opened(batch)
    desk.pinholes.end(held.number, NOW)
    assert [update.op for update in desk.written()] == [Op.DELETE] * 4
    desk.check_empty()


# Flows that come through


def test_F3_the_flow_that_comes_through_has_a_session_and_uses_the_pinhole_up() -> None:
    desk = Desk()
    hole = desk.opened(flow_idle=25.0)
    desk.pinholes.hit(hole.pinhole_id, key(hole), NOW)
    session, gone = desk.written()
    assert session.entry == t.Session(key(hole), idle_timeout=25.0)
    assert gone == Update(Op.DELETE, hole.entry)
    flow = desk.flows.get(key(hole))
    assert flow is not None
    assert (flow.opened_by, flow.alg, flow.label) == (Side.OUTSIDE, "toy", "toy DATA")
    assert flow.binding is hole.binding
    assert (hole.binding.sessions, hole.binding.reservations) == (1, 0)
    assert desk.count("alg.toy.pinholes.used") == 1


def test_a_flow_is_counted_once_however_often_the_switch_tells_of_it() -> None:
    desk = Desk()
    hole = desk.opened(max_flows=2)
    for _ in range(3):
        desk.pinholes.hit(hole.pinhole_id, key(hole), NOW)
    assert len(desk.written()) == 1
    assert hole.flows_left == 1
    desk.pinholes.hit(4711, key(hole, 6001), NOW)
    assert desk.answer() == []
    desk.pinholes.hit(hole.pinhole_id, key(hole, 6001), NOW)
    assert [type(update.entry) for update in desk.written()] == [t.Session, t.PinholeEntry]


def test_a_flow_that_there_may_not_be_closes_the_pinhole() -> None:
    desk = Desk(Limits(sessions=1))
    desk.flow()
    hole = desk.opened()
    desk.pinholes.hit(hole.pinhole_id, key(hole), NOW)
    assert {update.op for update in desk.written()} == {Op.DELETE}
    assert desk.count("nat.refused.session-limit") == 1
    assert desk.count("alg.toy.pinholes.refused") == 1


def test_P2_a_flow_of_a_call_begins_where_its_sender_is() -> None:
    desk = Desk()
    to_us = desk.request(7, proto=GRE)
    from_us = desk.pinholes.request(
        desk.owner,
        asked(proto=GRE, listener=Peer.SERVER, listen=Endpoint(REMOTE, 9), opener_addr=INSIDE),
        NOW,
    )
    assert isinstance(from_us, Pinhole)
    desk.pinholes.opened(desk.pinholes.begin([to_us.pinhole_id, from_us.pinhole_id]))
    for hole in (to_us, from_us):
        entry = hole.entry
        assert entry.remote_id is not None
        flow = FlowKey(GRE, INSIDE, port_of(entry), REMOTE, entry.remote_id)
        desk.pinholes.hit(hole.pinhole_id, flow, NOW)
    opened_by = {flow.key.inside_id: flow.opened_by for flow in desk.flows.all()}
    assert opened_by == {0x10007: Side.OUTSIDE, 0: Side.INSIDE}


def test_only_a_pinhole_whose_ALG_wants_to_read_is_for_inspection() -> None:
    desk = Desk()
    plain = desk.request(50000)
    read, exact = (
        desk.request(50002, inspect=True),
        desk.request(50004, inspect=True, opener_port=6000),
    )
    assert (plain.entry.alg_id, read.entry.alg_id) == (0, TOY_ID)
    assert desk.pinholes.to_inspect(key(plain)) is None
    assert desk.pinholes.to_inspect(key(read)) is read
    assert desk.pinholes.to_inspect(key(exact)) is exact
    assert desk.pinholes.to_inspect(key(exact, 6001)) is None


# Ends


def test_F3_an_unused_pinhole_ends_with_its_lifetime() -> None:
    desk = Desk()
    hole = desk.opened()
    desk.pinholes.idle(hole.pinhole_id, NOW + 59.0)
    desk.pinholes.expire(NOW + 59.0)
    assert desk.answer() == []
    desk.pinholes.expire(NOW + 60.0)
    gone = desk.written()
    assert [update.op for update in gone] == [Op.DELETE] * 3
    assert desk.count("alg.toy.pinholes.expired") == 1
    desk.check_empty()


def test_the_switch_may_be_the_first_to_notice() -> None:
    desk = Desk()
    hole = desk.opened()
    desk.pinholes.idle(hole.pinhole_id, NOW + 60.0)
    desk.pinholes.idle(hole.pinhole_id, NOW + 60.0)
    assert len(desk.written()) == 3
    desk.check_empty()


def test_what_is_withdrawn_stays_for_a_moment() -> None:
    desk = Desk()
    hole = desk.opened()
    desk.pinholes.close(hole.pinhole_id, NOW)
    desk.pinholes.close(4711, NOW)
    desk.pinholes.expire(NOW + GRACE / 2)
    assert len(desk.pinholes) == 1
    desk.pinholes.expire(NOW + GRACE)
    assert desk.count("alg.toy.pinholes.closed") == 1
    desk.written()
    desk.check_empty()


def test_a_pinhole_under_way_is_not_deleted_before_it_is_there() -> None:
    desk = Desk()
    hole = desk.request()
    batch = desk.pinholes.begin([hole.pinhole_id])
    desk.pinholes.end(hole.pinhole_id, NOW)
    desk.pinholes.expire(NOW + 1000.0)
    assert desk.answer() == []
    desk.pinholes.opened(batch)
    desk.pinholes.expire(NOW + 1000.0)
    desk.written()
    desk.check_empty()


def test_F3_the_end_of_a_session_closes_what_is_its_own() -> None:
    desk = Desk()
    mine, held = desk.opened(50000), desk.hold(50002)
    other = desk.opened(50004, by=owner())
    desk.pinholes.close_of(desk.owner, NOW)
    desk.pinholes.expire(NOW + GRACE)
    assert desk.pinholes.all() == [other]
    assert desk.pinholes.get(mine.pinhole_id) is None
    assert held.bindings[0].reservations == 0


def test_G1_all_of_an_ALG_closes_at_once() -> None:
    desk = Desk()
    desk.opened(50000)
    kept = desk.opened(50004, by=replace(owner(), alg="other"))
    desk.pinholes.close_all("toy", NOW)
    desk.pinholes.expire(NOW + GRACE)
    assert desk.pinholes.all() == [kept]


def test_the_end_of_a_pinhole_takes_its_flows_with_it() -> None:
    desk = Desk()
    hole = desk.opened(max_flows=2)
    ended, gone = key(hole, 6000), key(hole, 6001)
    for one in (ended, gone):
        desk.pinholes.hit(hole.pinhole_id, one, NOW)
    desk.written()
    flow = desk.flows.get(gone)
    assert flow is not None
    desk.flows.remove(flow, NOW, "idle")
    desk.pinholes.flow_gone(flow)
    desk.written()
    desk.pinholes.end(hole.pinhole_id, NOW)
    deleted = [update.entry for update in desk.written()]
    assert [entry.flow for entry in deleted if isinstance(entry, t.Session)] == [ended]
    assert len(desk.flows) == 0
    desk.pinholes.end(hole.pinhole_id, NOW)
    assert desk.answer() == []


def test_rule_8_one_that_was_found_lives_its_time_and_its_id_is_not_given_again() -> None:
    desk = Desk()
    binding = desk.mappings.binding_for(UDP, (INSIDE, PORT), NOW, kind=Kind.PINHOLE)
    assert not isinstance(binding, Refused)
    entry = t.PinholeEntry(UDP, INSIDE, PORT, REMOTE, None, 41, idle_timeout=30.0)
    desk.pinholes.adopt(entry, binding, NOW)
    (hole,) = desk.pinholes.all()
    assert (hole.stage, hole.alg, hole.expires) == (Stage.OPEN, "adopted", NOW + 30.0)
    assert desk.pinholes.new_id() == 42
    desk.pinholes.expire(NOW + 30.0)
    assert desk.count("alg.adopted.pinholes.expired") == 1
    desk.written()
    desk.check_empty()


def test_no_two_pinholes_have_the_same_place_in_the_switch() -> None:
    desk = Desk()
    places = 1 << p4.PINHOLE_BITS
    first = desk.request()
    for _ in range(places - 2):
        desk.pinholes.new_id()
    others = [desk.request(PORT + n).pinhole_id for n in range(1, 4)]
    assert all(number > first.pinhole_id for number in others)
    assert len({n % places for n in (first.pinhole_id, *others)}) == 4
    desk.pinholes.abandon([first.pinhole_id], NOW)
    for _ in range(places - 4):
        desk.pinholes.new_id()
    assert desk.request().pinhole_id % places == first.pinhole_id % places


@pytest.mark.parametrize(("asked_for", "written"), [(1, 1), (3, 3), (64, p4.WAYS_PINHOLE)])
def test_the_switch_is_told_how_many_flows_a_pinhole_is_for(asked_for: int, written: int) -> None:
    assert Desk().request(max_flows=asked_for).entry.flows == written
