"""A flow's identifiers, and its entry in the switch."""

from __future__ import annotations

import pytest

from p4alg.engine import tables as t
from p4alg.engine.flows import Flow, Phase, flow_id, number_of, session_entry
from p4alg.engine.tables import FlowKey, SessionFlags, Side
from p4alg.nat.bindings import Binding, Kind
from p4alg.protocols import ESP, GRE, TCP, UDP

KEY = FlowKey(TCP, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("proto", "number", "identifier"),
    [
        (TCP, 80, 80),
        (UDP, 65535, 65535),
        (GRE, 0, 0x10000),
        (GRE, 65535, 0x1FFFF),
        (ESP, 0x12345678, 0x12345678),
    ],
)
def test_a_call_id_is_flagged_so_that_none_is_not_call_0(
    proto: int, number: int, identifier: int
) -> None:
    assert flow_id(proto, number) == identifier
    assert number_of(proto, identifier) == number


def test_the_entry_of_a_flow_has_what_the_switch_needs_of_it() -> None:
    binding = Binding(TCP, 1, 2, 9, 8, Kind.DYNAMIC, 0.0)
    flow = Flow(KEY, binding, Side.INSIDE, 0.0, Phase.OPENING, 240.0)
    assert session_entry(flow) == t.Session(KEY, 0, SessionFlags.NONE, 240.0, 0)
    flow.alg_id, flow.flags, flow.watch_below = 7, SessionFlags.WATCH_OUTSIDE, 24
    flow.alg, flow.label = "tftp", "tftp RRQ"
    assert session_entry(flow) == t.Session(KEY, 7, SessionFlags.WATCH_OUTSIDE, 240.0, 24)


def test_two_flows_are_never_the_same_though_all_of_them_is() -> None:
    binding = Binding(TCP, 1, 2, 9, 8, Kind.DYNAMIC, 0.0)
    one, other = (Flow(KEY, binding, Side.INSIDE, 0.0, Phase.ACTIVE, 1.0) for _ in range(2))
    assert one != other
    assert len({one, other}) == 2
