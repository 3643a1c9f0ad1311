"""Cells are packed as the program packs them, and lie where it looks for them."""

from __future__ import annotations

import pytest
from finsy.p4schema import P4Schema
from hypothesis import given
from hypothesis import strategies as st

from p4alg.artifacts import shipped
from p4alg.engine import cells
from p4alg.engine.cells import PortBlock, Session, SessionState, Slot, SlotState
from p4alg.p4constants import SESSION_BITS, SLOT_BITS, WINDOW_BITS, Class, Phase
from tests.conftest import examples

KINDS = st.sampled_from([Class.TCP, Class.UDP, Class.ICMP])
PORTS = st.integers(0, 0xFFFF)
NUMBERS = st.integers(1, 0x3FFF)
WORDS = st.integers(0, 0xFFFFFFFF)
# The last way is the controller's.
SLOTS = st.builds(Slot, KINDS, NUMBERS, PORTS.filter(lambda port: port & 6 != 6), PORTS)
SESSIONS = st.builds(Session, KINDS, NUMBERS, PORTS, WORDS, PORTS)


def test_the_arrays_are_those_of_the_program() -> None:
    registers = P4Schema(shipped().p4info).registers
    held = {r.alias: (r.pbuf.type_spec.bitstring.bit.bitwidth, r.size) for r in registers}
    assert held == {array.name: (array.width, array.cells) for array in cells.ARRAYS}


def test_a_slot_is_packed_as_the_program_says() -> None:
    slot = Slot(Class.UDP, 0x0123, 0x8005, 0xABCD)
    # Class 2, number 0x123, the port without bits 2..1; the inside id. Those bits are the way.
    assert slot.value == 0x8123_8001_ABCD
    assert slot.index >> SLOT_BITS == 2
    assert cells.decode_slot(slot.index, slot.value) == slot
    assert SlotState(3, 0x01020304).value == 0x0003_01020304


def test_a_session_is_packed_as_the_program_says() -> None:
    session = Session(Class.TCP, 0x0123, 0xABCD, 0xC6336409, 443)
    assert session.value == 0xC6336409_01BB_ABCD_4123
    state = SessionState(0x01020304, Phase.INSIDE_SYN | Phase.TABLE, 0xCAFEBABE)
    assert state.value == 0x01020304_41_CAFEBABE


@examples(50)
@given(slot=SLOTS)
def test_a_slot_is_read_back_from_its_cell(slot: Slot) -> None:
    assert 0 <= slot.index < cells.SLOT_CELL.cells
    assert slot.value.bit_length() <= cells.SLOT_CELL.width
    assert cells.decode_slot(slot.index, slot.value) == slot


@examples(50)
@given(session=SESSIONS, end=WORDS, phase=st.integers(0, 255), acked=WORDS, opened=PORTS)
def test_sessions_and_states_are_read_back(
    session: Session, end: int, phase: int, acked: int, opened: int
) -> None:
    assert cells.decode_session(session.value) == session
    assert cells.session_parts(session.value) == (
        *(session.kind, session.subscriber, session.inside_id),
        *(session.remote_addr, session.remote_id),
    )
    state = SessionState(end, Phase(phase), acked)
    assert cells.decode_session_state(state.value) == state
    assert cells.decode_slot_state(SlotState(opened, end).value) == SlotState(opened, end)


@examples(50)
@given(session=SESSIONS)
def test_a_session_has_a_place_in_each_way_within_the_window_of_its_subscriber(
    session: Session,
) -> None:
    places = session.places()
    assert [place >> SESSION_BITS for place in places] == [0, 1, 2, 3]
    other = Session(session.kind, session.subscriber, session.inside_id ^ 1, 1, 2).places()
    window = 1 << WINDOW_BITS
    assert [place // window for place in places] == [place // window for place in other]


@examples(50)
@given(
    kind=KINDS,
    inside_id=PORTS,
    numbers=st.tuples(PORTS, PORTS, PORTS),
    size=st.integers(6, 14),
    place=st.integers(1, 0xFFFF),
)
def test_candidates_are_neighbours_of_one_parity_in_the_block(
    kind: Class, inside_id: int, numbers: tuple[int, int, int], size: int, place: int
) -> None:
    salt, low, high = numbers
    mask = (1 << size) - 1
    block = PortBlock(9, max(1024, (place & ~mask & 0xFFFF)), mask, salt)
    slots = cells.candidates(block, kind, inside_id, low, high)
    ports = [slot.outside_id for slot in slots]
    assert ports == [ports[0], ports[0] | 2, ports[0] | 4]
    assert {port & ~mask for port in ports} == {block.port_base & ~mask}
    assert {port & 1 for port in ports} == {inside_id & 1}
    assert {(slot.kind, slot.subscriber, slot.inside_id) for slot in slots} == {
        (kind, 9, inside_id)
    }
    assert len({slot.index & ((1 << SLOT_BITS) - 1) for slot in slots}) == 1


@pytest.mark.parametrize(
    ("index", "value"), [(0, 0), (0, 0x0001_0000_0000), (3 << SLOT_BITS, 0x8123_8001_ABCD)]
)
def test_what_no_switch_writes_is_no_slot(index: int, value: int) -> None:
    assert cells.decode_slot(index, value) is None


def test_an_unused_cell_is_no_session() -> None:
    assert cells.decode_session(0) is None
    assert cells.decode_session(0xC6336409_01BB_ABCD_0123) is None


@pytest.mark.parametrize(
    ("phase", "over"),
    [
        (Phase.ESTABLISHED, False),
        (Phase.INSIDE_FIN, False),
        (Phase.OUTSIDE_FIN | Phase.ESTABLISHED, False),
        (Phase.INSIDE_FIN | Phase.OUTSIDE_FIN, True),
        (Phase.RESET | Phase.ESTABLISHED, True),
    ],
)
def test_a_connection_is_over_after_a_reset_or_both_fins(phase: Phase, over: bool) -> None:
    assert SessionState(1, phase, 0).is_over is over


def test_a_time_is_rounded_up_to_ticks() -> None:
    assert cells.TICK_SECONDS == 0.131072
    assert [cells.ticks(s) for s in (0, 0.1, 0.131072, 0.14, 120)] == [0, 1, 1, 2, 916]
    assert cells.seconds(1000) == pytest.approx(131.072)


@examples(50)
@given(slot=SLOTS, session=SESSIONS)
def test_an_endpoint_is_the_same_number_in_either_cell(slot: Slot, session: Session) -> None:
    for cell, found in (
        (slot, cells.endpoint_of_slot(slot.value)),
        (session, cells.endpoint_of_session(session.value)),
    ):
        assert found == cells.endpoint(cell.kind, cell.subscriber, cell.inside_id)
        assert cells.subscriber_of(found) == cell.subscriber
