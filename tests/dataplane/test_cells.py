"""The controller's idea of the cells is the program's: flows on the embedded switch."""

from __future__ import annotations

import random

import pytest

from p4alg.engine import cells
from p4alg.p4constants import Class, FilterMode, Phase
from p4softswitch.executor.v1model import V1ModelExecutor
from p4softswitch.state.arrays import RegisterStore

from .gateway import INSIDE, PROTO, InProcess, Packet
from .reference import ACK, SYN, Segment, Subscriber, Timers

REMOTE = 0xC6336409
FLOWS = 60


@pytest.mark.parametrize("filter_mode", [FilterMode.ADDRESS_AND_PORT, FilterMode.ADDRESS])
def test_every_flow_lies_where_it_is_looked_for(filter_mode: FilterMode) -> None:
    rng = random.Random(3)
    low, high = (tuple(rng.getrandbits(16) for _ in range(256)) for _ in range(2))
    gateway = InProcess("v1model", Timers(), filter_mode, low, high)
    hosts = [
        Subscriber(5 + n, 0x0A000009 + n, 0xCB007105, 4096 * (n + 1), 4096, rng.getrandbits(16))
        for n in range(3)
    ]
    for host in hosts:
        gateway.add(host)
    arrays = registers(gateway)
    for n in range(FLOWS):
        host, kind = rng.choice(hosts), rng.choice([Class.TCP, Class.UDP, Class.ICMP])
        port, remote_port = 1024 + 7 * n, 0 if kind is Class.ICMP else 2000 + n
        packet = Packet(PROTO[kind], host.inside, port, REMOTE, remote_port)
        segment = Segment(SYN, 1) if kind is Class.TCP else None
        sent = gateway.send(INSIDE, packet, segment)
        assert isinstance(sent, Packet)
        block = cells.PortBlock(host.number, host.port_base, host.block_size - 1, host.salt)
        slots = cells.candidates(block, kind, port, low[port & 0xFF], high[port >> 8])
        (slot,) = (s for s in slots if s.outside_id == sent.source_port)
        assert arrays["slot_cell"].read(slot.index) == slot.value
        named = 0 if filter_mode is FilterMode.ADDRESS else remote_port
        session = cells.Session(kind, host.number, port, REMOTE, named)
        values = [arrays["session_cell"].read(place) for place in session.places()]
        assert values.count(session.value) == 1
        place = session.places()[values.index(session.value)]
        state = cells.decode_session_state(arrays["session_state"].read(place) or 0)
        assert state.phase is Phase.INSIDE_SYN
        assert state.end > gateway.tick


def test_the_state_of_a_connection_is_read() -> None:
    timers = Timers()
    gateway = InProcess("v1model", timers, FilterMode.ADDRESS_AND_PORT, (0,) * 256, (0,) * 256)
    host = Subscriber(9, 0x0A000009, 0xCB007105, 4096, 4096, 0)
    gateway.add(host)
    out = Packet(PROTO[Class.TCP], host.inside, 5001, REMOTE, 443)
    sent = gateway.send(INSIDE, out, Segment(SYN, 1))
    assert isinstance(sent, Packet)
    back = Packet(out.proto, REMOTE, 443, sent.source, sent.source_port)
    gateway.send(2, back, Segment(SYN | ACK, 9, 2))
    gateway.send(INSIDE, out, Segment(ACK, 2, 10))
    arrays = registers(gateway)
    session = cells.Session(Class.TCP, 9, 5001, REMOTE, 443)
    (place,) = (p for p in session.places() if arrays["session_cell"].read(p) == session.value)
    state = cells.decode_session_state(arrays["session_state"].read(place) or 0)
    proved = Phase.INSIDE_SYN | Phase.OUTSIDE_SYN | Phase.ESTABLISHED
    assert state == cells.SessionState(gateway.tick + timers.established, proved, 10)
    slot = cells.Slot(Class.TCP, 9, sent.source_port, 5001)
    held = cells.decode_slot_state(arrays["slot_state"].read(slot.index) or 0)
    assert held == cells.SlotState(1, gateway.tick + timers.established)


def registers(gateway: InProcess) -> dict[str, RegisterStore]:
    executor = gateway._bench.switch.executor
    assert isinstance(executor, V1ModelExecutor)
    return executor.state.registers
