"""Rule 11, G7: what no ALG may have opened, whatever it asks for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import GRE, TCP, UDP, Endpoint, Peer, PinholeRequest, SessionFacts
from p4alg.engine.safety import MOST_FLOWS, Safety
from p4alg.engine.settings import Limits

INSIDE, OTHER, REMOTE, THIRD = 0x0A00000B, 0x0A00000C, 0xC633640B, 0xC633640C
FACTS = SessionFacts(
    TCP, Endpoint(INSIDE, 4000), Endpoint(REMOTE, 21), Peer.CLIENT, Endpoint(0xCB007101, 4000)
)
LIMITS = Limits(pinhole_longest=500.0)
SAFETY = Safety(LIMITS, frozenset({3306}))
ASKED = PinholeRequest(TCP, Peer.CLIENT, Endpoint(INSIDE, 50000), REMOTE, None, 60.0)


@pytest.mark.parametrize(
    ("listen", "reason"),
    [
        (Endpoint(INSIDE, 1024), ""),
        (Endpoint(INSIDE, 65535), ""),
        (Endpoint(INSIDE, 1023), "low-port"),
        (Endpoint(INSIDE, 1), "low-port"),
        (Endpoint(INSIDE, 0), "bad-id"),
        (Endpoint(INSIDE, -1), "bad-id"),
        (Endpoint(INSIDE, 65536), "bad-id"),
        (Endpoint(INSIDE, 3306), "denied-port"),
        (Endpoint(OTHER, 50000), "bounce"),
        (Endpoint(REMOTE, 50000), "bounce"),
    ],
)
def test_G7_nothing_leads_to_another_host_a_low_port_or_a_denied_one(
    listen: Endpoint, reason: str
) -> None:
    for proto in (TCP, UDP):
        assert SAFETY.of_endpoint(proto, listen, INSIDE) == reason
    assert SAFETY.of_request(replace(ASKED, listen=listen), FACTS) == reason


@pytest.mark.parametrize(
    ("listen", "opener", "reason"),
    [
        (Endpoint(REMOTE, 50000), INSIDE, ""),
        # The deny list guards inside hosts; of an outside listener nothing opens.
        (Endpoint(REMOTE, 3306), INSIDE, ""),
        (Endpoint(REMOTE, 80), INSIDE, "low-port"),
        (Endpoint(THIRD, 50000), INSIDE, "bounce"),
        (Endpoint(REMOTE, 50000), OTHER, "bounce"),
        (Endpoint(REMOTE, 0), INSIDE, "bad-id"),
    ],
)
def test_G7_an_inside_host_is_sent_to_no_third_host_and_no_low_port(
    listen: Endpoint, opener: int, reason: str
) -> None:
    asked = replace(ASKED, listener=Peer.SERVER, listen=listen, opener_addr=opener)
    assert SAFETY.of_request(asked, FACTS) == reason


@pytest.mark.parametrize(("call_id", "reason"), [(0, ""), (0xFFFF, ""), (0x10000, "bad-id")])
def test_P2_a_call_id_has_sixteen_bits(call_id: int, reason: str) -> None:
    assert SAFETY.of_endpoint(GRE, Endpoint(INSIDE, call_id), INSIDE) == reason
    outward = replace(
        ASKED, proto=GRE, listener=Peer.SERVER, listen=Endpoint(REMOTE, call_id), opener_addr=INSIDE
    )
    assert SAFETY.of_request(outward, FACTS) == reason
    assert SAFETY.of_request(replace(outward, opener_addr=OTHER), FACTS) == "bounce"


@given(st.floats(), st.floats() | st.none(), st.integers())
def test_G4_times_and_flows_are_within_bounds_whatever_is_asked(
    lifetime: float, idle: float | None, flows: int
) -> None:
    asked = replace(ASKED, lifetime=lifetime, flow_idle=idle, max_flows=flows, label="a\x1bb" * 40)
    bounded = SAFETY.bounded(asked)
    assert 1.0 <= bounded.lifetime <= LIMITS.pinhole_longest
    assert bounded.flow_idle is None or 1.0 <= bounded.flow_idle <= LIMITS.pinhole_longest
    assert (bounded.flow_idle is None) == (idle is None)
    assert 1 <= bounded.max_flows <= MOST_FLOWS
    assert bounded.label.isprintable()
    assert len(bounded.label) <= 40
    if 1.0 <= lifetime <= LIMITS.pinhole_longest and not math.isnan(lifetime):
        assert bounded.lifetime == lifetime
