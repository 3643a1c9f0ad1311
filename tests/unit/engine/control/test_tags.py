"""The tags of hosts that share a port follow from what their sessions say (K1)."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from p4alg.alg.contract import SessionFacts
from p4alg.alg.descriptor import Context
from p4alg.engine import tables as t
from p4alg.engine.control.guard import StepError
from p4alg.engine.control.session import ControlSession
from p4alg.engine.control.tags import Tags
from p4alg.engine.tables import FilterMode, Op, Update
from tests.unit.engine.harness import INSIDE, INSIDE2
from tests.unit.engine.parts import NOW, Parts, Toy, toy, updates

PORT = 500


class Tagged(Toy):
    """A machine with tags."""

    tags: Collection[int] = ()


class Desk(Parts):
    """Sessions of hosts that keep port 500, and their tags in the switch."""

    def __init__(self) -> None:
        self.made: list[Tagged] = []
        super().__init__(toy(make=self._make))
        self.tags = Tags(self.mappings, self.outbox, self.log)

    def _make(self, facts: SessionFacts, context: Context) -> Tagged:
        self.made.append(Tagged(facts, context))
        return self.made[-1]

    def session(self, port: int = PORT, *, share: bool = True) -> tuple[ControlSession, Tagged]:
        flow = self.flow(port=port, share=share)
        session = self.sessions.attach(flow, self.alg, hairpin=False, now=NOW)
        assert session is not None
        return session, self.made[-1]

    def written(self) -> list[tuple[Op, int]]:
        """What is written: each with the tag."""
        return [
            (update.op, update.entry.initiator_spi)
            for update in updates(self.answer())
            if isinstance(update.entry, t.IkeIn)
        ]


def test_K1_new_tags_are_written_when_a_message_was_read() -> None:
    desk = Desk()
    session, machine = desk.session()
    desk.tags.update(session)
    assert desk.written() == []
    machine.tags = {7, 3}
    desk.tags.update(session)
    assert desk.written() == [(Op.INSERT, 3), (Op.INSERT, 7)]
    machine.tags = {7, 9}
    desk.tags.update(session)
    assert desk.written() == [(Op.INSERT, 9)]


def test_K1_an_entry_leads_to_the_host_that_has_the_tag() -> None:
    desk = Desk()
    session, machine = desk.session()
    machine.tags = {7}
    desk.tags.update(session)
    outside = session.flow.binding.outside_addr
    number = desk.subscribers.number_of(INSIDE)
    entry = t.IkeIn(outside, 7, INSIDE, PORT, FilterMode.ADDRESS_AND_PORT, number)
    assert updates(desk.answer()) == [Update(Op.INSERT, entry)]


def test_who_has_a_port_alone_needs_no_tags() -> None:
    desk = Desk()
    session, machine = desk.session(6000, share=False)
    machine.tags = {7}
    desk.tags.update(session)
    assert desk.written() == []


def test_K1_the_clock_removes_what_no_session_of_the_host_has() -> None:
    desk = Desk()
    session, machine = desk.session()
    machine.tags = {1, 2}
    desk.tags.update(session)
    desk.written()
    machine.tags = {2}
    desk.tags.tick([session])
    assert desk.written() == [(Op.DELETE, 1)]
    machine.tags = ()
    desk.tags.tick([session])
    assert desk.written() == [(Op.DELETE, 2)]
    desk.tags.tick([session])
    assert desk.written() == []


def test_the_tags_of_a_host_whose_sessions_nobody_reads_stay() -> None:
    desk = Desk()
    session, machine = desk.session()
    machine.tags = {1}
    desk.tags.update(session)
    desk.written()
    desk.sessions.leave(session)
    desk.tags.tick(desk.sessions.all())
    assert desk.written() == []


def test_K1_tags_go_with_the_last_flow_of_their_host() -> None:
    desk = Desk()
    session, machine = desk.session()
    machine.tags = {1}
    desk.tags.update(session)
    desk.written()
    desk.tags.flow_gone(session.flow)
    assert desk.written() == []
    desk.flows.remove(session.flow, NOW, "idle")
    desk.answer()
    desk.tags.flow_gone(session.flow)
    assert desk.written() == [(Op.DELETE, 1)]
    desk.tags.flow_gone(session.flow)
    assert desk.written() == []


def test_rule_8_tags_that_are_there_are_kept_for_who_shares_the_port() -> None:
    desk = Desk()
    session, machine = desk.session()
    outside = session.flow.binding.outside_addr
    mode = FilterMode.ADDRESS_AND_PORT
    mine = t.IkeIn(outside, 7, INSIDE, PORT, mode, desk.subscribers.number_of(INSIDE))
    stray = t.IkeIn(outside, 8, INSIDE2, PORT, mode)
    assert desk.tags.adopt([mine, stray, t.Local(1)]) == [mine]
    machine.tags = {7, 9}
    desk.tags.update(session)
    assert desk.written() == [(Op.INSERT, 9)]


@pytest.mark.parametrize("tags", [range(2000), [-1], [1 << 64]])
def test_rule_10_tags_that_are_none_are_a_fault(tags: Collection[int]) -> None:
    desk = Desk()
    session, machine = desk.session()
    machine.tags = tags
    with pytest.raises(StepError):
        desk.tags.update(session)
    assert desk.written() == []
