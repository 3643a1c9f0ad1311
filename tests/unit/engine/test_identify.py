"""Every event is named in one line by the flow or packet that it is about."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.engine import events as ev
from p4alg.engine.identify import identify
from p4alg.engine.tables import FlowKey
from tests.conftest import examples
from tests.unit.engine.harness import INSIDE, REMOTE, TCP, segment

FLOW = FlowKey(TCP, INSIDE, 40000, REMOTE, 21)
ENDS = "tcp 10.0.0.11:40000 and 198.51.100.11:21"
FRAME = segment(INSIDE, 40000, REMOTE, 21)
NAMED: list[tuple[ev.Event, str]] = [
    (
        ev.PacketIn(3, ev.Reason.NEW_FLOW, 0, False, FRAME),
        "packet-in (new-flow) on port 3: tcp 10.0.0.11:40000 -> 198.51.100.11:21, 54 bytes",
    ),
    (
        ev.PacketIn(3, ev.Reason.ARP, 0, False, b"\0" * 20),
        "packet-in (arp) on port 3: 20 bytes that are no IPv4 packet",
    ),
    (ev.TcpEvent(FLOW, 0x11, True, False), f"TCP flags 0x11 of {ENDS}"),
    (ev.PinholeHit(FLOW, 7), f"hit of pinhole 7 by {ENDS}"),
    (ev.SessionIdle(FLOW), f"idle {ENDS}"),
    (ev.PinholeIdle(7), "idle pinhole 7"),
    (ev.SubscriberIdle(INSIDE, 0), "idle subscriber 10.0.0.11"),
    (ev.BlockIdle(REMOTE, 4096), "idle block 198.51.100.11:4096"),
    (ev.TransactionDone(9), "outcome of transaction 9"),
    (ev.TransactionFailed(9, "full"), "outcome of transaction 9"),
    (ev.Tick(), "the clock"),
    (ev.Reminder(), "the clock"),
]


@pytest.mark.parametrize(("event", "said"), NAMED, ids=lambda value: type(value).__name__)
def test_an_event_is_named_by_what_it_is_about(event: ev.Event, said: str) -> None:
    assert identify(event) == said


def test_there_is_a_name_for_every_kind_of_event() -> None:
    assert {type(event) for event, _ in NAMED} == set(get_args(ev.Event))


@given(st.binary(max_size=80), st.sampled_from(list(ev.Reason)))
@examples(50)
def test_no_frame_keeps_its_event_from_being_named(frame: bytes, reason: ev.Reason) -> None:
    assert identify(ev.PacketIn(1, reason, 0, False, frame)).isprintable()
    assert identify(ev.PacketIn(1, reason, 0, False, FRAME[:34] + frame)).isprintable()
