"""Plain flows are shown from what the registers hold, and from nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from p4alg.engine import cells
from p4alg.engine.cells import Session, SessionState, Slot, SlotState
from p4alg.engine.plain import Known, Owner, PlainFlows, Row, SwitchClock
from p4alg.engine.settings import Timers
from p4alg.p4constants import Class, Phase
from p4alg.protocols import TCP, UDP

HOST, OTHER, WHOLE, OUTSIDE, REMOTE = 0x0A00000B, 0x0A00000C, 0x0A000014, 0xCB007105, 0xC6336409
HOME = 0xC0000214
TIMERS = Timers()
NOW = 5000.0
TICK = 100_000
"""The time in the switch at NOW."""


def static(owner: Owner, proto: int, inside_id: int) -> tuple[int, int] | None:
    if (proto, owner.inside_addr, inside_id) == (TCP, HOST, 21):
        return OUTSIDE, 2021
    return (HOME, inside_id) if owner.inside_addr == WHOLE else None


OWNERS = {7: Owner(HOST, OUTSIDE), 8: Owner(OTHER, OUTSIDE), 9: Owner(WHOLE, None)}
KNOWN = Known(OWNERS, static, lambda _: True)


class Registers:
    """The registers of a switch, as cells are put into them."""

    def __init__(self) -> None:
        self.sessions: dict[int, int] = {}
        self.session_states: dict[int, int] = {}
        self.slots: dict[int, int] = {}
        self.slot_states: dict[int, int] = {}

    def session(
        self, session: Session, end: int, phase: Phase = Phase.INSIDE_SYN, way: int = 0
    ) -> None:
        place = session.places()[way]
        self.sessions[place] = session.value
        self.session_states[place] = SessionState(end, phase, 0).value

    def slot(self, slot: Slot, end: int) -> None:
        self.slots[slot.index] = slot.value
        self.slot_states[slot.index] = SlotState(0, end).value

    def read(self, clock: SwitchClock | None = None, now: float = NOW) -> PlainFlows:
        flows = PlainFlows(TIMERS, clock or SwitchClock())
        flows.take_sessions(self.sessions)
        assert sorted(flows.session_cells) == sorted(self.session_states)
        flows.take_session_states(self.session_states, now)
        flows.take_slots(self.slots)
        assert sorted(flows.slot_cells) == sorted(self.slot_states)
        flows.take_slot_states(self.slot_states)
        return flows


UDP_FLOW = Session(Class.UDP, 7, 5001, REMOTE, 53)
UDP_SLOT = Slot(Class.UDP, 7, 4099, 5001)
FRESH = TICK + cells.ticks(TIMERS.udp)
"""The end of a UDP session of which a packet has just passed."""


def there(items: Iterable[Row | None]) -> list[Row]:
    """The rows of a view, without the turns that it gives in between."""
    return [row for row in items if row is not None]


def rows(registers: Registers, now: float = NOW) -> list[dict[str, Any]]:
    found = there(registers.read().sessions(KNOWN, now))
    assert json.loads(json.dumps(found)) == found
    return found


def test_a_plain_session_is_shown_by_its_three_ends() -> None:
    registers = Registers()
    registers.session(UDP_FLOW, FRESH)
    registers.slot(UDP_SLOT, FRESH)
    (row,) = rows(registers)
    assert row == {
        "proto": "udp",
        "inside": "10.0.0.11:5001",
        "outside": "203.0.113.5:4099",
        "remote": "198.51.100.9:53",
        "state": "active",
        "alg": "",
        "label": "",
        "opened_by": None,
        "age": None,
        "idle_timeout": None,
        "kept_by": "switch",
        "expires_in": pytest.approx(300.0, abs=0.3),
        "organisation": "default",
    }


def test_a_mapping_of_the_tables_is_what_its_sessions_have_outside() -> None:
    registers = Registers()
    registers.session(Session(Class.TCP, 7, 21, REMOTE, 999), FRESH)
    registers.session(Session(Class.TCP, 9, 80, REMOTE, 999), FRESH)
    registers.session(Session(Class.ICMP, 8, 77, REMOTE, 0), FRESH)
    outside = {row["inside"]: row["outside"] for row in rows(registers)}
    # No cell has the mapping of the last one any more.
    assert outside == {
        "10.0.0.11:21": "203.0.113.5:2021",
        "10.0.0.20:80": "192.0.2.20:80",
        "10.0.0.12:77": "",
    }


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (Phase.INSIDE_SYN, "opening"),
        (Phase.INSIDE_SYN | Phase.OUTSIDE_SYN, "opening"),
        (Phase.INSIDE_SYN | Phase.OUTSIDE_SYN | Phase.ESTABLISHED, "established"),
        (Phase.ESTABLISHED | Phase.OUTSIDE_FIN, "closing"),
        (Phase.ESTABLISHED | Phase.RESET, "closing"),
    ],
)
def test_a_connection_has_the_state_of_its_phase(phase: Phase, state: str) -> None:
    registers = Registers()
    registers.session(Session(Class.TCP, 7, 5001, REMOTE, 443), TICK, phase)
    assert [row["state"] for row in rows(registers)] == [state]


def test_flows_that_nobody_wants_become_no_rows() -> None:
    registers = Registers()
    registers.session(UDP_FLOW, FRESH)
    registers.session(Session(Class.TCP, 7, 6001, REMOTE, 443), FRESH)
    registers.slot(UDP_SLOT, FRESH)
    flows = registers.read()
    asked: list[tuple[object, ...]] = []

    def wanted(proto: int, *ends: tuple[int, int] | None) -> bool:
        asked.append((proto, *ends))
        return proto == TCP

    found = list(flows.sessions(KNOWN, NOW, wanted))
    assert [row and row["inside"] for row in found] in (
        [None, "10.0.0.11:6001"],
        ["10.0.0.11:6001", None],
    )
    assert (UDP, (HOST, 5001), (OUTSIDE, 4099), (REMOTE, 53)) in asked
    assert list(flows.bindings(Counter(), KNOWN, NOW, wanted)) == [None]
    assert asked[-1] == (UDP, (HOST, 5001), (OUTSIDE, 4099), None)


def test_what_has_ended_is_not_shown_nor_what_belongs_to_nobody() -> None:
    registers = Registers()
    registers.session(UDP_FLOW, FRESH)
    registers.session(Session(Class.UDP, 7, 5002, REMOTE, 53), TICK - 2)
    registers.session(Session(Class.UDP, 99, 5003, REMOTE, 53), FRESH)
    registers.slot(UDP_SLOT, FRESH)
    registers.slot(Slot(Class.UDP, 7, 4097, 5002), TICK - 2)
    registers.slot(Slot(Class.UDP, 99, 4101, 5003), FRESH)
    assert [row["inside"] for row in rows(registers)] == ["10.0.0.11:5001"]
    flows = registers.read()
    assert [row["inside"] for row in there(flows.bindings(Counter(), KNOWN, NOW))] == [
        "10.0.0.11:5001"
    ]
    assert list(flows.endpoints(KNOWN, NOW)) == [cells.endpoint(Class.UDP, 7, 5001)]


def test_the_latest_mapping_of_an_endpoint_is_shown() -> None:
    registers = Registers()
    registers.session(UDP_FLOW, FRESH)
    registers.slot(UDP_SLOT, FRESH)
    registers.slot(Slot(Class.UDP, 7, 4097, 5001), TICK - 5000)
    assert [row["outside"] for row in rows(registers)] == ["203.0.113.5:4099"]


def test_bindings_and_subscribers_count_their_sessions() -> None:
    registers = Registers()
    for remote_id in (53, 54, 55):
        registers.session(Session(Class.UDP, 7, 5001, REMOTE, remote_id), FRESH)
    registers.session(Session(Class.TCP, 9, 80, REMOTE, 999), FRESH)
    registers.slot(UDP_SLOT, FRESH)
    flows = registers.read()
    used = Counter(flows.endpoints(KNOWN, NOW))
    (binding,) = there(flows.bindings(used, KNOWN, NOW))
    assert (binding["kind"], binding["sessions"], binding["kept_by"]) == ("plain", 3, "switch")
    assert binding["outside"] == "203.0.113.5:4099"
    hosts: list[dict[str, object]] = [
        {"address": a, "organisation": "default"} for a in ("10.0.0.11", "10.0.0.12", "10.0.0.20")
    ]
    counted = [
        (row["plain_bindings"], row["plain_sessions"])
        for row in flows.subscribers(hosts, used, KNOWN, NOW)
    ]
    assert counted == [(1, 3), (0, 0), (0, 1)]


def test_the_switch_s_clock_is_learnt_from_ends_and_goes_on_with_ours() -> None:
    clock, registers = SwitchClock(), Registers()
    registers.session(UDP_FLOW, FRESH)
    assert there(registers.read(clock).sessions(KNOWN, NOW))
    # Nothing passes any more: the same end is read again, and says nothing new.
    late = NOW + TIMERS.udp + 1
    assert there(registers.read(clock, late).sessions(KNOWN, late)) == []
    assert clock.ticks(late) == pytest.approx(TICK + cells.ticks(TIMERS.udp + 1), abs=2)


def test_a_switch_that_has_shown_nothing_has_no_time() -> None:
    assert SwitchClock().ticks(NOW) == 0


def test_a_cell_that_no_switch_writes_is_passed_over() -> None:
    flows = PlainFlows(TIMERS, SwitchClock())
    flows.take_sessions({0: 7})
    flows.take_session_states({0: FRESH << 40}, NOW)
    flows.take_slots({0: 7})
    flows.take_slot_states({0: FRESH})
    assert there(flows.sessions(KNOWN, NOW)) == []
    assert there(flows.bindings(Counter(), KNOWN, NOW)) == []


# What is ended

OTHER_FLOW = Session(Class.UDP, 7, 5001, REMOTE, 54)
TCP_SLOT = Slot(Class.TCP, 7, 4131, 6001)
OPEN = Phase.INSIDE_SYN | Phase.OUTSIDE_SYN | Phase.ESTABLISHED


def place(session: Session) -> int:
    return session.places()[0]


def test_the_last_session_of_a_mapping_takes_it_along_and_its_port_rests() -> None:
    registers = Registers()
    registers.session(UDP_FLOW, FRESH)
    registers.session(OTHER_FLOW, FRESH)
    registers.slot(UDP_SLOT, FRESH)
    flows = registers.read()
    ending = flows.ending_sessions([place(UDP_FLOW)], NOW)
    assert (ending.sessions, ending.slots) == ({place(UDP_FLOW): UDP_FLOW.value}, {})
    ending = flows.ending_sessions([place(UDP_FLOW), place(OTHER_FLOW)], NOW)
    assert set(ending.sessions) == {place(UDP_FLOW), place(OTHER_FLOW)}
    # It has ended just now, so that its port is not another's for a while.
    over = SlotState(0, TICK - 1).value
    assert ending.slots == {UDP_SLOT.index: (UDP_SLOT.value, over)}


def test_a_mapping_counts_the_connections_that_stay() -> None:
    one, two, short = (Session(Class.TCP, 7, 6001, REMOTE, port) for port in (443, 444, 445))
    long_end = TICK + cells.ticks(TIMERS.tcp_established)
    registers = Registers()
    registers.session(one, long_end, OPEN)
    registers.session(two, long_end, OPEN)
    registers.session(short, TICK + 50, Phase.INSIDE_SYN)
    registers.slot(TCP_SLOT, long_end)
    registers.slot_states[TCP_SLOT.index] = SlotState(2, long_end).value
    flows = registers.read()
    ending = flows.ending_sessions([place(one)], NOW)
    assert ending.slots == {TCP_SLOT.index: (TCP_SLOT.value, SlotState(1, long_end).value)}
    # With the last established one the mapping is cut to what the others need, as by FINs.
    ending = flows.ending_sessions([place(one), place(two)], NOW)
    assert ending.slots == {TCP_SLOT.index: (TCP_SLOT.value, SlotState(0, TICK + 50).value)}
    # One that a session of the tables uses does not count.
    registers.slot_states[TCP_SLOT.index] = SlotState(0xFFFF, long_end).value
    ending = registers.read().ending_sessions([place(one)], NOW)
    assert ending.slots == {TCP_SLOT.index: (TCP_SLOT.value, SlotState(0xFFFF, long_end).value)}


def test_a_mapping_ends_with_all_its_sessions() -> None:
    registers = Registers()
    registers.session(UDP_FLOW, FRESH)
    registers.session(OTHER_FLOW, FRESH)
    registers.session(Session(Class.UDP, 7, 5002, REMOTE, 53), FRESH)
    registers.slot(UDP_SLOT, FRESH)
    ending = registers.read().ending_bindings([UDP_SLOT.index], NOW)
    assert set(ending.sessions) == {place(UDP_FLOW), place(OTHER_FLOW)}
    assert set(ending.slots) == {UDP_SLOT.index}
